"""Asynchronous successive halving (Li et al., A System for Massively Parallel Hyperparameter
Tuning, MLSys 2020): a trial pauses at each rung, and the best of a rung go on to the next.
"""

from distune.search.racing import RacingPruner
from distune.search.rungs import Ladder


class AshaPruner(RacingPruner):
    def ladders(self, end: float) -> tuple[list[Ladder], list[int]]:
        return [self.ladder(self._options.min_resource, end)], [1]
