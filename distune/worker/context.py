"""A worker's options, name and clocks, and what it does while the share does not answer (P9)."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distune.errors import ShareError
from distune.study.trial import Claim, Trial
from distune.worker.limits import WorkerLimits

_SHORTEST_PAUSE = 0.25  # seconds
LONGEST_PAUSE = 15.0  # seconds


@dataclass(frozen=True)
class WorkerOptions:
    """What `distune worker` was asked for; None for `jobs` and `threads` to choose them."""

    logs: Path
    study: str | None = None
    jobs: int | None = None
    threads: int | None = None
    device: str = "auto"
    devices_per_trial: int | None = None  # None is 1, and does not hide the others
    objectives: Sequence[str] = ()
    given: bytes = b""  # an encoded `Offer`, of `distune.run`'s
    allow_commands: bool = False
    data_dir: Path | None = None
    time_limit: float | None = None  # seconds
    max_trials: int | None = None
    forever: bool = False
    verbose: bool = False
    any_owner: bool = False


@dataclass(frozen=True)
class WorkerIdentity:
    """A worker's name, and on what it trains."""

    worker: str
    host: str
    pid: int
    device: str


@dataclass(frozen=True)
class WorkerContext:
    """See `Worker`."""

    identity: WorkerIdentity
    say: Callable[[str], None]
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    rng: random.Random
    base: Path
    limits: WorkerLimits

    @property
    def worker(self) -> str:
        return self.identity.worker

    def claim(self, trial: Trial, device: str) -> Claim:
        me = self.identity
        return Claim(
            worker=me.worker,
            host=me.host,
            device=device,
            time=self.wall(),
            fingerprint=trial.fingerprint,
        )

    def path_of(self, study: str, path: str) -> str:
        """Something in a study's folder, as the objective's process sees it."""
        return f"{self.base / study}/{path}"


@dataclass(eq=False)
class Backoff:
    """How long to leave alone what has failed, if anything has: longer each time."""

    longest: float = LONGEST_PAUSE  # or half as much again
    until: float | None = None
    _pause: float = _SHORTEST_PAUSE

    def failed(self, now: float, rng: random.Random) -> None:
        self.until = now + self._pause * rng.uniform(0.5, 1.5)
        self._pause = min(self._pause * 2, self.longest)

    def succeeded(self) -> None:
        self.until, self._pause = None, _SHORTEST_PAUSE


@dataclass(eq=False)
class Trouble:
    """With the share, wherever the worker meets it. It is said once, whatever else fails
    meanwhile, and once when it is over: when none of the `backoffs` has anything to wait for.
    """

    _context: WorkerContext
    _backoffs: Callable[[], Iterable[Backoff]]
    since: float | None = None  # when the share stopped answering; None while it answers

    def try_to(self, backoff: Backoff, act: Callable[..., None], *arguments: Any) -> None:
        """Do something on the share, unless it has just failed."""
        now = self._context.monotonic()
        if backoff.until is not None and now < backoff.until:
            return
        try:
            act(*arguments)
        except (ShareError, FileNotFoundError) as error:
            if self.since is None:
                self.since = now
                # Text: a failure that a local refers to goes in a circle through this frame.
                away = f"{getattr(error, 'filename', '')} is not there"
                what = str(error) if isinstance(error, ShareError) else away
                self._context.say(f"{what}; training goes on, results are kept, trying again")
            backoff.failed(now, self._context.rng)
            return
        backoff.succeeded()
        if self.since is not None and all(one.until is None for one in self._backoffs()):
            self._context.say(f"the share is back after {now - self.since:.0f} s")
            self.since = None
