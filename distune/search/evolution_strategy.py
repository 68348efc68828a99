"""CMA-ES, by the package `cmaes` (which Optuna uses, too). All it knows follows from the order in
which results were counted: so a master that starts anew tells them again instead of reading a
state, which in Optuna's storages is a pickle, and would run whatever is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from distune.search.drawing import Coordinates, draw, position
from distune.search.ranking import History
from distune.search.sampler import Reached
from distune.search.told import Telling, Told, filled_in, order_of
from distune.study.space import Space
from distune.study.trial import Asked, Scalar

if TYPE_CHECKING:
    from cmaes import CMA

#: A point, and what sorts it among others.
_Ranked = tuple[list[float], tuple[float, ...]]
_SIGMA = 1 / 6  # of a range, at the beginning; Optuna's own choice


class EvolutionStrategy:
    """`follow(history, in_flight, reached)`, then `suggest(seed)`.

    A generation that has been told is not taken back. So what has come to a rung, and may come
    further, is told to a copy, after all that is counted, and is told anew when there is news.

    Args:
        space: of ranges; each parameter that has more than one value is a dimension from 0 to 1.
        size: of a generation; by default what grows with the logarithm of the dimensions.
    """

    def __init__(self, space: Space, size: int | None = None) -> None:
        self._space = space
        self._constants = space.constants
        self._free = {n: spec for n, spec in space.params.items() if n not in self._constants}
        self._size = size
        self._telling = Telling()

    def _begin(self) -> None:
        import numpy as np
        from cmaes import CMA

        dimensions = len(self._free)
        self._cma: CMA = CMA(
            mean=np.full(dimensions, 0.5),
            sigma=_SIGMA,
            bounds=np.tile([0.0, 1.0], (dimensions, 1)),
            n_max_resampling=10 * dimensions,
            seed=0,
            population_size=self._size,
        )
        self._generation: list[_Ranked] = []
        self._reached: dict[int, _Ranked] = {}
        self._ahead: CMA | None = None

    def follow(self, history: History, in_flight: Sequence[Asked], reached: Reached) -> None:
        news = self._telling.follow(history, in_flight, reached)
        if news.anew and self._free:
            self._begin()
        sign = 1.0 if history.study.direction == "minimize" else -1.0
        if not self._free:
            return
        if news.over or news.reached:
            self._ahead = None
        for told in news.over:
            self._reached.pop(told.number, None)
            ranked = self._ranked(told, sign)
            self._generation = _fill(self._cma, self._generation, [ranked] if ranked else [])
        for number, at in news.reached.items():
            self._reached.pop(number, None)
            if at is not None and (ranked := self._ranked(at, sign)):
                self._reached[number] = ranked

    def _ranked(self, told: Told, sign: float) -> _Ranked | None:
        values = filled_in(self._free, told.number, told.params) if told.is_known else None
        if values is None:
            return None
        point = [position(self._free[name], value) for name, value in values.items()]
        return point, order_of(told, sign)

    def _knowing_all(self) -> CMA:
        """What has been told, and on top of that what has come to rungs."""
        if len(self._generation) + len(self._reached) < self._cma.population_size:
            return self._cma
        if self._ahead is None:
            # Asked or not before, it is copied with its matrix rounded alike (P5).
            self._cma.ask()
            self._ahead = deepcopy(self._cma)
            _fill(self._ahead, self._generation, [one for _, one in sorted(self._reached.items())])
        return self._ahead

    def suggest(self, seed: int) -> dict[str, Scalar] | None:
        if not self._free:
            return None
        cma = self._knowing_all()
        cma.reseed_rng(seed)
        point = dict(zip(self._free, map(float, cma.ask()), strict=True))
        chosen: dict[str, Scalar] = {}
        for name, spec in self._space.params.items():
            if spec.is_active(chosen):
                at = point.get(name)
                chosen[name] = (
                    self._constants[name] if at is None else draw(spec, Coordinates([at]))
                )
        return chosen


def _fill(cma: CMA, generation: Sequence[_Ranked], more: Sequence[_Ranked]) -> list[_Ranked]:
    """Tell each generation that is full; what is left is of the next one."""
    import numpy as np

    filling = [*generation]
    for one in more:
        filling.append(one)
        if len(filling) >= cma.population_size:
            # Nothing but their order counts (equation 41 and before).
            ranks = {order: i for i, order in enumerate(sorted({o for _, o in filling}))}
            cma.tell([(np.array(x), float(ranks[order])) for x, order in filling])
            filling = []
    return filling
