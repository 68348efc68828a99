"""Random settings, distributed as Optuna's distributions of the same names are. Pure."""

import math
from collections.abc import Sequence
from random import Random

from distune.study.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Space,
)
from distune.study.trial import Params, Scalar

#: After so many excluded settings in a row there are hardly any others.
_MOST_DRAWS = 10_000
_BELOW_1 = math.nextafter(1.0, 0.0)
_EXACT = 2**53  # integers up to this are floats without loss


class Coordinates(Random):
    """Draws the coordinates of a point, from 0 to 1, one after the other."""

    def __init__(self, point: Sequence[float]) -> None:
        super().__init__(0)
        self._left = iter(point)

    def random(self) -> float:
        return min(max(next(self._left), 0.0), _BELOW_1)

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        assert stop is None
        return int(self.random() * start)


def draw_allowed(
    space: Space, rng: Random, given: Params | None = None
) -> dict[str, Scalar] | None:
    """A setting of `draw_setting` that the space does not exclude; None if there are hardly any."""
    for _ in range(_MOST_DRAWS):
        setting = draw_setting(space, rng, given)
        if not space.excludes(setting):
            return setting
    return None


def draw_setting(space: Space, rng: Random, given: Params | None = None) -> dict[str, Scalar]:
    """One value of each parameter that is there then, of those that are given this one; the space
    may exclude the setting.
    """
    chosen: dict[str, Scalar] = {}
    for name, spec in space.params.items():
        # Drawn even when it is left out: a condition must not shift the others.
        value = draw(spec, rng)
        if spec.is_active(chosen):
            chosen[name] = (given or {}).get(name, value)
    return chosen


def draw(spec: Parameter, rng: Random) -> Scalar:
    """One value."""
    match spec:
        case CategoricalParameter():
            return spec.choices[int(rng.random() * len(spec.choices))]
        case FloatParameter(log=True):
            exponent = rng.uniform(math.log(spec.low), math.log(spec.high))
            return min(max(math.exp(exponent), spec.low), spec.high)
        case FloatParameter(step=float()):
            return spec.at_step(int(rng.random() * spec.steps))
        case FloatParameter():
            return rng.uniform(spec.low, spec.high)
        case IntParameter(log=True) if spec.high > _EXACT:
            # Counted from `low`: near values of that size are one value as floats.
            span = math.log1p((spec.high - spec.low + 1) / (spec.low - 0.5))
            return min(
                spec.low + int((spec.low - 0.5) * math.expm1(rng.random() * span)), spec.high
            )
        case IntParameter(log=True):
            # Each integer owns the half-unit around it on the logarithmic axis.
            exponent = rng.uniform(math.log(spec.low - 0.5), math.log(spec.high + 0.5))
            return min(max(round(math.exp(exponent)), spec.low), spec.high)
        case IntParameter():
            step = spec.step or 1
            count = (spec.high - spec.low) // step + 1
            # A float would never be an odd number of so many steps.
            return spec.low + step * (
                int(rng.random() * count) if count <= _EXACT else rng.randrange(count)
            )


def position(spec: Parameter, value: Scalar) -> float:
    """Where a value of a range lies in it, from 0 to 1: `draw` at this coordinate gives it again,
    but for rounding. Of what has steps, the middle of what gives this one.
    """
    assert not isinstance(spec, CategoricalParameter)
    assert isinstance(value, int | float)
    low, high = float(spec.low), float(spec.high)
    if isinstance(spec, FloatParameter):
        if spec.step is not None:
            return (round((value - low) / spec.step) + 0.5) / spec.steps
        if spec.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return (value - low) / (high - low)
    if spec.log:
        value, low, high = math.log(value), math.log(low - 0.5), math.log(high + 0.5)
        return (value - low) / (high - low)
    step = spec.step or 1
    return ((int(value) - spec.low) // step + 0.5) / ((spec.high - spec.low) // step + 1)
