"""A directory of the doctor's own, in which every operation is watched, so that the doctor can
say what hangs.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from distune.errors import ShareError
from distune.share.folder import Folder, FolderLike

P = ParamSpec("P")
T = TypeVar("T")
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)  # seconds before another try


class Operations:
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

    def retry(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`do(*args)`; again, like a worker would, when the share says that it cannot.

        Raises:
            ShareError: it cannot for good.
        """
        for pause in _PAUSES:
            try:
                return do(*args, **kwargs)
            except ShareError as error:
                with self._lock:
                    self.repeated += 1
                    self.last_error = str(error)
            time.sleep(pause)
        return do(*args, **kwargs)


def _watched(
    verb: str, method: Callable[Concatenate[FolderLike, P], T]
) -> Callable[Concatenate[WatchedFolder, P], T]:
    """That method of the folder, announced as what is done to its first argument."""

    @functools.wraps(method)
    def announced(self: WatchedFolder, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.operations.doing(f"{verb} {Path(self.root.name, str(args[0]))}"):
            result: T = getattr(self.unwatched, method.__name__)(*args, **kwargs)
            return result

    return announced


class WatchedFolder:
    """A folder on which every operation is announced: `WatchedFolder(path, operations)`.

    Args:
        root: the directory.
        operations: hears of every operation.
        make: what a folder is; another one for a made-up share.
    """

    def __init__(
        self, root: Path, operations: Operations, make: Callable[[Path], FolderLike] = Folder
    ) -> None:
        self.root = root
        self.operations = operations
        self._make = make
        with operations.doing(f"looking at {root}"):
            self.unwatched = make(root)
        self.network = self.unwatched.network

    def folder(self, name: str) -> WatchedFolder:
        """The folder of that name in this one, made if it is missing."""
        folder = WatchedFolder(self.root / name, self.operations, self._make)
        self.operations.retry(folder.make_folder, "")
        return folder

    names = _watched("listing", FolderLike.names)
    sizes = _watched("listing", FolderLike.sizes)
    read = _watched("reading", FolderLike.read)
    publish = _watched("writing", FolderLike.publish)
    append = _watched("appending to", FolderLike.append)
    rewrite = _watched("rewriting", FolderLike.rewrite)
    replace = _watched("replacing", FolderLike.replace)
    remove = _watched("removing", FolderLike.remove)
    make_folder = _watched("making", FolderLike.make_folder)
    poke = _watched("changing", FolderLike.poke)
    sync = _watched("syncing", FolderLike.sync)
    move_new = _watched("renaming", FolderLike.move_new)
    _move = _watched("renaming", FolderLike.move)

    def move(self, source: str, target: str) -> None:
        try:
            self._move(source, target)
        except (ShareError, FileNotFoundError):
            self.operations.failed_moves.append(target)
            raise

    @contextmanager
    def drafts(self, files: Mapping[str, bytes]) -> Iterator[Callable[[str], None]]:
        yield lambda path: self.publish(path, files[path])

    def rest(self) -> None:
        self.unwatched.rest()

    def fresh_names(self) -> list[str]:
        """A listing that no cache answers."""
        self.poke("")
        return self.names("")

    def put(self, path: str, data: bytes = b"x\n") -> None:
        """Publish under a name that nothing else uses, retrying."""
        with suppress(FileExistsError):  # this is our own file: the reply was lost
            self.operations.retry(self.publish, path, data)

    def transfer(self, source: str, target: str) -> None:
        """Rename, retrying, and believe no answer (P8): a listing will tell."""
        with suppress(FileNotFoundError):
            self.operations.retry(self.move, source, target)
