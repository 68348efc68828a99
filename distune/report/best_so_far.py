"""The best value so far, and where it would be in other orders of the same trials. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from distune.study.trial import Direction, better

ORDERS = 1000
#: Shares of the orders that have not got further: the median, and what the bands lie between.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_POINTS = 200
LINEAR = 100  # trials; of more, the first ones need more room than the last ones


def best_so_far(values: Iterable[float], direction: Direction) -> list[float]:
    """The best of the first 1, 2, ... values; NaN as long as none is finite."""

    def the_better(best: float, one: float) -> float:
        return one if better(one, best, direction) else best

    return list(accumulate(values, the_better))


def random_orders(trials: int, count: int = ORDERS, seed: int = 0) -> Iterable[NDArray[np.int64]]:
    """`count` orders of so many trials, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    return (rng.permutation(trials) for _ in range(count))


@dataclass(frozen=True)
class Band:
    """Where the best so far stands, over many orders of the same trials.

    Attributes:
        at: after how many trials, or seconds.
        quantiles: for each of LEVELS, the value that this share of the orders has not
            surpassed; NaN where so many have none yet.
    """

    at: list[float]
    quantiles: list[list[float]]


def bands(
    values: Sequence[float],
    seconds: Sequence[float],
    direction: Direction,
    orders: Iterable[NDArray[np.int64]],
) -> tuple[Band, Band]:
    """The best so far over those orders: against trials made, and against training time spent.

    Args:
        values: of the trials, NaN for those that have none; they cost a trial and their time.
        seconds: of training.
        direction: of the metric.
        orders: permutations of the trials' indices.
    """
    sign = 1.0 if direction == "maximize" else -1.0
    given = np.asarray(values, dtype=float)
    score = np.where(np.isfinite(given), sign * given, -np.inf)
    cost = np.asarray(seconds, dtype=float)
    space = np.geomspace if len(given) > LINEAR else np.linspace
    places = np.unique(space(1, len(given), _POINTS).round().astype(int))
    first = min((second for second in seconds if second > 0), default=0.0)
    times = space(first, float(cost.sum()), _POINTS) if first else np.zeros(1)
    by_trial, by_time = [], []
    for order in orders:
        best = np.maximum.accumulate(score[order])
        by_trial.append(best[places - 1])
        # As many trials as have ended by then; before the first there is no value.
        ended = np.searchsorted(np.cumsum(cost[order]) * (1 - 1e-12), times, side="right")
        by_time.append(np.concatenate(([-np.inf], best))[ended])
    return _band(places, by_trial, sign), _band(times, by_time, sign)


def _band(at: NDArray[np.generic], rows: list[NDArray[np.float64]], sign: float) -> Band:
    # Not interpolated: half way to "no value yet" is no value.
    levels = np.quantile(np.stack(rows), LEVELS, axis=0, method="inverted_cdf")
    shown = np.where(np.isfinite(levels), sign * levels, np.nan)
    return Band([float(x) for x in at], [list(map(float, row)) for row in shown])
