"""Two parameters at a time: the values of each in classes, and what was reached where. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from distune.export.table import is_numeric
from distune.report.blocks import Plot
from distune.report.plotting import PlotlyFigure, axis, figure, label, spans_decades, window
from distune.report.study_data import StudyData
from distune.study.space import CategoricalParameter, Parameter
from distune.study.trial import Direction, Scalar
from distune.watch.display.numbers import format_scalar
from distune.watch.display.text import clean

_PAIRED = 9  # parameters; 36 pairs
_MOST_VALUES = 10  # that have a cell of their own
_INTERVALS = 8


@dataclass(frozen=True)
class Classes:
    """Names of classes of values, in order, and in which one each trial is."""

    names: list[str]
    of: dict[int, int]


def classes(values: Mapping[int, Scalar], spec: Parameter | None) -> Classes:
    """Up to ten values stand for themselves. More numbers are put into eight intervals of one
    length, on the parameter's scale; more choices into the nine most frequent ones and others.

    Args:
        values: by the trials' numbers.
        spec: of the parameter, if the study has it.
    """
    numeric = not isinstance(spec, CategoricalParameter) and all(map(is_numeric, values.values()))
    distinct = dict.fromkeys(repr(value) for value in values.values())
    if numeric:
        numbers = {n: float(value or 0) for n, value in values.items()}
        if len(distinct) > _MOST_VALUES:
            log = getattr(spec, "log", spans_decades(numbers.values()))
            return _intervals(numbers, log)
        ordered = sorted(set(numbers.values()))
        names = {float(value or 0): format_scalar(value) for value in values.values()}
        places = {value: i for i, value in enumerate(ordered)}
        return Classes([names[v] for v in ordered], {n: places[v] for n, v in numbers.items()})
    frequent = sorted(distinct, key=lambda k: -sum(repr(v) == k for v in values.values()))
    if isinstance(spec, CategoricalParameter):
        known = [repr(choice) for choice in spec.choices if repr(choice) in distinct]
        frequent = known if len(known) == len(distinct) <= _MOST_VALUES else frequent
    kept = frequent if len(frequent) <= _MOST_VALUES else frequent[: _MOST_VALUES - 1]
    places_of = {key: i for i, key in enumerate(kept)}
    labels = {repr(value): label(format_scalar(value), 16) for value in values.values()}
    names_kept = [labels[key] for key in kept] + ["others"] * (len(kept) < len(frequent))
    return Classes(names_kept, {n: places_of.get(repr(v), len(kept)) for n, v in values.items()})


def _intervals(numbers: Mapping[int, float], log: bool) -> Classes:
    log = log and min(numbers.values()) > 0
    scaled = {n: math.log(x) if log else x for n, x in numbers.items()}
    low, high = min(scaled.values()), max(scaled.values())
    length = (high - low) / _INTERVALS
    edges = [low + i * length for i in range(_INTERVALS + 1)]
    shown = [format_scalar(float(f"{math.exp(edge) if log else edge:.2g}")) for edge in edges]
    names = [f"{a} to {b}" for a, b in pairwise(shown)]
    of = {n: min(int((x - low) / length), _INTERVALS - 1) for n, x in scaled.items()}
    return Classes(names, of)


@dataclass(frozen=True)
class Cells:
    """Medians and counts of trials, by class: `medians[i][j]` is at `rows[i]`, `columns[j]`;
    None where no trial is.
    """

    columns: list[str]
    rows: list[str]
    medians: list[list[float | None]]
    counts: list[list[int]]


def cells(x: Classes, y: Classes, values: Mapping[int, float]) -> Cells:
    """The median of the values of the trials in each cell.

    Args:
        x, y: classes of two parameters.
        values: what trials reached, by their numbers.
    """
    inside: list[list[list[float]]] = [[[] for _ in x.names] for _ in y.names]
    for number, value in values.items():
        if number in x.of and number in y.of:
            inside[y.of[number]][x.of[number]].append(value)
    return Cells(
        x.names,
        y.names,
        [[statistics.median(cell) if cell else None for cell in row] for row in inside],
        [[len(cell) for cell in row] for row in inside],
    )


def heat_maps(data: StudyData, names: Sequence[str]) -> list[Plot]:
    study, paired, values = data.study, names[:_PAIRED], data.values
    made = {}
    complete = [one.trial for one in data.trials if one.trial.number in values]
    for name in paired:
        given = {one.number: one.params[name] for one in complete if name in one.params}
        made[name] = classes(given, study.params.get(name))
    figures = {}
    for x, y in combinations(paired, 2):
        found = cells(made[x], made[y], values)
        if any(count for row in found.counts for count in row):
            drawn = _heat_map(found, x, y, study.metric, study.direction)
            figures[f"{label(x)} and {label(y)}"] = drawn
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


def _heat_map(found: Cells, x: str, y: str, metric: str, direction: Direction) -> PlotlyFigure:
    known = [v for row in found.medians for v in row if v is not None]
    bar = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "top",
           "yref": "container", "thickness": 12, "outlinewidth": 0}  # fmt: skip
    said = [
        [f"{a}, {b}: {count}" for a, count in zip(found.columns, counts, strict=True)]
        for b, counts in zip(found.rows, found.counts, strict=True)
    ]
    trace = {
        "type": "heatmap", "x": list(range(len(found.columns))),
        "y": list(range(len(found.rows))), "z": found.medians, "customdata": said,
        "colorscale": "@scale", "reversescale": direction == "minimize", "xgap": 2, "ygap": 2,
        "hoverongaps": False,
        "hovertemplate": "%{customdata} trials, median %{z:.5g}<extra></extra>",
        "colorbar": bar | {"title": {"text": label(metric)}},
    }  # fmt: skip
    # A few cells that are far worse must not make all others look the same.
    limits = window(known, direction)
    if limits is not None:
        trace["zmin"], trace["zmax"] = limits
    return figure(
        [trace],
        axis(x, tickvals=trace["x"], ticktext=found.columns, showgrid=False, zeroline=False),
        axis(y, tickvals=trace["y"], ticktext=found.rows, showgrid=False, zeroline=False),
        margin={"l": 56, "r": 16, "t": 76, "b": 56},
    )
