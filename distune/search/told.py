"""What samplers that learn are told of a history: each configuration, once its trials are over.
Pure.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from distune.search.drawing import draw
from distune.search.following import Following
from distune.search.goals import is_plain
from distune.search.ranking import History
from distune.search.sampler import Reached
from distune.study.constraint import SECONDS
from distune.study.space import Parameter, may_be
from distune.study.study import Study
from distune.study.trial import (
    Asked,
    Counted,
    Metrics,
    Outcome,
    Params,
    Scalar,
    is_by_search,
    is_of_search,
)

#: A bound may be exceeded by infinity, of which no model makes anything.
_MOST_EXCESS = 1e6


@dataclass
class Told:
    """What is known of a configuration."""

    number: int
    params: Params
    study: Study
    values: list[float] = field(default_factory=list)  # of complete trials
    #: All that these are judged by, of a study that ranks by more than one metric.
    measured: list[Metrics] = field(default_factory=list)
    #: Steps (seconds of training, if its rungs are of these), and the value there.
    pruned: list[tuple[int, float]] = field(default_factory=list)
    violated: bool = False  # it can have no value, whoever tries it
    heard: int = 0  # place in the history of the last of its trials

    @property
    def value(self) -> float | None:
        return _mean(self.values) if self.values else None

    @property
    def goals(self) -> list[float]:
        """Of each objective the mean, if there are values."""
        if not self.study.objectives:
            return [] if self.value is None else [self.value]
        return [_mean([one[name] for one in self.measured]) for name in self.study.objectives]

    @property
    def excesses(self) -> dict[str, float]:
        """By how much it is outside of each constraint, as a share of the bound, if there are
        values; 0 or less if it is not.
        """
        found = {}
        for name, constraint in self.study.constraints.items() if self.values else ():
            excess = constraint.excess(_mean([one.get(name, math.nan) for one in self.measured]))
            found[name] = min(excess / constraint.scale, _MOST_EXCESS)
        return found

    @property
    def violation(self) -> float:
        """The sum of these, of constraints that it does not keep."""
        return sum(max(excess, 0.0) for excess in self.excesses.values())

    @property
    def is_known(self) -> bool:
        """Whether its trials say anything of it."""
        return bool(self.values or self.pruned or self.violated)

    @property
    def is_violating(self) -> bool:
        """Whether that is all that is to be said of it."""
        return self.violated and not self.values

    @property
    def stopped(self) -> tuple[int, float] | None:
        """Where it was pruned, if it was: the furthest, with the mean of the repeats that came so
        far.
        """
        if not self.pruned:
            return None
        furthest, _ = max(self.pruned)
        return furthest, _mean([value for length, value in self.pruned if length == furthest])

    def take_in(self, counted: Counted, place: int) -> None:
        result, value = counted.result, counted.result.value
        self.heard = place
        self.violated |= is_violated(counted)
        if value is None or not math.isfinite(value):
            self.violated |= value is not None
        elif result.outcome is Outcome.COMPLETE:
            self._measure(counted, value)
        elif result.outcome is Outcome.PRUNED:
            rungs = counted.trial.pauses_at
            in_seconds = rungs is not None and rungs.seconds is not None
            length = math.ceil(rungs.seconds or 0) if rungs and in_seconds else result.steps
            self.pruned.append((length, value))

    def _measure(self, counted: Counted, value: float) -> None:
        if not is_plain(self.study):
            measured = {**counted.result.metrics, self.study.metric: value}
            measured[SECONDS] = counted.result.seconds
            if not all(math.isfinite(measured.get(n, math.nan)) for n in self.study.goals):
                self.violated = True  # as if it had diverged
                return
            self.measured.append(measured)
        self.values.append(value)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def is_violated(counted: Counted) -> bool:
    """Whether the setting is to blame for what came of a trial, so that another would fail
    likewise: it has no value, or says that it never can have one, or has run out of memory (alone:
    beside others it would have been released), or has failed each time that it was tried, and that
    was more than once. A timeout may be its host's.
    """
    match counted.result.outcome:
        case Outcome.DIVERGED | Outcome.OUT_OF_MEMORY:
            return True
        case Outcome.FAILED:
            return counted.result.infeasible or counted.trial.failures > 0
        case _:
            return False


@dataclass(frozen=True)
class News:
    """What is new since the question before."""

    anew: bool  # and all that was told before is void
    running: Mapping[int, Params]  # configurations that were not told of before, and are not over
    over: list[Told]  # in the order in which the last of their trials were counted
    #: By configuration, of what runs: what it was found to have reached now, as if it was pruned
    #: there; None for what nobody knows of any more.
    reached: Mapping[int, Told | None]
    #: What was told before, now with one more repeat: after all else, for who can take that in.
    again: list[Told]


class Telling:
    """`follow(history, in_flight, reached)` says what is new. All of it, told to another of its
    kind at once, comes in the same order.
    """

    def __init__(self) -> None:
        self._following = Following()

    def follow(
        self, history: History, in_flight: Sequence[Asked], reached: Reached | None = None
    ) -> News:
        # What is tried again, trained further, confirmed or repeated once more has had its say; a
        # successor is heard later.
        running = {one.configuration: one.params for one in filter(is_by_search, in_flight)}
        anew = self._following.begins_anew(history)
        if anew:
            self._open: dict[int, Told] = {}  # of which something is counted
            self._running: Mapping[int, Params] = {}
            self._begun: set[int] = set()
            self._reached: Reached = {}
        # One that trains another further is no setting of the space; what confirms one of the best
        # has another use for its values.
        added: dict[int, Params] = {}
        for place, counted in self._following.new(history):
            number = counted.trial.configuration
            if counted.trial.adds_to is not None:
                added[number] = counted.trial.params
                continue
            told = self._open.setdefault(number, Told(number, counted.trial.params, history.study))
            told.take_in(counted, place)
        if any(self._now(number, running) != params for number, params in self._running.items()):
            # Of two masters' settings with one number another one stands than was told to run.
            self._following = Following()
            return self.follow(history, in_flight, reached)
        self._running = running
        over = [self._open.pop(number) for number in self._open.keys() - running.keys()]
        new = {number: params for number, params in running.items() if number not in self._begun}
        self._begun.update(running, (told.number for told in over))
        over.sort(key=lambda told: told.heard)
        before = self._reached
        self._reached = {n: at for n, at in (reached or {}).items() if n in running}
        stand: dict[int, Told | None] = {
            n: Told(n, running[n], history.study, pruned=[at])
            for n, at in self._reached.items()
            if at != before.get(n)
        }
        stand |= dict.fromkeys((before.keys() & running.keys()) - self._reached.keys())
        before_all = _before(history.study) if anew else ()
        again = [_once_more(history, number, params) for number, params in sorted(added.items())]
        return News(anew, new, [*before_all, *over], stand, again)

    def _now(self, number: int, running: Mapping[int, Params]) -> Params | None:
        """The setting of a configuration that was running: of what runs now, or is counted."""
        told = self._open.get(number)
        return running.get(number, told.params if told is not None else None)


def _once_more(history: History, number: int, params: Params) -> Told:
    """All that is ranked of a configuration that has one more repeat."""
    told, known = Told(number, params, history.study), history.known(params)
    for one in known.trials if known is not None else ():
        if one.trial.configuration == number and is_of_search(one.trial):
            told.take_in(one, told.heard)
    return told


def _before(study: Study) -> Iterator[Told]:
    """What another study has found: configurations with numbers of their own, counted first."""
    for number, earlier in enumerate(study.earlier, -len(study.earlier)):
        told = Told(number, earlier.params, study, [earlier.value], heard=number)
        if not is_plain(study):
            told.measured.append({**earlier.also, study.metric: earlier.value})
        yield told


def order_of(told: Told, sign: float) -> tuple[float, ...]:
    """What sorts the better first: those with a value, then what breaks a constraint, the nearest
    first, then what was pruned late, then the rest.
    """
    if told.value is not None:
        far = told.violation
        return (0.5, far) if far > 0 else (0.0, sign * told.value)
    if told.stopped is not None:
        steps, value = told.stopped
        return (1.0, -steps, sign * value)
    return (2.0,)


def filled_in(
    free: Mapping[str, Parameter], number: int, params: Params
) -> dict[str, Scalar] | None:
    """A configuration's values for these parameters, with one that was drawn for each that does not
    exist with its others: most models want all of them. None if it is not of the space.
    """
    rng = Random(f"distune left out {number}")
    found: dict[str, Scalar] = {}
    for name, spec in free.items():
        found[name] = params[name] if name in params else draw(spec, rng)
        if not may_be(spec, found[name]):
            return None
    return found
