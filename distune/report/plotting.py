"""What Plotly draws, as plain data: axes, figures, and the part of a scale that matters. Pure.

No other module has to think of what Plotly takes for markup.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from distune.study.trial import Direction
from distune.watch.display.text import clean

#: So many hues has the page, `@0` to `@6`; `@s0` to `@s10` are places on its scale, and `@scale` is
#: all of it. `page.js` knows what they are in the light and in the dark.
_COLOURS = 7


def colour(i: int, count: int, ordered: bool) -> str:
    """The token for value `i` of `count`."""
    if not ordered:
        return f"@{i % _COLOURS}"
    return f"@s{round(10 * i / max(count - 1, 1))}"


PlotlyFigure = dict[str, Any]
#: Values of these keys are for Plotly, and never come from the share.
_TEMPLATES = {"hovertemplate", "texttemplate"}
_LONGEST_LABEL = 28


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": label(title, 60)}, **more}


def class_axis(title: str, names: Sequence[str], **more: Any) -> dict[str, Any]:
    """An axis of classes, at 0, 1, 2, ..."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": names}
    return axis(title, showgrid=False, zeroline=False, **ticks, **more)


def lines(x: Any, y: Any, hover: str = "%{y:.6g} at %{x:.6g}", **looks: Any) -> dict[str, Any]:
    """A trace of points, which says `hover` of the one that is pointed at, or nothing if empty."""
    said = {"hovertemplate": f"{hover}<extra></extra>"} if hover else {"hoverinfo": "skip"}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, **said, **looks}


def dots(x: Any, y: Any, hover: str, **looks: Any) -> dict[str, Any]:
    """The same points, not joined."""
    return lines(x, y, hover, mode="markers", **looks)


def figure(
    traces: Iterable[dict[str, Any]], x: dict[str, Any], y: dict[str, Any], **layout: Any
) -> PlotlyFigure:
    """A plot of traces with two axes, from `axis`, and whatever else its layout has."""
    return {"data": list(traces), "layout": {"xaxis": x, "yaxis": y, **layout}}


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
            return "<br>".join(escape(line, quote=False) for line in lines)
        case bool() | int() | None:
            return tree
        case float():
            return float(f"{tree:.7g}") if math.isfinite(tree) else None
        case Mapping():
            return {k: v if k in _TEMPLATES else safe_figure(v) for k, v in tree.items()}
        case _:
            return [safe_figure(value) for value in tree]


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
