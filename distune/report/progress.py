"""Section: the best value so far, against trials and against time. Pure."""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distune.report.blocks import Paragraph, Plot, Row, Section
from distune.report.plotting import PlotlyFigure, axis, figure, lines, scale
from distune.report.study_data import StudyData, spent, value_of
from distune.search.goals import keeps_constraints
from distune.search.staged import make_sampler
from distune.study.trial import Direction
from distune.watch.display.numbers import duration, format_value, plural
from distune.watch.display.text import clean

ORDERS = 1000
#: Shares of the orders that have not got further: the median, and what the bands lie between.
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_POINTS = 200
LINEAR = 100  # trials; of more, the first ones need more room than the last ones


def best_so_far(values: Sequence[float], direction: Direction) -> list[float]:
    """The best of the first 1, 2, ... values; NaN as long as none is finite."""
    best = np.fmax if direction == "maximize" else np.fmin
    found: list[float] = best.accumulate(np.where(np.isfinite(values), values, np.nan)).tolist()
    return found


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


_Shuffled = tuple[NDArray[np.float64], Quantiles]  # at which sums of costs, and what is there
_FEWEST = 3  # trials whose order can be shuffled


def section(data: StudyData) -> Section | None:
    trials = data.trials
    kept = [keeps_constraints(data.study, one.result) for one in trials]
    values = [value_of(one) if fine else math.nan for one, fine in zip(trials, kept, strict=True)]
    if not any(map(math.isfinite, values)):
        return None
    direction = data.study.direction
    seconds = [spent(one) for one in trials]
    best = best_so_far(values, direction)
    counts = [float(i) for i in range(1, len(trials) + 1)]
    training = list(accumulate(seconds))
    over_trials = over_time = None
    if make_sampler(data.study).exchangeable and len(trials) >= _FEWEST:
        places = np.unique(spaced(1, len(trials), len(trials)).round())
        ones = [1.0] * len(trials)
        orders = random_orders(len(trials))
        over_trials = places, band(values, ones, direction, orders, places)
        first = min((second for second in seconds if second > 0), default=0.0)
        times = spaced(first, training[-1], len(trials)) if first else np.zeros(1)
        orders = random_orders(len(trials))
        over_time = times, band(values, seconds, direction, orders, times)
    metric = data.study.metric
    summed = _figure(data, training, best, over_time, "training time, summed, s")
    time_figures = {"seconds of training": summed}
    known = [one.elapsed for one in trials if one.elapsed is not None]
    if len(known) == len(trials):
        ran = _figure(data, known, best, None, "time the study had run, s")
        time_figures["time the study ran"] = ran
    against_trials = Plot(
        "Against trials",
        {"": _figure(data, counts, best, over_trials, "trials")},
        f"Best {metric} so far against the number of trials: {format_value(best[-1])} after "
        f"{len(trials)}.",
        _caption(over_trials is not None, all(kept)),
    )
    against_time = Plot(
        "Against time",
        time_figures,
        f"Best {metric} so far against time: {format_value(best[-1])} after "
        f"{duration(training[-1])} of training.",
        "Training time is summed over the trials, as if one worker had trained one after the "
        "other. The time the study ran is its master's, with all its workers; a trial stands "
        "where it was counted.",
        choice="time",
    )
    row = Row([against_trials, against_time])
    return Section("search", "How the search went", [Paragraph(_words(data, best)), row])


def _words(data: StudyData, best: Sequence[float]) -> str:
    metric = clean(data.study.metric)
    last = next(i for i, value in enumerate(best) if value == best[-1])
    number, elapsed = data.trials[last].trial.number, data.trials[last].elapsed
    at = "" if elapsed is None else f", when the study had run for {duration(elapsed)}"
    return (
        f"The best single trial has {metric} {format_value(best[-1])}: trial {number}, "
        f"which was number {last + 1} of the {plural(len(best), 'trial')} counted{at}."
    )


def _caption(shuffled: bool, all_feasible: bool) -> str:
    line = (
        "Line: the best value of a single trial so far, in the order in which they were counted. "
        "Failed, diverged and stopped trials count as trials and have no value."
    )
    if not all_feasible:
        line += " So do those that break a constraint."
    shuffle = (
        f" The order of a random search is chance. So: dashed, the median over {ORDERS:,} "
        "reshuffled orders of the same trials; dark band, half of these orders; light band, nine "
        "in ten."
    )
    return line + shuffle if shuffled else line


def _figure(
    data: StudyData, at: Sequence[float], best: Sequence[float], shuffled: _Shuffled | None, x: str
) -> PlotlyFigure:
    traces = [] if shuffled is None else _band_traces(*shuffled)
    line = {"color": "@1", "width": 2.5, "shape": "hv"}
    traces.append(lines(*_corners(at, best), name="as it happened", line=line))
    y = axis(data.study.metric, **scale(list(data.values.values()), data.study.direction))
    many = len(data.history) > LINEAR and at[0] > 0
    return figure(traces, axis(x, **({"type": "log"} if many else {"rangemode": "tozero"})), y)


def _corners(at: Sequence[float], best: Sequence[float]) -> tuple[list[float], list[float]]:
    """The points where a staircase turns, and its end: ten thousand trials have few."""
    turns = [
        i
        for i in range(len(best))
        if math.isfinite(best[i]) and (i == 0 or best[i] != best[i - 1] or i == len(best) - 1)
    ]
    return [at[i] for i in turns], [best[i] for i in turns]


def _band_traces(moments: NDArray[np.float64], quantiles: Quantiles) -> list[dict[str, Any]]:
    at: list[float] = moments.tolist()
    traces = []
    for i, name in enumerate(("nine in ten orders", "half of the orders")):
        below, above = quantiles[i], quantiles[-1 - i]
        # A fill takes gaps badly: it begins where both of its edges do.
        known = [k for k in range(len(at)) if math.isfinite(below[k] + above[k])]
        looks = {"name": name, "legendgroup": name, "fillcolor": "@0~",
                 "line": {"width": 0, "shape": "hv"}}  # fmt: skip
        for edge, more in ((below, {"showlegend": False}), (above, {"fill": "tonexty"})):
            x, y = [at[k] for k in known], [edge[k] for k in known]
            traces.append(lines(x, y, "", **looks, **more))
    line = {"color": "@0", "width": 2, "dash": "dash", "shape": "hv"}
    said = "median %{y:.6g} at %{x:.6g}"
    median = quantiles[len(quantiles) // 2]
    return [*traces, lines(at, median, said, name="median order", line=line)]
