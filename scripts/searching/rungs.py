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
from typing import Any

from distune.search.asked import trial_of
from distune.search.ranking import History
from distune.search.rungs import Bracket, Ladder, Standing
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.study.trial import Asked, Counted, Outcome, Params, Result
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


@dataclass
class Race:
    """A search of `trials` configurations with ten workers.

    Attributes:
        hears: whether the sampler is told of what has paused, or gone on.
        goes_on: which of those that have paused do.
        epochs: that were trained.
        ended: configurations that were trained to their end, and what they reached.
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
    epochs: int = 0
    ended: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.study = study_of(self.params, self.sampler, self.seed).model_copy(
            update={"direction": "maximize"}
        )
        self._history = History(self.study)
        self._asks = make_sampler(self.study)
        self._ladder = Ladder(1, self.factor, self.full)
        self._bracket = Bracket(self._ladder, 1, "maximize")
        self._asked: dict[int, Asked] = {}
        self._open: dict[int, Asked] = {}
        self._curves: dict[int, list[float]] = {}
        self._paused: dict[int, int] = {}  # by configuration, the rung

    def run(self) -> Race:
        now, running = 0.0, list[tuple[float, int, int]]()
        while True:
            while len(running) < _WORKERS and (found := self._next(last=not running)) is not None:
                number, rung = found
                before = int(self._ladder.rung(rung - 1) or 0) if rung else 0
                until = int(self._ladder.rung(rung) or self.full)
                self.epochs += until - before
                heapq.heappush(running, (now + until - before, number, rung))
            if not running:
                return self
            now, number, rung = heapq.heappop(running)
            self._over(number, rung)

    def _next(self, *, last: bool) -> tuple[int, int] | None:
        """The configuration that is trained next, and to which rung."""
        if len(self._asked) < self.trials:
            last = False
        found = []
        for number, rung in self._paused.items():
            standing = self._bracket.standing(number, rung)
            if standing is not None and self.goes_on(standing, self.factor, last=last):
                found.append((-rung, standing.place, number))
        if found:
            rung, _, number = min(found)
            del self._paused[number]
            self._note(number, 1 - rung, passed=1 - rung)
            return number, 1 - rung
        return (self._ask(), 0) if len(self._asked) < self.trials else None

    def _ask(self) -> int:
        number = len(self._asked)
        question = Question(number, self._history, lambda: [*self._open.values()], self._reached)
        found = self._asks.ask(question)
        assert isinstance(found, Suggestion)
        asked = Asked(study="s", configuration=number, trial=number, repeats=1, params=found.params)
        self._asked[number] = self._open[number] = asked
        self._curves[number] = self.curve(asked.params, number)
        return number

    def _reached(self) -> dict[int, tuple[int, float]]:
        found = {n: self._bracket.reached(n, 99) for n in self._open} if self.hears else {}
        return {number: at for number, at in found.items() if at is not None}

    def _note(self, number: int, rungs: int, *, passed: int = 0, over: bool = False) -> None:
        places = (self._ladder.rung(place) for place in range(rungs))
        values = [self._curves[number][int(at or 0) - 1] for at in places]
        self._bracket.note(number, number, values, passed=passed, over=over)

    def _over(self, number: int, rung: int) -> None:
        """A training has come to its rung, or its end."""
        if self._ladder.rung(rung) is None:
            self.ended[number] = self._curves[number][-1]
            self._note(number, rung, passed=rung, over=True)
            self._count(number, self.full, Outcome.COMPLETE)
            return
        self._note(number, rung + 1, passed=rung)
        self._paused[number] = rung
        for one, at in [*self._paused.items()]:
            if self.goes_on is capped and self._bracket.is_hopeless(one, at, self.trials):
                del self._paused[one]
                self._note(one, at + 1, over=True)
                self._count(one, int(self._ladder.rung(at) or 0), Outcome.PRUNED)

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
