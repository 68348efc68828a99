"""Which of a few finalists is best, from trainings whose seeds are paired. Pure.

The k-th training of each finalist has the same seed, so what a seed does to all of them drops out
of their differences. A two-way analysis of variance (finalists, seeds) gives the noise that is
left, and Student's t an interval for each difference from the first.

The level of the intervals holds for all of them together, because which finalist is the first
follows from the same values, and so does which look is the last. Each of the comparisons with the
first has its part of the level (Bonferroni; that others need none is from Hsu, "Simultaneous
confidence intervals for all distances from the best", 1981), and of that each look has its own:
1 / (j (j + 1)) for look j, which comes to one in sum, however many there are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import fmean

#: So many of the best are trained again first: how far they fall tells what noise there is.
FIRST = 3
#: A study is quiet where the noise is less than this part of the way from its median to its best.
_QUIET = 0.2
_QUIET_ROUNDS = 2
#: Degrees of freedom below which the falls of the first ones help to tell the noise.
_FEW = 4


@dataclass(frozen=True)
class Finalist:
    """A configuration that the search has among its best.

    Attributes:
        number: that names it.
        seen: what the search saw of it; the greater, the better.
        again: its fresh trainings, by the index of the seed that they share with those of others:
            None where that failed, NaN where it was taken out.
    """

    number: int
    seen: Sequence[float]
    again: Mapping[int, float | None] = field(default_factory=dict)


class Verdict(Enum):
    """What came of it."""

    BEATS = "the first beats all others"
    WITHIN = "the first two differ by less than matters"
    TIED = "they could not be told apart"
    ALONE = "of all but one a training failed"
    FAILED = "of each a training failed"
    POINTLESS = "a training gives the same value with any seed"
    TOO_FEW = "there is nothing to compare, or may not be trained often enough"


@dataclass(frozen=True)
class Comparison:
    """How it stands.

    Attributes:
        wanted: trainings that are missing now, each a finalist's number and the index of a seed.
        ahead: those of the round after that, of which it is not known yet whether it will come:
            for workers that would have nothing to do. No look is earlier for it, or later.
        order: the finalists that were compared, best first.
        tied: those of them that are not shown to be worse than the first; it is one of them.
        out: those of which a training failed.
        interval: of how much better the first is than the second.
        rounds: seeds with which each of `tied` has been trained.
        noise: standard deviation between trainings of one configuration, once it is known.
        quiet: it ended because the noise is small beside what the search has found.
    """

    verdict: Verdict | None = None
    wanted: tuple[tuple[int, int], ...] = ()
    ahead: tuple[tuple[int, int], ...] = ()
    order: tuple[int, ...] = ()
    tied: tuple[int, ...] = ()
    out: tuple[int, ...] = ()
    interval: tuple[float, float] | None = None
    rounds: int = 0
    noise: float | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Rules:
    """When a comparison ends.

    Attributes:
        confidence: of the intervals.
        min_difference: what is less than this does not matter; None: ends early on a quiet study.
        max_rounds: seeds, at most.
        most: trainings, at most.
        known: how many of these there have been, also of configurations that are no finalists now.
        reach: how much better the best of the search is than its median.
    """

    confidence: float
    min_difference: float | None
    max_rounds: int
    most: int
    known: int
    reach: float


def fewest_trainings() -> int:
    """Of a comparison that can decide anything: two finalists, twice."""
    return 2 * _QUIET_ROUNDS


def compare(finalists: Sequence[Finalist], rules: Rules) -> Comparison:
    """How a comparison stands, all of it worked out anew from what is known now.

    Args:
        finalists: the best of the search first.
    """
    return _Comparing(finalists, rules).run()


class _Comparing:
    def __init__(self, finalists: Sequence[Finalist], rules: Rules) -> None:
        self.rules = rules
        self.finalists = finalists
        self.again = {one.number: one.again for one in finalists}
        self.seen = {one.number: fmean(one.seen) for one in finalists}
        self.compared: list[int] = []
        self.beaten: list[int] = []  # the last one to be beaten first
        self.out: list[int] = []
        self.rounds = 0
        self.falls: list[float] = []  # squared, each an estimate of the variance
        self.interval: tuple[float, float] | None = None
        self.looks = 0
        self.comparisons = 1

    def run(self) -> Comparison:
        first = self.finalists[: min(FIRST, self.rules.most // _QUIET_ROUNDS)]
        if len(first) < 2:
            return Comparison(Verdict.TOO_FEW)
        if all(len(one.seen) > 1 and len(set(one.seen)) == 1 for one in first):
            return Comparison(Verdict.POINTLESS)
        numbers = [one.number for one in first]
        if missing := self._missing(numbers, 0):
            too_many = self.rules.known + len(missing) > self.rules.most
            return Comparison(Verdict.TOO_FEW) if too_many else self._going_on(missing)
        if all({*one.seen} == {one.again[0]} for one in first):
            return Comparison(Verdict.POINTLESS, noise=0.0)
        self._measure(first)
        self.compared = self._who_may_win()
        self.comparisons = max(1, len(self.compared) - 1)
        while True:
            ended = self._round()
            if ended is not None:
                return ended

    def _round(self) -> Comparison | None:
        """One more seed for all that are in it; None if the next round is to come."""
        if self.rounds:
            if self._is_quiet and self.rounds >= _QUIET_ROUNDS:
                return self._over(Verdict.TIED, quiet=True)
            if self.rounds >= self.rules.max_rounds:
                return self._over(Verdict.TIED)
        missing = self._missing(self.compared, self.rounds)
        if missing and self.rules.known + len(missing) > self.rules.most:
            return self._over(Verdict.TIED) if self.rounds > 1 else Comparison(Verdict.TOO_FEW)
        if missing:
            return self._going_on(missing, self._ahead_of(missing))
        self.rounds += 1
        self._take_out_what_failed(self.compared)
        if len(self.compared) < 2:
            return self._over(Verdict.ALONE if self.compared else Verdict.FAILED)
        return self._look()

    def _ahead_of(self, missing: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The next round, where this one is not sure to be the last."""
        index = self.rounds + 1
        if index >= self.rules.max_rounds or (self._is_quiet and index >= _QUIET_ROUNDS):
            return []
        next_round = self._missing(self.compared, index)
        fits = self.rules.known + len(missing) + len(next_round) <= self.rules.most
        return next_round if fits else []

    # -- who takes part --------------------------------------------------------------------

    def _missing(self, numbers: Sequence[int], index: int) -> list[tuple[int, int]]:
        return [(number, index) for number in numbers if index not in self.again[number]]

    def _take_out_what_failed(self, numbers: Sequence[int]) -> None:
        failed = [n for n in numbers if None in self._first_values(n)]
        self.out += [number for number in failed if number not in self.out]
        self.compared = [number for number in self.compared if number not in failed]

    def _first_values(self, number: int) -> list[float | None]:
        return [self.again[number].get(index) for index in range(max(self.rounds, 1))]

    def _measure(self, first: Sequence[Finalist]) -> None:
        """How far the first ones have fallen: their noise, and what was luck in the search."""
        self._take_out_what_failed([one.number for one in first])
        for one in first:
            value = one.again[0]
            if value is not None and math.isfinite(value):
                fall = value - self.seen[one.number]
                self.falls.append(fall**2 / (1 + 1 / len(one.seen)))

    @property
    def noise(self) -> float | None:
        return math.sqrt(fmean(self.falls)) if self.falls else None

    @property
    def _is_quiet(self) -> bool:
        quiet = self.noise is not None and self.noise < _QUIET * self.rules.reach
        return quiet and self.rules.min_difference is None

    def _who_may_win(self) -> list[int]:
        """Those that the noise could have kept from being seen as the best, two at least; as many
        as may be trained twice.
        """
        there = [one for one in self.finalists if one.number not in self.out]
        near = math.inf
        if self.noise is not None and there:
            near = self.noise * math.sqrt(2 / len(there[0].seen))
        best = max((self.seen[one.number] for one in there), default=0.0)
        found = [
            one.number
            for place, one in enumerate(there)
            if place < 2 or best - self.seen[one.number] <= near
        ]
        while len(found) > 2:
            more = sum(len(self._missing(found, index)) for index in range(_QUIET_ROUNDS))
            if self.rules.known + more <= self.rules.most:
                break
            found.pop()
        return found

    # -- comparing them --------------------------------------------------------------------

    def _look(self) -> Comparison | None:
        values = self._paired()
        pairs = len(values[self.compared[0]])
        if self.rounds < _QUIET_ROUNDS or pairs < 2:
            return None
        self.looks += 1
        means = {number: fmean(values[number]) for number in self.compared}
        self.compared.sort(key=lambda number: -means[number])
        best, second = self.compared[:2]
        variance, freedom = self._variance(values, means)
        error = math.sqrt(2 * variance / pairs)
        lead, width = means[best] - means[second], self._critical(freedom) * error
        self.interval = lead - width, lead + width
        worse = [n for n in self.compared[1:] if means[best] - means[n] > width]
        if len(worse) == len(self.compared) - 1:
            return self._over(Verdict.BEATS, tied=[best])
        if self.rules.min_difference is not None and lead + width < self.rules.min_difference:
            return self._over(Verdict.WITHIN)
        self.compared = [number for number in self.compared if number not in worse]
        self.beaten = [*worse, *self.beaten]
        return None

    def _paired(self) -> dict[int, list[float]]:
        """Of each its values with those seeds with which all have one."""
        found: dict[int, list[float]] = {number: [] for number in self.compared}
        for index in range(self.rounds):
            values = [self.again[number].get(index) for number in self.compared]
            if all(value is not None and math.isfinite(value) for value in values):
                for number, value in zip(self.compared, values, strict=True):
                    found[number].append(value or 0.0)
        return found

    def _variance(
        self, values: Mapping[int, Sequence[float]], means: Mapping[int, float]
    ) -> tuple[float, int]:
        """Of the noise that pairing leaves, and its degrees of freedom."""
        columns = [fmean(column) for column in zip(*values.values(), strict=True)]
        whole = fmean(columns)
        squares = sum(
            (value - means[number] - column + whole) ** 2
            for number, own in values.items()
            for value, column in zip(own, columns, strict=True)
        )
        freedom = (len(values) - 1) * (len(columns) - 1)
        if freedom < _FEW:
            squares, freedom = squares + sum(self.falls), freedom + len(self.falls)
        return squares / freedom, freedom

    def _critical(self, freedom: int) -> float:
        from scipy.special import stdtrit  # slow to import, and needed here only

        spent = (1 - self.rules.confidence) / (self.looks * (self.looks + 1)) / self.comparisons
        return -float(stdtrit(freedom, spent / 2))

    # -- how it stands ---------------------------------------------------------------------

    def _going_on(
        self, wanted: Sequence[tuple[int, int]], ahead: Sequence[tuple[int, int]] = ()
    ) -> Comparison:
        return self._stands(None, wanted=tuple(wanted), ahead=tuple(ahead))

    def _over(
        self, verdict: Verdict, *, tied: Sequence[int] | None = None, quiet: bool = False
    ) -> Comparison:
        return self._stands(verdict, tied=tied, quiet=quiet)

    def _stands(
        self,
        verdict: Verdict | None,
        *,
        wanted: tuple[tuple[int, int], ...] = (),
        ahead: tuple[tuple[int, int], ...] = (),
        tied: Sequence[int] | None = None,
        quiet: bool = False,
    ) -> Comparison:
        return Comparison(
            verdict=verdict,
            wanted=wanted,
            ahead=ahead,
            order=(*self.compared, *self.beaten),
            tied=tuple(self.compared if tied is None else tied),
            out=tuple(self.out),
            interval=self.interval,
            rounds=self.rounds,
            noise=self.noise,
            quiet=quiet,
        )
