"""Two parameters at a time: the values of each in classes, and what was reached where. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import combinations

from distune.report.blocks import Plot
from distune.report.groups import Group, classes
from distune.report.plotting import PlotlyFigure, class_axis, figure, label, window
from distune.report.study_data import StudyData
from distune.watch.display.text import clean

_PAIRED = 9  # parameters; 36 pairs


def cells(
    x: Sequence[Group], y: Sequence[Group], values: Mapping[int, float]
) -> list[list[list[float]]]:
    """At `[i][j]`, the values of the trials that are in `y[i]` and `x[j]`."""
    columns = [set(group.trials) for group in x]
    return [[[values[n] for n in row.trials if n in column] for column in columns] for row in y]


def heat_maps(data: StudyData, names: Sequence[str]) -> list[Plot]:
    study, paired, values = data.study, names[:_PAIRED], data.values
    made = {}
    complete = [one.trial for one in data.trials if one.trial.number in values]
    for name in paired:
        given = {one.number: one.params[name] for one in complete if name in one.params}
        made[name] = classes(given, study.params.get(name))
    figures = {}
    for x, y in combinations(made.items(), 2):
        found = cells(x[1], y[1], values)
        if any(cell for row in found for cell in row):
            figures[f"{label(x[0])} and {label(y[0])}"] = _heat_map(data, found, x, y)
    if not figures:
        return []
    more = len(names) - len(paired)
    of = f" The {len(paired)} most important parameters of {len(names)}." if more > 0 else ""
    plot = Plot(
        "Heat map of two parameters",
        figures,
        f"Heat map of the median {study.metric} over two parameters, which can be chosen; at "
        f"first {next(iter(figures))}.",
        f"Colour: the median {clean(study.metric)} of the complete trials in a cell, whatever "
        f"their other params; the brighter, the better. Cells without a trial are empty. How "
        f"many trials there are in a cell is said when it is pointed at.{of}",
        choice="parameters",
        height=420,
    )
    return [plot]


def _heat_map(
    data: StudyData,
    found: Sequence[Sequence[Sequence[float]]],
    x: tuple[str, Sequence[Group]],
    y: tuple[str, Sequence[Group]],
) -> PlotlyFigure:
    direction = data.study.direction
    medians = [[statistics.median(cell) if cell else None for cell in row] for row in found]
    said = [
        [f"{a.label}, {b.label}: {len(cell)}" for a, cell in zip(x[1], row, strict=True)]
        for b, row in zip(y[1], found, strict=True)
    ]
    bar = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "top",
           "yref": "container", "thickness": 12, "outlinewidth": 0,
           "title": {"text": label(data.study.metric)}}  # fmt: skip
    trace = {
        "type": "heatmap", "x": list(range(len(x[1]))), "y": list(range(len(y[1]))), "z": medians,
        "customdata": said, "colorscale": "@scale", "reversescale": direction == "minimize",
        "xgap": 2, "ygap": 2, "hoverongaps": False, "colorbar": bar,
        "hovertemplate": "%{customdata} trials, median %{z:.5g}<extra></extra>",
    }  # fmt: skip
    # A few cells that are far worse must not make all others look the same.
    limits = window([v for row in medians for v in row if v is not None], direction)
    if limits is not None:
        trace["zmin"], trace["zmax"] = limits
    margin = {"l": 56, "r": 16, "t": 76, "b": 56}
    axes = (class_axis(name, [one.label for one in groups]) for name, groups in (x, y))
    return figure([trace], *axes, margin=margin)
