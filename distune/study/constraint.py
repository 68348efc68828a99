"""Bounds that a configuration has to keep, and by how much it does not. Pure."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from distune.study.durations import parse_duration
from distune.study.space import Strict

#: Of training: the one metric that distune measures itself, whatever else is called so.
SECONDS = "seconds"

_Bound = Annotated[float, Field(allow_inf_nan=False)]


class Constraint(Strict):
    """What a metric, or `seconds` of training, may be: `{"max": 200000}`."""

    min: _Bound | None = None
    max: _Bound | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError('bounds nothing: write {"max": 200000}, {"min": 0.9}, or both')
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min ({self.min:g}) is greater than max ({self.max:g}): swap them")
        return self

    def __str__(self) -> str:
        ends = ((self.min, "at least"), (self.max, "at most"))
        return " and ".join(f"{words} {end:g}" for end, words in ends if end is not None)

    def broken_by(self, value: float) -> tuple[float, str, float] | None:
        """By how much a value is outside, of which bound (`max`), and what that is; None if it is
        not. What is not a number is outside by infinity.
        """
        excess = self.excess(value)
        if excess <= 0:
            return None
        over = self.max is not None and not value <= self.max
        bound = self.max if over else self.min
        assert bound is not None
        return excess, "max" if over else "min", bound

    def excess(self, value: float) -> float:
        """By how much a value is outside; how far it is inside, below 0. What is no number is
        outside by infinity.
        """
        outside = [value - self.max] if self.max is not None else []
        outside += [self.min - value] if self.min is not None else []
        most = math.nan if math.isnan(value) else max(outside)
        return math.inf if math.isnan(most) else most

    @property
    def scale(self) -> float:
        """What excesses are measured by, so that those of unlike metrics can be added up."""
        return max(abs(bound) for bound in (self.min, self.max) if bound is not None) or 1.0


def _with_durations(given: Any) -> Any:
    """Of `seconds`, a bound may be a duration: `{"max": "30s"}`."""
    bounds = given.get(SECONDS) if isinstance(given, Mapping) else None
    if not isinstance(bounds, Mapping):
        return given
    read = {k: parse_duration(v) if isinstance(v, str) else v for k, v in bounds.items()}
    return {**given, SECONDS: read}


#: By the name of a metric.
Constraints = Annotated[dict[str, Constraint], BeforeValidator(_with_durations)]
