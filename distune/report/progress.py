"""The best value so far over reshuffled orders of the same trials. Pure."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distune.report.study_data import StudyData, spent, value_of
from distune.search.goals import keeps_constraints
from distune.search.staged import make_sampler
from distune.study.trial import Direction

ORDERS = 1000
#: Shares of the orders that have not got further: the median, and what the bands lie between.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_POINTS = 200
LINEAR = 100  # trials; of more, the first ones need more room than the last ones
_FEWEST = 3  # trials whose order can be shuffled


def best_so_far(values: Sequence[float], direction: Direction) -> list[float]:
    """The best of the first 1, 2, ... values; NaN as long as none is finite."""
    best = np.fmax if direction == "maximize" else np.fmin
    found: list[float] = best.accumulate(np.where(np.isfinite(values), values, np.nan)).tolist()
    return found


def values_of(data: StudyData) -> list[float]:
    """What the trials reached, as they were counted; NaN for those that can win nothing."""
    study = data.study
    kept = [keeps_constraints(study, one.result) for one in data.trials]
    return [
        value_of(one) if fine else math.nan for one, fine in zip(data.trials, kept, strict=True)
    ]


def random_orders(trials: int, count: int = ORDERS, seed: int = 0) -> Iterable[NDArray[np.int64]]:
    """`count` orders of so many trials, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    return (rng.permutation(trials) for _ in range(count))


#: Where the best so far stands, over many orders of the same trials: for each of LEVELS, the value
#: that this share of the orders has not surpassed; NaN where so many have none yet.
Quantiles = list[list[float]]


def spaced(low: float, high: float, trials: int) -> NDArray[np.float64]:
    """Where a band of so many trials is worked out."""
    return (np.geomspace if trials > LINEAR else np.linspace)(low, high, _POINTS)


def band(
    values: Sequence[float],
    costs: Sequence[float],
    direction: Direction,
    orders: Iterable[NDArray[np.int64]],
    at: NDArray[np.float64],
) -> Quantiles:
    """The best so far over those orders.

    Args:
        values: of the trials, NaN for those that have none; they cost as much as others.
        costs: of the trials: seconds of training, or 1 for each.
        direction: of the metric.
        orders: permutations of the trials' indices.
        at: which sums of costs.
    """
    sign = 1.0 if direction == "maximize" else -1.0
    score = np.where(np.isfinite(values), sign * np.asarray(values, dtype=float), -np.inf)
    cost = np.asarray(costs, dtype=float)
    rows = []
    for order in orders:
        best = np.concatenate(([-np.inf], np.maximum.accumulate(score[order])))
        # As many trials as have ended by then; before the first there is no value.
        rows.append(best[np.searchsorted(np.cumsum(cost[order]) * (1 - 1e-12), at, side="right")])
    # Not interpolated: half way to "no value yet" is no value.
    levels = np.quantile(np.stack(rows), LEVELS, axis=0, method="inverted_cdf")
    quantiles: Quantiles = np.where(np.isfinite(levels), sign * levels, np.nan).tolist()
    return quantiles


def bands_of(data: StudyData) -> dict[str, Any] | None:
    """Over trials and over seconds of training: where (`x`), and the `quantiles` there, as `band`
    has them. None where the order of the trials was no chance, or they are too few.
    """
    values = values_of(data)
    known = any(map(math.isfinite, values))
    if not known or not make_sampler(data.study).exchangeable or len(values) < _FEWEST:
        return None
    count, direction = len(values), data.study.direction
    places = np.unique(spaced(1, count, count).round())
    seconds = [spent(one) for one in data.trials]
    first = min((second for second in seconds if second > 0), default=0.0)
    times = spaced(first, sum(seconds), count) if first else np.zeros(1)

    def over(costs: Sequence[float], at: NDArray[np.float64]) -> dict[str, Any]:
        found = band(values, costs, direction, random_orders(count), at)
        return {"x": at.tolist(), "quantiles": found}

    return {"trials": over([1.0] * count, places), "training": over(seconds, times)}
