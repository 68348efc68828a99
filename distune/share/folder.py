"""A directory of the share: the handful of file operations that the protocol needs.

Only `store` uses them on trial files. A simulated share has the same operations (see
`tests/`), so that everything above runs over either.

Two kinds of failure leave here. `FileNotFoundError` and `FileExistsError` are answers.
`ShareError` means that the share did not answer or nobody can say what happened: the
caller keeps what it has and does the same again later (P8, P9). `BadRecord` is about what
lies there and is none of ours (P10).
"""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar
from typing import Protocol as Interface

from distune.errors import BadRecord, Forbidden, NotAFolder, ShareError
from distune.share import records

#: File systems of one machine; anything else is treated as one that hosts share.
LOCAL_FILE_SYSTEMS = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay"}
    | {"ramfs", "reiserfs", "rootfs", "tmpfs", "vfat", "xfs", "zfs"}
)
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
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
#: What an operation in a directory may answer that has been replaced since it was opened.
_REPLACED = {errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ENOTCONN}
_KEPT_FOR = 0.25  # seconds
_MOST_KEPT = 8
_SYNCS_AT_ONCE = 4
_NO_TIME = 50e-6  # seconds; waking a thread takes as long
_RENAME_NOREPLACE = 1
#: What a rename that must not replace anything answers where there is no such thing.
_NO_RENAME_NEW = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
T = TypeVar("T")
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
_renameat2 = getattr(_libc, "renameat2", None)


class FolderLike(Interface):
    """The file operations the protocol needs. Paths are relative, with `/`."""

    network: bool

    def names(self, folder: str) -> list[str]: ...
    def read(
        self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT, part: bool = False
    ) -> bytes: ...
    def publish(self, path: str, data: bytes) -> None: ...
    def drafts(
        self, contents: Mapping[str, bytes]
    ) -> AbstractContextManager[Callable[[str], None]]: ...
    def move(self, source: str, target: str) -> None: ...
    def append(self, path: str, data: bytes) -> None: ...
    def rewrite(self, path: str, data: bytes) -> None: ...
    def replace(self, path: str, data: bytes) -> None: ...
    def remove(self, path: str) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def poke(self, folder: str) -> None: ...
    def sync(self, folder: str) -> None: ...
    def rest(self) -> None: ...


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
    """Do something that may be done twice. A look at a study is a hundred requests and more:
    where one in a hundred fails, hardly any look would come to its end.
    """
    for _ in range(_TRIES - 1):
        began = time.monotonic()
        try:
            return act()
        except OSError as error:
            if error.errno not in _PASSING or time.monotonic() - began > _AT_ONCE:
                raise
    return act()


class _OpenFolder:
    """A descriptor, closed when nobody has it in hand any more."""

    __slots__ = ("fd", "since")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.since = time.monotonic()

    def __del__(self) -> None:
        try:
            os.close(self.fd)
        except OSError:
            pass  # the share is gone; so is the descriptor


