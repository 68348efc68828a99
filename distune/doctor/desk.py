"""What is being done to the share at this moment, for whoever has to say what hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from distune.errors import ShareError
from distune.share.folder import FolderLike
from distune.share.records import SIZE_LIMIT

P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 6
_FIRST_PAUSE = 0.05  # seconds; doubled each time


class Desk:
    """Knows which operations have begun and not ended, and which had to be repeated."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, tuple[str, float]] = {}
        self.repeated = 0
        self.last_error = ""
        #: Targets of renames that answered with a failure.
        self.failed_moves: list[str] = []

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Around one operation on the share."""
        me = threading.get_ident()
        with self._lock:
            self._open[me] = what, time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._open[me]

    def longest(self) -> tuple[str, float] | None:
        """The operation that has been waited for the longest, and how many seconds."""
        with self._lock:
            if not self._open:
                return None
            what, since = min(self._open.values(), key=lambda pair: pair[1])
        return what, time.monotonic() - since

    def patiently(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`do(*args)`; again, like a worker would, when the share says that it cannot.

        Raises:
            ShareError: it cannot for good.
        """
        pause = _FIRST_PAUSE
        for _ in range(_TRIES - 1):
            try:
                return do(*args, **kwargs)
            except ShareError as error:
                with self._lock:
                    self.repeated += 1
                    self.last_error = str(error)
            time.sleep(pause)
            pause *= 2
        return do(*args, **kwargs)


class Attended:
    """The same folder, with every operation on the desk: `Attended(Folder(path), desk)`."""

    def __init__(self, folder: FolderLike, root: Path, desk: Desk) -> None:
        self._folder = folder
        self._desk = desk
        self.root = root
        self._short = Path(root.name)
        self.network = folder.network

    def names(self, folder: str) -> list[str]:
        with self._desk.doing(f"listing {self._short / folder}"):
            return self._folder.names(folder)

    def read(
        self, path: str, offset: int = 0, limit: int = SIZE_LIMIT, part: bool = False
    ) -> bytes:
        with self._desk.doing(f"reading {self._short / path}"):
            return self._folder.read(path, offset, limit, part)

    def publish(self, path: str, data: bytes) -> None:
        with self._desk.doing(f"writing {self._short / path}"):
            self._folder.publish(path, data)

    @contextmanager
    def drafts(self, contents: Mapping[str, bytes]) -> Iterator[Callable[[str], None]]:
        yield lambda path: self.publish(path, contents[path])

    def move(self, source: str, target: str) -> None:
        with self._desk.doing(f"renaming {self._short / source}"):
            try:
                self._folder.move(source, target)
            except (ShareError, FileNotFoundError):
                self._desk.failed_moves.append(target)
                raise

    def append(self, path: str, data: bytes) -> None:
        with self._desk.doing(f"appending to {self._short / path}"):
            self._folder.append(path, data)

    def rewrite(self, path: str, data: bytes) -> None:
        with self._desk.doing(f"rewriting {self._short / path}"):
            self._folder.rewrite(path, data)

    def replace(self, path: str, data: bytes) -> None:
        with self._desk.doing(f"replacing {self._short / path}"):
            self._folder.replace(path, data)

    def remove(self, path: str) -> None:
        with self._desk.doing(f"removing {self._short / path}"):
            self._folder.remove(path)

    def make_folder(self, path: str) -> None:
        with self._desk.doing(f"making {self._short / path}"):
            self._folder.make_folder(path)

    def poke(self, folder: str) -> None:
        with self._desk.doing(f"changing {self._short / folder}"):
            self._folder.poke(folder)

    def sync(self, folder: str) -> None:
        with self._desk.doing(f"syncing {self._short / folder}"):
            self._folder.sync(folder)

    def rest(self) -> None:
        self._folder.rest()


class Place:
    """Where to try things: `Place(room, desk).folder("claims")` is a folder of its own.

    Args:
        root: a directory that nobody else uses.
        desk: hears of every operation.
        make: what a folder is; another one for a made-up share.
    """

    def __init__(self, root: Path, desk: Desk, make: Callable[[Path], FolderLike]) -> None:
        self.root = root
        self.desk = desk
        self._make = make

    def folder(self, name: str) -> Attended:
        """The folder of that name, made if need be."""
        path = self.root / name
        with self.desk.doing(f"making {path}"):
            folder = self._make(path)
            self.desk.patiently(folder.make_folder, "")
        return Attended(folder, path, self.desk)
