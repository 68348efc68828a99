"""What Plotly draws, as plain data: axes, figures, and the part of a scale that matters. Pure.

Only this module knows what Plotly takes for markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from distune.study.trial import Direction
from distune.watch.display.text import clean

PlotlyFigure = dict[str, Any]
#: Values of these keys are for Plotly, and never come from the share.
_TEMPLATES = {"hovertemplate", "texttemplate"}
_LONGEST_LABEL = 28


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": label(title, 60)}, "automargin": True, **more}


def figure(traces: Iterable[Mapping[str, Any]], x: Any, y: Any, **layout: Any) -> PlotlyFigure:
    """A plot's data and layout.

    Args:
        traces: what is drawn.
        x, y: the axes, from `axis`.
        layout: whatever else it has.
    """
    legend = {"orientation": "h", "x": 0, "y": 1.02, "xanchor": "left", "yanchor": "bottom"}
    margin = {"l": 56, "r": 16, "t": 16, "b": 48}
    base = {"xaxis": x, "yaxis": y, "legend": legend, "margin": margin}
    return {"data": [dict(trace) for trace in traces], "layout": {**base, **layout}}


def label(text: str, limit: int = _LONGEST_LABEL) -> str:
    """As much of a text as has room beside a plot."""
    text = clean(text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def safe_figure(tree: Any) -> Any:
    """The figure, with none of its strings taken for markup, as strict JSON has it: what is not
    a finite number becomes None, and a line break Plotly's.
    """
    match tree:
        case str():
            lines = (clean(line, 2000) for line in tree.split("\n"))
            return "<br>".join(map(_literally, lines))
        case bool() | int() | None:
            return tree
        case float():
            return float(f"{tree:.7g}") if math.isfinite(tree) else None
        case Mapping():
            return {
                key: value if key in _TEMPLATES else safe_figure(value)
                for key, value in tree.items()
            }
        case _:
            return [safe_figure(value) for value in tree]


def _literally(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


#: How much further off the worst tenth has to be than the others are apart, to be left out.
_FAR = 2.0


def window(values: Sequence[float], direction: Direction) -> list[float] | None:
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
    return [low, high] if direction == "maximize" else [-high, -low]


#: How many times the least the greatest is, where a log scale shows more.
_DECADES = 40.0


def spans_decades(values: Iterable[float]) -> bool:
    """Whether positive values differ so much that a log scale shows them better."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= _DECADES


def scale(values: Sequence[float], direction: Direction) -> dict[str, Any]:
    """How an axis of the metric shows values best, in Plotly's words: a loss over decades on a
    log scale; else the part that matters.
    """
    if direction == "minimize" and spans_decades(values):
        return {"type": "log"}
    shown = window(values, direction)
    return {} if shown is None else {"range": shown}
