"""What learning curves measure, by step and by time, and the middle of many of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distune.export.table import is_numeric
from distune.report.plotting import label
from distune.study.trial import Report, Scalar
from distune.watch.display.numbers import format_scalar

#: What objectives report beside what they measure.
_BOOKKEEPING = {"epoch", "epochs", "step", "steps", "seconds", "time", "parameters"}
_TRAINING = ("train_", "training_")
_VALIDATION = ("val_", "valid_", "validation_")
POINTS = 120
Curve = Sequence[tuple[float, float]]  # (x, y), by increasing x


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
    steps = [report.metrics.get("epoch", float(report.step)) for report in reports]
    return _finite(zip(steps, (r.metrics.get(metric, math.nan) for r in reports), strict=True))


def by_time(reports: Sequence[Report], metric: str) -> list[tuple[float, float]]:
    """(seconds of training, value); finite values only."""
    return _finite((r.seconds, r.metrics.get(metric, math.nan)) for r in reports)


def _finite(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


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
    # Each trial has times of its own: with a point for each, the median would jump at every end.
    shared = len(grid) <= 1.5 * max(map(len, curves))
    if not shared or len(grid) > POINTS:
        grid = np.linspace(grid[0], grid[-1], POINTS if shared else POINTS // 2)
    rows = np.full((len(curves), len(grid)), np.nan)
    for row, curve in zip(rows, curves, strict=True):
        x, y = np.array([p[0] for p in curve]), np.array([p[1] for p in curve])
        inside = (grid >= x[0]) & (grid <= x[-1])
        row[inside] = np.interp(grid[inside], x, y)
    enough = np.isfinite(rows).sum(axis=0) * 2 >= len(curves)
    low, median, high = np.nanquantile(rows[:, enough], (0.25, 0.5, 0.75), axis=0)
    return Middle(*([float(v) for v in values] for values in (grid[enough], low, median, high)))


_MOST_VALUES = 7  # that have a colour of their own; more are put together
_CLASSES = 5


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
    ordered = all(is_numeric(value) for value, _ in by_value.values())
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


def _classes(found: Sequence[tuple[Scalar, list[int]]]) -> list[Group]:
    total = sum(len(numbers) for _, numbers in found)
    groups: list[Group] = []
    inside: list[tuple[Scalar, list[int]]] = []
    before = 0
    for value, numbers in found:
        inside.append((value, numbers))
        before += len(numbers)
        if before >= total * (len(groups) + 1) / _CLASSES:
            ends = (float(value or 0) for value in (inside[0][0], inside[-1][0]))
            low, high = (format_scalar(float(f"{end:.3g}")) for end in ends)
            name = low if low == high else f"{low} to {high}"
            groups.append(Group(label(name), [n for _, numbers in inside for n in numbers]))
            inside = []
    return groups
