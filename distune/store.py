"""The share: the only code that renames, appends and lists.

`Folder` is the handful of file operations the protocol needs, on a real directory.
`Store` is what they mean for a study. A simulated share has the same operations as
`Folder` (see `tests/`), so that everything above runs over either.

Two kinds of failure leave here. `FileNotFoundError` and `FileExistsError` are answers.
`ShareError` means that the share did not answer or nobody can say what happened: the
caller keeps what it has and does the same again later (P8, P9).
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar
from typing import Protocol as Interface

from distune import protocol, records
from distune.errors import BadRecord, Forbidden, NotAFolder, ShareError, UserError
from distune.heartbeat import Finished, MasterBeat
from distune.protocol import COUNTED, LIVE, Actor, AttemptName, State
from distune.study import Study
from distune.trial import Counted, Purpose, Record, Trial

#: File systems of one machine; anything else is treated as one that hosts share.
LOCAL_FILE_SYSTEMS = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay"}
    | {"ramfs", "reiserfs", "rootfs", "tmpfs", "vfat", "xfs", "zfs"}
)
LOCAL_LEASE = 20.0  # seconds
NETWORK_LEASE = 120.0  # seconds; attribute caches live up to 60, see FILESYSTEMS in PROTOCOL.md
_READ_AT_ONCE = 2**20
_BEAT_SIZE = 4096
_BEAT_LIMIT = 256 * 2**10
_CHUNK = 4 * 2**20  # bytes of history read at a time
_HISTORY_LIMIT = 2**32
#: What opening something that is no regular file may answer, or a file that may not be opened.
_NO_FILE = {errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV, errno.EOPNOTSUPP}
_NO_FILE |= {errno.EACCES, errno.EPERM}
#: What a rename answers when a directory has the new name, or a file that of a directory.
_OCCUPIED = {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
#: Answers that will be the same later: such a thing cannot be set aside.
_FOR_EVER = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EINVAL, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
R = TypeVar("R", bound=Record)

_HISTORY_LINE = b'{"kind":"counted",'

_README = """\
This is the folder of the distune study {name!r}. You can look at everything here with ls and cat.

study.json     what is searched; frozen
trials/        000017.1.jsonl                   waiting (trial 17, attempt 1)
               000017.1.jsonl.WORKER.taken      being trained by WORKER
               000017.1.jsonl.WORKER.done       finished, not yet counted
seen/000/      000017.1.jsonl.WORKER.seen       counted: history
               000017.1.jsonl.WORKER.lost       given up; 000017.2 is the next attempt
               000017.1.jsonl.WORKER.pruned     stopped by the master, counted
               000017.1.test.jsonl.WORKER.seen  the winner, evaluated on the test set
history.jsonl  one line per counted trial; a cache, rebuilt from seen/
workers/       heartbeats of the workers
artifacts/     what an objective wrote into trial.dir
quarantine/    files that distune could not make sense of
leaderboard.csv, best.json, finished.json       written when the study is over

