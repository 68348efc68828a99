"""Section: the front of several objectives. Pure."""

from collections.abc import Sequence

from distune.report.blocks import Plot, Section, Table
from distune.report.plotting import PlotlyFigure, axis, dots, figure, lines, scale, spans_decades
from distune.report.study_data import StudyData
from distune.search.configuration import Configuration, Tier
from distune.study.constraint import SECONDS
from distune.watch.display.goals import metric_text
from distune.watch.display.numbers import plural
from distune.watch.display.text import clean

_MOST_DOTS = 1500
_ROWS = 100


def section(data: StudyData) -> Section | None:
    front = data.history.front()
    if not front:
        return None
    study = data.study
    names = list(study.goals)
    first, second = names[:2]
    others = " What it has of the others the table says." if len(names) > 2 else ""
    one = len(front) == 1
    plot = Plot(
        f"{clean(first)} and {clean(second)}",
        {"": _figure(data, front, first, second)},
        f"{first} against {second}; the front goes from {_both(front[0], names)} to "
        f"{_both(front[-1], names)}.",
        f"A dot is a configuration, at the means of its repeats ({clean(study.aim)}); diamonds "
        f"are the front, crosses break a constraint.{others}",
        height=420,
    )
    rows = [
        [
            str(one.first),
            *(metric_text(name, one.mean_of(name)) for name in names),
            data.params_words(one.params),
        ]
        for one in front[:_ROWS]
    ]
    caption = (
        f"{plural(len(front), 'configuration')}, which {'is' if one else 'are'} beaten by no other "
        "in one objective and at least matched in all. The first is the winner: the best by "
        f"{clean(first)}."
    )
    if len(front) > _ROWS:
        caption += f" The first {_ROWS}; leaderboard.csv has all."
    header = ["trial", *map(clean, names), "params"]
    table = Table("", header, rows, frozenset(range(1 + len(names))), caption)
    return Section("front", "The front", [plot, table])


def _both(one: Configuration, names: Sequence[str]) -> str:
    return " at ".join(metric_text(name, one.mean_of(name)) for name in names[:2])


def _figure(
    data: StudyData, front: Sequence[Configuration], first: str, second: str
) -> PlotlyFigure:
    repeats = data.study.repeats
    ranked = [one for one in data.ranking if one.tier(repeats) <= Tier.PARTIAL]
    broken = [one for one in data.ranking if one.tier(repeats) is Tier.INFEASIBLE]
    direction = data.study.goals[first]

    def coordinates(many: Sequence[Configuration]) -> dict[str, list[float | None] | list[str]]:
        step = max(1, -(-len(many) // _MOST_DOTS))
        some = many[::step]
        return {
            "x": [one.mean_of(second) for one in some], "y": [one.mean_of(first) for one in some],
            "text": [f"trial {one.first}" for one in some],
        }  # fmt: skip

    hover = "%{text}: %{y:.6g} at %{x:.5g}"
    dot = {"size": 7, "opacity": 0.55, "color": "@0"}
    cross = {"size": 7, "symbol": "x-thin-open", "color": "@muted", "line": {"width": 1.5}}
    mark, line = {"size": 9, "symbol": "diamond", "color": "@1"}, {"color": "@1", "width": 2}
    # What is reached at least by so much of the second objective.
    line["shape"] = "hv" if data.study.goals[second] == "minimize" else "vh"
    on_line = sorted(front, key=lambda one: one.mean_of(second) or 0.0)
    joined = "lines+markers" if len(data.study.goals) == 2 else "markers"
    traces = [
        dots(**coordinates(ranked), hover=hover, name="configurations", marker=dot),
        lines(
            **coordinates(on_line), hover=hover, mode=joined, name="front", marker=mark, line=line
        ),
    ]
    if broken:
        traces.append(
            dots(**coordinates(broken), hover=hover, name="break a constraint", marker=cross)
        )
    costs = [cost for one in ranked if (cost := one.mean_of(second)) is not None]
    log = {"type": "log"} if spans_decades(costs) else {}
    values = [value for one in ranked if (value := one.mean_of(first)) is not None]
    x = axis("training time, s" if second == SECONDS else second, **log)
    return figure(traces, x, axis(first, **scale(values, direction)))
