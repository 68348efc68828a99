"""Section: learning curves, by step and by time, and how far training and validation part. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from distune.report.blocks import Block, Choice, Paragraph, Plot, Row, Section
from distune.report.curve_data import (
    POINTS,
    Curve,
    Family,
    Group,
    Middle,
    by_step,
    by_time,
    families,
    gap,
    groups_of,
    middle,
)
from distune.report.plotting import axis, colour, figure, label, spans_decades
from distune.report.study_data import STAGE, StudyData
from distune.watch.display.numbers import format_value
from distune.watch.display.text import clean

_MOST_LINES = 24  # that can be told apart
_FEWEST_FOR_MEDIAN = 3
_FAMILIES = 3
_CHOICES = 8  # parameters to colour by


def section(data: StudyData, by: str | None, others: Sequence[str] = ()) -> Section | None:
    """Curves in the colours of the values of a parameter, or of `STAGE`; None for one colour.

    A reader can choose the first few of the others instead.
    """
    curves = data.curves
    if not curves:
        return None
    names = [name for reports in curves.values() for name in reports[-1].metrics]
    found = families(names, data.study.metric)[:_FAMILIES]
    chosen = [] if by is None else [by, *(one for one in others if one != by)][:_CHOICES]
    drawings = [_drawing(data, one) for one in chosen] or [_drawing(data, None)]
    there = sum(one.result.steps > 1 for one in data.trials)
    which = f"Learning curves of {len(curves):,} of the {there:,} trials with any"
    drawn = ": the best ones, and others drawn at random." if data.sampled else "."
    blocks: list[Block] = [
        Paragraph(f"{which}{drawn}"),
        Paragraph(drawings[0].how(len(chosen) > 1), "aside"),
    ]
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


def _drawing(data: StudyData, by: str | None) -> _Drawing:
    curves = data.curves
    params = {one.trial.number: one.trial.params for one in data.trials}
    values = {n: params[n][by] for n in curves if by is not None and by in params[n]}
    if by == STAGE and data.stages and not values:
        groups = [Group(label(name), numbers) for name, numbers in data.stages.items()]
        return _Drawing(data, by, groups, ordered=True)
    groups, ordered = groups_of(values)
    without = [n for n in curves if n not in values]
    if without:
        groups.append(Group("all" if by is None else f"without {label(by)}", without))
    return _Drawing(data, by, groups, ordered)


def _one_of(names: Sequence[str], plots: Sequence[Plot]) -> Plot:
    """The same curves in the colours of each of these parameters, one of which is chosen."""
    if len(plots) == 1:
        return plots[0]
    figures = {name: plot.figures[""] for name, plot in zip(names, plots, strict=True)}
    alts = [plot.alt for plot in plots]
    return replace(plots[0], figures=figures, alts=alts, chosen_by="colours")


@dataclass(frozen=True)
class _Drawing:
    data: StudyData
    by: str | None
    groups: Sequence[Group]
    ordered: bool

    @property
    def one_by_one(self) -> bool:
        return len(self.data.curves) <= _MOST_LINES

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
        dashes = {"dot": family.training, "solid": family.validation}
        kinds = [(metric, dash) for dash, metric in dashes.items() if metric is not None]
        traces: list[dict[str, Any]] = []
        ends: list[str] = []
        for metric, dash in kinds:
            chosen = {n: curve(reports, metric) for n, reports in self.data.curves.items()}
            more, ends = self._traces(chosen, dash, metric == kinds[-1][0])
            traces += more
        x = "training time, s" if with_time else self._step_word()
        return self._made(family.name, traces, ends, x, self._may_be_log(family))

    def gap_plot(self, family: Family) -> Plot:
        curves = self.data.curves.items()
        chosen = {n: by_step(gap(reports, family), "gap") for n, reports in curves}
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
        all_say = all("epoch" in reports[-1].metrics for reports in self.data.curves.values())
        return "epoch" if all_say else "step"

    def _may_be_log(self, family: Family) -> bool:
        if self.data.study.metric in (family.validation, family.training):
            return self.data.study.direction == "minimize"
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


def _line(curve: Curve, hue: str, dash: str, name: str, thin: bool) -> dict[str, Any]:
    step = max(1, math.ceil(len(curve) / POINTS))
    points = [*curve[:-1:step], curve[-1]]
    return {
        "type": "scatter", "mode": "lines",
        "x": [x for x, _ in points], "y": [y for _, y in points], "opacity": 0.4 if thin else 0.9,
        "line": {"color": hue, "width": 1 if thin else 1.8, "dash": dash}, "text": name,
        "hovertemplate": "%{text}: %{y:.5g} at %{x:.5g}<extra></extra>",
    }  # fmt: skip


def _median(central: Middle, hue: str, dash: str, name: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "x": central.x, "y": central.median,
        "line": {"color": hue, "width": 2.2, "dash": dash}, "text": name,
        "hovertemplate": "%{text}: median %{y:.5g} at %{x:.5g}<extra></extra>",
    }  # fmt: skip


def _band(central: Middle, hue: str) -> list[dict[str, Any]]:
    edge = {"type": "scatter", "mode": "lines", "x": central.x, "line": {"width": 0},
            "hoverinfo": "skip"}  # fmt: skip
    return [
        {**edge, "y": central.low},
        {**edge, "y": central.high, "fill": "tonexty", "fillcolor": f"{hue}~"},
    ]