Inside a trial's file: one JSON object a line (trial, claim, report..., result).
Delete the folder when no master and no worker runs, and the study is gone. Delete
nothing in it before that.
"""


class FolderLike(Interface):
    """The file operations the protocol needs. Paths are relative, with `/`."""

    network: bool

    def names(self, folder: str) -> list[str]: ...
    def read(
        self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT, part: bool = False
    ) -> bytes: ...
    def publish(self, path: str, data: bytes) -> None: ...
    def move(self, source: str, target: str) -> None: ...
    def append(self, path: str, data: bytes) -> None: ...
    def rewrite(self, path: str, data: bytes) -> None: ...
    def replace(self, path: str, data: bytes) -> None: ...
    def remove(self, path: str) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def poke(self, folder: str) -> None: ...


@contextmanager
def _answers(verb: str, path: object) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError as error:
        raise ShareError(f"cannot {verb} {path}: {error.strerror or error}") from error


class Folder:
    """`Folder(Path("logs/mnist")).names("trials")`.

    Args:
        root: the directory.
        network: whether other hosts see it too; None finds out.
    """

    def __init__(self, root: Path, network: bool | None = None) -> None:
        self.root = root
        self.network = is_network(root) if network is None else network

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else str(self.root)

    @contextmanager
    def _inside(self, folder: str) -> Iterator[int]:
        """A descriptor of a folder, for one operation: no symbolic link leads out of the
        study, whenever somebody puts one there (P10).

        Opened by path each time: a held descriptor shows old news on NFS and SMB.
        """
        first, *rest = folder.split("/")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        path, fd = first, -1
        try:
            try:
                fd = os.open(self._full(first), flags)
                for part in rest:
                    path = f"{path}/{part}"
                    outer, fd = fd, os.open(part, flags, dir_fd=fd)
                    os.close(outer)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    full = self._full(path)
                    raise NotAFolder(path, shown(full), os.path.islink(full)) from error
                raise
            yield fd
        finally:
            if fd >= 0:
                os.close(fd)

    def names(self, folder: str) -> list[str]:
        """A fresh listing.

        Dot files are nobody's business (unfinished writes, `.nfs*`, `.fuse_hidden*`).
        """
        with _answers("list", self._full(folder)), self._inside(folder) as fd:
            return sorted({n for n in os.listdir(fd) if not n.startswith(".")})

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        """A regular file. Anything else hangs nobody: O_NONBLOCK is for a FIFO in its place.

        Raises:
            BadRecord: it is something else, or may not be opened.
        """
        folder, _, name = path.rpartition("/")
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with self._inside(folder) as at:
            try:
                fd = os.open(name, flags, 0o666, dir_fd=at)
            except OSError as error:
                if error.errno in _NO_FILE:
                    raise (_refusal(name, at) or error) from error
                raise
        closed = False
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise BadRecord(_kind(os.fstat(fd).st_mode))
            yield fd
            closed = True
            os.close(fd)  # raises what a network file system kept for last
        finally:
            if not closed:
                os.close(fd)

    def read(
        self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT, part: bool = False
    ) -> bytes:
        """The bytes from `offset` on; with `part`, no more than `limit` of them.

        Raises:
            BadRecord: not a regular file, or more than `limit` bytes: not ours.
        """
        with _answers("read", self._full(path)):
            try:
                with self._opened(path, os.O_RDONLY) as fd:
                    size = os.fstat(fd).st_size
                    if size - offset > limit and not part:
                        raise BadRecord(f"it is too large ({size} bytes)")
                    # Not `limit` at once: so much memory would be reserved, however short it is.
                    pieces = []
                    while limit > 0 and (piece := os.pread(fd, min(limit, _READ_AT_ONCE), offset)):
                        pieces.append(piece)
                        limit -= len(piece)
                        offset += len(piece)
                    return b"".join(pieces)
            except OSError as error:
                if error.errno == errno.ESTALE:  # a listed name that is gone, or went meanwhile
                    raise FileNotFoundError(errno.ENOENT, "stale", path) from error
                raise

    def publish(self, path: str, data: bytes) -> None:
        """Give complete content a name, never over an existing one (P1).

        Raises:
            FileExistsError: the name is taken; nothing was changed.
        """
        folder, _, name = path.rpartition("/")
        with _answers("publish", self._full(path)), self._inside(folder) as at:
            draft = _write_draft(name, data, at)
            try:
                try:
                    os.link(draft, name, src_dir_fd=at, dst_dir_fd=at)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    # No hard links here. One master publishes, so looking first is enough.
                    if name in os.listdir(at):
                        raise FileExistsError(errno.EEXIST, "exists", path) from error
                    os.rename(draft, name, src_dir_fd=at, dst_dir_fd=at)
            finally:
                _discard(draft, at)
            if not self.network:  # a network server makes a new name survive a power cut
                os.fsync(at)

    def move(self, source: str, target: str) -> None:
        """One rename. Its answer may be a lie on a network: see `Store._move`.

        Raises:
            BadRecord: a directory has the target's name.
        """
        (folder, _, name), (target_folder, _, new) = source.rpartition("/"), target.rpartition("/")
        with (
            _answers("rename", self._full(source)),
            self._inside(folder) as here,
            self._inside(target_folder) as there,
        ):
            try:
                os.rename(name, new, src_dir_fd=here, dst_dir_fd=there)
            except OSError as error:
                if error.errno in _OCCUPIED:
                    raise BadRecord(f"something else is called {new}") from error
                raise

    def append(self, path: str, data: bytes) -> None:
        """Append to an existing file, and have it on the disk when this returns.

        Raises:
            FileNotFoundError: there is no such file; it is not made (P7).
            BadRecord: it is no file that can be appended to.
            ShareError: all, some or none of it may have been written.
        """
        with (
            _answers("append to", self._full(path)),
            self._opened(path, os.O_WRONLY | os.O_APPEND) as fd,
        ):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)

    def open_log(self, path: str) -> IO[bytes]:
        """A file to append to, for what a process prints; made if it is not there.

        Raises:
            ShareError: it cannot be written, or is no file.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            with _answers("write", self._full(path)), self._opened(path, flags) as fd:
                return open(os.dup(fd), "ab")
        except BadRecord as error:
            raise ShareError(f"cannot write {shown(self._full(path))}: {error}") from error

    def rewrite(self, path: str, data: bytes) -> None:
        """Overwrite in place: a replaced file is not noticed on SMB and NFS 4.

        Readers may see half of it.

        Raises:
            BadRecord: it is no file of our own.
        """
        with (
            _answers("write", self._full(path)),
            self._opened(path, os.O_WRONLY | os.O_CREAT) as fd,
        ):
            if os.fstat(fd).st_nlink > 1:
                raise BadRecord("it has a second name (a hard link)")
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], written)
            os.ftruncate(fd, len(data))

    def replace(self, path: str, data: bytes) -> None:
        """Put a complete file in the place of another, for files read once.

        Raises:
            BadRecord: a directory is there.
        """
        folder, _, name = path.rpartition("/")
        with _answers("write", self._full(path)), self._inside(folder) as at:
            draft = _write_draft(name, data, at)
            try:
                os.rename(draft, name, src_dir_fd=at, dst_dir_fd=at)
            except OSError as error:
                _discard(draft, at)
                if error.errno in _OCCUPIED:
                    raise BadRecord("it is a directory, not a file") from error
                if self._holds(path, data):
                    return  # it happened, and the reply was lost (P8)
                raise

    def _holds(self, path: str, data: bytes) -> bool:
        try:
            return self.read(path) == data
        except (FileNotFoundError, BadRecord, ShareError):
            return False

    def remove(self, path: str) -> None:
        """Unlink a file.

        Raises:
            BadRecord: it is a directory.
        """
        folder, _, name = path.rpartition("/")
        with _answers("remove", self._full(path)), self._inside(folder) as at:
            try:
                os.unlink(name, dir_fd=at)
            except IsADirectoryError as error:
                raise BadRecord("it is a directory, not a file") from error

    def make_folder(self, path: str) -> None:
        """See that there is a folder.

        Raises:
            NotAFolder: there is something else.
        """
        folder, _, name = path.rpartition("/")
        with _answers("make", self._full(path)):
            try:
                with self._inside(folder) as at:
                    os.mkdir(name, dir_fd=at)
            except FileExistsError:
                with self._inside(path):
                    pass

    def poke(self, folder: str) -> None:
        """Change the directory, so that this host's cache of it is thrown away."""
        if not self.network:
            return
        draft = f".poke.{secrets.token_hex(6)}"
        with _answers("write in", self._full(folder)), self._inside(folder) as at:
            os.close(_open_new(draft, at))
            try:
                os.unlink(draft, dir_fd=at)
            except FileNotFoundError:
                pass  # the reply was lost


