"""A population that evolves, by Optuna's NSGA-II. All it knows follows from the order in which
results were counted, so nothing has to be remembered beside it: where Optuna notes at each trial
which generation it was asked for, here a result counts for the one that is being filled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from distune.search.optuna_bridge import OptunaStudy
from distune.search.ranking import History
from distune.search.sampler import Reached
from distune.search.told import Told, order_of
from distune.study.space import Space
from distune.study.trial import Asked

if TYPE_CHECKING:
    import optuna

_SIZE = 50  # Optuna's own choice


class _Generations(NamedTuple):
    """Those that are counted for the next generation, and the parents of it."""

    filling: list[optuna.trial.FrozenTrial]
    parents: list[optuna.trial.FrozenTrial]


class Population(OptunaStudy):
    """`follow(history, in_flight, reached)`, then `suggest(seed)`.

    What has come to a rung, and may come further, is selected among after all that is counted, and
    anew when there is news.
    """

    def __init__(self, space: Space, size: int | None = None) -> None:
        self._size = size or _SIZE
        super().__init__(space, "NSGAIISampler", {"population_size": self._size})

    def _begin(self, history: History) -> None:
        super()._begin(history)
        self._nsga2 = _nsga2(self._size)
        self._so_far = _Generations([], [])
        self._reached: dict[int, optuna.trial.FrozenTrial] = {}
        self._ahead: _Generations | None = None
        # What sorts those that have one objective, by number: pruned ones have no value to compare.
        self._orders: dict[int, tuple[float, ...]] = {}

    def follow(self, history: History, in_flight: Sequence[Asked], reached: Reached) -> None:
        news = self._telling.follow(history, in_flight, reached)
        if news.anew:
            self._begin(history)
        if news.over or news.reached:
            self._ahead = None
        for told in news.over:
            self._reached.pop(told.number, None)
            trial = self._trial(told)
            if trial is not None:
                self._so_far = self._fill(self._so_far, [trial])
                self._neighbours.add(trial.params, violates=told.is_violating)
        for number, at in news.reached.items():
            self._reached.pop(number, None)
            if at is not None and (trial := self._trial(at)) is not None:
                self._reached[number] = trial

    def _proposed(self, seed: int) -> dict[str, Any] | None:
        """A child; what mutates of it is drawn, as is all of the first generation: that, too, is to
        keep away from what can have no value.
        """
        return {**(self._inner(seed, {}) or {}), **(super()._proposed(seed) or {})} or None

    def _trial(self, told: Told) -> optuna.trial.FrozenTrial | None:
        import optuna

        params = self._inner(told.number, told.params) if told.is_known else None
        if params is None:
            return None
        goals = told.study.goals.values()
        # What was pruned, or can have no value, is worse than all that has one.
        worst = [math.inf if direction == "minimize" else -math.inf for direction in goals]
        trial = optuna.trial.create_trial(
            params=params,
            distributions=self._distributions,
            values=told.goals if told.values else worst,
            constraints=self._constraints(told),
        )
        trial.number = told.number
        if not told.study.objectives:
            sign = 1.0 if told.study.direction == "minimize" else -1.0
            self._orders[told.number] = order_of(told, sign)
        return trial

    def _fill(self, so_far: _Generations, more: Sequence[optuna.trial.FrozenTrial]) -> _Generations:
        """Select parents among each generation that is full and those before; what is left is of
        the next one.
        """
        filling, parents = [*so_far.filling], so_far.parents
        for trial in more:
            filling.append(trial)
            if len(filling) >= self._size:
                population = [*filling, *parents]
                self._rank(population)
                parents = self._nsga2._elite_population_selection_strategy(self._study, population)
                filling = []
        return _Generations(filling, parents)

    def _rank(self, population: Sequence[optuna.trial.FrozenTrial]) -> None:
        """Of one objective nothing but the order counts, and pruned ones have a place in it."""
        if not self._orders:
            return
        sign = -1.0 if self._study.direction.name == "MAXIMIZE" else 1.0
        orders = sorted({self._orders[one.number] for one in population})
        places = {order: float(place) for place, order in enumerate(orders)}
        for one in population:
            one.values = [sign * places[self._orders[one.number]]]

    def _make(self, seed: int) -> Any:
        if self._ahead is None:
            self._ahead = self._fill(self._so_far, [t for _, t in sorted(self._reached.items())])
        self._rank(self._ahead.parents)
        self._nsga2.parents = self._ahead.parents
        # To make another one, which knows no more, takes as long as the rest of an answer.
        self._nsga2._rng.rng.seed(seed)
        return self._nsga2


def _nsga2(size: int) -> Any:
    """Optuna's sampler, but that it is told its parents."""
    import optuna

    class Sampler(optuna.samplers.NSGAIISampler):
        parents: Sequence[optuna.trial.FrozenTrial] = ()

        def get_trial_generation(self, study: Any, trial: Any) -> int:
            return 0

        def get_parent_population(self, study: Any, generation: int) -> Any:
            return self.parents

    return Sampler(seed=0, population_size=size)
