"""How much of full training successive halving needs, on real curves (`make_curves.py`)."""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import optuna

from distune.search.pruners import PRUNERS
from distune.search.pruners.asha import AshaPruner
from distune.search.pruning import Curve, Peers, Point
from distune.search.rungs import Ladder
from distune.study.trial import Scalar, Trial
from scripts.benching import table as print_table
from scripts.make_curves import Table, read
from scripts.searching.rungs import Halving

#: Pruners that stop, with their options.
_STOPPING: dict[str, tuple[str, dict[str, Scalar]]] = {
    "median": ("median", {}),
    "median, n_warmup_steps 3": ("median", {"n_warmup_steps": 3}),
    "percentile 25": ("percentile", {"percentile": 25.0}),
    "patience 5": ("patience", {"patience": 5}),
}
#: Of each row: a table, how many epochs are all, and whether only constant learning rates are
#: looked at: of these alone is a shorter training the beginning of a longer one.
ROWS = (
    ("spirals", 12, True),
    ("digits", 12, True),
    ("house-prices", 12, True),
    ("spirals", 27, True),
    ("digits", 27, False),
    ("house-prices", 27, False),
    ("spirals", 81, False),
)


@dataclass(frozen=True)
class Search:
    """What a search of some settings has come to."""

    best: tuple[int, ...]  # the setting that it takes; of equal ones any
    epochs: int  # that it has trained


