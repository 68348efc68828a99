"""What learning curves measure, by step and by time, and the middle of many of them. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distune.study.trial import Metrics, Report

#: What objectives report beside what they measure.
_BOOKKEEPING = {
    *("epoch", "epochs", "step", "steps"),
    *("seconds", "train_seconds", "time", "parameters"),
}
#: What the beginning of a metric's name says of where it was measured.
_PLACES = {
    "train": "training", "training": "training",
    "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip
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
    split = {name: _measured(name) for name in metrics if name not in _BOOKKEEPING}
    bases = {base for place, base in split.values() if place == "validation"}
    found: dict[str, dict[str, str]] = {}
    for name, (place, base) in split.items():
        unsaid = "training" if name in bases else "validation"
        found.setdefault(base, {}).setdefault(place or unsaid, name)
    made = [Family(base, at.get("validation"), at.get("training")) for base, at in found.items()]
    return sorted(made, key=lambda f: (ranked not in (f.validation, f.training), f.name != "loss"))


def _measured(name: str) -> tuple[str, str]:
    """Where a metric is measured, if its name says so, and what it measures."""
    place, _, base = name.partition("_")
    return (_PLACES[place], base) if place in _PLACES and base else ("", name)


def by_step(reports: Sequence[Report], metric: str, minus: str = "") -> list[tuple[float, float]]:
    """(epoch, value), or (step, value) where no report says its epoch; finite values only. From
    each value that of the metric `minus` is subtracted, if there is one.
    """

    def value(of: Metrics) -> float:
        return of.get(metric, math.nan) - (of.get(minus, math.nan) if minus else 0.0)

    return _finite((r.metrics.get("epoch", float(r.step)), value(r.metrics)) for r in reports)


def by_time(reports: Sequence[Report], metric: str) -> list[tuple[float, float]]:
    """(seconds of training, value); finite values only."""
    return _finite((r.seconds, r.metrics.get(metric, math.nan)) for r in reports)


def _finite(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


@dataclass(frozen=True)
class Middle:
    """The quartiles of some curves, wherever at least half of them have a value."""

    x: list[float]
    low: list[float]
    median: list[float]
    high: list[float]


def middle(curves: Sequence[Curve]) -> Middle | None:
    """Quartiles over curves, each straight between two of its points, and nowhere else; None if no
    place has a value of half of them.
    """
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
    if not enough.any():
        return None
    low, median, high = np.nanquantile(rows[:, enough], (0.25, 0.5, 0.75), axis=0)
    return Middle(*([float(v) for v in values] for values in (grid[enough], low, median, high)))
