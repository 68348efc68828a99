"""Random search (Bergstra and Bengio, JMLR 13, 2012): independent draws."""

import math
from collections.abc import Sequence
from random import Random

from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion
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
_EXACT = 2**53  # integers up to this are floats without loss


class RandomSampler(SpaceSampler):
    """Configuration *i* is drawn by a generator seeded with (seed, i), whatever came before;
    again, as long as the space excludes it.
    """

    endless = True
    exchangeable = True
    label = "random search"
    size = None

    def __init__(self, space: Space, seed: int, settings: Sequence[Params] | None = None) -> None:
        self._space = space
        self._seed = seed

    def ask(self, question: Question) -> Suggestion | Nothing:
        # Seeding from a string is defined by its SHA-512: the same on every platform.
        seed = f"distune {self._seed} {question.number}"
        rng = Random(seed)
        for _ in range(_MOST_DRAWS):
            setting = self._draw(rng)
            if not self._space.excludes(setting):
                return Suggestion(setting, state={"seed": seed})
        return Nothing.NO_MORE

    def _draw(self, rng: Random) -> dict[str, Scalar]:
        chosen: dict[str, Scalar] = {}
        for name, spec in self._space.params.items():
            # Drawn even when it is left out: a condition must not shift the others.
            value = draw(spec, rng)
            if self._space.params[name].is_active(chosen):
                chosen[name] = value
        return chosen


def draw(spec: Parameter, rng: Random) -> Scalar:
    """One value, distributed as Optuna's distributions of the same name are."""
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
