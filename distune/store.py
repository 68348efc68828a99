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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface
from typing import TypeVar

from distune import protocol, records
from distune.errors import BadRecord, ShareError, UserError
from distune.protocol import Actor, AttemptName, State
from distune.study import Study
from distune.trial import Counted, Record, Trial

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
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
R = TypeVar("R", bound=Record)

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
    def read(self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT) -> bytes: ...
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


def _open_new(path: str, flags: int) -> int:
    """Make a file of a name that only we can have thought of: that it is there already means
    that the reply to our own request was lost, and the request sent again.
    """
    try:
        return os.open(path, flags, 0o666)
    except FileExistsError:
        return os.open(path, flags & ~os.O_EXCL, 0o666)


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

    def names(self, folder: str) -> list[str]:
        """A fresh listing, by path: a held descriptor shows old news on NFS and SMB.

        Dot files are nobody's business (unfinished writes, `.nfs*`, `.fuse_hidden*`).
        """
        with _answers("list", self._full(folder)):
            return sorted({n for n in os.listdir(self._full(folder)) if not n.startswith(".")})

    def read(self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT) -> bytes:
        """The bytes from `offset` on.

        Raises:
            BadRecord: not a regular file, or more than `limit` bytes: not ours.
        """
        # O_NONBLOCK: a FIFO in place of a file must hang nobody.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with _answers("read", self._full(path)):
            try:
                return self._read(self._full(path), flags, offset, limit)
            except OSError as error:
                if error.errno == errno.ESTALE:  # a listed name that is gone, or went meanwhile
                    raise FileNotFoundError(errno.ENOENT, "stale", path) from error
                if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                    raise BadRecord(f"{path} is not a regular file") from error
                raise

    def _read(self, path: str, flags: int, offset: int, limit: int) -> bytes:
        fd = os.open(path, flags)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise BadRecord(f"{path} is not a regular file")
            if status.st_size - offset > limit:
                raise BadRecord(f"{path} is too large ({status.st_size} bytes)")
            # Not `limit` at once: so much memory would be reserved, however short the file.
            parts = []
            while limit > 0 and (part := os.pread(fd, min(limit, _READ_AT_ONCE), offset)):
                parts.append(part)
                limit -= len(part)
                offset += len(part)
            return b"".join(parts)
        finally:
            os.close(fd)  # may fail, too, where a server is away

    def publish(self, path: str, data: bytes) -> None:
        """Give complete content a name, never over an existing one (P1).

        Raises:
            FileExistsError: the name is taken; nothing was changed.
        """
        draft = self._write_draft(path, data)
        full = self._full(path)
        try:
            with _answers("publish", full):
                try:
                    os.link(draft, full)
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    # No hard links here. One master publishes, so looking first is enough.
                    if os.path.basename(full) in os.listdir(os.path.dirname(full)):
                        raise FileExistsError(errno.EEXIST, "exists", path) from error
                    os.rename(draft, full)
        finally:
            try:
                os.unlink(draft)
            except OSError:
                pass  # a dot file more: nobody reads it
        self._sync_folder(full)

    def _write_draft(self, path: str, data: bytes) -> str:
        folder, _, name = self._full(path).rpartition("/")
        draft = f"{folder}/.{name}.{secrets.token_hex(6)}"
        with _answers("write", draft):
            try:
                with open(draft, "xb", opener=_open_new) as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                try:
                    os.unlink(draft)  # on a full disk, give the bytes back
                except OSError:
                    pass
                raise
        return draft

    def _sync_folder(self, full: str) -> None:
        """Make a new name survive a power cut. A network server does so itself."""
        if self.network:
            return
        with _answers("sync", os.path.dirname(full)):
            fd = os.open(os.path.dirname(full), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def move(self, source: str, target: str) -> None:
        """One rename. Its answer may be a lie on a network: see `Store._move`."""
        with _answers("rename", self._full(source)):
            os.rename(self._full(source), self._full(target))

    def append(self, path: str, data: bytes) -> None:
        """Append to an existing file, and have it on the disk when this returns.

        Raises:
            FileNotFoundError: there is no such file; it is not made (P7).
            ShareError: all, some or none of it may have been written.
        """
        with _answers("append to", self._full(path)):
            fd = os.open(self._full(path), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
            finally:
                os.close(fd)  # raises what a network file system kept for last

    def rewrite(self, path: str, data: bytes) -> None:
        """Overwrite in place: a replaced file is not noticed on SMB and NFS 4.

        Readers may see half of it.
        """
        with _answers("write", self._full(path)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self._full(path), flags, 0o666)
            try:
                written = 0
                while written < len(data):
                    written += os.pwrite(fd, data[written:], written)
                os.ftruncate(fd, len(data))
            finally:
                os.close(fd)

    def replace(self, path: str, data: bytes) -> None:
        """Put a complete file in the place of another, for files read once."""
        draft = self._write_draft(path, data)
        try:
            with _answers("write", self._full(path)):
                os.rename(draft, self._full(path))
        except (FileNotFoundError, ShareError):
            try:
                happened = self.read(path) == data
            except (FileNotFoundError, BadRecord):
                happened = False
            if not happened:
                raise

    def remove(self, path: str) -> None:
        with _answers("remove", self._full(path)):
            os.unlink(self._full(path))

    def make_folder(self, path: str) -> None:
        with _answers("make", self._full(path)):
            os.makedirs(self._full(path), exist_ok=True)

    def poke(self, folder: str) -> None:
        """Change the directory, so that this host's cache of it is thrown away."""
        if not self.network:
            return
        draft = f"{self._full(folder)}/.poke.{secrets.token_hex(6)}"
        with _answers("write in", self._full(folder)):
            os.close(_open_new(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
            try:
                os.unlink(draft)
            except FileNotFoundError:
                pass  # the reply was lost


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
    """One study on the share: `Store(Folder(Path("logs/mnist")))`."""

    def __init__(self, folder: FolderLike) -> None:
        self.folder = folder
        self._torn: set[str] = set()  # files whose last append may have left half a line
        self._made: set[str] = set()
        #: Where in the history the last known line begins, and that line.
        self._history_mark = 0, b""

    # -- the study ---------------------------------------------------------------------

    def create(self, study: Study) -> Study:
        """Publish a new study, or find the one that is there already.

        `study.json` comes last: who sees it may rely on the rest.
        """
        for name in (protocol.TRIALS, protocol.SEEN, protocol.WORKERS):
            self._ensure_folder(name)
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
        return records.decode_document(Study, data)

    def is_finished(self) -> bool:
        return protocol.FINISHED in self.folder.names("")

    def read_document(self, path: str, model: type[R]) -> R | None:
        """A small file of the study's; None if it is not there or half written."""
        try:
            return records.decode_document(model, self.folder.read(path, limit=records.LINE_LIMIT))
        except (FileNotFoundError, BadRecord):
            return None

    def write_document(self, path: str, data: bytes) -> None:
        self.folder.replace(path, data)

    def reopen(self) -> None:
        """Take the mark of the end away: the study goes on."""
        try:
            self.folder.remove(protocol.FINISHED)
        except FileNotFoundError:
            pass

    # -- attempts ----------------------------------------------------------------------

    def listing(self) -> Listing:
        """What lies in `trials/` now. A file renamed meanwhile may be missing from it:
        nothing is ever concluded from one absence.
        """
        attempts, strangers = [], []
        for name in self.folder.names(protocol.TRIALS):
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
        if (file.trial.purpose, file.trial.number, file.trial.attempt) != (
            name.purpose,
            name.trial,
            name.attempt,
        ):
            raise BadRecord(
                f"{name.filename} holds attempt {file.trial.attempt} of trial {file.trial.number}"
            )
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
        self._ensure_folder(protocol.seen_folder(name.trial))
        return pruned if self._move(name.live_path, pruned.seen_path) else None

    def withdraw(self, name: AttemptName) -> None:
        """Waiting -> nothing. A claim that is faster wins, and this does nothing."""
        try:
            self.folder.remove(name.live_path)
        except FileNotFoundError:
            pass

    def settle(self, name: AttemptName) -> bool:
        """Done -> seen, or put a lost one away: nobody has to do anything about it any more."""
        settled = name if name.state is State.LOST else name.moved(State.SEEN, Actor.MASTER)
        self._ensure_folder(protocol.seen_folder(name.trial))
        return self._move(name.live_path, settled.seen_path)

    def quarantine(self, filename: str) -> None:
        """Set a file aside that makes no sense here (P10)."""
        self._ensure_folder(protocol.QUARANTINE)
        self._move(f"{protocol.TRIALS}/{filename}", f"{protocol.QUARANTINE}/{filename}")

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
            self.folder.move(source, target)
            return True
        except FileNotFoundError:
            pass  # on NFS this may mean: done, and the reply was lost
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
        if folder not in self._made:
            self.folder.make_folder(folder)
            self._made.add(folder)

    # -- history -----------------------------------------------------------------------

    def read_history(self, offset: int = 0) -> tuple[list[Counted], int]:
        """Counted trials from a byte offset on, and the offset to go on from."""
        if offset == 0:
            self._history_mark = 0, b""
        try:
            data = self.folder.read(protocol.HISTORY, offset, limit=2**32)
        except FileNotFoundError:
            return [], 0
        complete = data[: data.rfind(b"\n") + 1]
        lines = [r for r in records.decode_lines(complete) if isinstance(r, Counted)]
        return lines, offset + len(complete)

    def append_history(self, lines: Sequence[Counted]) -> None:
        """Only the study's master does this."""
        try:
            self._append(protocol.HISTORY, lines)
        except FileNotFoundError:  # somebody deleted the cache
            self.folder.replace(protocol.HISTORY, b"".join(records.encode(li) for li in lines))
            self._torn.discard(protocol.HISTORY)

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

    def rewrite_history(self, lines: Iterable[Counted]) -> None:
        """Put all of it in the place of what is there. Only the study's master does this."""
        self.folder.replace(protocol.HISTORY, b"".join(map(records.encode, lines)))
        self._torn.discard(protocol.HISTORY)
        self._history_mark = 0, b""

    def seen(self) -> Iterator[AttemptName]:
        """Everything in `seen/`. As long as the history: only for a start and for repairs."""
        try:
            folders = self.folder.names(protocol.SEEN)
        except FileNotFoundError:
            return
        for folder in folders:
            if folder.isdecimal():
                yield from self._seen_in(f"{protocol.SEEN}/{folder}")

    def seen_of(self, trial: int) -> list[AttemptName]:
        """What `seen/` has of one trial."""
        return [n for n in self._seen_in(protocol.seen_folder(trial)) if n.trial == trial]

    def _seen_in(self, folder: str) -> list[AttemptName]:
        try:
            names = self.folder.names(folder)
        except FileNotFoundError:
            return []
        found = []
        for name in names:
            try:
                attempt = AttemptName.parse(name)
            except BadRecord:
                continue
            if protocol.seen_folder(attempt.trial) == folder:
                found.append(attempt)
        return found

    # -- heartbeats --------------------------------------------------------------------

    def beat(self, worker: str, record: Record) -> None:
        """Rewrite one's heartbeat in place, always the same length or longer."""
        self._ensure_folder(protocol.WORKERS)
        self.folder.rewrite(protocol.beat_path(worker), _padded(record))

    def beat_as_master(self, record: Record) -> None:
        self.folder.rewrite(protocol.MASTER, _padded(record))

    def remove_beat(self, worker: str) -> None:
        try:
            self.folder.remove(protocol.beat_path(worker))
        except FileNotFoundError:
            pass

    def beats(self) -> dict[str, bytes]:
        """The heartbeat of every worker, as it stands."""
        found: dict[str, bytes] = {}
        try:
            names = self.folder.names(protocol.WORKERS)
        except FileNotFoundError:
            return found
        for name in names:
            try:
                worker = protocol.parse_beat(name)
                found[worker] = self.folder.read(protocol.beat_path(worker), limit=_BEAT_LIMIT)
            except (BadRecord, FileNotFoundError):
                continue
        return found


def _padded(record: Record) -> bytes:
    return records.encode_document(record).ljust(_BEAT_SIZE - 1) + b"\n"


def find_studies(logs: Path, only: str | None = None) -> dict[str, Store]:
    """The studies in a logs directory, by name.

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
        try:
            with _answers("list", logs / name):
                if protocol.STUDY in os.listdir(logs / name):
                    found[name] = Store(Folder(logs / name))
        except FileNotFoundError:
            continue  # gone again
        except ShareError as error:
            # A file, or a folder of somebody else's. Anything else must not look as if the
            # study had been deleted.
            if not isinstance(error.__cause__, NotADirectoryError | PermissionError):
                raise
    return found


def open_study(logs: Path, name: str | None) -> Store:
    """The study of that name; without a name, the only one there is.

    Raises:
        UserError: there is none, or more than one to choose from.
    """
    studies = find_studies(logs, name)
    if name is not None and name not in studies:
        there = ", ".join(find_studies(logs)) or "none"
        raise UserError(f"no study {name!r} in {logs} (there: {there}); check --logs and --study")
    if not studies:
        raise UserError(f"no study in {logs}; start one: distune master --space FILE --logs {logs}")
    if len(studies) > 1:
        raise UserError(
            f"{len(studies)} studies in {logs}: choose one with --study ({', '.join(studies)})"
        )
    return next(iter(studies.values()))
