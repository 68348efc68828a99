"""Which of what was tried lies nearest to a setting, and whether that could have a value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distune.search.drawing import position
from distune.study.space import CategoricalParameter, Parameter

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

_APART = 0.5**0.5  # on each of two axes: two choices are as far apart as the ends of a range


class Neighbours:
    """`Neighbours(free)`, `add(values, violates=...)`, then `violates(values)`.

    Args:
        free: the parameters that vary; `values` has one for each of them, of a choice its place.
    """

    def __init__(self, free: Mapping[str, Parameter]) -> None:
        self._free = free
        self._waiting: list[Mapping[str, Any]] = []  # nobody has asked since they came
        self._points: NDArray[float64] | None = None
        self._violating: list[bool] = []

    def add(self, values: Mapping[str, Any], *, violates: bool) -> None:
        self._waiting.append(values)
        self._violating.append(violates)

    def violates(self, values: Mapping[str, Any]) -> bool:
        """Whether the nearest of those that were added does; of two equally near the first."""
        import numpy as np

        if not any(self._violating):
            return False
        if self._waiting:
            known = [] if self._points is None else [self._points]
            self._points = np.concatenate([*known, [self._point(one) for one in self._waiting]])
            self._waiting = []
        assert self._points is not None
        distances = np.square(self._points - np.array(self._point(values))).sum(axis=1)
        return self._violating[int(distances.argmin())]

    def _point(self, values: Mapping[str, Any]) -> list[float]:
        found: list[float] = []
        for name, spec in self._free.items():
            if isinstance(spec, CategoricalParameter):
                found += [_APART * (values[name] == place) for place in range(len(spec.choices))]
            else:
                found.append(position(spec, values[name]))
        return found
