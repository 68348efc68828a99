"""Texts, numbers, curves, bars and tables: what lines are made of.

Lines are laid out here rather than by rich's tables, because a live view must never wrap:
what does not fit is left out, least important first.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from rich.cells import cell_len
from rich.text import Text

from distune.study.durations import format_duration
from distune.study.trial import Scalar

_SPARKS = "▁▂▃▄▅▆▇█"
BEST_MARK = "★"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: More of a text than this is on no screen; a hostile one may be a megabyte.
_LONGEST_TEXT = 400


# -- texts ---------------------------------------------------------------------------------


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """One line that is safe to print: control and formatting characters become �.

    Line breaks and tabs become spaces. Variation selectors go: terminals do not agree on
    how wide they make a character.
    """
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe, text))


def _safe(character: str) -> str:
    if character in "\n\t":
        return " "
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    return _REPLACEMENT if unicodedata.category(character) in _UNSAFE else character


def line_of(*parts: tuple[str, str] | str | Text) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis", end="\n")


def fitted(text: Text, width: int) -> Text:
    """At most `width` cells of it."""
    text = text.copy()
    text.no_wrap = True
    text.truncate(max(width, 0), overflow="ellipsis")
    return text


def padded(text: Text, width: int, right: bool = False) -> Text:
    text = fitted(text, width)
    missing = width - text.cell_len
    if right:
        text.pad_left(missing)
    else:
        text.pad_right(missing)
    return text


def indented(line: Text, width: int) -> Text:
    return fitted(line_of(" ", line), width)


def rule_line(title: str, note: str, more: str, width: int) -> Text:
    """`Title  note ────────── more ─`"""
    tail = f" {more} ─" if more else ""
    left = line_of((title, "bold"), (f"  {note} " if note else " ", "dim"))
    left = fitted(left, width - cell_len(tail))
    rule = "─" * max(width - left.cell_len - cell_len(tail), 0)
    return line_of(left, (rule + tail, "dim"))


# -- numbers -------------------------------------------------------------------------------


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def short_number(value: float) -> str:
    """`160362` is `160k`: three digits are enough to compare sizes by."""
    if not math.isfinite(value):
        return str(value)
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            decimals = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{decimals}f}{unit}" if abs(scaled) < 1e6 else f"{value:.3g}"
    return f"{value:.0f}"


def decimals_for(value: float | None) -> int:
    """So many decimals show what matters of numbers of this size: 0.9871, 12.345, 0.00381.

    Numbers too small for decimals, which `format_value` shows without, ask for no more.
    """
    if value is None or not math.isfinite(value) or abs(value) < 1e-4:
        return 4
    exponent = math.floor(math.log10(abs(value)))
    return max(0, 4 - exponent if exponent >= 0 else 3 - exponent)


def format_value(value: float | None, decimals: int | None = None) -> str:
    """A metric's value; all of one column with the same number of decimals.

    A small one, of which they would show fewer than three digits, has four: 4.468e-09.
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if decimals is None:
        decimals = decimals_for(value)
    too_small = 0 < abs(value) < min(1e-3, 10.0 ** (2 - decimals))
    return f"{value:.4g}" if too_small else _fixed(value, decimals)


def format_spread(value: float, decimals: int) -> str:
    """With the decimals of the value it belongs to, or two digits where they would show none."""
    return f"{value:.2g}" if 0 < value < 10.0**-decimals else _fixed(value, decimals)


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.4g}" if abs(value) >= 1e7 else f"{value:.{decimals}f}"


def format_scalar(value: Scalar) -> str:
    """A parameter's value: floats with four significant digits."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:.4g}" if abs(value) >= 10**12 and abs(value) < 10**300 else str(value)
        case str():
            return clean(value) if value else '""'


def duration(seconds: float) -> str:
    return format_duration(seconds) if math.isfinite(seconds) else "?"


def round_duration(seconds: float) -> str:
    """`2h`, not `2h00m`: as people write what they have chosen themselves."""
    text = duration(seconds)
    return text[:-3] if text.endswith(("h00m", "m00s", "d00h")) else text


def coarse_duration(seconds: float) -> str:
    """For estimates, which deserve no more digits than they have."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{max(round(seconds), 0)}s"
    return f"{round(seconds / 60)}m" if seconds < 3570 else format_duration(seconds)


def format_rate(per_second: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        if per_second * seconds >= 1:
            rate = per_second * seconds
            return f"{rate:.1f}/{unit}" if rate < 100 else f"{rate:.0f}/{unit}"
    return f"{per_second * 86400:.1f}/day"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


# -- curves and bars -----------------------------------------------------------------------


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


# -- tables --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """`priority`: where space is short, columns of a greater one go first."""

    name: str
    cells: list[Text]
    priority: int
    right: bool = False
    widest: int = 24

    @property
    def width(self) -> int:
        # A parameter's long name must not take the room of three: it is cut.
        name = min(cell_len(self.name), 14)
        return min(max(name, *(c.cell_len for c in self.cells), 0), self.widest)


def chosen_columns(columns: Sequence[Column], width: int, gap: int) -> list[Column]:
    """The columns that fit beside each other, in their order; always the most important."""
    chosen: set[int] = set()
    left = width
    for i in sorted(range(len(columns)), key=lambda i: columns[i].priority):
        needed = columns[i].width + (gap if chosen else 0)
        if not chosen or needed <= left:
            chosen.add(i)
            left -= needed
    return [column for i, column in enumerate(columns) if i in chosen]


def table_lines(columns: Sequence[Column], width: int, *, header: bool, rows: int) -> list[Text]:
    """Lines of at most `width` cells."""
    if not header:
        columns = [replace(column, name="") for column in columns]
    shown = chosen_columns(columns, width, 2)
    gap = "  "
    used = sum(column.width for column in shown) + 2 * (len(shown) - 1)
    if used + len(shown) - 1 <= width and width >= 100:
        gap = "   "
    lines = []
    if header:
        names = [padded(Text(c.name, "dim"), c.width, c.right) for c in shown]
        lines.append(fitted(Text(gap).join(names), width))
    for i in range(rows):
        cells = [padded(c.cells[i], c.width, c.right) for c in shown]
        lines.append(fitted(Text(gap).join(cells), width))
    return lines


@dataclass(frozen=True)
class Part:
    """A piece of a line; those of a greater priority go first where space is short."""

    text: Text
    priority: int


def joined(parts: Iterable[Part], width: int, separator: str) -> Text:
    """Those that fit beside each other in one line; empty ones take no place."""
    columns = [Column("", [part.text], part.priority, widest=width) for part in parts]
    chosen = chosen_columns([c for c in columns if c.cells[0].plain], width, len(separator))
    return fitted(line_of((separator, "dim")).join(c.cells[0] for c in chosen), width)
