"""The rungs of asynchronous successive halving (ASHA: Li et al., MLSys 2020, algorithm 2): how far
each training goes before it pauses, and which of those that have paused go on. Pure.

Configurations are compared, each by the mean of its repeats when all of them have come to a rung.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sortedcontainers import SortedList

from distune.study.trial import Direction, Rungs

#: Paused configurations at a rung: of more, the worst are given up. They lie in `trials/`, which
#: everybody lists (P11).
MOST_PAUSED = 1000
#: Who goes on early, from among few, may not belong to the best of many. The paper promotes all
#: that come later and are better, and trains a tenth to a half more for it; with none of them, the
#: first to come would have all the places. This many are nearly as good (docs/search.md).
LATECOMERS = 2
_MOST_RUNGS = 60


@dataclass(frozen=True)
class Ladder:
    """The rungs of one bracket.

    Attributes:
        lowest: the first rung: steps, or seconds of training.
        factor: of a rung's configurations one in so many goes on to the next, which is as many
            times as far.
        end: there are no rungs from here on: the training's full length.
        in_seconds: rungs are seconds of training, not steps.
    """

    lowest: float
    factor: int
    end: float = math.inf
    in_seconds: bool = False

    def rung(self, place: int) -> float | None:
        """That of a place, from 0; None where trainings run to their end."""
        if place >= _MOST_RUNGS:
            return None
        return self.at(place) if self.at(place) < self.end else None

    def at(self, place: int) -> float:
        """Where a rung is that trainings have reached."""
        return self.lowest * float(self.factor) ** place

    def is_reached(self, place: int, step: int, seconds: float) -> bool:
        """Whether a training that has come so far has reached a rung."""
        at = self.rung(place)
        return at is not None and (seconds if self.in_seconds else step) >= at

    def after(self, passed: Sequence[float], epochs: int | None = None) -> Rungs:
        """Where a training pauses next that has passed the first rungs with these values. `epochs`:
        the steps that it has, if that is known.
        """
        at = self.rung(len(passed))
        if at is None or (epochs is not None and not self.in_seconds and at >= epochs):
            return Rungs(passed=[*passed])
        if self.in_seconds:
            return Rungs(seconds=float(at), passed=[*passed])
        return Rungs(step=math.ceil(at), passed=[*passed])

    def where(self, place: int) -> str:
        """A rung, for people."""
        at = self.at(place)
        return f"rung at {at:.4g} s" if self.in_seconds else f"rung at step {math.ceil(at)}"


class Standing(NamedTuple):
    """How a configuration stands at a rung that it has reached."""

    value: float
    place: int  # among those that have reached it, from 0
    of: int  # how many these are
    gone_on: int  # of these: from the rung to the next
    taken: int  # as many as have gone on, or stand before it
    went: bool  # it has gone on itself, or a repeat of it has

    def is_among_the_best(self, factor: int) -> bool:
        """Whether it belongs to the part of which the next rung is made."""
        return self.place < self.of // factor and math.isfinite(self.value)

    def goes_on(self, factor: int, *, least: int = 0) -> bool:
        """Whether it goes on: it belongs to the best, and not many more than that part do, or than
        `least`: of those that are the last there will be, some do in any case.
        """
        best = max(self.of // factor, least)
        fits = self.place < best and self.taken < best + LATECOMERS
        return (self.went or fits) and math.isfinite(self.value)

    def says(self, ladder: Ladder, rung: int) -> str:
        """Why it goes on, or not: in words."""
        if not math.isfinite(self.value):
            return f"{ladder.where(rung)}: {self.value}, which is no number"
        among = "among" if self.is_among_the_best(ladder.factor) else "not among"
        part = {2: "half", 3: "third", 4: "quarter"}.get(ladder.factor, f"1/{ladder.factor}")
        late = self.is_among_the_best(ladder.factor) and not self.goes_on(ladder.factor)
        before = f", after {self.gone_on} had gone on" if late else ""
        return (
            f"{ladder.where(rung)}: {self.value:.5g}, {among} the best {part} of {self.of}{before}"
        )


@dataclass
class _Entrant:
    """A configuration that takes part."""

    values: dict[int, tuple[float, ...]] = field(default_factory=dict)  # of each of its trials
    over: set[int] = field(default_factory=set)  # trials that are counted
    failed: set[int] = field(default_factory=set)  # of these, those that have no values
    at: list[tuple[float, int]] = field(default_factory=list)  # its key at each rung
    passed: int = 0  # rungs from which a trial of it has gone on
    left: int = 0  # of these, those at which it has a key
    settled: bool = False


class Bracket:
    """A race of configurations up one ladder: `note` what is known, in any order and as often as
    you like, then ask. A value at a rung, once known, stands.

    Args:
        least: so many go on from each rung, when no others will come.
    """

    def __init__(
        self, ladder: Ladder, repeats: int, direction: Direction, *, least: int = 1
    ) -> None:
        self.ladder = ladder
        self.least = least
        self._repeats = repeats
        self._sign = -1.0 if direction == "maximize" else 1.0
        self._entrants: defaultdict[int, _Entrant] = defaultdict(_Entrant)
        self._rungs: list[SortedList] = []  # of each, the keys of those that have reached it
        self._gone_on: list[SortedList] = []  # likewise, of those that have gone on from it
        self._short: list[int] = []  # how many are over that have reached just so many rungs

    def __len__(self) -> int:
        return len(self._entrants)

    def note(
        self,
        configuration: int,
        trial: int,
        values: Sequence[float],
        *,
        passed: int = 0,
        over: bool = False,
    ) -> None:
        """A trial of a configuration has these values at the first rungs, and has gone on from so
        many; no more will come of it if it is over. One that is over without any values has failed,
        and says nothing of the others.
        """
        one = self._entrants[configuration]
        one.passed = max(one.passed, passed, len(values) - 1)
        if trial in one.over:
            return
        if len(values) > len(one.values.get(trial, ())):
            one.values[trial] = tuple(values)
        if over:
            one.over.add(trial)
            if not one.values.get(trial):
                one.failed.add(trial)
        self._enter(configuration, one)

    def _enter(self, configuration: int, one: _Entrant) -> None:
        known = [values for trial, values in one.values.items() if trial not in one.failed]
        if known and len(known) + len(one.failed) >= self._repeats:
            for rung in range(len(one.at), min(map(len, known))):
                mean = math.fsum(values[rung] for values in known) / len(known)
                key = (self._sign * mean if math.isfinite(mean) else math.inf, configuration)
                if rung == len(self._rungs):
                    self._rungs.append(SortedList())
                    self._gone_on.append(SortedList())
                self._rungs[rung].add(key)
                one.at.append(key)
        for rung in range(one.left, min(one.passed, len(one.at))):
            self._gone_on[rung].add(one.at[rung])
            one.left = rung + 1
        if not one.settled and len(one.over) >= self._repeats:
            one.settled = True
            self._short += [0] * (len(one.at) + 1 - len(self._short))
            self._short[len(one.at)] += 1

    def standing(self, configuration: int, rung: int) -> Standing | None:
        """None if not all its repeats have reached that rung."""
        one = self._entrants.get(configuration)
        if one is None or rung >= len(one.at):
            return None
        keys, key = self._rungs[rung], one.at[rung]
        value = math.nan if math.isinf(key[0]) else self._sign * key[0]
        place, gone_on = keys.bisect_left(key), self._gone_on[rung]
        taken = len(gone_on) + place - gone_on.bisect_left(key)
        return Standing(value, place, len(keys), len(gone_on), taken, one.passed > rung)

    def reached(self, configuration: int, rungs: int) -> tuple[int, float] | None:
        """The last of so many first rungs that all repeats of a configuration have reached, and its
        value there; None if there is none, or that is no number.
        """
        one = self._entrants.get(configuration)
        rung = min(rungs, len(one.at) if one is not None else 0) - 1
        standing = self.standing(configuration, rung) if rung >= 0 else None
        if standing is None or not math.isfinite(standing.value):
            return None
        return math.ceil(self.ladder.at(rung)), standing.value

    def is_hopeless(self, configuration: int, rung: int, most: float) -> bool:
        """Whether it will not be among the best at a rung that it has reached, whatever is still
        to come of at most so many configurations in all.
        """
        standing = self.standing(configuration, rung)
        if standing is None:
            return False
        if not math.isfinite(standing.value):
            return True
        if math.isinf(most):
            return False
        may_reach = int(most) - sum(self._short[: rung + 1])
        best = max(self.least, may_reach // self.ladder.factor)
        late = standing.place >= best or standing.taken >= best + LATECOMERS
        return late and not standing.went
