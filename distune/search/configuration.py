"""A configuration, the trials made of it, which are pooled, and what it is ranked by. Pure."""

import bisect
import math
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import cast

from distune.search.goals import Judgement, Violation
from distune.share import records
from distune.study.constraint import SECONDS
from distune.study.trial import (
    Counted,
    Direction,
    Outcome,
    Params,
    Record,
    Trial,
    better,
)


class Tier(IntEnum):
    """A configuration of a lower tier stands above any of a higher one, whatever its value."""

    FULL = 0  # all its repeats are complete: it can win
    PARTIAL = 1  # some are complete
    PRUNED = 2  # it was stopped before any was
    INFEASIBLE = 3  # it does not keep the study's constraints
    DIVERGED = 4  # a repeat ended without a finite value: a result, ranked last
    FAILED = 5  # no repeat gave a result


_TIERS = {Outcome.DIVERGED: Tier.DIVERGED, Outcome.PRUNED: Tier.PRUNED}


@lru_cache(maxsize=64)  # who looks at a configuration asks for the same few trials many times
def decoded(line: bytes) -> Counted:
    return cast(Counted, records.decode_again(line))


class Ended(Record, frozen=True):
    """What the ranking keeps of a trial, and the line that has the rest."""

    number: int
    tier: Tier  # that of a configuration which needs no other trial
    value: float | None  # None if it is not finite
    line: bytes


_number = attrgetter("number")
_MOST_TESTED = 5  # fresh trainings: each is made once more, and then evaluated


def ended_as(counted: Counted, line: bytes) -> Ended:
    outcome, value = counted.result.outcome, counted.result.value
    if value is not None and not math.isfinite(value):
        value = None
    if outcome is Outcome.COMPLETE:
        tier = Tier.DIVERGED if value is None else Tier.FULL
    else:
        tier = _TIERS.get(outcome, Tier.FAILED)
    return Ended(counted.trial.number, tier, value, line)


#: Tier, what it is ranked by, the number of its first trial (no two have the same), and which.
Rank = tuple[int, float, int, "Configuration"]


