"""What all parts of a worker know of it: its name, its clocks, where it says what it does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distune.study.trial import Claim, Trial


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

    @property
    def worker(self) -> str:
        return self.identity.worker

    def claim(self, trial: Trial) -> Claim:
        return Claim(
            worker=self.identity.worker,
            host=self.identity.host,
            device=self.identity.device,
            time=self.wall(),
            fingerprint=trial.fingerprint,
        )

    def path_of(self, study: str, path: str) -> str:
        """Something in a study's folder, as the objective's process sees it."""
        return f"{self.base / study}/{path}"
