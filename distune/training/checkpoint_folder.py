"""The folder of a study's checkpoints on the share, as a training process uses it."""

import os
from contextlib import suppress
from pathlib import Path


class CheckpointFolder:
    """`CheckpointFolder("logs/mnist/checkpoints")`. Made when first needed: most short trials save
    nothing.
    """

    def __init__(self, folder: str) -> None:
        self._name = folder

    @property
    def _path(self) -> Path:
        return Path(self._name)

    def read(self, name: str, most: int) -> bytes:
        """Of a file, so many bytes at most.

        Raises:
            OSError: there is none, or none that can be read.
        """
        refuse_links(self._path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(self._path / name, flags), "rb") as file:
            return file.read(most)

    def size(self) -> int:
        """Bytes that all files in it have.

        Raises:
            OSError: the share does not answer, or the folder cannot be made.
        """
        refuse_links(self._path)
        self._path.mkdir(exist_ok=True)
        return sum(map(_size, os.scandir(self._path)))

    def write(self, name: str, data: bytes) -> None:
        """Have a complete file appear under its name: it is written aside, synced and renamed.

        Raises:
            OSError: the share does not take it.
        """
        path = self._path / name
        part = path.with_name(f"{name}.part")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0  # a worker, or the master, has removed it since it was listed


def refuse_links(folder: Path) -> None:
    """See that a folder on the share is none of somebody else's choice.

    Raises:
        OSError: it, or the one that it is in, is a symbolic link.
    """
    for one in (folder, folder.parent):
        if one.is_symlink():  # whatever it leads to is none of the study's
            raise OSError(f"{one} is a symbolic link, which distune does not follow")
