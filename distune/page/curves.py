"""Learning curves as the page draws them: a few of many trials, of each a hundred points. Pure."""

import math
from collections.abc import Sequence

from distune.study.trial import Report

_POINTS = 100

Point = tuple[float, float, float | None]  # step, seconds of training, value


def points(reports: Sequence[Report], metric: str) -> list[Point]:
    """The curve of a metric; of long ones every so many points, the last one among them."""
    every = math.ceil(len(reports) / _POINTS) or 1
    return [
        (float(one.step), one.seconds, one.metrics[metric])
        for one in reports[::-every][::-1]
        if math.isfinite(one.metrics.get(metric, math.nan))
    ]