def _open_new(name: str, at: int) -> int:
    """Make a file of a name that only we can have thought of: that it is there already means
    that the reply to our own request was lost, and the request sent again.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_EXCL, 0o666, dir_fd=at)
    except FileExistsError:
        return os.open(name, flags, 0o666, dir_fd=at)


def _write_draft(name: str, data: bytes, at: int) -> str:
    """Complete content under a name that nobody reads."""
    draft = f".{name}.{secrets.token_hex(6)}"
    try:
        with open(_open_new(draft, at), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        _discard(draft, at)  # on a full disk, give the bytes back
        raise
    return draft


def _discard(draft: str, at: int) -> None:
    try:
        os.unlink(draft, dir_fd=at)
    except OSError:
        pass  # a dot file more: nobody reads it


def _refusal(name: str, at: int) -> BadRecord | None:
    """Why something cannot be opened; None if it is not there."""
    try:
        mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
    except OSError:
        return None
    return Forbidden("it may not be opened") if stat.S_ISREG(mode) else BadRecord(_kind(mode))


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a fifo",
        stat.S_IFSOCK: "a socket",
    }
    return f"it is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a file"


def shown(path: str) -> str:
    """A path as part of one line for people, whatever is in its name."""
    text = path if path.isprintable() and " " not in path else ascii(path)
    return text if len(text) <= 120 else f"{text[:100]}...{text[-16:]}"


def file_system_of(path: Path) -> str:
    """The type of the file system a path lies on, as Linux calls it (`ext4`, `nfs4`);
    `unknown` elsewhere.
    """
    if not sys.platform.startswith("linux"):
        return "unknown"
    target = os.path.realpath(path)
    best, kind = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split()[0]
    return kind


def is_network(path: Path) -> bool:
    """Whether other hosts may see this directory. Where nothing is known, the careful
    answer is yes.
    """
    return file_system_of(path) not in LOCAL_FILE_SYSTEMS


@dataclass(frozen=True)
class Listing:
    """What lies in `trials/`: attempts, and names that are no attempt's."""

    attempts: tuple[AttemptName, ...]
    strangers: tuple[str, ...]


