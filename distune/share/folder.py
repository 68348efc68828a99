"""A directory of the share: the handful of file operations that the protocol needs. A simulated
share has the same (see `tests/`), so that everything above runs over either.

Two kinds of failure leave here. `FileNotFoundError` and `FileExistsError` are answers.
`ShareError` means that the share did not answer or its answer says nothing: the caller keeps
what it has and does the same again later (P8, P9). `BadRecord` is about what lies there and is
none of ours (P10).
"""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TypeVar
from typing import Protocol as Interface

from distune.errors import BadRecord, Forbidden, ShareError
from distune.share import drafts, records
from distune.share.file_system import is_network
from distune.share.open_folders import OpenFolders
from distune.share.shown_paths import shown

#: In one directory; more would fill the memory of all who look. A thousand workers with sixteen
#: trials each have some tens of thousands in `trials/`, and no other folder has more.
MOST_NAMES = 100_000
_READ_AT_ONCE = 2**20
#: What opening something that is no regular file may answer, or a file that may not be opened.
_NO_FILE = {errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV, errno.EOPNOTSUPP}
_NO_FILE |= {errno.EACCES, errno.EPERM}
#: What a rename answers when a directory has the new name, or a file that of a directory.
_OCCUPIED = {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
#: A single answer of this kind, at once, is bad luck; only several in a row are an outage.
_PASSING = {errno.EIO, errno.EREMOTEIO}
_TRIES = 3
_AT_ONCE = 0.1  # seconds
T = TypeVar("T")


class FolderLike(Interface):
    """The file operations the protocol needs. Paths are relative, with `/`."""

    root: Path
    network: bool

    def names(self, folder: str) -> list[str]: ...
    def sizes(self, folder: str) -> dict[str, int]: ...
    def read(
        self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT, part: bool = False
    ) -> bytes: ...
    def publish(self, path: str, data: bytes) -> None: ...
    def drafts(
        self, files: Mapping[str, bytes], /
    ) -> AbstractContextManager[Callable[[str], None]]: ...
    def move(self, source: str, target: str) -> None: ...
    def move_new(self, source: str, target: str) -> None: ...
    def append(self, path: str, data: bytes) -> None: ...
    def rewrite(self, path: str, data: bytes) -> None: ...
    def replace(self, path: str, data: bytes) -> None: ...
    def remove(self, path: str) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def poke(self, folder: str) -> None: ...
    def sync(self, folder: str) -> None: ...
    def rest(self) -> None: ...


class TooManyNames(OSError):
    """A directory with which somebody means to fill the memory of whoever lists it."""

    def __init__(self, most: int, what: str = "names") -> None:
        said = f"there are more than {most:,} {what} in it: move what is not distune's elsewhere"
        super().__init__(errno.EMFILE, said)


class answers:
    """`with answers("list", path):` turns what is no answer into a `ShareError`. No generator: it
    is around every operation, and that takes three times as long.
    """

    __slots__ = ("_path", "_verb")

    def __init__(self, verb: str, path: object) -> None:
        self._verb = verb
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        if isinstance(error, OSError) and not isinstance(
            error, (FileNotFoundError, FileExistsError)
        ):
            said = error.strerror or error
            raise ShareError(f"cannot {self._verb} {self._path}: {said}") from error


def _patiently(act: Callable[[], T]) -> T:
    """Do something that may be done twice: of a look's hundred requests one may well fail."""
    for _ in range(_TRIES - 1):
        began = time.monotonic()
        try:
            return act()
        except OSError as error:
            if error.errno not in _PASSING or time.monotonic() - began > _AT_ONCE:
                raise
    return act()


class Folder:
    """`Folder(Path("logs/mnist")).names("trials")`; `network`: whether other hosts see it."""

    def __init__(self, root: Path, network: bool | None = None) -> None:
        self.root = root
        self.network = is_network(root) if network is None else network
        self._open = OpenFolders(root)
        self._renames_new = True  # as long as the file system has not said that it cannot

    def _at(self, verb: str, path: str, act: Callable[[str, int], T], *, again: bool = True) -> T:
        """Do something with a name, and a descriptor of the folder that it is in."""
        folder, _, name = path.rpartition("/")
        with answers(verb, self._open.full(path)):
            return self._open.inside(folder, lambda at: act(name, at), again=again)

    def rest(self) -> None:
        """Hold nothing open until the next operation."""
        self._open.rest()

    def names(self, folder: str) -> list[str]:
        """A fresh listing, without dot files (unfinished writes, `.nfs*`, `.fuse_hidden*`).

        Raises:
            ShareError: so many names are there that most of them cannot be distune's.
        """

        def look() -> list[str]:
            opened = self._open.open(folder)  # one that was listed before shows old news on NFS
            try:
                return _list(opened.fd)
            finally:
                del opened  # as in `OpenFolders.inside`

        with answers("list", self._open.full(folder)):
            return _patiently(look)

    def sizes(self, folder: str) -> dict[str, int]:
        """The regular files in a folder and how many bytes each has, by name; see `names`."""

        def look() -> dict[str, int]:
            opened = self._open.open(folder)
            try:
                return dict(_sizes(opened.fd))
            finally:
                del opened

        with answers("list", self._open.full(folder)):
            return _patiently(look)

    def _with_file(self, path: str, flags: int, act: Callable[[int, os.stat_result], T]) -> T:
        """Do something with a regular file's descriptor and what is known of it. Nothing else
        makes it hang: O_NONBLOCK is for a FIFO in its place.

        Raises:
            BadRecord: it is something else, or may not be opened.
        """
        folder, _, name = path.rpartition("/")
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

        def open_it(at: int) -> int:
            try:
                return os.open(name, flags, 0o666, dir_fd=at)
            except OSError as error:
                if error.errno in _NO_FILE:
                    raise (_refusal(name, at) or error) from error
                raise

        fd = self._open.inside(folder, open_it)
        try:
            known = os.fstat(fd)
            if not stat.S_ISREG(known.st_mode):
                raise BadRecord(_kind(known.st_mode))
            result = act(fd, known)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # raises what a network file system kept for last
        return result

    def read(
        self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT, part: bool = False
    ) -> bytes:
        """The bytes from `offset` on; with `part`, no more than `limit` of them.

        Raises:
            BadRecord: not a regular file, or more than `limit` bytes: not ours.
        """

        def look(fd: int, known: os.stat_result) -> bytes:
            if known.st_size - offset > limit and not part:
                raise BadRecord(f"it is too large ({known.st_size} bytes)")
            return _read(fd, offset, limit, known.st_size)

        with answers("read", self._open.full(path)):
            try:
                return _patiently(lambda: self._with_file(path, os.O_RDONLY, look))
            except OSError as error:
                if error.errno == errno.ESTALE:  # a listed name that is gone, or went meanwhile
                    raise FileNotFoundError(errno.ENOENT, "stale", path) from error
                raise

    def publish(self, path: str, data: bytes) -> None:
        """Give complete content a name, never over an existing one (P1). A power cut may take it
        away again, until the folder is synced.

        Raises:
            FileExistsError: the name is taken; nothing was changed.
        """
        with self.drafts({path: data}) as publish:
            publish(path)

    @contextmanager
    def drafts(self, files: Mapping[str, bytes], /) -> Iterator[Callable[[str], None]]:
        """Write several complete files at once, to be published one after the other by calling
        what this gives with their paths: waiting for a disk or a server takes most of the time.

        Raises:
            ShareError: one of them could not be written; none is published.
        """
        written: dict[str, str] = {}

        def publish(path: str) -> None:
            draft = written.pop(path)
            self._at("publish", path, partial(self._name_draft, draft), again=False)

        try:
            with answers("publish", self.root), ExitStack() as opened:
                descriptors = []
                for path, data in files.items():
                    written[path], fd = self._at("publish", path, drafts.begin)
                    opened.callback(os.close, fd)
                    descriptors.append(fd)
                    with answers("publish", self._open.full(path)):
                        drafts.write_all(fd, data)
                drafts.sync_all(descriptors)
            yield publish
        finally:
            for path, draft in written.items():
                with suppress(OSError, ShareError):
                    self._open.inside(path.rpartition("/")[0], partial(drafts.discard, draft))

    def _name_draft(self, draft: str, name: str, at: int) -> None:
        try:
            self._rename_new(draft, at, name, at)
        except BaseException:
            drafts.discard(draft, at)
            raise

    def _rename_new(self, source: str, here: int, name: str, there: int) -> None:
        if self._renames_new:
            self._renames_new = drafts.rename_new(source, here, name, there)
        if not self._renames_new:
            drafts.link_new(source, here, name, there)

    def sync(self, folder: str) -> None:
        """Have the names in a folder survive a power cut; a network server sees to it itself."""
        if not self.network:
            with answers("write in", self._open.full(folder)):
                self._open.inside(folder, os.fsync)

    def move(self, source: str, target: str) -> None:
        """One rename. Its answer may be a lie on a network, and that a name is not there may be
        said of a directory that has just been replaced: see `Store._move`.

        Raises:
            BadRecord: a directory has the target's name.
        """

        def rename(name: str, here: int, new: str, there: int) -> None:
            try:
                os.rename(name, new, src_dir_fd=here, dst_dir_fd=there)
            except OSError as error:
                if error.errno in _OCCUPIED:
                    raise BadRecord(f"something else is called {new}") from error
                raise

        self._between(source, target, rename)

    def move_new(self, source: str, target: str) -> None:
        """One rename, never over a name that is there, whatever has it. Its answer may be a lie,
        too, and a crash may leave the file both names.

        Raises:
            FileExistsError: the name is taken.
        """
        self._between(source, target, self._rename_new)

    def _between(self, source: str, target: str, act: Callable[[str, int, str, int], None]) -> None:
        """Do something with two names, each with a descriptor of the folder that it is in."""
        (folder, _, name), (target_folder, _, new) = source.rpartition("/"), target.rpartition("/")
        inside = self._open.inside

        def act_into(there: int) -> None:
            inside(folder, lambda here: act(name, here, new, there), again=False)

        with answers("rename", self._open.full(source)):
            if folder == target_folder:
                inside(folder, lambda at: act(name, at, new, at), again=False)
            else:
                inside(target_folder, act_into)

    def append(self, path: str, data: bytes) -> None:
        """Append to an existing file, and have it on the disk when this returns.

        Raises:
            FileNotFoundError: there is no such file; it is not made (P7).
            BadRecord: it is no file that can be appended to.
            ShareError: all, some or none of it may have been written.
        """

        def add(fd: int, _: os.stat_result) -> None:
            drafts.write_all(fd, data)
            os.fsync(fd)

        with answers("append to", self._open.full(path)):
            self._with_file(path, os.O_WRONLY | os.O_APPEND, add)

    def open_log(self, path: str) -> IO[bytes]:
        """A file to append to, for what a process prints; made if it is not there.

        Raises:
            ShareError: it cannot be written, or is no file.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            with answers("write", self._open.full(path)):
                return self._with_file(path, flags, lambda fd, _: open(os.dup(fd), "ab"))
        except BadRecord as error:
            raise ShareError(f"cannot write {shown(self._open.full(path))}: {error}") from error

    def rewrite(self, path: str, data: bytes) -> None:
        """Overwrite in place, because a replaced file is not noticed on SMB and NFS 4; readers may
        see half of it.

        Raises:
            BadRecord: it is no file of our own.
        """

        def write(fd: int, there: os.stat_result) -> None:
            if there.st_nlink > 1:
                raise BadRecord("it has a second name (a hard link)")
            written = 0
            while written < len(data):
                written += os.pwrite(fd, data[written:], written)
            if there.st_size > len(data):
                os.ftruncate(fd, len(data))

        with answers("write", self._open.full(path)):
            _patiently(lambda: self._with_file(path, os.O_WRONLY | os.O_CREAT, write))

    def replace(self, path: str, data: bytes) -> None:
        """Put a complete file in the place of another, for files read once.

        Raises:
            BadRecord: a directory is there.
        """

        def put(name: str, at: int) -> None:
            draft = drafts.write(name, data, at)
            try:
                os.rename(draft, name, src_dir_fd=at, dst_dir_fd=at)
            except OSError as error:
                drafts.discard(draft, at)
                if error.errno in _OCCUPIED:
                    raise BadRecord("it is a directory, not a file") from error
                if self._holds(path, data):
                    return  # it happened, and the reply was lost (P8)
                raise

        self._at("write", path, put)

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

        def unlink(name: str, at: int) -> None:
            try:
                os.unlink(name, dir_fd=at)
            except IsADirectoryError as error:
                raise BadRecord("it is a directory, not a file") from error

        self._at("remove", path, unlink)

    def make_folder(self, path: str) -> None:
        """See that there is a folder; with an empty path, the root itself.

        Raises:
            NotAFolder: there is something else.
        """
        with answers("make", self._open.full(path)):
            if not path:
                os.makedirs(self.root, exist_ok=True)
                return
            try:
                self._at("make", path, lambda name, at: os.mkdir(name, dir_fd=at))
            except FileExistsError:
                self._open.open(path)  # if it is one

    def poke(self, folder: str) -> None:
        """Change the directory, so that this host's cache of it is thrown away."""
        if not self.network:
            return
        draft = f".poke.{secrets.token_hex(6)}"

        def touch(at: int) -> None:
            os.close(drafts.open_new(draft, at))
            try:
                os.unlink(draft, dir_fd=at)
            except FileNotFoundError:
                pass  # the reply was lost

        with answers("write in", self._open.full(folder)):
            self._open.inside(folder, touch)


def _list(folder: int) -> list[str]:
    """The names in a directory, sorted, without those that begin with a dot.

    Raises:
        TooManyNames: there are more than distune would make.
    """
    names: set[str] = set()
    with os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count >= MOST_NAMES:
                raise TooManyNames(MOST_NAMES)
            if not entry.name.startswith("."):
                names.add(entry.name)
    return sorted(names)


def _sizes(folder: int) -> Iterator[tuple[str, int]]:
    for name in _list(folder):
        try:
            known = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(known.st_mode):
            yield name, known.st_size


def _read(fd: int, offset: int, limit: int, size: int) -> bytes:
    # A byte more than there should be: a read that does not get it has all of a short file. Not
    # `limit` at once: so much memory would be reserved, however short it is.
    pieces, at, end = [], offset, offset + limit
    wanted = min(max(size - offset, 0) + 1, _READ_AT_ONCE)
    while at < end and (piece := os.pread(fd, min(end - at, wanted), at)):
        pieces.append(piece)
        at += len(piece)
        if at == size and wanted < _READ_AT_ONCE:
            break
        wanted = _READ_AT_ONCE
    return b"".join(pieces)


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
