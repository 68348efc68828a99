"""The curves of running attempts, for the master to judge, and of counted ones, for the history."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from distune.errors import BadRecord
from distune.search.pruners import pauses
from distune.search.pruning import Curve, Point, columns_of, points_of
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import Purpose, Report, Trial

#: Seconds between two looks into one file: what a network file system's cache has is no fresher.
_LOCAL, _NETWORK = 0.2, 2.0
_MOST_AT_A_LOOK = 16 * 2**20  # bytes
_ALL_STEPS = 64  # of a curve that the history keeps; of twice as many steps every second one


@dataclass(eq=False)
class _Tail:
    """What has been read of a file that grows."""

    read_at: float
    offset: int = 0
    trial: Trial | None = None
    points: list[Point] = field(default_factory=list)


@dataclass(eq=False)
class RunningCurves:
    """`RunningCurves(store, study).read(attempts, now)`: of each file only what is new in it. What
    has begun since the look before is not read: it may be over as soon.
    """

    _store: Store
    _study: Study
    _tails: dict[AttemptName, _Tail] = field(default_factory=dict)

    def read(self, attempts: Iterable[AttemptName], now: float) -> dict[AttemptName, Curve]:
        """The curves of those that are trained now, as far as they are known."""
        before, self._tails = self._tails, {}
        pause = _NETWORK if self._store.folder.network else _LOCAL
        begin = self._store.bytes_read
        for name in attempts:
            if name.state is not State.TAKEN:
                continue
            tail = before.get(name)
            self._tails[name] = tail or _Tail(now - pause)
            enough = self._store.bytes_read - begin > _MOST_AT_A_LOOK
            if tail is None or enough or now - tail.read_at < pause:
                continue
            tail.read_at = now
            try:
                self._read_more(name, tail)
            except FileNotFoundError:
                continue  # it has moved on
            except BadRecord:
                tail.read_at = math.inf  # it is looked into when it is over
        return {
            name: Curve(tail.trial, tail.points)
            for name, tail in self._tails.items()
            if tail.trial is not None
        }

    def _read_more(self, name: AttemptName, tail: _Tail) -> None:
        found, tail.offset = self._store.read_more(name, tail.offset, _MOST_AT_A_LOOK)
        trials = (one for one in found if isinstance(one, Trial))
        tail.trial = tail.trial or next(trials, None)
        reports = (one for one in found if isinstance(one, Report))
        tail.points = points_of(self._study, reports, tail.points)


@dataclass(eq=False)
class GoingOn:
    """`GoingOn(store, study).read(attempts)`, where the pruner has rungs: the trials of attempts
    that are not the first ones, which say the rungs that they have passed. Each is read once.
    """

    _store: Store
    _study: Study
    trials: dict[tuple[int, int], Trial | None] = field(default_factory=dict)

    def read(self, attempts: Iterable[AttemptName]) -> bool:
        """Whether there are some that could not be found: they have moved on meanwhile."""
        if not pauses(self._study):
            return False
        before, self.trials = self.trials, {}
        missing = False
        for name in attempts:
            again = name.attempt > 1 and name.purpose is Purpose.TRAIN
            if not again or name.state not in (State.WAITING, State.TAKEN):
                continue
            key = name.trial, name.attempt
            try:
                found = before[key] if key in before else self._store.read_attempt(name).trial
            except BadRecord:
                found = None  # it is looked into when it is over
            except FileNotFoundError:
                missing = True
                continue
            self.trials[key] = found
        return missing


def kept_curve(study: Study, reports: Iterable[Report]) -> list[list[float]] | UnsetType:
    """What the history keeps of a curve, where the study has a pruner: steps, seconds, standings
    of each of its first steps, then of every second one, every fourth one, and so on.
    """
    if study.pruner is None:
        return UNSET
    points = points_of(study, reports)
    kept = [p for p in points if p.step % _stride(p.step) == 0 or p is points[-1]]
    return columns_of(kept)


def _stride(step: int) -> int:
    return 1 << (step // _ALL_STEPS).bit_length()
