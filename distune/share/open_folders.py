"""Folders of a study by their descriptors: no symbolic link leads out of the study (P10)."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from distune.errors import NotAFolder
from distune.share.shown_paths import shown

#: What an operation in a directory may answer that has been replaced since it was opened.
_REPLACED = {errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ENOTCONN}
_KEPT_FOR = 0.25  # seconds
_MOST_KEPT = 8
T = TypeVar("T")


class OpenFolder:
    """A descriptor, closed when nothing refers to it any more."""

    __slots__ = ("fd", "since")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.since = time.monotonic()

    def __del__(self) -> None:
        try:
            os.close(self.fd)
        except OSError:
            pass  # the share is gone; so is the descriptor


class OpenFolders:
    """What is done many times a second in a folder is done with a descriptor that is opened a few
    times a second: `OpenFolders(root).inside("trials", act)`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: dict[str, OpenFolder] = {}

    def full(self, path: str) -> str:
        return f"{self._root}/{path}" if path else str(self._root)

    def open(self, folder: str) -> OpenFolder:
        """Open a folder anew, and keep it.

        Raises:
            NotAFolder: something else is there, or on the way.
        """
        first, *rest = folder.split("/")
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        path, fd = first, -1
        try:
            fd = os.open(self.full(first), flags)
            for part in rest:
                path = f"{path}/{part}"
                outer = fd
                try:
                    fd = os.open(part, flags, dir_fd=fd)
                finally:
                    os.close(outer)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                full = self.full(path)
                raise NotAFolder(path, shown(full), os.path.islink(full)) from error
            raise
        if len(self._kept) >= _MOST_KEPT:
            self.rest()
        opened = self._kept[folder] = OpenFolder(fd)
        return opened

    def inside(self, folder: str, act: Callable[[int], T], *, again: bool = True) -> T:
        """Do something with a descriptor of a folder; again in the new one, if the answer shows
        that the folder was replaced since. Without `again`, not where a name is missing.
        """
        opened = self._kept.get(folder)
        try:
            if opened is not None and time.monotonic() - opened.since < _KEPT_FOR:
                try:
                    return act(opened.fd)
                except OSError as error:
                    if error.errno not in _REPLACED or (not again and error.errno == errno.ENOENT):
                        raise
            opened = self.open(folder)
            return act(opened.fd)
        finally:
            del opened  # a failure that is kept, and so this frame, must not keep it open

    def rest(self) -> None:
        """Hold nothing open: a process that waits must not keep a share from being unmounted."""
        self._kept.clear()