@dataclass(frozen=True)
class Replay:
    """Settings in the order in which they are tried, each with the seed that it is trained with."""

    table: Table
    full: int  # epochs
    order: Sequence[int]
    seeds: dict[int, int]

    def curve(self, number: int) -> list[float]:
        """The best so far, after each epoch: shorter if the training diverged."""
        return self.best_so_far(number, self.seeds[number])

    def best_so_far(self, number: int, seed: int) -> list[float]:
        best = max if self.table.direction == "maximize" else min
        return list(itertools.accumulate(self.table.curves[number, seed][: self.full], best))

    def worse(self, value: float) -> float:
        """The larger, the worse."""
        return -value if self.table.direction == "maximize" else value

    def after(self, number: int, epochs: int) -> float:
        """How bad it is then; where it diverged before, as bad as it was last."""
        curve = self.curve(number)[:epochs]
        return self.worse(curve[-1]) if curve else math.inf

    def other(self, number: int) -> float:
        """How bad a setting is after full training with another seed."""
        curve = self.best_so_far(number, 1 - self.seeds[number])
        return self.worse(curve[-1]) if curve else self.worse(self.curve(number)[-1])

    def truth(self, search: Search) -> float:
        """The same of what a search takes."""
        return statistics.fmean(map(self.other, search.best))

    def best_of(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """The best of these after full training."""
        ends = {number: self.after(number, self.full) for number in numbers}
        return tuple(number for number, end in ends.items() if end == min(ends.values()))

    def seconds(self, number: int) -> float:
        """Of an epoch."""
        key = number, self.seeds[number]
        return self.table.seconds[key] / max(1, len(self.table.curves[key]))

    def in_full(self, numbers: Sequence[int], before: int = 0, epochs: int = 0) -> Search:
        """All of these trained to the end, of which they have had `epochs` each before."""
        cost = sum(max(1, len(self.curve(one))) - epochs for one in numbers)
        return Search(self.best_of(numbers), before + cost)


class Replayed(Halving):
    """The same settings, halved."""

    def __init__(self, replay: Replay, lowest: int, factor: int) -> None:
        direction = replay.table.direction
        super().__init__(Ladder(lowest, factor, replay.full), replay.full, direction)
        self._replay, self._left = replay, iter(replay.order)

    def _fresh(self) -> int | None:
        return next(self._left, None)

    def _curve_of(self, number: int) -> list[float]:
        return self._replay.curve(number)

    def _seconds_of(self, number: int) -> float:
        return self._replay.seconds(number)


def asha(replay: Replay, lowest: int, factor: int) -> Search:
    """Asynchronous successive halving, by distune's own rungs."""
    race = Replayed(replay, lowest, factor).run()
    complete = [one for one in race.ended if len(replay.curve(one)) == replay.full]
    return Search(replay.best_of(complete or replay.order), race.epochs)


def first_rung(full: int) -> int:
    """distune's own choice."""
    return int(AshaPruner("maximize", {}).first(full, None))


def one_epoch_then_the_best(replay: Replay, budget: int) -> Search:
    """One epoch each, then as many of the best in full as a budget has room for; five at least."""
    first = sorted(replay.order, key=lambda one: replay.after(one, 1))
    used = len(replay.order)
    some: list[int] = []
    for number in first:
        cost = max(1, len(replay.curve(number))) - 1
        if len(some) >= 5 and used + cost > budget:
            break
        used += cost
        some.append(number)
    return Search(replay.in_full(some).best, used)


def some_in_full(replay: Replay, budget: int) -> Search:
    """Random search: as many in full as the budget is enough for."""
    lengths = itertools.accumulate(max(1, len(replay.curve(one))) for one in replay.order)
    count = max(1, sum(length <= budget for length in lengths))
    return replay.in_full(replay.order[:count])


def optunas(replay: Replay, factor: int) -> Search:
    """Optuna's own pruner, which stops; one after the other."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(
        min_resource=1, reduction_factor=factor, min_early_stopping_rate=0
    )
    study = optuna.create_study(direction=replay.table.direction, pruner=pruner)
    used, complete = 0, []
    for number in replay.order:
        trial = study.ask()
        curve = replay.curve(number)
        for epoch, value in enumerate(curve, 1):
            used += 1
            trial.report(value, epoch)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(
                trial,
                curve[-1] if curve else None,
                state=None if curve else optuna.trial.TrialState.FAIL,
            )
            complete.append(number)
    return Search(replay.best_of(complete or replay.order[:1]), used)


def stopped(replay: Replay, pruner: str, options: dict[str, Scalar]) -> Search:
    """One of distune's pruners that stop, one training after the other."""
    rule = PRUNERS[pruner](replay.table.direction, options)
    counted: list[Curve] = []
    used, ends = 0, []
    for number in replay.order:
        raw = replay.table.curves[number, replay.seeds[number]]
        trial = Trial(study="s", number=number, attempt=1, configuration=number, params={})
        points: list[Point] = []
        kept = True
        for epoch, stands in enumerate(replay.curve(number), 1):
            used += 1
            points.append(Point(epoch, float(epoch), raw[epoch - 1], stands))
            stop = rule.judge(Curve(trial, [*points]), Peers(counted))
            if stop is not None:
                kept = stop.complete
                break
        counted.append(Curve(trial, points, complete=kept))
        if kept and points:
            ends.append((replay.worse(points[-1].standing), number))
    best = min(ends)[0] if ends else math.inf
    return Search(tuple(n for end, n in ends if end == best) or (replay.order[0],), used)


def replays(table: Table, full: int, constant: bool, count: int, seeds: int) -> Iterator[Replay]:
    """Searches of so many of a table's settings, drawn anew for each seed."""
    numbers = sorted({n for n, _ in table.curves if {(n, 0), (n, 1)} <= table.curves.keys()})
    if constant:
        numbers = [n for n in numbers if table.params(n)["schedule"] == "constant"]
    for seed in range(seeds):
        rng = random.Random(f"fidelity {table.name} {seed}")
        order = rng.sample(numbers, min(count, len(numbers)))
        yield Replay(table, full, order, {n: rng.randrange(2) for n in order})


def deviation(replays: Sequence[Replay]) -> float:
    """Of one setting's values over seeds, among the best tenth."""
    squares: list[float] = []
    for replay in replays:
        ends = [(replay.after(number, replay.full), number) for number in replay.order]
        best = sorted(ends)[: max(1, len(ends) // 10)]
        squares += ((value - replay.other(number)) ** 2 / 2 for value, number in best)
    return math.sqrt(statistics.fmean(squares))


def fidelity(count: int = 100, seeds: int = 20, factor: int = 4) -> None:
    """Print the table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows: list[list[str]] = []
    for name, full, constant in ROWS:
        found = list(replays(read(name), full, constant, count, seeds))
        if not found or not found[0].order:
            continue
        rows += _rows(name, found, factor)
    head = ["curves", "settings", "search", "epochs, % of all", "worse than full training, in sd"]
    print_table(head, rows)


def _rows(name: str, found: Sequence[Replay], factor: int) -> Iterator[list[str]]:
    sd = deviation(found)
    full = [replay.in_full(replay.order) for replay in found]
    halved = [asha(replay, first_rung(replay.full), factor) for replay in found]
    budgets = [one.epochs for one in halved]
    searches: dict[str, list[Search]] = {
        "asha": halved,
        "one epoch, then the best in full": [
            one_epoch_then_the_best(r, b) for r, b in zip(found, budgets, strict=True)
        ],
        "as many in full": [some_in_full(r, b) for r, b in zip(found, budgets, strict=True)],
        "Optuna's SuccessiveHalvingPruner": [optunas(r, factor) for r in found],
        **{
            label: [stopped(r, pruner, options) for r in found]
            for label, (pruner, options) in _STOPPING.items()
        },
    }
    for search, some in searches.items():
        worse = [
            (replay.truth(one) - replay.truth(all_)) / sd
            for replay, one, all_ in zip(found, some, full, strict=True)
        ]
        share = [100 * one.epochs / all_.epochs for one, all_ in zip(some, full, strict=True)]
        error = statistics.stdev(worse) / math.sqrt(len(worse))
        yield [
            f"{name}, {found[0].full} epochs",
            str(len(found[0].order)),
            search,
            f"{statistics.fmean(share):.1f}",
            f"{statistics.fmean(worse):.2f} ({error:.2f})",
        ]
