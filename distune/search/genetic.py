"""A population that evolves, by Optuna's NSGA-II. All it knows follows from the order in which
results were counted, so nothing has to be remembered beside it: where Optuna notes at each trial
which generation it was asked for, here a result counts for the one that is being filled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distune.search.optuna_bridge import OptunaStudy
from distune.search.ranking import History
from distune.search.told import Told
from distune.study.space import Space
from distune.study.trial import Asked

if TYPE_CHECKING:
    import optuna

_SIZE = 50  # Optuna's own choice


class Population(OptunaStudy):
    """`follow(history, in_flight)`, then `suggest(seed)`, once a first generation is counted."""

    def __init__(self, space: Space, size: int | None = None) -> None:
        self._size = size or _SIZE
        super().__init__(space, "NSGAIISampler", {"population_size": self._size})

    def _begin(self, history: History) -> None:
        super()._begin(history)
        self._filling: list[optuna.trial.FrozenTrial] = []  # the generation
        self._parents: list[optuna.trial.FrozenTrial] = []

    def follow(self, history: History, in_flight: Sequence[Asked]) -> None:
        news = self._telling.follow(history, in_flight)
        if news.anew:
            self._begin(history)
        goals = history.study.goals.values()
        worst = [math.inf if direction == "minimize" else -math.inf for direction in goals]
        for told in news.over:
            # What was pruned, or can have no value, is worse than all that has one.
            goal = told.goals if told.values else worst
            values = self._inner(told.number, told.params) if told.is_known else None
            if values is not None:
                self._fill(told, values, goal)

    def _fill(self, told: Told, params: dict[str, Any], goals: list[float]) -> None:
        import optuna

        trial = optuna.trial.create_trial(
            params=params,
            distributions=self._distributions,
            values=goals,
            constraints=self._constraints(told),
        )
        trial.number = told.number
        self._filling.append(trial)
        if len(self._filling) >= self._size:
            select = self._make(0).select_among
            self._parents = select(self._study, self._filling + self._parents)
            self._filling = []

    def _make(self, seed: int) -> Any:
        import optuna

        parents = self._parents

        class Sampler(optuna.samplers.NSGAIISampler):
            """One that is told its parents."""

            def get_trial_generation(self, study: Any, trial: Any) -> int:
                return 0

            def get_parent_population(self, study: Any, generation: int) -> Any:
                return parents

            def select_among(self, study: Any, population: Any) -> Any:
                return self._elite_population_selection_strategy(study, population)

        return Sampler(seed=seed, population_size=self._size)
