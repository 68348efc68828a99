"""CMA-ES, by the package `cmaes` (which Optuna uses, too). All it knows follows from the order in
which results were counted: so a master that starts anew tells them again instead of reading a
state, which in Optuna's storages is a pickle, and would run whatever is in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from distune.search.drawing import Coordinates, draw, position
from distune.search.ranking import History
from distune.search.told import Telling, Told, filled_in
from distune.study.space import Space
from distune.study.trial import Asked, Scalar

if TYPE_CHECKING:
    from cmaes import CMA

_SIGMA = 1 / 6  # of a range, at the beginning; Optuna's own choice


class EvolutionStrategy:
    """`follow(history, in_flight)`, then `suggest(seed)`.

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
        self._generation: list[tuple[list[float], tuple[float, ...]]] = []

    def follow(self, history: History, in_flight: Sequence[Asked]) -> None:
        news = self._telling.follow(history, in_flight)
        if news.anew and self._free:
            self._begin()
        sign = 1.0 if history.study.direction == "minimize" else -1.0
        for told in news.over:
            values = filled_in(self._free, told.number, told.params) if told.is_known else None
            if values:
                point = [position(self._free[name], value) for name, value in values.items()]
                self._generation.append((point, _order(told, sign)))
                self._end_generation()

    def _end_generation(self) -> None:
        import numpy as np

        if len(self._generation) >= self._cma.population_size:
            # Nothing but their order counts (equation 41 and before).
            ranks = {order: i for i, order in enumerate(sorted({o for _, o in self._generation}))}
            self._cma.tell([(np.array(x), float(ranks[order])) for x, order in self._generation])
            self._generation = []

    def suggest(self, seed: int) -> dict[str, Scalar] | None:
        if not self._free:
            return None
        self._cma.reseed_rng(seed)
        point = dict(zip(self._free, map(float, self._cma.ask()), strict=True))
        chosen: dict[str, Scalar] = {}
        for name, spec in self._space.params.items():
            if spec.is_active(chosen):
                at = point.get(name)
                chosen[name] = (
                    self._constants[name] if at is None else draw(spec, Coordinates([at]))
                )
        return chosen


def _order(told: Told, sign: float) -> tuple[float, ...]:
    """What sorts the better first: those with a value, then what breaks a constraint, the nearest
    first, then what was pruned late, then the rest.
    """
    if told.value is not None:
        far = told.violation
        return (0.5, far) if far > 0 else (0.0, sign * told.value)
    if told.pruned:
        steps, value = max(told.pruned)
        return (1.0, -steps, sign * value)
    return (2.0,)