class Folder:
    """`Folder(Path("logs/mnist")).names("trials")`.

    Args:
        root: the directory.
        network: whether other hosts see it too; None finds out.
    """

    def __init__(self, root: Path, network: bool | None = None) -> None:
        self.root = root
        self.network = is_network(root) if network is None else network
        self._kept: dict[str, _OpenFolder] = {}
        self._renames_new = _renameat2 is not None
        self._pool: ThreadPoolExecutor | None = None

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else str(self.root)

    def _open(self, folder: str) -> _OpenFolder:
        """Open a folder, and keep it: see `_inside`. No symbolic link leads out of the study,
        whenever somebody puts one there (P10).
        """
        first, *rest = folder.split("/")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        path, fd = first, -1
        try:
            fd = os.open(self._full(first), flags)
            for part in rest:
                path = f"{path}/{part}"
                outer = fd
                try:
                    fd = os.open(part, flags, dir_fd=fd)
                finally:
                    os.close(outer)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                full = self._full(path)
                raise NotAFolder(path, shown(full), os.path.islink(full)) from error
            raise
        if len(self._kept) >= _MOST_KEPT:
            self.rest()
        opened = self._kept[folder] = _OpenFolder(fd)
        return opened

    def _inside(self, folder: str, act: Callable[[int], T], *, again: bool = True) -> T:
        """Do something with a descriptor of a folder.

        It is kept for a moment: what is done many times a second is done in a directory that
        is opened a few times a second. That somebody replaced the directory since then is
        seen from the answer, and it is done again in the new one (not without `again`).
        """
        opened = self._kept.get(folder)
        try:
            if opened is not None and time.monotonic() - opened.since < _KEPT_FOR:
                try:
                    return act(opened.fd)
                except OSError as error:
                    if error.errno not in _REPLACED or (not again and error.errno == errno.ENOENT):
                        raise
            opened = self._open(folder)
            return act(opened.fd)
        finally:
            del opened  # or whoever keeps the failure, and so this frame, keeps the directory open

    def rest(self) -> None:
        """Hold nothing open: whoever waits must not keep a share from being unmounted."""
        self._kept.clear()

    def names(self, folder: str) -> list[str]:
        """A fresh listing.

        Dot files are nobody's business (unfinished writes, `.nfs*`, `.fuse_hidden*`).
        """

        def look() -> list[str]:
            opened = self._open(folder)  # one that was listed before shows old news on NFS
            try:
                return sorted({n for n in os.listdir(opened.fd) if not n.startswith(".")})
            finally:
                del opened  # as in `_inside`

        with answers("list", self._full(folder)):
            return _patiently(look)

    def _with_file(self, path: str, flags: int, act: Callable[[int, os.stat_result], T]) -> T:
        """Do something with a regular file's descriptor and what is known of it. Anything else
        hangs nobody: O_NONBLOCK is for a FIFO in its place.

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

        fd = self._inside(folder, open_it)
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
            size = known.st_size
            if size - offset > limit and not part:
                raise BadRecord(f"it is too large ({size} bytes)")
            # A byte more than there should be: who does not get it has all of a short file. Not
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

        with answers("read", self._full(path)):
            try:
                return _patiently(lambda: self._with_file(path, os.O_RDONLY, look))
            except OSError as error:
                if error.errno == errno.ESTALE:  # a listed name that is gone, or went meanwhile
                    raise FileNotFoundError(errno.ENOENT, "stale", path) from error
                raise

    def publish(self, path: str, data: bytes) -> None:
        """Give complete content a name, never over an existing one (P1). After a power cut
        the name may be gone again, until the folder is synced.

        Raises:
            FileExistsError: the name is taken; nothing was changed.
        """
        folder, _, name = path.rpartition("/")

        def give_name(at: int) -> None:
            self._name_draft(_write_draft(name, data, at), name, at)

        with answers("publish", self._full(path)):
            self._inside(folder, give_name)

    @contextmanager
    def drafts(self, contents: Mapping[str, bytes]) -> Iterator[Callable[[str], None]]:
        """Write several complete files at once, to be published one after the other: waiting for
        a disk or a server takes most of the time of each.

            with folder.drafts(contents) as publish:
                for path in contents:
                    publish(path)

        Raises:
            ShareError: one of them could not be written; none is published.
        """
        written: dict[str, str] = {}
        descriptors: list[int] = []
        try:
            for path, data in contents.items():
                folder, _, name = path.rpartition("/")

                def write(at: int, name: str = name, data: bytes = data) -> str:
                    draft, fd = _begin_draft(name, at)
                    descriptors.append(fd)
                    try:
                        _write_all(fd, data)
                    except OSError:
                        _discard(draft, at)
                        raise
                    return draft

                with answers("publish", self._full(path)):
                    written[path] = self._inside(folder, write)
            with answers("publish", self._full(next(iter(contents), ""))):
                self._sync_all(descriptors)
        except BaseException:
            self._discard_all(written)
            raise
        finally:
            for fd in descriptors:
                with suppress(OSError):
                    os.close(fd)

        def publish(path: str) -> None:
            draft = written.pop(path)
            folder, _, name = path.rpartition("/")
            with answers("publish", self._full(path)):
                self._inside(folder, lambda at: self._name_draft(draft, name, at), again=False)

        try:
            yield publish
        finally:
            self._discard_all(written)

    def _sync_all(self, descriptors: Sequence[int]) -> None:
        """By a few threads where one takes its time: a disk, or a server, does several in hardly
        more time than one.
        """
        began = time.monotonic()
        _sync(descriptors[:1])
        rest = descriptors[1:]
        if len(rest) <= 1 or time.monotonic() - began < _NO_TIME:
            _sync(rest)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="sync")
        parts = [rest[i::_SYNCS_AT_ONCE] for i in range(_SYNCS_AT_ONCE)]
        for _ in self._pool.map(_sync, filter(None, parts)):
            pass

    def _discard_all(self, drafts: Mapping[str, str]) -> None:
        for path, draft in drafts.items():
            folder = path.rpartition("/")[0]
            with suppress(OSError):
                self._inside(folder, lambda at, draft=draft: _discard(draft, at))  # type: ignore[misc]

    def _name_draft(self, draft: str, name: str, at: int) -> None:
        try:
            if self._renames_new:
                self._renames_new = _rename_new(draft, name, at)
            if not self._renames_new:
                _link_new(draft, name, at)
        except BaseException:
            _discard(draft, at)
            raise

    def sync(self, folder: str) -> None:
        """Have the names in a folder survive a power cut; a network server sees to it itself."""
        if not self.network:
            with answers("write in", self._full(folder)):
                self._inside(folder, os.fsync)

    def move(self, source: str, target: str) -> None:
        """One rename. Its answer may be a lie on a network, and that a name is not there may be
        said of a directory that has just been replaced: see `Store._move`.

        Raises:
            BadRecord: a directory has the target's name.
        """
        (folder, _, name), (target_folder, _, new) = source.rpartition("/"), target.rpartition("/")

        def rename(here: int, there: int) -> None:
            try:
                os.rename(name, new, src_dir_fd=here, dst_dir_fd=there)
            except OSError as error:
                if error.errno in _OCCUPIED:
                    raise BadRecord(f"something else is called {new}") from error
                raise

        with answers("rename", self._full(source)):
            if folder == target_folder:
                self._inside(folder, lambda at: rename(at, at), again=False)
            else:
                self._inside(
                    target_folder,
                    lambda there: self._inside(
                        folder, lambda here: rename(here, there), again=False
                    ),
                )

    def append(self, path: str, data: bytes) -> None:
        """Append to an existing file, and have it on the disk when this returns.

        Raises:
            FileNotFoundError: there is no such file; it is not made (P7).
            BadRecord: it is no file that can be appended to.
            ShareError: all, some or none of it may have been written.
        """

        def add(fd: int, _: os.stat_result) -> None:
            _write_all(fd, data)
            os.fsync(fd)

        with answers("append to", self._full(path)):
            self._with_file(path, os.O_WRONLY | os.O_APPEND, add)

    def open_log(self, path: str) -> IO[bytes]:
        """A file to append to, for what a process prints; made if it is not there.

        Raises:
            ShareError: it cannot be written, or is no file.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            with answers("write", self._full(path)):
                return self._with_file(path, flags, lambda fd, _: open(os.dup(fd), "ab"))
        except BadRecord as error:
            raise ShareError(f"cannot write {shown(self._full(path))}: {error}") from error

    def rewrite(self, path: str, data: bytes) -> None:
        """Overwrite in place: a replaced file is not noticed on SMB and NFS 4.

        Readers may see half of it.

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

        flags = os.O_WRONLY | os.O_CREAT
        with answers("write", self._full(path)):
            _patiently(lambda: self._with_file(path, flags, write))

    def replace(self, path: str, data: bytes) -> None:
        """Put a complete file in the place of another, for files read once.

        Raises:
            BadRecord: a directory is there.
        """
        folder, _, name = path.rpartition("/")

        def put(at: int) -> None:
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

        with answers("write", self._full(path)):
            self._inside(folder, put)

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

        def unlink(at: int) -> None:
            try:
                os.unlink(name, dir_fd=at)
            except IsADirectoryError as error:
                raise BadRecord("it is a directory, not a file") from error

        with answers("remove", self._full(path)):
            self._inside(folder, unlink)

    def make_folder(self, path: str) -> None:
        """See that there is a folder; with an empty path, the root itself.

        Raises:
            NotAFolder: there is something else.
        """
        folder, _, name = path.rpartition("/")
        with answers("make", self._full(path)):
            if not path:
                os.makedirs(self.root, exist_ok=True)
                return
            try:
                self._inside(folder, lambda at: os.mkdir(name, dir_fd=at))
            except FileExistsError:
                self._open(path)  # if it is one

    def poke(self, folder: str) -> None:
        """Change the directory, so that this host's cache of it is thrown away."""
        if not self.network:
            return
        draft = f".poke.{secrets.token_hex(6)}"

        def touch(at: int) -> None:
            os.close(_open_new(draft, at))
            try:
                os.unlink(draft, dir_fd=at)
            except FileNotFoundError:
                pass  # the reply was lost

        with answers("write in", self._full(folder)):
            self._inside(folder, touch)


