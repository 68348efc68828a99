"""Texts that are safe to print, and lines and tables of them that fit.

Tables are laid out here rather than by rich, because a live view must never wrap: what does not
fit is left out, least important first.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from rich.cells import cell_len
from rich.text import Text

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: More of a text than this is on no screen; a hostile one may be a megabyte.
_LONGEST_TEXT = 400


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


def line_of(*pieces: tuple[str, str] | str | Text) -> Text:
    return Text.assemble(*pieces, no_wrap=True, overflow="ellipsis", end="\n")


def fitted(text: Text, width: int) -> Text:
    """At most `width` cells of it."""
    text = text.copy()
    text.no_wrap = True
    text.truncate(max(width, 0), overflow="ellipsis")
    return text


def padded(text: Text, width: int, right: bool = False) -> Text:
    text = fitted(text, width)
    text.align("right" if right else "left", width)
    return text


def indented(line: Text, width: int) -> Text:
    return fitted(line_of(" ", line), width)


def rule_line(title: str, aside: str, more: str, width: int) -> Text:
    """`Title  aside ────────── more ─`"""
    tail = f" {more} ─" if more else ""
    left = line_of((title, "bold"), (f"  {aside} " if aside else " ", "dim"))
    left = fitted(left, width - cell_len(tail))
    dashes = "─" * max(width - left.cell_len - cell_len(tail), 0)
    return line_of(left, (dashes + tail, "dim"))


_SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve in one line, at most `width` cells; `×` where no value is a finite number.

    Scaled from its least to its greatest finite value. A longer curve is thinned to means.
    """
    count = max(min(len(values), width), 0)
    points: list[float | None] = []
    for i in range(count):
        bucket = values[i * len(values) // count : (i + 1) * len(values) // count]
        numbers = [v for v in bucket if math.isfinite(v)]
        # Divided before the sum: two finite numbers may have an infinite one.
        points.append(sum(v / len(numbers) for v in numbers) if numbers else None)
    finite = [p for p in points if p is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join("×" if p is None else _spark(p, low, high) for p in points)


def row_spark(values: Sequence[float], width: int) -> str:
    """The same, a little lower: curves in rows below each other stay apart."""
    return sparkline(values, width).replace(_SPARKS[-1], _SPARKS[-2])


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


BEST_MARK = "★"


@dataclass(frozen=True)
class Column:
    """How a column of a table is laid out, and what it holds.

    Attributes:
        priority: where space is short, columns of a greater one go first.
        widest: in cells; what is longer is cut.
        optional: left out where no row has anything there, as any without a name.
    """

    priority: int
    name: str = ""
    right: bool = False
    widest: int = 24
    optional: bool = False
    cells: Sequence[Text] = ()

    @cached_property  # asked for with each row
    def width(self) -> int:
        # A parameter's long name must not take the space of three: it is cut.
        name = min(cell_len(self.name), 14)
        return min(max(name, *(c.cell_len for c in self.cells), 0), self.widest)


def filled(layout: Sequence[Column], rows: Iterable[Sequence[Text | str]]) -> list[Column]:
    """The columns of a table of these rows."""
    columns = []
    for column, cells in zip(layout, zip(*rows, strict=True), strict=True):
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        if (column.name and not column.optional) or any(text.plain for text in texts):
            columns.append(replace(column, cells=texts))
    return columns


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


def table_lines(columns: Sequence[Column], width: int) -> list[Text]:
    """Lines of at most `width` cells."""
    shown = chosen_columns(columns, width, 2)
    used = sum(column.width for column in shown) + 3 * (len(shown) - 1)
    gap = Text("   " if used <= width and width >= 100 else "  ")
    rows = list(zip(*(column.cells for column in shown), strict=True))
    if any(column.name for column in columns):
        rows.insert(0, tuple(Text(column.name, "dim") for column in shown))
    lines = []
    for row in rows:
        cells = (padded(c, one.width, one.right) for c, one in zip(row, shown, strict=True))
        lines.append(fitted(gap.join(cells), width))
    return lines


def joined(pieces: Iterable[tuple[Text, int]], width: int, separator: str) -> Text:
    """The texts that fit beside each other in one line, each with its priority as a column's;
    empty ones take no place.
    """
    columns = [Column(priority, widest=width, cells=[text]) for text, priority in pieces]
    chosen = chosen_columns([c for c in columns if c.cells[0].plain], width, len(separator))
    return fitted(line_of((separator, "dim")).join(c.cells[0] for c in chosen), width)
