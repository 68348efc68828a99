"""What seems bad on a network may only be old: a cache shows a file as it was a moment ago."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

from distune.share.folder import FolderLike

#: Caches that opening a file does not make fresh last a second (attributes on GlusterFS, SMB), and
#: hide what the file has grown by.
PATIENCE = 10.0  # seconds


@dataclass(eq=False)
class Doubts:
    """Files that could not be used when they were read last.

    Args:
        patience: seconds for which they have to stay so.
        monotonic: this process's clock.
    """

    patience: float
    monotonic: Callable[[], float]
    _since: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: FolderLike, monotonic: Callable[[], float]) -> Self:
        """On a local disk there is nothing to wait for."""
        return cls(PATIENCE if folder.network else 0.0, monotonic)

    def confirmed(self, path: str) -> bool:
        """Whether a file that cannot be used is bad, and not only looked at too early."""
        now = self.monotonic()
        return now - self._since.setdefault(path, now) >= self.patience

    def dropped(self, path: str) -> None:
        """It can be used."""
        self._since.pop(path, None)

    def keep(self, paths: Iterable[str]) -> None:
        """Remember none but these."""
        if self._since:
            self._since = {path: self._since[path] for path in paths if path in self._since}