class Configuration:
    """One setting and the trials made of it, which are decoded when asked for."""

    __slots__ = ("_confirming", "_ended", "is_confirmed", "judgement", "rank", "rounds", "tests")

    def __init__(
        self,
        first: Ended,
        tests: Sequence[Counted] = (),
        confirming: Mapping[int, Ended | None] = MappingProxyType({}),
    ) -> None:
        self._ended = [first]
        self.tests = tests  # its trials on the test set, by number
        self._confirming = confirming  # by the index of the seed; None: was taken out
        #: It stands where its fresh trainings alone have put it, and its value is theirs.
        self.is_confirmed = False
        self.rounds = sys.maxsize  # of these, by the index of their seed, that were compared
        self.rank: Rank | None = None
        #: As it is ranked now, where one metric is not all that counts.
        self.judgement: Judgement | None = None

    def add(self, ended: Ended) -> None:
        """Count one more trial of it."""
        # By number, not by arrival: what is shown must not depend on which worker was faster.
        bisect.insort(self._ended, ended, key=_number)

    def remove(self, number: int) -> None:
        """Count a trial of it no more."""
        self._ended = [one for one in self._ended if one.number != number]

    @property
    def size(self) -> int:
        """How many trials are counted of it."""
        return len(self._ended)

    @property
    def trials(self) -> list[Counted]:
        """Those counted, by number."""
        return [decoded(one.line) for one in self._ended]

    @property
    def params(self) -> Params:
        return decoded(self._ended[0].line).trial.params

    @property
    def first(self) -> int:
        """The number of its first trial, which names it."""
        return self._ended[0].number

    @property
    def complete(self) -> list[Counted]:
        return [one for one in self.trials if one.result.outcome is Outcome.COMPLETE]

    @property
    def confirming(self) -> list[Counted]:
        """Those that are complete, by the index of their seed."""
        complete = (one for one in self.fresh if one.result.outcome is Outcome.COMPLETE)
        return sorted(complete, key=lambda one: one.trial.repeat)

    @property
    def fresh(self) -> list[Counted]:
        """The trials that confirm it, those that stand, by number."""
        there = [one for one in self._confirming.values() if one is not None]
        return [decoded(one.line) for one in sorted(there, key=_number)]

    @property
    def confirming_by_seed(self) -> dict[int, float | None]:
        """What these reached, by the index of their seed: None where one failed, NaN where it was
        stopped or taken out.
        """
        gone = math.nan
        return {
            k: gone if one is None or one.tier is Tier.PRUNED else one.value
            for k, one in self._confirming.items()
        }

    @property
    def confirming_values(self) -> list[float]:
        compared = (v for index, v in self.confirming_by_seed.items() if index < self.rounds)
        return [value for value in compared if value is not None and math.isfinite(value)]

    @property
    def values(self) -> list[float]:
        """What its mean is the mean of: once that has decided, its fresh trainings."""
        return self.confirming_values if self.is_confirmed else self.searched_values

    @property
    def searched_values(self) -> list[float]:
        """Of the search: of complete trials, or for want of them of pruned ones."""
        values: dict[Tier, list[float]] = {}
        for one in self._ended:
            if one.tier is Tier.DIVERGED:
                return [math.nan]
            if one.value is not None:
                values.setdefault(one.tier, []).append(one.value)
        return values.get(Tier.FULL) or values.get(Tier.PRUNED) or []

    @property
    def why(self) -> str:
        """Why the first of its trials that were stopped before their end was, if one was."""
        pruned = (decoded(one.line) for one in self._ended if one.tier is Tier.PRUNED)
        return next((one.result.why for one in pruned if one.result.why), "")

    @property
    def mean(self) -> float | None:
        return _mean_of(self.values)

    @property
    def searched_mean(self) -> float | None:
        return _mean_of(self.searched_values)

    def mean_of(self, name: str) -> float | None:
        """The mean of a metric, or of `seconds` of training, over those trials that `mean` is of;
        None if none of them has it.
        """
        trials = self.complete or [t for t in self.trials if t.result.outcome is Outcome.PRUNED]
        found = [
            one.result.seconds if name == SECONDS else one.result.metrics.get(name)
            for one in trials
        ]
        values = [value for value in found if value is not None]
        try:
            return _mean(values) if values else None
        except (OverflowError, ValueError):  # too large, or an infinity less another
            return math.nan

    @property
    def violations(self) -> Sequence[Violation]:
        """The constraints that it does not keep."""
        return self.judgement.violations if self.judgement is not None else ()

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over its repeats; None with fewer than two."""
        values = self.values
        if len(values) < 2:
            return None
        import statistics  # slow to import, and needed only where there are repeats

        try:
            return statistics.stdev(values)
        except OverflowError:
            return math.nan

    @property
    def seconds(self) -> float:
        """Of training, the mean over its trials."""
        return _mean([one.result.seconds for one in self.trials])

    @property
    def parameters(self) -> float | None:
        """Trainable numbers in the network, if the objective says so."""
        for one in self.trials:
            if "parameters" in one.result.metrics:
                return one.result.metrics["parameters"]
        return None

    @property
    def standing_tests(self) -> list[Counted]:
        """Tests of the trials that are counted of it: one that was tested may be dropped. Of one
        that is confirmed, those of its fresh trainings.
        """
        return [test for test in self.tests if test.trial.number in self._values_to_test]

    @property
    def _values_to_test(self) -> dict[int, float | None]:
        """By the numbers of trials."""
        own = self._confirming.values() if self.is_confirmed else self._ended
        return {one.number: one.value for one in own if one is not None}

    @property
    def to_test(self) -> list[Counted]:
        """Its trials that are evaluated on the test set, if it wins."""
        return self.confirming[:_MOST_TESTED] if self.is_confirmed else self.complete

    def best_tested(self, direction: Direction) -> Trial | None:
        """Which of its tests is of the trial that has the best value; None if none is complete."""
        values = self._values_to_test
        best: Trial | None = None
        for test in self.standing_tests:
            if test.result.outcome is not Outcome.COMPLETE:
                continue
            value = values[test.trial.number]
            before = values[best.number] if best is not None else None
            if best is None or better(_or_nan(value), _or_nan(before), direction):
                best = test.trial
        return best

    def test_mean(self, metric: str) -> float | None:
        """Mean over its repeats of a metric on the test set; None before the end."""
        values = [
            t.result.metrics[metric]
            for t in self.standing_tests
            if t.result.outcome is Outcome.COMPLETE and metric in t.result.metrics
        ]
        return _mean(values) if values else None

    def tier(self, repeats: int) -> Tier:
        tier, judgement = self._tier(repeats), self.judgement
        if judgement is None or tier > Tier.PRUNED:
            return tier
        if tier is not Tier.PRUNED and not judgement.has_all:
            return Tier.DIVERGED
        return Tier.INFEASIBLE if judgement.violations else tier

    def _tier(self, repeats: int) -> Tier:
        tiers = [one.tier for one in self._ended]
        if Tier.DIVERGED in tiers:
            return Tier.DIVERGED
        if Tier.FULL in tiers:
            return Tier.FULL if tiers.count(Tier.FULL) >= repeats else Tier.PARTIAL
        return min(tiers)


def _mean_of(values: Sequence[float]) -> float | None:
    try:
        return _mean(values) if values else None
    except OverflowError:
        return math.nan


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
