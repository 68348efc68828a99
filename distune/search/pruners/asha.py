"""Asynchronous successive halving (Li et al., A System for Massively Parallel Hyperparameter
Tuning, MLSys 2020): a trial pauses at each rung, and the best of a rung go on to the next.
"""

from distune.search.racing import Factor, RacingOptions, RacingPruner
from distune.search.rungs import Ladder


class AshaOptions(RacingOptions):
    reduction_factor: Factor = 4  # as Optuna has it, too


class AshaPruner(RacingPruner):
    options = AshaOptions

    def ladders(self, first: float, end: float) -> tuple[list[Ladder], list[int]]:
        return [self.ladder(first, end)], [1]
