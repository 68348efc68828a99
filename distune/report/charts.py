"""Charts as plain data: `plots.js` draws them. And the part of a scale that matters. Pure."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from distune.study.trial import Direction
from distune.watch.display.text import clean

#: So many hues has the page, `0` to `6`; `s0` to `s10` are places on its scale.
_COLOURS = 7
_LONGEST_LABEL = 28
Numbers = Sequence[float | None]


def colour(i: int, count: int, ordered: bool) -> str:
    """The hue of value `i` of `count`."""
    if not ordered:
        return f"{i % _COLOURS}"
    return f"s{round(10 * i / max(count - 1, 1))}"


class Axis(msgspec.Struct, frozen=True, omit_defaults=True):
    """`classes`: what stands at 0, 1, 2, ... instead of numbers."""

    title: str
    log: bool = False
    from_zero: bool = False
    low: float | None = None
    high: float | None = None
    classes: Sequence[str] = ()


class Line(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="line"):
    """Lines of one `name` are one entry of the legend; `said` of a point, before its value."""

    x: Sequence[float]
    y: Numbers
    hue: str
    name: str = ""
    said: str = ""
    dash: str = "solid"
    width: float = 2.0
    opacity: float = 1.0
    step: str = ""  # "end": a value holds until the next one; "start": from the one before


class Dots(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="dots"):
    """`trials`: of which trial each is. `error`: half the length of each error bar."""

    x: Numbers
    y: Numbers
    hue: str
    name: str = ""
    trials: Sequence[int] = ()
    symbol: str = "circle"
    size: int = 7
    opacity: float = 0.6
    error: Sequence[float] = ()


class Band(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="band"):
    """What lies between two curves."""

    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    hue: str
    name: str = ""


class Cells(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="cells"):
    """A matrix of numbers from 0 to 1, drawn from the top; `said` of each cell."""

    values: Sequence[Sequence[float]]
    said: Sequence[Sequence[str]]
    numbers: Sequence[Sequence[int]] = ()  # in the cells, where there is room


class Plane(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="plane"):
    """Numbers from 0 to 1 over a plane, `scores[i][j]` at `y[i]`, `x[j]`."""

    x: Sequence[float]
    y: Sequence[float]
    scores: Sequence[Sequence[float]]


class Chart(msgspec.Struct, frozen=True, omit_defaults=True):
    """`square`: one unit is as long on either axis. `diagonal`: y = x is drawn as well."""

    x: Axis
    y: Axis
    series: Sequence[Line | Dots | Band | Cells | Plane]
    square: bool = False
    diagonal: bool = False


def label(text: str, limit: int = _LONGEST_LABEL) -> str:
    """As much of a text as has room beside a plot."""
    text = clean(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


#: How much further off the worst tenth has to be than the others are apart, to be left out.
_FAR = 2.0


def window(values: Sequence[float], direction: Direction) -> tuple[float, float] | None:
    """The part of the scale that matters, from the best to what nine in ten reach, if the worst
    tenth is so far off that it would squeeze all others into one line; None for all of it.
    """
    finite = np.asarray([value for value in values if math.isfinite(value)])
    if len(finite) < 10:
        return None
    ordered = np.sort(finite if direction == "maximize" else -finite)
    worst, tenth, best = (float(x) for x in (ordered[0], ordered[len(ordered) // 10], ordered[-1]))
    if best == tenth or tenth - worst < _FAR * (best - tenth):
        return None
    margin = 0.06 * (best - tenth)
    low, high = tenth - margin, best + margin
    return (low, high) if direction == "maximize" else (-high, -low)


#: How many times the least the greatest is, where a log scale shows more.
_DECADES = 40.0


def spans_decades(values: Iterable[float]) -> bool:
    """Whether positive values differ so much that a log scale shows them better."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= _DECADES


def scale(values: Sequence[float], direction: Direction) -> dict[str, Any]:
    """How an axis of the metric shows values best, as fields of an `Axis`: a loss over decades on a
    log scale; else the part that matters.
    """
    if direction == "minimize" and spans_decades(values):
        return {"log": True}
    shown = window(values, direction)
    return {} if shown is None else {"low": shown[0], "high": shown[1]}


def left_out(values: Sequence[float], direction: Direction) -> str:
    """What `scale` leaves out, in words; nothing if it shows all."""
    shown = scale(values, direction)
    if "low" not in shown:
        return ""
    beyond = sum(not shown["low"] <= v <= shown["high"] for v in values if math.isfinite(v))
    return f" The scale leaves out the worst tenth: {beyond:,} of {len(values):,}."
