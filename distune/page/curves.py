"""Learning curves as the page draws them: a few of many trials, of each a hundred points. Pure."""

import math
import random
from collections.abc import Sequence

from distune.search.ranking import History
from distune.study.trial import Counted, Report

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


def sample(history: History, best: int, others: int) -> list[Counted]:
    """All trials; if there are many, so many of the best configurations and so many of the others,
    drawn at random, always the same ones.
    """
    chosen = list(history.standing)
    if len(chosen) > best + others:
        ranked = [one for found in history.ranking(best) for one in found.trials][:best]
        numbers = {one.trial.number for one in ranked}
        rest = [one for one in chosen if one.trial.number not in numbers]
        rest.sort(key=lambda one: one.trial.number)
        chosen = ranked + random.Random(0).sample(rest, others)
    return sorted(chosen, key=lambda one: one.trial.number)
