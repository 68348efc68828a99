"""Curves and progress in one line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from distune.watch.display.text import line_of

_SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve in one line, at most `width` cells; `×` where no value is a finite number.

    Scaled from its least to its greatest finite value. A longer curve is thinned to means.
    """
    if width <= 0 or not values:
        return ""
    points = _thinned(values, width)
    finite = [p for p in points if p is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join("×" if p is None else _spark(p, low, high) for p in points)


def _thinned(values: Sequence[float], width: int) -> list[float | None]:
    count = min(len(values), width)
    points: list[float | None] = []
    for i in range(count):
        bucket = values[i * len(values) // count : (i + 1) * len(values) // count]
        finite = [v for v in bucket if math.isfinite(v)]
        # Divided before the sum: two finite numbers may have an infinite one.
        points.append(sum(v / len(finite) for v in finite) if finite else None)
    return points


def _spark(value: float, low: float, high: float) -> str:
    if not low < high:
        return _SPARKS[3]
    # Halved, so that the distance of two finite numbers is finite.
    share = (value / 2 - low / 2) / (high / 2 - low / 2)
    return _SPARKS[min(int(share * len(_SPARKS)), len(_SPARKS) - 1)]


def progress_bar(fraction: float | None, width: int, style: str = "cyan") -> Text:
    """`width` cells; dashes, which say nothing, if the fraction is not known."""
    if width <= 0:
        return Text("")
    if fraction is None or math.isnan(fraction):
        return Text("╌" * width, style="dim")
    halves = int(min(max(fraction, 0.0), 1.0) * width * 2)
    bar = "━" * (halves // 2) + "╸" * (halves % 2)
    return line_of((bar, style), ("─" * (width - len(bar)), "dim"))
