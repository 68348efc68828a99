"""Covariance matrix adaptation (CMA-ES; Hansen, arXiv:1604.00772): a cloud of settings that moves,
stretches and shrinks. For ranges of numbers, hundreds of trials, and few workers at a time.
"""

from collections.abc import Mapping

from distune.search.evolution_strategy import EvolutionStrategy
from distune.search.learning import LearningSampler, Model, PopulationOptions
from distune.study.space import CategoricalParameter, Parameter


class CmaEsSampler(LearningSampler):
    at_once = 100
    tries = 10
    label = "CMA-ES"
    several = False
    options = PopulationOptions

    @classmethod
    def check_params(cls, params: Mapping[str, Parameter]) -> None:
        for name, spec in params.items():
            if isinstance(spec, CategoricalParameter) and len(spec.choices) > 1:
                raise ValueError(
                    f"params.{name}: CMA-ES searches ranges of numbers, and choices have no order: "
                    'say "sampler": "tpe", or make it a range ("low", "high", "step")'
                )

    def _make_model(self) -> Model:
        return EvolutionStrategy(self._space, self._options.population_size)
