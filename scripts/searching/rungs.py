"""What successive halving costs and finds, on curves that are drawn, and how soon a sampler learns
with it. The rungs are the master's own; of its rules only who goes on, and who is given up.
"""

from __future__ import annotations

import heapq
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Self

from distune.search.asked import trial_of
from distune.search.ranking import History
from distune.search.rungs import Bracket, Ladder, Standing
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.study.trial import Asked, Counted, Direction, Outcome, Params, Result
from scripts.benching import table
from scripts.searching.sides import study_of

_WORKERS = 10
#: What a training has after each of its epochs, the greater the better, by its params and number.
Curve = Callable[[Params, int], list[float]]


def capped(standing: Standing, factor: int, *, last: bool) -> bool:
    """distune's rule."""
    return standing.goes_on(factor, least=int(last))


def of_the_paper(standing: Standing, factor: int, *, last: bool) -> bool:
    """Whoever is among the best of those that have come so far."""
    best = max(standing.of // factor, int(last))
    return standing.place < best and math.isfinite(standing.value)


class Halving:
    """Asynchronous successive halving by ten workers. What it is of, and what comes of it beside,
    those below say.

    Attributes:
        epochs: that were trained.
        ended: configurations that were trained to their end, and what they had there.
    """

    def __init__(
        self, ladder: Ladder, full: int, direction: Direction, goes_on: Callable[..., bool] = capped
    ) -> None:
        self.epochs = 0
        self.ended: dict[int, float] = {}
        self._full = full
        self._ladder = ladder
        self._bracket = Bracket(ladder, 1, direction)
        self._rule = goes_on
        self._paused: dict[int, int] = {}  # by configuration, the rung

    def _fresh(self) -> int | None:
        """One that has not begun; None if there is none left."""
        raise NotImplementedError

    def _curve_of(self, number: int) -> list[float]:
        """Shorter than all epochs, if its training ends early."""
        raise NotImplementedError

    def _seconds_of(self, number: int) -> float:
        """Of an epoch."""
        return 1.0

    def _tell(self, number: int, ended: bool) -> None:
        """One has come to its end, or to its rung."""

    def run(self) -> Self:
        now, running = 0.0, list[tuple[float, int, int]]()
        while True:
            while len(running) < _WORKERS and (found := self._next(last=not running)) is not None:
                number, rung = found
                before = self._until(rung - 1) if rung else 0
                until = min(self._until(rung), len(self._curve_of(number)))
                epochs = max(until - before, 1)
                self.epochs += epochs
                heapq.heappush(running, (now + epochs * self._seconds_of(number), number, rung))
            if not running:
                return self
            now, number, rung = heapq.heappop(running)
            self._over(number, rung)

    def _until(self, rung: int) -> int:
        return int(self._ladder.rung(rung) or self._full)

    def _next(self, *, last: bool) -> tuple[int, int] | None:
        """The configuration that is trained next, and to which rung: promoted ones first; when
        nothing else is to come, the best of a rung goes on alone.
        """
        if (found := self._promoted()) is not None:
            return found
        fresh = self._fresh()
        if fresh is not None:
            return fresh, 0
        return self._promoted(last=True) if last else None

    def _promoted(self, *, last: bool = False) -> tuple[int, int] | None:
        found = []
        for number, rung in self._paused.items():
            standing = self._bracket.standing(number, rung)
            if standing is not None and self._rule(standing, self._ladder.factor, last=last):
                found.append((-rung, standing.place, number))
        if not found:
            return None
        rung, _, number = min(found)
        del self._paused[number]
        self._note(number, 1 - rung, passed=1 - rung)
        return number, 1 - rung

    def _note(self, number: int, rungs: int, *, passed: int = 0, over: bool = False) -> None:
        curve = self._curve_of(number)
        values = [curve[min(self._until(rung), len(curve)) - 1] for rung in range(rungs)]
        self._bracket.note(number, number, values, passed=passed, over=over)

    def _over(self, number: int, rung: int) -> None:
        """A training has come to its rung, or its end."""
        curve, at = self._curve_of(number), self._ladder.rung(rung)
        ended = at is None or len(curve) < at
        if ended:
            self.ended[number] = curve[-1] if curve else math.nan
        else:
            self._paused[number] = rung
        if at is None or not ended:
            self._note(number, rung + (not ended), passed=rung, over=ended)
        self._tell(number, ended)


@dataclass
class Race(Halving):
    """A search of `trials` configurations. `hears`: whether the sampler is told of what has paused,
    or gone on.
    """

    curve: Curve
    full: int
    factor: int
    sampler: str = "random"
    params: dict[str, Any] = field(
        default_factory=lambda: {"x": {"type": "float", "low": 0, "high": 1}}
    )
    trials: int = 100
    seed: int = 0
    hears: bool = True
    goes_on: Callable[..., bool] = capped

    def __post_init__(self) -> None:
        super().__init__(Ladder(1, self.factor, self.full), self.full, "maximize", self.goes_on)
        self.study = study_of(self.params, self.sampler, self.seed).model_copy(
            update={"direction": "maximize"}
        )
        self._history = History(self.study)
        self._asks = make_sampler(self.study)
        self._open: dict[int, Asked] = {}
        self._curves: dict[int, list[float]] = {}

    def _fresh(self) -> int | None:
        number = len(self._curves)
        if number >= self.trials:
            return None
        question = Question(number, self._history, lambda: [*self._open.values()], self._reached)
        found = self._asks.ask(question)
        assert isinstance(found, Suggestion)
        asked = Asked(study="s", configuration=number, trial=number, repeats=1, params=found.params)
        self._open[number] = asked
        self._curves[number] = self.curve(asked.params, number)
        return number

    def _curve_of(self, number: int) -> list[float]:
        return self._curves[number]

    def _reached(self) -> dict[int, tuple[int, float]]:
        found = {n: self._bracket.reached(n, 99) for n in self._open} if self.hears else {}
        return {number: at for number, at in found.items() if at is not None}

    def _tell(self, number: int, ended: bool) -> None:
        if ended:
            self._count(number, self.full, Outcome.COMPLETE)
        for one, at in [] if ended or self._rule is not capped else [*self._paused.items()]:
            if self._bracket.is_hopeless(one, at, self.trials):
                del self._paused[one]
                self._note(one, at + 1, over=True)
                self._count(one, self._until(at), Outcome.PRUNED)

    def _count(self, number: int, steps: int, outcome: Outcome) -> None:
        value = self._curves[number][steps - 1]
        result = Result(
            outcome=outcome, value=value, metrics={"y": value}, steps=steps, seconds=float(steps)
        )
        trial = trial_of(self.study, self._open.pop(number), number)
        self._history.add(Counted(trial=trial, worker="w", result=result))


def drawn(seed: int, full: int) -> Curve:
    """Each rises evenly to what is drawn, from a start that says something of it, not all."""

    def curve(params: Params, number: int) -> list[float]:
        rng = Random(f"curve {seed} {number}")
        end, other = rng.random(), rng.random()
        begin = (end + other) / 2 - 1
        return [begin + (end - begin) * epoch / full for epoch in range(1, full + 1)]

    return curve


def _error(values: Sequence[float]) -> float:
    return statistics.stdev(values) / math.sqrt(len(values))


def shares(trials: int = 100, seeds: int = 20) -> None:
    """Print what is trained, of all epochs, and how good the best complete one is."""
    rows = []
    for full in (12, 27, 81):
        for factor in (3, 4):
            for name, rule in (("distune", capped), ("the paper's rule", of_the_paper)):
                spent, places = [], []
                for seed in range(seeds):
                    of = drawn(seed, full)
                    race = Race(of, full, factor, seed=seed, trials=trials, goes_on=rule).run()
                    spent.append(100 * race.epochs / (trials * full))
                    best = max(race.ended.values())
                    places.append(1 + sum(of({}, n)[-1] > best for n in range(trials)))
                rows.append(
                    [
                        str(full),
                        str(factor),
                        name,
                        f"{statistics.fmean(spent):.1f} ({min(spent):.0f} to {max(spent):.0f})",
                        f"{statistics.fmean(places):.1f} (+- {_error(places):.1f})",
                    ]
                )
    table(["epochs", "factor", "who goes on", "trained, % of all", "place of the best"], rows)


_SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6},
    "width": {"type": "int", "low": 4, "high": 256, "log": True},
}


