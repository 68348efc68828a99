"""Where a viewer with keys looks, and what is read of the share for that."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text

from distune.errors import ShareError
from distune.watch.display.live import last_first
from distune.watch.display.page import Attempts, help_page, rows_of, trial_page, trials_at
from distune.watch.display.text import clean
from distune.watch.display.wish import UNCHANGED, Wish
from distune.watch.snapshot import Snapshot

_READ_EVERY = 2.0  # seconds between two looks at the files of an opened trial


@dataclass
class Browsing:
    """`browsing.press(key, snapshot, width, height)`, then `browsing.page(snapshot, width)`.

    Attributes:
        attempts_of: reads the attempts at a trial; without it, none can be opened.
        quits: whether the key `q` ends the view.
    """

    attempts_of: Callable[[int], Attempts] | None = None
    quits: bool = False
    wish: Wish = UNCHANGED
    _trials: tuple[Attempts, ...] = ()  # those that are opened
    _numbers: tuple[int, ...] = ()
    _read_at: float = 0.0

    def press(self, key: str, snapshot: Snapshot, width: int, height: int) -> None:
        wish = self.wish
        if wish.is_page:
            total = last_first(self.page(snapshot, width), height)
            self.wish = wish.after(key, total)
        elif key != "enter":
            self.wish = wish.after(key, rows_of(snapshot, wish))
        elif self.attempts_of is not None:
            self.wish = wish.opening(trials_at(snapshot, wish))

    def page(self, snapshot: Snapshot, width: int) -> list[Text]:
        """What is shown instead of the study; nothing if that is."""
        if self.wish.help:
            return help_page(width, self.quits)
        if not self.wish.opened or self.attempts_of is None:
            return []
        try:
            return trial_page(snapshot, self._read(self.attempts_of), width)
        except ShareError as error:
            return [Text(f" {clean(str(error))}", "red")]

    def _read(self, attempts_of: Callable[[int], Attempts]) -> tuple[Attempts, ...]:
        """The files of what is opened, none read too often."""
        now, numbers = time.monotonic(), self.wish.opened
        if numbers != self._numbers or now - self._read_at >= _READ_EVERY:
            self._trials = tuple(attempts_of(number) for number in numbers)
            self._numbers, self._read_at = numbers, now
        return self._trials
