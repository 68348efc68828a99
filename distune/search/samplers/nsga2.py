"""A genetic algorithm (NSGA-II, Deb et al., IEEE TEC 6, 2002; Optuna's): the better half of what
was tried is crossed. It needs hundreds of trials, and takes any number of workers.
"""

from distune.search.genetic import Population
from distune.search.learning import LearningSampler, Model, PopulationOptions


class Nsga2Sampler(LearningSampler):
    at_once = 100
    tries = 10
    label = "NSGA-II"
    options = PopulationOptions

    def _make_model(self) -> Model:
        return Population(self._space, self._options.population_size)
