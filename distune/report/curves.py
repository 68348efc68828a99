"""Section: learning curves, by step and by time, and how far training and validation part. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distune.report.blocks import Block, Choice, Paragraph, Plot, Row, Section
from distune.report.curve_data import POINTS, Curve, Family, by_step, by_time, families, middle
from distune.report.groups import Group, even_classes, groups_of
from distune.report.plotting import axis, colour, figure, label, lines, spans_decades
from distune.report.study_data import STAGE, StudyData
from distune.study.trial import Report
from distune.watch.display.numbers import format_value
from distune.watch.display.text import clean

_MOST_LINES = 24  # that can be told apart
_FEWEST_FOR_MEDIAN = 3
_FAMILIES = 3
_CHOICES = 8  # parameters to colour by
_MOST_COLOURS = 7  # more values are put together
_CurveOf = Callable[[Sequence[Report], str], Curve]


def section(data: StudyData, colours: Sequence[str]) -> Section | None:
    """Curves in the colours of the values of the first of these parameters, or of `STAGE`; one
    colour if there is none. A reader can choose the next few instead.
    """
    curves = data.curves
    if not curves:
        return None
    names = [name for reports in curves.values() for name in reports[-1].metrics]
    found = families(names, data.study.metric)[:_FAMILIES]
    chosen = colours[:_CHOICES]
    drawings = [_drawing(data, one) for one in chosen] or [_drawing(data, None)]
    there = sum(one.result.steps > 1 for one in data.trials)
    which = f"Learning curves of {len(curves):,} of the {there:,} trials with any"
    sampled = ": the best ones, and others drawn at random." if data.sampled else "."
    blocks: list[Block] = [
        Paragraph(f"{which}{sampled}"),
        Paragraph(drawings[0].how(len(chosen) > 1), "aside"),
    ]
    if len(chosen) > 1:
        blocks.append(Choice("colours", "Colours by", chosen))
    blocks += [
        Row([_one_of(chosen, same) for same in zip(*rows, strict=True)])
        for rows in zip(*(drawing.rows(found) for drawing in drawings), strict=True)
    ]
    return Section("curves", "Learning curves", blocks)


def _drawing(data: StudyData, by: str | None) -> _Drawing:
    curves = data.curves
    params = {one.trial.number: one.trial.params for one in data.trials}
    values = {n: params[n][by] for n in curves if by is not None and by in params[n]}
    if by == STAGE and data.stages and not values:
        groups = [Group(label(name), numbers) for name, numbers in data.stages.items()]
        return _Drawing(data, by, groups, ordered=True)
    groups, ordered = groups_of(values, _MOST_COLOURS, even_classes)
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
            drawn = (
                "Thin lines: single trials; thick ones: the median of the trials of a colour, "
                "where there are three or more."
            )
        else:
            drawn = (
                "Lines: the median of the trials of a colour, while at least half of them still "
                "train; bands: the middle half of them. Colours with fewer than three trials: "
                "their single trials."
            )
        return (
            f"{colours}{drawn} Solid: validation; dotted: training. What is not a finite number "
            "is not drawn. A click on a name in the legend hides its lines."
        )

    def rows(self, found: Sequence[Family]) -> list[list[Plot]]:
        """Each quantity by step and by time; then how far training and validation part."""
        curves, step = self.data.curves.items(), self._step_word()

        def plot(family: Family, x: str, curve: _CurveOf) -> Plot:
            metrics = {"dot": family.training, "solid": family.validation}
            drawn = {
                dash: {n: curve(reports, metric) for n, reports in curves}
                for dash, metric in metrics.items()
                if metric is not None
            }
            return self._plot(family.name, drawn, x, self._may_be_log(family))

        rows = [[plot(f, step, by_step), plot(f, "training time, s", by_time)] for f in found]
        both = [(f.name, f.validation, f.training) for f in found if f.validation and f.training]
        return [*rows, [self._gap(*one) for one in both[:2]]] if both else rows

    def _gap(self, name: str, validation: str, training: str) -> Plot:
        curves = self.data.curves.items()
        drawn = {"solid": {n: by_step(reports, validation, training) for n, reports in curves}}
        plot = self._plot(f"{name}: validation minus training", drawn, self._step_word())
        plot.figures[""]["layout"]["shapes"] = [
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

    def _plot(
        self, title: str, drawn: Mapping[str, Mapping[int, Curve]], x: str, may_be_log: bool = False
    ) -> Plot:
        """`drawn`: the trials' curves by how their lines are dashed."""
        traces: list[dict[str, Any]] = []
        ends: list[str] = []
        for dash, curves in drawn.items():
            more, ends = self._traces(curves, dash, dash == list(drawn)[-1])
            traces += more
        values = [float(y) for trace in traces for y in trace["y"]]
        log = {"type": "log"} if may_be_log and spans_decades(values) else {}
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
            central = None
            if len(there) >= _FEWEST_FOR_MEDIAN:
                central = middle([curve for _, curve in there])
            made: list[dict[str, Any]] = []
            end = there[-1][1][-1][1]
            if self.one_by_one or central is None:
                thin = central is not None
                made += [_line(curve, hue, dash, f"trial {n}", thin) for n, curve in there]
            if central is not None:
                end = central.median[-1]
                if not self.one_by_one and dash == "solid":
                    band = {"fill": "tonexty", "fillcolor": f"{hue}~"}
                    made += [
                        lines(central.x, edge, "", line={"width": 0}, **more)
                        for edge, more in ((central.low, {}), (central.high, band))
                    ]
                line = {"color": hue, "width": 2.2, "dash": dash}
                said = "%{text}: median %{y:.5g} at %{x:.5g}"
                made.append(lines(central.x, central.median, said, line=line, text=group.label))
            ends.append(f"{group.label}: {format_value(end)}")
            for trace in made:
                trace.update(name=group.label, legendgroup=str(i), showlegend=False)
            made[-1]["showlegend"] = named and len(self.groups) > 1
            traces += made
        return traces, ends


def _line(curve: Curve, hue: str, dash: str, name: str, thin: bool) -> dict[str, Any]:
    step = max(1, math.ceil(len(curve) / POINTS))
    points = [*curve[:-1:step], curve[-1]]
    looks = {"line": {"color": hue, "width": 1 if thin else 1.8, "dash": dash},
             "opacity": 0.4 if thin else 0.9, "text": name}  # fmt: skip
    said = "%{text}: %{y:.5g} at %{x:.5g}"
    return lines([x for x, _ in points], [y for _, y in points], said, **looks)