def _open_new(name: str, at: int) -> int:
    """Make a file of a name that only we can have thought of: that it is there already means
    that the reply to our own request was lost, and the request sent again.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_EXCL, 0o666, dir_fd=at)
    except FileExistsError:
        return os.open(name, flags, 0o666, dir_fd=at)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.fsync(fd)


def _begin_draft(name: str, at: int) -> tuple[str, int]:
    """A new file under a name that nobody reads, to be written to."""
    draft = f".{name}.{secrets.token_hex(6)}"
    return draft, _open_new(draft, at)


def _write_draft(name: str, data: bytes, at: int) -> str:
    """Complete content under a name that nobody reads."""
    draft, fd = _begin_draft(name, at)
    try:
        try:
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)  # raises what a network file system kept for last
    except OSError:
        _discard(draft, at)  # on a full disk, give the bytes back
        raise
    return draft


def _rename_new(draft: str, name: str, at: int) -> bool:
    """Rename a draft, never over an existing name (renameat2(2)); False if this file system
    knows no such rename, as NFS does not.

    Raises:
        FileExistsError: the name is taken.
    """
    assert _renameat2 is not None
    if _renameat2(at, os.fsencode(draft), at, os.fsencode(name), _RENAME_NOREPLACE) == 0:
        return True
    failure = ctypes.get_errno()
    if failure in _NO_RENAME_NEW:
        return False
    raise OSError(failure, os.strerror(failure), name)


def _link_new(draft: str, name: str, at: int) -> None:
    try:
        os.link(draft, name, src_dir_fd=at, dst_dir_fd=at)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here. One master publishes, so looking first is enough.
        if name in os.listdir(at):
            raise FileExistsError(errno.EEXIST, "exists", name) from error
        os.rename(draft, name, src_dir_fd=at, dst_dir_fd=at)
    else:
        _discard(draft, at)


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
