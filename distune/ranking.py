"""The history of a study and the ranking of its configurations. Pure.

Configurations are ranked, not runs: a configuration's trials (its repeats) are pooled.
"""

from __future__ import annotations

import bisect
import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from distune.study import Study
from distune.trial import Counted, Outcome, Params, Purpose, params_key


class Tier(IntEnum):
    """A configuration of a lower tier stands above any of a higher one, whatever its value."""

    FULL = 0  # all its repeats are complete: it can win
    PARTIAL = 1  # some are complete
    PRUNED = 2  # it was stopped before any was
    DIVERGED = 3  # a repeat ended without a finite value: a result, ranked last
    FAILED = 4  # no repeat gave a result


@dataclass
class Configuration:
    """One setting and the trials made of it, by repeat."""

    params: Params
    runs: list[Counted] = field(default_factory=list)
    tests: list[Counted] = field(default_factory=list)

    @property
    def first(self) -> int:
        """The number of its first trial, which names it."""
        return min(run.trial.number for run in self.runs)

    def _with(self, *outcomes: Outcome) -> list[Counted]:
        return [run for run in self.runs if run.result.outcome in outcomes]

    @property
    def complete(self) -> list[Counted]:
        return self._with(Outcome.COMPLETE)

    @property
    def values(self) -> list[float]:
        """What its mean is the mean of: complete runs, or for want of them pruned ones."""
        if self._diverged:
            return [math.nan]
        runs = self.complete or self._with(Outcome.PRUNED)
        return [v for v in (run.result.value for run in runs) if v is not None and math.isfinite(v)]

    @property
    def _diverged(self) -> bool:
        return any(
            run.result.outcome is Outcome.DIVERGED
            or run.result.value is None
            or not math.isfinite(run.result.value)
            for run in self._with(Outcome.DIVERGED, Outcome.COMPLETE)
        )

    @property
    def mean(self) -> float | None:
        values = self.values
        try:
            return statistics.fmean(values) if values else None
        except OverflowError:
            return math.nan

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over its repeats; None with fewer than two."""
        values = self.values
        if self._diverged or len(values) < 2:
            return None
        try:
            return statistics.stdev(values)
        except OverflowError:
            return math.nan

    @property
    def seconds(self) -> float:
        """Of training, the mean over its runs."""
        return statistics.fmean(run.result.seconds for run in self.runs)

    @property
    def parameters(self) -> float | None:
        """Trainable numbers in the network, if the objective says so."""
        for run in self.runs:
            if "parameters" in run.result.metrics:
                return run.result.metrics["parameters"]
        return None

    def test_mean(self, metric: str) -> float | None:
        """Mean over its repeats of a metric on the test set; None before the end."""
        values = [
            t.result.metrics[metric]
            for t in self.tests
            if t.result.outcome is Outcome.COMPLETE and metric in t.result.metrics
        ]
        return statistics.fmean(values) if values else None

    def tier(self, repeats: int) -> Tier:
        if self._diverged:
            return Tier.DIVERGED
        complete = len(self.complete)
        if complete >= repeats:
            return Tier.FULL
        if complete:
            return Tier.PARTIAL
        return Tier.PRUNED if self._with(Outcome.PRUNED) else Tier.FAILED


_Place = tuple[int, float, int, str]


class History:
    """Every counted trial, once (P3), and the ranking that follows from them.

    Adding a trial costs the same however many there are (P11), but for a binary search.

    Attributes:
        trials: those counted, in the order in which they were; tests are not among them.
        outcomes: how many of them ended how.
        retried: attempts at them that failed and were tried again.
        taken_back: attempts at them that were lost or given back, and tried again.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.trials: list[Counted] = []
        self.tests: list[Counted] = []
        self.outcomes: Counter[Outcome] = Counter()
        self.retried = 0
        self.taken_back = 0
        self._by_key: dict[tuple[Purpose, int], Counted] = {}
        self._configurations: dict[str, Configuration] = {}
        self._places: list[_Place] = []
        self._place_of: dict[str, _Place] = {}
        self._early_tests: dict[str, list[Counted]] = {}

    def __len__(self) -> int:
        return len(self.trials)

    def everything(self) -> Collection[Counted]:
        """All that was counted, tests too, in the order in which it was: a view, no copy."""
        return self._by_key.values()

    def get(self, key: tuple[Purpose, int]) -> Counted | None:
        return self._by_key.get(key)

    def add(self, counted: Counted) -> bool:
        """Count a trial; False if it has been counted before, which then stands."""
        if counted.key in self._by_key:
            return False
        self._by_key[counted.key] = counted
        key = params_key(counted.trial.params)
        if counted.trial.purpose is Purpose.TEST:
            self.tests.append(counted)
            if key in self._configurations:
                bisect.insort(
                    self._configurations[key].tests, counted, key=lambda run: run.trial.number
                )
            else:  # a rebuilt history may bring it first
                self._early_tests.setdefault(key, []).append(counted)
            return True
        self.trials.append(counted)
        self.outcomes[counted.result.outcome] += 1
        self.retried += counted.trial.failures
        self.taken_back += max(counted.trial.attempt - 1 - counted.trial.failures, 0)
        configuration = self._configurations.get(key)
        if configuration is None:
            configuration = Configuration(counted.trial.params)
            early = self._early_tests.pop(key, [])
            configuration.tests = sorted(early, key=lambda test: test.trial.number)
            self._configurations[key] = configuration
        else:
            del self._places[bisect.bisect_left(self._places, self._place_of[key])]
        # By number, not by arrival: what is shown must not depend on who was faster.
        bisect.insort(configuration.runs, counted, key=lambda run: run.trial.number)
        place = self._place(configuration, key)
        self._place_of[key] = place
        bisect.insort(self._places, place)
        return True

    def extend(self, many: Iterable[Counted]) -> None:
        for counted in many:
            self.add(counted)

    def _place(self, configuration: Configuration, key: str) -> _Place:
        mean = configuration.mean
        if mean is None or not math.isfinite(mean):
            order = math.inf
        else:
            order = -mean if self.study.direction == "maximize" else mean
        return configuration.tier(self.study.repeats), order, configuration.first, key

    @property
    def configurations(self) -> int:
        """How many there are."""
        return len(self._places)

    def ranking(self, count: int | None = None) -> list[Configuration]:
        """The configurations, best first; all, or the first `count`."""
        return [self._configurations[place[3]] for place in self._places[:count]]

    def winner(self) -> Configuration | None:
        """The best configuration; None while none has a finite value.

        One with all its repeats beats any without: a lucky single run is no winner.
        """
        for configuration in self.ranking(1):
            mean = configuration.mean
            if mean is not None and math.isfinite(mean):
                return configuration
        return None

    def target_reached(self, target: float | None) -> Configuration | None:
        """The winner, if it has all its repeats and is good enough."""
        winner = self.winner()
        if target is None or winner is None or winner.mean is None:
            return None
        if winner.tier(self.study.repeats) is not Tier.FULL:
            return None
        good = (
            winner.mean >= target if self.study.direction == "maximize" else winner.mean <= target
        )
        return winner if good else None
