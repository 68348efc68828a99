"""What is being done to the share at this moment, so that the doctor can say what hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from distune.errors import ShareError

P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 6
_FIRST_PAUSE = 0.05  # seconds; doubled each time


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
