"""Optuna's `ThresholdPruner`: a training whose metric leaves its bounds, or is no number, stops."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from distune.search.pruning import Curve, Peers, Point, Pruner, Stop, WhenOptions, place_of, shown

_Bound = Annotated[float, Field(strict=False)]


class _Options(WhenOptions):
    lower: _Bound | None = None
    upper: _Bound | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.lower is None and self.upper is None:
            raise ValueError('say which: {"name": "threshold", "upper": 10.0}, or "lower"')
        if self.lower is not None and self.upper is not None and self.lower > self.upper:
            raise ValueError(f"lower ({self.lower:g}) is greater than upper ({self.upper:g})")
        return self


class ThresholdPruner(Pruner):
    options = _Options

    def judge(self, curve: Curve, peers: Peers) -> Stop | None:
        warmup, interval = self._options.n_warmup_steps, self._options.interval_steps
        for point in curve.points:
            judged = point.step > warmup and (point.step - warmup - 1) % interval == 0
            problem = self._problem(point) if judged else None
            if problem is not None:
                return Stop(f"{place_of(curve, point.step)}: {problem}")
        return None

    def _problem(self, point: Point) -> str | None:
        lower, upper = self._options.lower, self._options.upper
        if math.isnan(point.value):
            return "not a number"
        if lower is not None and point.value < lower:
            return f"{shown(point.value)}, below {shown(lower)}"
        if upper is not None and point.value > upper:
            return f"{shown(point.value)}, above {shown(upper)}"
        return None

    def never(self, trials: int | None, steps: int | None) -> str | None:
        warmup = self._options.n_warmup_steps
        if steps is not None and warmup >= steps:
            return f"n_warmup_steps ({warmup}) are all {steps} steps of a training"
        return None
