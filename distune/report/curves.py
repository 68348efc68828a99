"""Section: learning curves, by step and by time, and how far training and validation part. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from distune.report.blocks import Block, Choice, Paragraph, Plot, Row, Section
from distune.report.charts import Axis, Band, Chart, Line, colour, label, left_out, scale
from distune.report.curve_data import POINTS, Curve, Family, by_step, by_time, families, middle
from distune.report.groups import Group, even_classes, groups_of
from distune.report.study_data import STAGE, StudyData
from distune.study.trial import Direction, Report
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
        Paragraph(drawings[0].how(len(chosen) > 1), "quiet"),
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
    charts = {name: plot.charts[""] for name, plot in zip(names, plots, strict=True)}
    alts = [plot.alt for plot in plots]
    return msgspec.structs.replace(plots[0], charts=charts, alts=alts, chosen_by="colours")


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
            return self._plot(family.name, drawn, x, self._direction(family))

        rows = [[plot(f, step, by_step), plot(f, "training time, s", by_time)] for f in found]
        both = [(f.name, f.validation, f.training) for f in found if f.validation and f.training]
        return [*rows, [self._gap(*one) for one in both[:2]]] if both else rows

    def _gap(self, name: str, validation: str, training: str) -> Plot:
        curves = self.data.curves.items()
        drawn = {"solid": {n: by_step(reports, validation, training) for n, reports in curves}}
        return self._plot(f"{name}: validation minus training", drawn, self._step_word())

    def _step_word(self) -> str:
        all_say = all("epoch" in reports[-1].metrics for reports in self.data.curves.values())
        return "epoch" if all_say else "step"

    def _direction(self, family: Family) -> Direction:
        if self.data.study.metric in (family.validation, family.training):
            return self.data.study.direction
        lower = any(word in family.name for word in ("loss", "error", "mse", "nll"))
        return "minimize" if lower else "maximize"

    def _plot(
        self,
        title: str,
        drawn: Mapping[str, Mapping[int, Curve]],
        x: str,
        direction: Direction | None = None,
    ) -> Plot:
        """
        Args:
            drawn: the trials' curves, by how their lines are dashed.
            direction: that of what is better, if the scale may be chosen by it: then curves that
                end far below all others leave it.
        """
        series: list[Line | Band] = []
        ends: list[str] = []
        for dash, curves in drawn.items():
            more, ends = self._series(curves, dash)
            series += more
        points = [float(y) for one in series if isinstance(one, Line) for y in one.y if y]
        last = [curve[-1][1] for curves in drawn.values() for curve in curves.values() if curve]
        shown: dict[str, Any] = {}
        said = ""
        if direction is not None:
            log = scale(points, direction).get("log", False)
            shown = {"log": True} if log else scale(last, direction)
            said = "" if log else left_out(last, direction).strip()
        ending = f" At the end: {'; '.join(ends)}." if ends else ""
        return Plot(
            f"{title} by {x.partition(',')[0]}",
            {"": Chart(Axis(x, from_zero=True), Axis(label(title, 60), **shown), series)},
            f"Learning curves: {title} by {x}.{ending}",
            said,
        )

    def _series(
        self, curves: Mapping[int, Curve], dash: str
    ) -> tuple[list[Line | Band], list[str]]:
        """What is drawn of one metric, and where the groups end."""
        series: list[Line | Band] = []
        ends = []
        for i, group in enumerate(self.groups):
            there = [(n, curve) for n in group.trials if (curve := curves.get(n))]
            if not there:
                continue
            hue = colour(i, len(self.groups), self.ordered)
            central = None
            if len(there) >= _FEWEST_FOR_MEDIAN:
                central = middle([curve for _, curve in there])
            end = there[-1][1][-1][1]
            if self.one_by_one or central is None:
                thin = central is not None
                series += [_line(n, curve, group.label, hue, dash, thin) for n, curve in there]
            if central is not None:
                end = central.median[-1]
                if not self.one_by_one and dash == "solid":
                    series.append(Band(central.x, central.low, central.high, hue, group.label))
                series.append(
                    Line(
                        central.x, central.median, hue, group.label, f"{group.label}: median", dash
                    )
                )
            ends.append(f"{group.label}: {format_value(end)}")
        return series, ends


def _line(number: int, curve: Curve, name: str, hue: str, dash: str, thin: bool) -> Line:
    step = max(1, math.ceil(len(curve) / POINTS))
    points = [*curve[:-1:step], curve[-1]]
    width, opacity = (1.0, 0.4) if thin else (1.8, 0.9)
    x, y = [x for x, _ in points], [y for _, y in points]
    return Line(x, y, hue, name, f"trial {number}", dash, width, opacity)
