"""Hyperband (Li et al., JMLR 2018) of asynchronous successive halvings: brackets that differ in
how far their first rung is, for curves of which the beginning says little.
"""

import math

from distune.search.racing import RacingPruner
from distune.search.rungs import Ladder


class HyperbandPruner(RacingPruner):
    """As many configurations go into each bracket as algorithm 1 there has: of the one whose rungs
    begin with the shortest trainings the most.
    """

    needs_end = True

    def ladders(self, first: float, end: float) -> tuple[list[Ladder], list[int]]:
        factor = self._options.reduction_factor
        # A hair more, so that the logarithm of 9 to the base 3 is 2.
        most = math.floor(math.log(end / first, factor) + 1e-9)
        halvings = range(most, -1, -1)
        ladders = [self.ladder(first * factor ** (most - one), end) for one in halvings]
        return ladders, [math.ceil((most + 1) / (one + 1) * factor**one) for one in halvings]
