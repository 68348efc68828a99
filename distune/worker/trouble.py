"""What a worker does while the share does not answer (P9): pause, try again, say it once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from distune.errors import ShareError
from distune.worker.context import WorkerContext

_SHORTEST_PAUSE = 0.25  # seconds
LONGEST_PAUSE = 15.0  # seconds


@dataclass(eq=False)
class Backoff:
    """How long to leave alone what has failed, if anything has."""

    until: float | None = None
    _pause: float = _SHORTEST_PAUSE

    def failed(self, now: float, longest: float, rng: random.Random) -> None:
        self.until = now + self._pause * rng.uniform(0.5, 1.5)
        self._pause = min(self._pause * 2, longest)

    def succeeded(self) -> None:
        self.until, self._pause = None, _SHORTEST_PAUSE


class Trouble:
    """With the share, wherever the worker meets it. It is said once, whatever else fails
    meanwhile, and once when it is over.

    Args:
        backoffs: of everything that is tried now.
    """

    def __init__(self, context: WorkerContext, backoffs: Callable[[], Iterable[Backoff]]) -> None:
        #: When the share stopped answering; None while it answers.
        self.since: float | None = None
        self._backoffs = backoffs
        self._context = context

    def try_to(self, act: Callable[[], None], backoff: Backoff, longest: float) -> None:
        """Do something on the share, unless it has just failed; after a failure pause, longer
        each time but never longer than `longest` seconds or half as much again.
        """
        now = self._context.monotonic()
        if backoff.until is not None and now < backoff.until:
            return
        try:
            act()
        except (ShareError, FileNotFoundError) as error:
            if self.since is None:
                self.since = now
                # Text: a failure that a local refers to goes in a circle through this frame.
                what = (
                    str(error)
                    if isinstance(error, ShareError)
                    else f"{error.filename} is not there"
                )
                self._context.say(f"{what}; training goes on, results are kept, trying again")
            backoff.failed(now, longest, self._context.rng)
            return
        backoff.succeeded()
        if self.since is not None and all(one.until is None for one in self._backoffs()):
            self._context.say(f"the share is back after {now - self.since:.0f} s")
            self.since = None
