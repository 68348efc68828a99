"""Complete files under names that nothing reads, and how they get the names they are for."""

import ctypes
import errno
import os
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_RENAME_NOREPLACE = 1
#: What a rename that must not replace anything answers where there is no such thing.
_NO_RENAME_NEW = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
_SYNCS_AT_ONCE = 4
_NO_TIME = 50e-6  # seconds; waking a thread takes as long
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
_renameat2 = getattr(_libc, "renameat2", None)
_threads = ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="sync")


def open_new(name: str, at: int) -> int:
    """Make a file of a name that only this process can have thought of: that it is there already
    means that the reply to the request was lost, and the request sent again.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(name, flags | os.O_EXCL, 0o666, dir_fd=at)
    except FileExistsError:
        return os.open(name, flags, 0o666, dir_fd=at)


def begin(name: str, at: int) -> tuple[str, int]:
    """A new draft of a file, to be written to: its name and its descriptor."""
    draft = f".{name}.{secrets.token_hex(6)}"
    return draft, open_new(draft, at)


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write(name: str, data: bytes, at: int) -> str:
    """A complete draft, on the disk."""
    draft, fd = begin(name, at)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)  # raises what a network file system kept for last
    except OSError:
        discard(draft, at)  # on a full disk, give the bytes back
        raise
    return draft


def discard(draft: str, at: int) -> None:
    try:
        os.unlink(draft, dir_fd=at)
    except OSError:
        pass  # a dot file more: nothing reads it


def rename_new(source: str, here: int, name: str, there: int) -> bool:
    """Rename, never over an existing name (renameat2(2)); False if this file system knows no
    such rename, as NFS does not. Where, descriptors say.

    Raises:
        FileExistsError: the name is taken.
    """
    if _renameat2 is None:
        return False
    if _renameat2(here, os.fsencode(source), there, os.fsencode(name), _RENAME_NOREPLACE) == 0:
        return True
    failure = ctypes.get_errno()
    if failure in _NO_RENAME_NEW:
        return False
    raise OSError(failure, os.strerror(failure), name)


def link_new(source: str, here: int, name: str, there: int) -> None:
    """The same, where there is no such rename; a crash may leave the file both names.

    Raises:
        FileExistsError: the name is taken.
    """
    try:
        os.link(source, name, src_dir_fd=here, dst_dir_fd=there)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here. A study has one master, so looking first is enough.
        with os.scandir(there) as entries:
            if any(entry.name == name for entry in entries):
                raise FileExistsError(errno.EEXIST, "exists", name) from error
        os.rename(source, name, src_dir_fd=here, dst_dir_fd=there)
    else:
        discard(source, here)


def sync_all(descriptors: Sequence[int]) -> None:
    """By a few threads where one takes its time: several take hardly longer."""
    began = time.monotonic()
    _sync(descriptors[:1])
    rest = descriptors[1:]
    if len(rest) <= 1 or time.monotonic() - began < _NO_TIME:
        _sync(rest)
    else:
        list(_threads.map(_sync, (rest[i::_SYNCS_AT_ONCE] for i in range(_SYNCS_AT_ONCE))))


def _sync(descriptors: Iterable[int]) -> None:
    for fd in descriptors:
        os.fsync(fd)