class Store:
    """One study on the share: `Store(Folder(Path("logs/mnist")))`.

    Attributes:
        tell: takes a line for people, about something that was set aside.
        history_problem: why `history.jsonl`, as far as it was read, is not what this
            study's master wrote; None if it is. A torn line is no problem.
    """

    def __init__(self, folder: FolderLike) -> None:
        self.folder = folder
        self.tell: Callable[[str], None] = lambda line: None
        self.history_problem: str | None = None
        self._study: Study | None = None
        self._torn: set[str] = set()  # files whose last append may have left half a line
        self._made: set[str] = set()
        #: Where in the history the last known line begins, and that line.
        self._history_mark = 0, b""
        self._stuck: set[str] = set()  # what cannot be set aside

    # -- the study ---------------------------------------------------------------------

    def create(self, study: Study) -> Study:
        """Publish a new study, or find the one that is there already.

        `study.json` comes last: who sees it may rely on the rest.
        """
        self.mend_folders()
        for path, data in (
            (protocol.README, _README.format(name=study.name).encode()),
            (protocol.HISTORY, b""),
            (protocol.STUDY, records.encode_document(study)),
        ):
            try:
                self.folder.publish(path, data)
            except FileExistsError:
                pass
        return self.load()

    def load(self) -> Study:
        """The frozen study.

        Raises:
            FileNotFoundError: there is none here.
            BadRecord: `study.json` is not what it should be.
        """
        data = self.folder.read(protocol.STUDY, limit=records.LINE_LIMIT)
        self._study = records.decode_document(Study, data)
        return self._study

    def mend_folders(self) -> None:
        """See that the study's own folders are there, and are folders.

        Raises:
            NotAFolder: one is a symbolic link, and what it should hold may lie behind it.
        """
        for folder in protocol.FOLDERS:
            self._made.discard(folder)
            self._ensure_folder(folder)

    def is_finished(self) -> bool:
        """Whether a master has said so; garbage of that name says nothing."""
        try:
            return self.read_finished() is not None
        except BadRecord:
            return False

    def read_finished(self) -> Finished | None:
        """How the study ended; None if it has not.

        Raises:
            BadRecord: something is called so that no master of this study wrote.
        """
        if protocol.FINISHED not in self.folder.names(""):
            return None  # asked for by name, it might be missing long after it came
        try:
            data = self.folder.read(protocol.FINISHED, limit=records.LINE_LIMIT)
        except FileNotFoundError:
            return None
        finished = records.decode_document(Finished, data)
        self._check_study(finished.study)
        return finished

    def read_master(self) -> MasterBeat | None:
        """The master's heartbeat; None if there is none, or it is half written."""
        try:
            data = self.folder.read(protocol.MASTER, limit=records.LINE_LIMIT)
            beat = records.decode_document(MasterBeat, data)
            self._check_study(beat.study)
        except (FileNotFoundError, BadRecord):
            return None
        return beat

    def _check_study(self, study: str) -> None:
        if self._study is not None and study != self._study.id:
            raise BadRecord("it belongs to another study")

    def write_document(self, path: str, data: bytes) -> None:
        """A file that is read once it is complete."""
        self._insist(path, lambda: self.folder.replace(path, data))

    def reopen(self) -> None:
        """Take the mark of the end away: the study goes on."""
        try:
            self._insist(protocol.FINISHED, lambda: self.folder.remove(protocol.FINISHED))
        except FileNotFoundError:
            pass

    # -- attempts ----------------------------------------------------------------------

    def listing(self) -> Listing:
        """What lies in `trials/` now. A file renamed meanwhile may be missing from it:
        nothing is ever concluded from one absence.
        """
        attempts, strangers = [], []
        for name in self.folder.names(protocol.TRIALS):
            if f"{protocol.TRIALS}/{name}" in self._stuck:
                continue
            try:
                attempts.append(AttemptName.parse(name))
            except BadRecord:
                strangers.append(name)
        return Listing(tuple(attempts), tuple(strangers))

    def read_attempt(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """What an attempt's file says.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is not what its name says.
        """
        data = self.folder.read(name.seen_path if seen else name.live_path)
        file = records.parse_attempt(data)
        self._check_study(file.trial.study)
        if (file.trial.purpose, file.trial.number, file.trial.attempt) != (
            name.purpose,
            name.trial,
            name.attempt,
        ):
            raise BadRecord(f"it holds attempt {file.trial.attempt} of trial {file.trial.number}")
        return file

    def read_ended(self, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        """What the file of an attempt says that is over; a result counts if it is from the
        worker in the name, who had claimed the trial.

        Raises:
            FileNotFoundError: it has moved on.
            BadRecord: it is not what its name says.
        """
        file = self.read_attempt(name, seen=seen)
        if name.state in (State.DONE, State.SEEN):
            if file.result is None:
                raise BadRecord("there is no result in it")
            if file.claim is None:
                raise BadRecord("there is a result in it, but no claim")
            if file.claim.worker != name.worker:
                raise BadRecord(f"it was claimed by another worker, {shown(file.claim.worker)}")
        return file

    def attempts_of(self, trial: int) -> list[tuple[AttemptName, records.AttemptFile]]:
        """All attempts at one trial, wherever they lie, in their order."""
        live = [n for n in self.listing().attempts if n.trial == trial]
        found = []
        for name, seen in [(n, False) for n in live] + [(n, True) for n in self.seen_of(trial)]:
            try:
                found.append((name, self.read_attempt(name, seen=seen)))
            except (FileNotFoundError, BadRecord):
                continue
        return sorted(found, key=lambda pair: (pair[0].purpose, pair[0].attempt))

    def publish(self, trial: Trial) -> None:
        """Nothing -> waiting. That it is there already is as good."""
        try:
            self.folder.publish(AttemptName.waiting(trial).live_path, records.encode(trial))
        except FileExistsError:
            pass

    def claim(self, name: AttemptName, worker: str) -> AttemptName | None:
        """Waiting -> taken; None if another was faster."""
        taken = name.moved(State.TAKEN, Actor.ANY_WORKER, worker)
        return taken if self._move(name.live_path, taken.live_path) else None

    def append(self, name: AttemptName, lines: Sequence[Record]) -> None:
        """Add to the file of an attempt one owns.

        Raises:
            FileNotFoundError: one does not own it any more (P7).
        """
        self._append(name.live_path, lines)

    def finish(self, name: AttemptName) -> bool:
        """Taken -> done; False if one has been evicted."""
        return self._move(name.live_path, name.moved(State.DONE, Actor.OWNER).live_path)

    def give_up(self, name: AttemptName, actor: Actor) -> bool:
        """Taken (or done) -> lost, still in `trials/`: the master has to see to a successor."""
        return self._move(name.live_path, name.moved(State.LOST, actor).live_path)

    def prune(self, name: AttemptName) -> AttemptName | None:
        """Taken -> pruned; None if it was faster."""
        pruned = name.moved(State.PRUNED, Actor.MASTER)
        folder = protocol.seen_folder(name.trial)
        moved = self._in_folder(folder, lambda: self._move(name.live_path, pruned.seen_path))
        return pruned if moved else None

    def withdraw(self, name: AttemptName) -> None:
        """Waiting -> nothing. A claim that is faster wins, and this does nothing."""
        try:
            self.read_attempt(name)
            self.folder.remove(name.live_path)
        except FileNotFoundError:
            pass
        except BadRecord as error:  # nothing of ours: somebody may want to see it
            self.set_aside(name.live_path, str(error))

    def settle(self, name: AttemptName) -> bool:
        """Done -> seen, or put a lost one away: nobody has to do anything about it any more."""
        settled = name if name.state is State.LOST else name.moved(State.SEEN, Actor.MASTER)
        folder = protocol.seen_folder(name.trial)
        return self._in_folder(folder, lambda: self._move(name.live_path, settled.seen_path))

    def quarantine(self, filename: str, why: str) -> None:
        """Set a file of `trials/` aside that makes no sense here (P10)."""
        self.set_aside(f"{protocol.TRIALS}/{filename}", why)

    def set_aside(self, path: str, why: str) -> None:
        """Move something that makes no sense into `quarantine/`, over nothing that is there,
        and say so. What cannot be moved is named once, and is then left alone.
        """
        if path in self._stuck:
            return
        target = ""

        def put_away() -> bool:
            nonlocal target
            target = self._free_name(path)
            return self._move(path, target)

        try:
            moved = self._in_folder(protocol.QUARANTINE, put_away)
        except ShareError as error:
            self._get_stuck(path, why, error)
        else:
            if moved:
                self.tell(f"{shown(path)} set aside as {shown(target)}: {why}")

    def _get_stuck(self, path: str, why: str, error: ShareError) -> None:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _FOR_EVER:
            raise error
        self._stuck.add(path)
        self.tell(f"{shown(path)} is left alone: {why}; {error}")

    def _free_name(self, path: str) -> str:
        """A name in `quarantine/` that nothing has."""
        there = set(self.folder.names(protocol.QUARANTINE))
        name = protocol.aside_name(path)
        while name in there:
            name = protocol.aside_name(path, secrets.token_hex(4))
        return f"{protocol.QUARANTINE}/{name}"

    def _insist(self, path: str, write: Callable[[], None]) -> None:
        """Write something of one's own, whatever somebody has put in its place.

        Raises:
            ShareError: that cannot be set aside.
        """
        try:
            write()
        except BadRecord as error:
            self.set_aside(path, str(error))
            try:
                write()
            except BadRecord as again:
                raise ShareError(f"cannot write {shown(path)}: {again}") from error

    def _move(self, source: str, target: str) -> bool:
        """Rename, and find out whether it happened: believe the state, not the answer (P8).

        Every target is a name that only this mover would make, so finding it is proof.

        Returns:
            True if the file has its new name; False if the old name was gone.

        Raises:
            ShareError: nobody knows; it may have happened. Do the same again later.
        """
        failure: ShareError | None = None
        try:
            try:
                self.folder.move(source, target)
            except BadRecord as error:
                self.set_aside(target, str(error))
                self.folder.move(source, target)
            return True
        except FileNotFoundError:
            pass  # on NFS this may mean: done, and the reply was lost
        except BadRecord as error:
            raise ShareError(f"cannot rename {shown(source)}: {error}") from error
        except ShareError as error:
            failure = error
        folder, _, filename = target.rpartition("/")
        self.folder.poke(folder)
        if filename in self.folder.names(folder):
            return True
        if failure is not None:
            raise failure
        return False

    def _append(self, path: str, lines: Iterable[Record]) -> None:
        data = b"".join(records.encode(line) for line in lines)
        if not data:
            return
        if path in self._torn:
            data = b"\n" + data
        self._torn.add(path)
        self.folder.append(path, data)
        self._torn.discard(path)

    def _ensure_folder(self, folder: str) -> None:
        """Make a folder, once; a file in its place is set aside.

        Raises:
            NotAFolder: it is a symbolic link. What it should hold may lie behind it.
        """
        if folder in self._made:
            return
        outer = folder.rpartition("/")[0]
        if outer:
            self._ensure_folder(outer)
        try:
            self.folder.make_folder(folder)
        except NotAFolder as error:
            if error.path == protocol.QUARANTINE:
                aside = protocol.aside_name(error.path, secrets.token_hex(4))
                self._move(error.path, aside)
                self.tell(f"{shown(error.path)} renamed to {aside}: it is not a folder")
            elif error.link or error.path != folder:
                raise
            else:
                self.set_aside(folder, "it is not a folder")
            self.folder.make_folder(folder)
        self._made.add(folder)

    def _in_folder(self, folder: str, act: Callable[[], bool]) -> bool:
        """Do something that needs a folder, which somebody may have deleted since."""
        try:
            self._ensure_folder(folder)
            return act()
        except (FileNotFoundError, NotAFolder):
            self._made -= {folder, folder.rpartition("/")[0]}
            self._ensure_folder(folder)
            return act()

    # -- history -----------------------------------------------------------------------

    def read_history(self, offset: int = 0) -> tuple[list[Counted], int]:
        """Counted trials from a byte offset on, and the offset to go on from.

        Raises:
            BadRecord: it is nothing that a master wrote.
        """
        if offset == 0:
            self._history_mark = 0, b""
        lines: list[Counted] = []
        while True:
            # The end of the line before belongs to it: else the file has been made anew.
            start = max(offset - 1, 0)
            try:
                data = self.folder.read(protocol.HISTORY, start, _CHUNK, part=True)
            except FileNotFoundError:
                return lines, 0
            if offset and data[:1] != b"\n":
                return self.read_history()
            end = data.rfind(b"\n") + 1
            if end > offset - start:
                lines += self._counted_in(data[offset - start : end])
                offset = start + end
            elif len(data) > records.LINE_LIMIT:
                raise BadRecord("a line of it does not end")
            if len(data) < _CHUNK:
                self._judge_history_line(data[end:])
                return lines, offset
            if offset > _HISTORY_LIMIT:
                raise BadRecord("it is too large")

    def _judge_history_line(self, line: bytes) -> None:
        """What is no record may be half of one: then there was a crash."""
        known = _HISTORY_LINE[: len(line)]
        if line[: len(known)] != known:
            self.history_problem = "a line in it is no record"

    def _counted_in(self, data: bytes) -> list[Counted]:
        found = []
        for record in records.decode_lines(data, self._judge_history_line):
            if not isinstance(record, Counted):
                self.history_problem = "a line in it is no counted trial's"
            elif self._study is not None and record.trial.study != self._study.id:
                self.history_problem = "a line in it belongs to another study"
            else:
                found.append(record)
        return found

    def append_history(self, lines: Sequence[Counted], before: Iterable[Counted] = ()) -> None:
        """Only the study's master does this.

        Args:
            lines: to be added.
            before: those that were added before, in case the file has to be made anew.
        """
        try:
            self._append(protocol.HISTORY, lines)
        except FileNotFoundError:  # somebody deleted the cache
            self.rewrite_history([*before, *lines])
        except BadRecord as error:
            self.mend_history(str(error), [*before, *lines])

    def mend_history(self, why: str, lines: Iterable[Counted]) -> None:
        """Set the file aside and begin a new one with these lines."""
        self.set_aside(protocol.HISTORY, why)
        self.rewrite_history(lines)
        self.history_problem = None

    def rewrite_history(self, lines: Iterable[Counted]) -> None:
        """Put all of it in the place of what is there. Only the study's master does this."""
        self.write_document(protocol.HISTORY, b"".join(records.encode(line) for line in lines))
        self._torn.discard(protocol.HISTORY)
        self._history_mark = 0, b""

    def distrust_tail(self, path: str) -> None:
        """Whoever wrote this file before may have died in the middle of a line."""
        self._torn.add(path)

    def history_is_whole(self) -> bool:
        """Whether `history.jsonl` still has, in its place, the last line that it had when this
        was asked before. A share that came back in an older state has not.
        """
        offset, line = self._history_mark
        try:
            data = self.folder.read(protocol.HISTORY, offset, limit=2**32)
        except FileNotFoundError:
            return not line
        if not data.startswith(line):
            return False
        end = data.rfind(b"\n") + 1
        begin = data.rfind(b"\n", 0, max(end - 1, 0)) + 1
        self._history_mark = offset + begin, data[begin:end]
        return True

    def seen(self) -> Iterator[AttemptName]:
        """Everything in `seen/`. As long as the history: only for a start and for repairs."""
        for name in self._names_in(protocol.SEEN):
            try:
                folder = protocol.parse_seen_folder(name)
            except BadRecord:
                continue
            yield from self._seen_in(folder)

    def seen_of(self, trial: int) -> list[AttemptName]:
        """What `seen/` has of one trial."""
        return [n for n in self._seen_in(protocol.seen_folder(trial)) if n.trial == trial]

    def _names_in(self, folder: str) -> list[str]:
        """A listing; nothing, if there is no folder."""
        try:
            return self.folder.names(folder)
        except FileNotFoundError:
            return []
        except NotAFolder as error:
            if error.link:
                raise
            return []

    def _seen_in(self, folder: str) -> list[AttemptName]:
        found = []
        for name in self._names_in(folder):
            try:
                found.append(_parse_seen(folder, name))
            except BadRecord:
                continue
        return found

    def inspect_seen(self) -> Iterator[tuple[str, str | None]]:
        """Each path in `seen/`, and why it has no business there, if so. Reads every file:
        for going through a few at a time.
        """
        for name in self._names_in(protocol.SEEN):
            try:
                folder = protocol.parse_seen_folder(name)
                names = self.folder.names(folder)
            except (BadRecord, NotAFolder) as error:
                if isinstance(error, NotAFolder) and error.link:
                    raise
                yield f"{protocol.SEEN}/{name}", "it is not a folder of history"
                continue
            except FileNotFoundError:
                continue
            yield from self._inspect_seen_folder(folder, names)

    def _inspect_seen_folder(
        self, folder: str, names: Iterable[str]
    ) -> Iterator[tuple[str, str | None]]:
        attempts = []
        for name in names:
            try:
                attempts.append(_parse_seen(folder, name))
            except BadRecord as error:
                yield f"{folder}/{name}", str(error)
        ended: dict[tuple[Purpose, int], AttemptName] = {}
        for attempt in sorted(attempts):
            try:
                self.read_ended(attempt, seen=True)
                if attempt.state in COUNTED:
                    first = ended.setdefault(attempt.key, attempt)
                    if first != attempt:
                        raise BadRecord(f"{first.filename} has been counted for this trial")
            except FileNotFoundError:
                continue
            except BadRecord as error:
                yield attempt.seen_path, str(error)
            else:
                yield attempt.seen_path, None

    # -- heartbeats --------------------------------------------------------------------

    def beat(self, worker: str, record: Record) -> None:
        """Rewrite one's heartbeat in place, always the same length or longer."""
        path = protocol.beat_path(worker)

        def rewrite() -> bool:
            self._insist(path, lambda: self.folder.rewrite(path, _padded(record)))
            return True

        self._in_folder(protocol.WORKERS, rewrite)

    def beat_as_master(self, record: Record) -> None:
        self._insist(protocol.MASTER, lambda: self.folder.rewrite(protocol.MASTER, _padded(record)))

    def remove_beat(self, worker: str) -> None:
        try:
            self.folder.remove(protocol.beat_path(worker))
        except (FileNotFoundError, BadRecord):
            pass

    def beats(self) -> dict[str, bytes]:
        """The heartbeat of every worker, as it stands."""
        return self._read_beats()[0]

    def strange_beats(self) -> dict[str, str]:
        """Paths in `workers/` that are nobody's heartbeat, and why."""
        return self._read_beats()[1]

    def _read_beats(self) -> tuple[dict[str, bytes], dict[str, str]]:
        found: dict[str, bytes] = {}
        strange: dict[str, str] = {}
        for name in self._names_in(protocol.WORKERS):
            try:
                worker = protocol.parse_beat(name)
                found[worker] = self.folder.read(protocol.beat_path(worker), limit=_BEAT_LIMIT)
            except BadRecord as error:
                strange[f"{protocol.WORKERS}/{name}"] = str(error)
            except FileNotFoundError:
                continue
        return found, strange


def _parse_seen(folder: str, filename: str) -> AttemptName:
    """The name of a file of history.

    Raises:
        BadRecord: it has no business in that folder.
    """
    name = AttemptName.parse(filename)
    if name.state in LIVE:
        raise BadRecord(f"what is {name.state} has no business in {protocol.SEEN}/")
    if protocol.seen_folder(name.trial) != folder:
        raise BadRecord(f"trial {name.trial} belongs into {protocol.seen_folder(name.trial)}/")
    return name


def _padded(record: Record) -> bytes:
    return records.encode_document(record).ljust(_BEAT_SIZE - 1) + b"\n"


def find_studies(logs: Path, only: str | None = None) -> dict[str, Store]:
    """The studies in a logs directory, by name; one that is a symbolic link is among them,
    and says so when it is loaded.

    Raises:
        ShareError: the directory cannot be listed now.
    """
    with _answers("list", logs):
        try:
            names = sorted(os.listdir(logs))
        except FileNotFoundError:
            return {}
    found: dict[str, Store] = {}
    for name in names:
        if name.startswith(".") or (only is not None and name != only):
            continue
        folder = Folder(logs / name, network=True)
        try:
            if protocol.STUDY in folder.names(""):
                found[name] = Store(Folder(logs / name))
        except NotAFolder as error:
            if error.link:
                found[name] = Store(folder)
        except FileNotFoundError:
            continue  # gone again
        except ShareError as error:
            # A folder of somebody else's is not for us. Anything else must not look as if the
            # study had been deleted.
            if not isinstance(error.__cause__, PermissionError):
                raise
    return found


def open_study(logs: Path, name: str | None) -> Store:
    """The study of that name; without a name, the only one there is.

    Raises:
        UserError: there is none, or more than one to choose from, or it cannot be used.
    """
    studies = find_studies(logs, name)
    if name is None:
        studies = {one: store for one, store in studies.items() if not os.path.islink(logs / one)}
    elif name not in studies:
        there = ", ".join(find_studies(logs)) or "none"
        raise UserError(f"no study {name!r} in {logs} (there: {there}); check --logs and --study")
    if not studies:
        raise UserError(f"no study in {logs}; start one: distune master --space FILE --logs {logs}")
    if len(studies) > 1:
        raise UserError(
            f"{len(studies)} studies in {logs}: choose one with --study ({', '.join(studies)})"
        )
    ((found, store),) = studies.items()
    try:
        store.load()
    except BadRecord as error:
        raise UserError(
            f"{shown(f'{logs / found}/{protocol.STUDY}')} cannot be used: {error}"
        ) from None
    except NotAFolder as error:
        raise UserError(str(error)) from None
    return store
