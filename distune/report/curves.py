"""Section: learning curves, by step and by time, and how far training and validation part. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from distune.report.blocks import (
    Block,
    Choice,
    Plot,
    Row,
    Section,
    Text,
    axis,
    colour,
    figure,
    label,
)
from distune.report.material import STAGE, Material, spans_decades
from distune.study.trial import Report, Scalar
from distune.watch.display.numbers import format_scalar, format_value
from distune.watch.display.text import clean

#: What objectives report beside what they measure.
_BOOKKEEPING = {"epoch", "epochs", "step", "steps", "seconds", "time", "parameters"}
_TRAINING = ("train_", "training_")
_VALIDATION = ("val_", "valid_", "validation_")
_MOST_VALUES = 7  # that have a colour of their own; more are put together
_CLASSES = 5
_MOST_LINES = 24  # that can be told apart
_FEWEST_FOR_MEDIAN = 3
_POINTS = 120
_FAMILIES = 3
_CHOICES = 8  # parameters to colour by

Curve = Sequence[tuple[float, float]]  # (x, y), by increasing x


# -- who belongs together ------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """Trials with one value of a parameter, or with one of some near values."""

    label: str
    trials: list[int]


def groups_of(values: Mapping[int, Scalar]) -> tuple[list[Group], bool]:
    """Trials by their value, and whether the values have an order.

    Up to seven values stand for themselves. Of more numbers, classes of about as many trials
    each are made; of more choices, the most frequent six and all others.

    Args:
        values: by the trials' numbers.
    """
    by_value: dict[str, tuple[Scalar, list[int]]] = {}
    for number, value in sorted(values.items()):
        by_value.setdefault(repr(value), (value, []))[1].append(number)
    ordered = all(_is_number(value) for value, _ in by_value.values())
    found = list(by_value.values())
    if ordered:
        found.sort(key=lambda pair: float(pair[0] or 0))
        if len(found) > _MOST_VALUES:
            return _classes(found), True
    elif len(found) > _MOST_VALUES:
        found.sort(key=lambda pair: -len(pair[1]))
        rest = [number for _, numbers in found[_MOST_VALUES - 1 :] for number in numbers]
        found = found[: _MOST_VALUES - 1]
        groups = [Group(label(format_scalar(value)), numbers) for value, numbers in found]
        return [*groups, Group("others", rest)], False
    return [Group(label(format_scalar(value)), numbers) for value, numbers in found], ordered


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _classes(found: Sequence[tuple[Scalar, list[int]]]) -> list[Group]:
    total = sum(len(numbers) for _, numbers in found)
    groups: list[Group] = []
    inside: list[tuple[Scalar, list[int]]] = []
    before = 0
    for value, numbers in found:
        inside.append((value, numbers))
        before += len(numbers)
        if before >= total * (len(groups) + 1) / _CLASSES:
            low, high = (_rounded(value) for value in (inside[0][0], inside[-1][0]))
            name = low if low == high else f"{low} to {high}"
            groups.append(Group(label(name), [n for _, numbers in inside for n in numbers]))
            inside = []
    return groups


def _rounded(value: Scalar) -> str:
    return format_scalar(float(f"{float(value or 0):.3g}"))


# -- what is measured ----------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """A quantity, measured in validation, in training, or both: names of metrics."""

    name: str
    validation: str | None
    training: str | None


def families(metrics: Iterable[str], ranked: str) -> list[Family]:
    """The quantities that metrics are of: what is ranked first, then the loss.

    `val_loss` goes with `train_loss`, or with a bare `loss`. A name that says nothing of
    where it was measured is taken for validation.
    """
    names = [name for name in dict.fromkeys(metrics) if name not in _BOOKKEEPING]
    found: dict[str, dict[str, str]] = {}
    bases = {_base(name, _VALIDATION) for name in names} - {None}
    for name in names:
        validation, training = _base(name, _VALIDATION), _base(name, _TRAINING)
        if validation is None and training is None and name in bases:
            training = name
        place = "training" if training is not None else "validation"
        found.setdefault(training or validation or name, {}).setdefault(place, name)
    made = [Family(base, at.get("validation"), at.get("training")) for base, at in found.items()]
    return sorted(made, key=lambda f: (ranked not in (f.validation, f.training), f.name != "loss"))


def _base(name: str, prefixes: Sequence[str]) -> str | None:
    for prefix in prefixes:
        if name.startswith(prefix) and len(name) > len(prefix):
            return name[len(prefix) :]
    return None


def by_step(reports: Sequence[Report], metric: str) -> list[tuple[float, float]]:
    """(epoch, value), or (step, value) where no report says its epoch; finite values only."""
    return [
        (report.metrics.get("epoch", float(report.step)), value)
        for report in reports
        if math.isfinite(value := report.metrics.get(metric, math.nan))
        and math.isfinite(report.metrics.get("epoch", 0.0))
    ]


def by_time(reports: Sequence[Report], metric: str) -> list[tuple[float, float]]:
    """(seconds of training, value); finite values only."""
    return [
        (report.seconds, value)
        for report in reports
        if math.isfinite(value := report.metrics.get(metric, math.nan))
        and math.isfinite(report.seconds)
    ]


def gap(reports: Sequence[Report], family: Family) -> list[Report]:
    """The reports with validation minus training as their only quantity, named `gap`."""
    made = []
    for report in reports:
        metrics = report.metrics
        if family.validation in metrics and family.training in metrics:
            difference = metrics[family.validation] - metrics[family.training]
            epoch = {"epoch": metrics["epoch"]} if "epoch" in metrics else {}
            made.append(report.replace(metrics={**epoch, "gap": difference}))
    return made


@dataclass(frozen=True)
class Middle:
    """The quartiles of some curves, wherever at least half of them have a value."""

    x: list[float]
    low: list[float]
    median: list[float]
    high: list[float]


def middle(curves: Sequence[Curve]) -> Middle:
    """Quartiles over curves, each straight between two of its points, and nowhere else."""
    grid = np.unique([x for curve in curves for x, _ in curve])
    # Times are nobody else's: with a point for each, the median would jump at every end.
    shared = len(grid) <= 1.5 * max(map(len, curves))
    if not shared or len(grid) > _POINTS:
        grid = np.linspace(grid[0], grid[-1], _POINTS if shared else _POINTS // 2)
    rows = np.full((len(curves), len(grid)), np.nan)
    for row, curve in zip(rows, curves, strict=True):
        x, y = np.array([p[0] for p in curve]), np.array([p[1] for p in curve])
        inside = (grid >= x[0]) & (grid <= x[-1])
        row[inside] = np.interp(grid[inside], x, y)
    enough = np.isfinite(rows).sum(axis=0) * 2 >= len(curves)
    low, median, high = np.nanquantile(rows[:, enough], (0.25, 0.5, 0.75), axis=0)
    return Middle(*([float(v) for v in values] for values in (grid[enough], low, median, high)))


# -- the section ---------------------------------------------------------------------------


def section(material: Material, by: str | None, others: Sequence[str] = ()) -> Section | None:
    """Curves in the colours of a parameter's values.

    Args:
        material: of the study.
        by: the parameter, or `STAGE`; None for one colour.
        others: parameters that a reader can choose instead, of which the first few are taken.
    """
    curves = material.curves
    if not curves:
        return None
    names = [name for reports in curves.values() for name in reports[-1].metrics]
    found = families(names, material.study.metric)[:_FAMILIES]
    chosen = [] if by is None else [by, *(one for one in others if one != by)][:_CHOICES]
    drawings = [_drawing(material, one) for one in chosen] or [_drawing(material, None)]
    blocks: list[Block] = [Text(_which(material)), Text(drawings[0].how(len(chosen) > 1), "note")]
    if len(chosen) > 1:
        blocks.append(Choice("colours", "Colours by", chosen))

    def row(make: Sequence[Callable[[_Drawing], Plot]]) -> Row:
        return Row([_one_of(chosen, [plot(drawing) for drawing in drawings]) for plot in make])

    blocks += [
        row([partial(_Drawing.plot, family=one, with_time=timed) for timed in (False, True)])
        for one in found
    ]
    gaps = [f for f in found if f.validation is not None and f.training is not None]
    if gaps:
        blocks.append(row([partial(_Drawing.gap_plot, family=family) for family in gaps[:2]]))
    return Section("curves", "Learning curves", blocks)


def _drawing(material: Material, by: str | None) -> _Drawing:
    curves = material.curves
    params = {one.trial.number: one.trial.params for one in material.trials}
    values = {n: params[n][by] for n in curves if by is not None and by in params[n]}
    if by == STAGE and material.stages and not values:
        groups = [Group(label(name), numbers) for name, numbers in material.stages.items()]
        return _Drawing(material, by, groups, ordered=True)
    groups, ordered = groups_of(values)
    without = [n for n in curves if n not in values]
    if without:
        groups.append(Group("all" if by is None else f"without {label(by)}", without))
    return _Drawing(material, by, groups, ordered)


def _one_of(names: Sequence[str], plots: Sequence[Plot]) -> Plot:
    """The same curves in the colours of each of these parameters, one of which is chosen."""
    if len(plots) == 1:
        return plots[0]
    figures = {name: plot.figures[""] for name, plot in zip(names, plots, strict=True)}
    alts = [plot.alt for plot in plots]
    return replace(plots[0], figures=figures, alts=alts, chosen_by="colours")


def _which(material: Material) -> str:
    there = sum(one.result.steps > 1 for one in material.trials)
    which = f"Learning curves of {len(material.curves):,} of the {there:,} trials with any"
    return (
        f"{which}: the best ones, and others drawn at random." if material.sampled else f"{which}."
    )


@dataclass(frozen=True)
class _Drawing:
    material: Material
    by: str | None
    groups: Sequence[Group]
    ordered: bool

    @property
    def one_by_one(self) -> bool:
        return len(self.material.curves) <= _MOST_LINES

    def how(self, choice: bool) -> str:
        which = "what is chosen here" if choice else clean(self.by or "")
        colours = "" if self.by is None else f"One colour for each value of {which}. "
        if self.one_by_one:
            lines = (
                "Thin lines: single trials; thick ones: the median of the trials of a colour, "
                "where there are three or more."
            )
        else:
            lines = (
                "Lines: the median of the trials of a colour, while at least half of them still "
                "train; bands: the middle half of them. Colours with fewer than three trials: "
                "their single trials."
            )
        return (
            f"{colours}{lines} Solid: validation; dotted: training. What is not a finite number "
            "is not drawn. A click on a name in the legend hides its lines."
        )

    def plot(self, family: Family, with_time: bool) -> Plot:
        curve = by_time if with_time else by_step
        kinds = [
            (metric, dash)
            for metric, dash in ((family.training, "dot"), (family.validation, "solid"))
            if metric is not None
        ]
        traces: list[dict[str, Any]] = []
        ends: list[str] = []
        for metric, dash in kinds:
            chosen = {n: curve(reports, metric) for n, reports in self.material.curves.items()}
            more, ends = self._traces(chosen, dash, metric == kinds[-1][0])
            traces += more
        x = "training time, s" if with_time else self._step_word()
        return self._made(family.name, traces, ends, x, self._may_be_log(family))

    def gap_plot(self, family: Family) -> Plot:
        chosen = {
            n: by_step(gap(reports, family), "gap") for n, reports in self.material.curves.items()
        }
        traces, ends = self._traces(chosen, "solid", True)
        plot = self._made(f"{family.name}: validation minus training", traces, ends,
                          self._step_word(), False)  # fmt: skip
        for one in plot.figures.values():
            one["layout"]["shapes"] = [
                {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0,
                 "line": {"color": "@muted", "width": 1}}
            ]  # fmt: skip
        return plot

    def _step_word(self) -> str:
        all_say = all("epoch" in reports[-1].metrics for reports in self.material.curves.values())
        return "epoch" if all_say else "step"

    def _may_be_log(self, family: Family) -> bool:
        if self.material.study.metric in (family.validation, family.training):
            return self.material.study.direction == "minimize"
        return any(word in family.name for word in ("loss", "error", "mse", "nll"))

    def _made(
        self, title: str, traces: list[dict[str, Any]], ends: list[str], x: str, may_be_log: bool
    ) -> Plot:
        drawn = [float(y) for trace in traces for y in trace["y"]]
        log = {"type": "log"} if may_be_log and spans_decades(drawn) else {}
        ending = f" At the end: {'; '.join(ends)}." if ends else ""
        return Plot(
            f"{title} by {x.partition(',')[0]}",
            {"": figure(traces, axis(x, rangemode="tozero"), axis(title, **log))},
            f"Learning curves: {title} by {x}.{ending}",
        )

    def _traces(
        self, curves: Mapping[int, Curve], dash: str, named: bool
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """What is drawn of one metric, and where the groups end."""
        traces: list[dict[str, Any]] = []
        ends = []
        for i, group in enumerate(self.groups):
            there = [(n, curve) for n in group.trials if (curve := curves.get(n))]
            if not there:
                continue
            hue = colour(i, len(self.groups), self.ordered)
            many = len(there) >= _FEWEST_FOR_MEDIAN
            made: list[dict[str, Any]] = []
            if self.one_by_one or not many:
                made += [_line(curve, hue, dash, f"trial {n}", many) for n, curve in there]
            if many:
                central = middle([curve for _, curve in there])
                if not self.one_by_one and dash == "solid":
                    made += _band(central, hue)
                made.append(_median(central, hue, dash, group.label))
                ends.append(f"{group.label}: {format_value(central.median[-1])}")
            else:
                ends.append(f"{group.label}: {format_value(there[-1][1][-1][1])}")
            for trace in made:
                trace.update(name=group.label, legendgroup=str(i), showlegend=False)
            made[-1]["showlegend"] = named and len(self.groups) > 1
            traces += made
        return traces, ends


def _line(curve: Curve, hue: str, dash: str, who: str, thin: bool) -> dict[str, Any]:
    step = max(1, math.ceil(len(curve) / _POINTS))
    points = [*curve[:-1:step], curve[-1]]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "opacity": 0.4 if thin else 0.9,
        "line": {"color": hue, "width": 1 if thin else 1.8, "dash": dash},
        "text": who,
        "hovertemplate": "%{text}: %{y:.5g} at %{x:.5g}<extra></extra>",
    }


def _median(central: Middle, hue: str, dash: str, who: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": central.x,
        "y": central.median,
        "line": {"color": hue, "width": 2.2, "dash": dash},
        "text": who,
        "hovertemplate": "%{text}: median %{y:.5g} at %{x:.5g}<extra></extra>",
    }


def _band(central: Middle, hue: str) -> list[dict[str, Any]]:
    edge = {"type": "scatter", "mode": "lines", "x": central.x, "line": {"width": 0},
            "hoverinfo": "skip"}  # fmt: skip
    return [
        {**edge, "y": central.low},
        {**edge, "y": central.high, "fill": "tonexty", "fillcolor": f"{hue}~"},
    ]
