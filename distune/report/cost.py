"""Section: what is reached in which time: the Pareto front, the best under T seconds. Pure."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distune.report.blocks import Plot, Section, Table
from distune.report.charts import Axis, Chart, Dots, Line, label, left_out, scale, spans_decades
from distune.report.study_data import StudyData
from distune.search.configuration import Configuration, Tier
from distune.study.trial import Direction, Report, better, summarize
from distune.watch.display.numbers import duration, format_value, is_number, round_duration
from distune.watch.display.text import clean

#: Seconds that people think in.
_LADDER: list[float] = [m * 10**e for e in range(-3, 1) for m in (1, 2, 5)] + [
    10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 5 * 3600, 10 * 3600, 86400, 2 * 86400,
    5 * 86400, 10 * 86400,
]  # fmt: skip
_MOST_DOTS = 1500


@dataclass(frozen=True)
class Point:
    """What a configuration costs (`seconds`, or its size) and what it reaches."""

    cost: float
    value: float
    configuration: Configuration


def points(ranking: Sequence[Configuration], repeats: int, by_size: bool = False) -> list[Point]:
    """Configurations with a complete trial and a finite value."""
    costs = ((one, one.parameters if by_size else one.seconds) for one in ranking)
    return [
        Point(cost, one.mean, one)
        for one, cost in costs
        if one.tier(repeats) in (Tier.FULL, Tier.PARTIAL)
        and is_number(one.mean)
        and is_number(cost)
        and cost >= 0
    ]


def front(given: Sequence[Point], direction: Direction) -> list[Point]:
    """The points than which none is better and costs no more, by increasing cost."""
    sign = -1.0 if direction == "maximize" else 1.0
    kept: list[Point] = []
    for point in sorted(given, key=lambda p: (p.cost, sign * p.value)):
        if not kept or better(point.value, kept[-1].value, direction):
            kept.append(point)
    return kept


def best_under(given: Sequence[Point], cost: float, direction: Direction) -> Point | None:
    """The best of those that cost so much at most."""
    within = [point for point in front(given, direction) if point.cost <= cost]
    return within[-1] if within else None


def best_stopped(
    curves: Mapping[int, Sequence[Report]],
    seconds: float,
    metric: str,
    direction: Direction,
    summary: str,
) -> tuple[int, float] | None:
    """The trial that would have been best, and its value, had all been stopped after so many
    seconds of training; None if none had a value by then.
    """
    reached = {}
    for number, reports in curves.items():
        report = summarize((r for r in reports if r.seconds <= seconds), metric, direction, summary)
        if report is not None and math.isfinite(report.metrics[metric]):
            reached[number] = report.metrics[metric]
    best = max if direction == "maximize" else min
    return best(reached.items(), key=lambda pair: pair[1], default=None)


def budgets(costs: Sequence[float]) -> list[float]:
    """Round durations from the least of these to the first that is no less than the greatest."""
    low, high = (bisect_left(_LADDER, end) for end in (min(costs), max(costs)))
    return _LADDER[low : high + 1]


# -- the section ---------------------------------------------------------------------------


def section(data: StudyData) -> Section | None:
    study = data.study
    by_time = points(data.ranking, study.repeats)
    if len(by_time) < 2 or max(point.cost for point in by_time) <= 0:
        return None
    by_size = points(data.ranking, study.repeats, by_size=True)
    charts = {"training time": _chart(data, by_time, "training time, s")}
    if len({point.cost for point in by_size}) > 1:
        charts["size"] = _chart(data, by_size, "size, numbers trained")
    best = front(by_time, study.direction)
    metric = clean(study.metric)
    far = left_out([point.value for point in by_time], study.direction)
    plot = Plot(
        "What is reached at which cost",
        charts,
        f"{metric} against training time; the front goes from {format_value(best[0].value)} in "
        f"{duration(best[0].cost)} to {format_value(best[-1].value)} in {duration(best[-1].cost)}.",
        f"A dot is a configuration, at the mean of its repeats ({data.good_direction})."
        f" Line: the front of those than which no other is both better and cheaper.{far}",
        choice="cost",
        height=340,
    )
    return Section("cost", "Time and quality", [plot, _table(data, by_time)])


def _chart(data: StudyData, given: Sequence[Point], x: str) -> Chart:
    direction = data.study.direction
    best = front(given, direction)
    some = given[:: max(1, math.ceil(len(given) / _MOST_DOTS))]
    dots = _dots(some, hue="quiet", name="configurations")
    ends = _dots(best, hue="accent", name="front", symbol="diamond", size=10, opacity=1.0)
    line = Line(x=[p.cost for p in best], y=ends.y, hue="accent", name="front", step="end")
    log = spans_decades(p.cost for p in given)
    y = Axis(label(data.study.metric, 60), **scale([p.value for p in given], direction))
    return Chart(Axis(x, log=log, from_zero=not log), y, [dots, line, ends])


def _dots(given: Sequence[Point], **look: Any) -> Dots:
    costs, values = [p.cost for p in given], [p.value for p in given]
    return Dots(costs, values, trials=[p.configuration.first for p in given], **look)


def _table(data: StudyData, given: Sequence[Point]) -> Table:
    study = data.study
    curves = data.curves
    spent = [reports[0].seconds for reports in curves.values() if reports[0].seconds > 0]
    costs = [point.cost for point in given if point.cost > 0] + spent
    header = ["under", study.metric, "trial", "its time", "params"]
    if curves:
        header += [f"{study.metric}, stopped then", "trial"]
    rows = []
    for budget in budgets(costs):
        best = best_under(given, budget, study.direction)
        row = [round_duration(budget) if budget >= 1 else f"{budget:g}s"]
        if best is None:
            row += ["–", "", "", ""]
        else:
            row += [format_value(best.value), f"{best.configuration.first}", duration(best.cost),
                    data.params_words(best.configuration.params)]  # fmt: skip
        if curves:
            stopped = best_stopped(curves, budget, study.metric, study.direction, study.summary)
            row += ["–", ""] if stopped is None else [format_value(stopped[1]), str(stopped[0])]
        rows.append(row)
    caption = "The best configuration whose whole training takes no more than the time given."
    if curves:
        caption += (
            f" Stopped then: what would have been best, had each of the {len(curves):,} trials "
            "whose curves were read been stopped after that time."
        )
    numeric = [0, 1, 2, 3, 5, 6]
    return Table("The best under T seconds", header, rows, numeric, caption)
