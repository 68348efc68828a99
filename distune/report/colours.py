"""Colours as tokens, which the page resolves for light and for dark mode. Pure.

@0 ... @6      one of seven, for values without an order
@s0 ... @s10   along a scale, for values with one; @scale is all of it
@0~, @s0~      the same, hardly there: for bands
@ink @muted @grid @paper @bad
"""

from __future__ import annotations

from typing import Any

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