def learnt(seed: int, full: int) -> Curve:
    """Each comes near to what its params are good for, the wider the later, with some noise."""
    place = Random(f"place {seed}")
    best = [place.uniform(0.2, 0.8) for _ in _SPACE]

    def curve(params: Params, number: int) -> list[float]:
        rng = Random(f"noise {seed} {number}")
        at = [
            math.log(float(params["lr"] or 0) / 1e-4) / math.log(1e4),
            float(params["momentum"] or 0) / 0.99,
            float(params["dropout"] or 0) / 0.6,
            math.log(float(params["width"] or 0) / 4) / math.log(64),
        ]
        end = -sum((a - b) ** 2 for a, b in zip(at, best, strict=True))
        slow = 0.1 + 0.2 * at[3]
        found = (end - math.exp(-epoch / full / slow) for epoch in range(1, full + 1))
        return [value + rng.gauss(0, 0.005) for value in found]

    return curve


def learning(trials: int = 100, seeds: int = 20) -> None:
    """Print what a sampler finds, if it hears of what has paused, and if it does not."""
    rows = []
    for full in (12, 27, 81):
        for sampler in ("random", "tpe", "cmaes", "nsga2"):
            kinds = [("", False)] if sampler == "random" else [("no", False), ("yes", True)]
            for name, hears in kinds:
                losses, spent = [], []
                for seed in range(seeds):
                    of = learnt(seed, full)
                    race = Race(of, full, 4, sampler, _SPACE, trials, seed, hears).run()
                    losses.append(-max(race.ended.values()))
                    spent.append(100 * race.epochs / (trials * full))
                rows.append(
                    [
                        str(full),
                        sampler,
                        name,
                        f"{statistics.fmean(losses):.4f} (+- {_error(losses):.4f})",
                        f"{statistics.fmean(spent):.1f}",
                    ]
                )
    table(["epochs", "sampler", "hears of paused", "loss of the best", "trained, % of all"], rows)
