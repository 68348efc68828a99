"""What a section is made of: plain texts, tables, plots, pictures. Pure.

A plot is what Plotly draws, as plain data. Nobody outside this module has to think of what
Plotly takes for markup: `safe_figure` goes through all of its strings. Colours are tokens,
which the page resolves for light and for dark mode:

    @0 ... @6      one of seven, for values without an order
    @s0 ... @s10   along a scale, for values with one; @scale is all of it
    @0~, @s0~      the same, hardly there: for bands
    @ink @muted @grid @paper @bad
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distune.study.trial import Direction
from distune.watch.display.text import clean

Figure = dict[str, Any]

#: Okabe and Ito's palette for colour-blind readers, less yellow and black, which vanish on one
#: of the backgrounds, and a lighter one of the same hues.
_HUES = {
    "light": ["#0072B2", "#D55E00", "#009E73", "#B5518F", "#C98500", "#3A9BD9", "#6B6B6B"],
    "dark": ["#4FA8E0", "#F0803C", "#2BB990", "#DE9AC4", "#F0B429", "#A5D8F8", "#B5B5B5"],
}
_INKS = {
    "light": {"ink": "#1B1F24", "muted": "#57606A", "grid": "#E4E8EC", "paper": "#FFFFFF",
              "bad": "#B3261E"},
    "dark": {"ink": "#E6E9EC", "muted": "#9AA4AE", "grid": "#2B323A", "paper": "#14181D",
             "bad": "#FF8A80"},
}  # fmt: skip
_VIRIDIS = ["#440154", "#482475", "#414487", "#355F8D", "#2A788E", "#21918C", "#22A884",
            "#44BF70", "#7AD151", "#BDDF26", "#FDE725"]  # fmt: skip
#: The part of viridis that stands out from the background.
_STRETCH = {"light": (0.0, 0.85), "dark": (0.28, 1.0)}
_COLOURS = len(_HUES["light"])
_BAND = 0.18  # how opaque

#: Values of these keys are for Plotly, and never come from the share.
_TEMPLATES = {"hovertemplate", "texttemplate"}
_LONGEST_LABEL = 28


# -- blocks --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Text:
    """A paragraph. `tone`: `note` for what is said aside, `bad` for what is wrong."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """`numeric`: columns that are set flush right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Plot:
    """One plot, or several of which one is shown at a time.

    Attributes:
        title: above it.
        figures: by what to choose it by, the first being shown.
        alt: what it shows, for who cannot see it.
        caption: how to read it.
        choice: what is chosen, where there is a choice.
        chosen_by: the key of a `Choice` that chooses for this plot and others.
        alts: what each of the figures shows, if not all show the same.
        height: in pixels.
        min_width: in pixels; on a narrower screen it can be moved sideways.
    """

    title: str
    figures: Mapping[str, Figure]
    alt: str
    caption: str = ""
    choice: str = ""
    chosen_by: str = ""
    alts: Sequence[str] = ()
    height: int = 360
    min_width: int = 0


@dataclass(frozen=True)
class Choice:
    """One choice for all plots that name its key: which of their figures each shows."""

    key: str
    title: str
    options: Sequence[str]


@dataclass(frozen=True)
class Row:
    """Plots that stand beside each other where there is room."""

    plots: Sequence[Plot]


@dataclass(frozen=True)
class Pictures:
    """Small images with what is said under each: (PNG, label)."""

    title: str
    pictures: Sequence[tuple[bytes, str]]
    caption: str = ""


Block = Text | Table | Plot | Choice | Row | Pictures


@dataclass(frozen=True)
class Section:
    """`key` names it in the page's address."""

    key: str
    title: str
    blocks: Sequence[Block]


# -- colours -------------------------------------------------------------------------------


def themes() -> dict[str, dict[str, Any]]:
    """What each token stands for, for `light` and for `dark`."""
    return {mode: _theme(mode) for mode in ("light", "dark")}


def _theme(mode: str) -> dict[str, Any]:
    low, high = _STRETCH[mode]
    scale = [_on_viridis(low + (high - low) * i / 10) for i in range(11)]
    named = {f"@{i}": hue for i, hue in enumerate(_HUES[mode])}
    named |= {f"@s{i}": hue for i, hue in enumerate(scale)}
    faint = {f"{token}~": _faint(hue) for token, hue in named.items()}
    inks = {f"@{name}": ink for name, ink in _INKS[mode].items()}
    return {**named, **faint, **inks, "@scale": [[i / 10, hue] for i, hue in enumerate(scale)]}


def _channels(hue: str) -> list[int]:
    return [int(hue[i : i + 2], 16) for i in (1, 3, 5)]


def _on_viridis(at: float) -> str:
    i = min(int(at * 10), 9)
    share = at * 10 - i
    pairs = zip(_channels(_VIRIDIS[i]), _channels(_VIRIDIS[i + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def _faint(hue: str) -> str:
    return "rgba({}, {}, {}, {})".format(*_channels(hue), _BAND)


def colour(i: int, count: int, ordered: bool) -> str:
    """The token for value `i` of `count`."""
    if not ordered:
        return f"@{i % _COLOURS}"
    return f"@s{round(10 * i / max(count - 1, 1))}"


# -- figures -------------------------------------------------------------------------------


def axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": label(title, 60)}, "automargin": True, **more}


def figure(traces: Iterable[Mapping[str, Any]], x: Any, y: Any, **layout: Any) -> Figure:
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


def good_direction(direction: Direction) -> str:
    return "higher is better" if direction == "maximize" else "lower is better"
