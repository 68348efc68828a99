"""A directory of the doctor's own, in which every operation is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from distune.doctor.operations import Operations
from distune.errors import ShareError
from distune.share.folder import Folder, FolderLike
from distune.share.records import SIZE_LIMIT


class WatchedFolder:
    """The same folder, every operation on it announced to `operations`."""

    def __init__(self, folder: FolderLike, root: Path, operations: Operations) -> None:
        self._folder = folder
        self.operations = operations
        self.root = root
        self._short = Path(root.name)
        self.network = folder.network

    def names(self, folder: str) -> list[str]:
        with self.operations.doing(f"listing {self._short / folder}"):
            return self._folder.names(folder)

    def read(
        self, path: str, offset: int = 0, limit: int = SIZE_LIMIT, part: bool = False
    ) -> bytes:
        with self.operations.doing(f"reading {self._short / path}"):
            return self._folder.read(path, offset, limit, part)

    def publish(self, path: str, data: bytes) -> None:
        with self.operations.doing(f"writing {self._short / path}"):
            self._folder.publish(path, data)

    @contextmanager
    def drafts(self, contents: Mapping[str, bytes]) -> Iterator[Callable[[str], None]]:
        yield lambda path: self.publish(path, contents[path])

    def move(self, source: str, target: str) -> None:
        with self.operations.doing(f"renaming {self._short / source}"):
            try:
                self._folder.move(source, target)
            except (ShareError, FileNotFoundError):
                self.operations.failed_moves.append(target)
                raise

    def append(self, path: str, data: bytes) -> None:
        with self.operations.doing(f"appending to {self._short / path}"):
            self._folder.append(path, data)

    def rewrite(self, path: str, data: bytes) -> None:
        with self.operations.doing(f"rewriting {self._short / path}"):
            self._folder.rewrite(path, data)

    def replace(self, path: str, data: bytes) -> None:
        with self.operations.doing(f"replacing {self._short / path}"):
            self._folder.replace(path, data)

    def remove(self, path: str) -> None:
        with self.operations.doing(f"removing {self._short / path}"):
            self._folder.remove(path)

    def make_folder(self, path: str) -> None:
        with self.operations.doing(f"making {self._short / path}"):
            self._folder.make_folder(path)

    def poke(self, folder: str) -> None:
        with self.operations.doing(f"changing {self._short / folder}"):
            self._folder.poke(folder)

    def sync(self, folder: str) -> None:
        with self.operations.doing(f"syncing {self._short / folder}"):
            self._folder.sync(folder)

    def rest(self) -> None:
        self._folder.rest()

    def put(self, path: str, data: bytes = b"x\n") -> None:
        """Publish under a name that nothing else uses, retrying."""
        try:
            self.operations.retry(self.publish, path, data)
        except FileExistsError:
            pass  # this is our own file: the reply was lost

    def transfer(self, source: str, target: str) -> None:
        """Rename, retrying, and believe no answer (P8): a listing will tell."""
        try:
            self.operations.retry(self.move, source, target)
        except FileNotFoundError:
            pass


class Sandbox:
    """Where to try things: `Sandbox(root, operations).folder("claims")` is a folder of its own.

    Args:
        root: a directory that nothing else uses.
        operations: hears of every operation.
        make: what a folder is; another one for a made-up share.
    """

    def __init__(
        self, root: Path, operations: Operations, make: Callable[[Path], FolderLike] = Folder
    ) -> None:
        self.root = root
        self.operations = operations
        self._make = make

    def folder(self, name: str) -> WatchedFolder:
        """The folder of that name, made if it is missing."""
        path = self.root / name
        with self.operations.doing(f"making {path}"):
            folder = self._make(path)
            self.operations.retry(folder.make_folder, "")
        return WatchedFolder(folder, path, self.operations)
