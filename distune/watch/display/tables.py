"""Tables as lines.

Lines are laid out here rather than by rich's tables, because a live view must never wrap: what
does not fit is left out, least important first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.text import Text

from distune.watch.display.text import fitted, line_of, padded

BEST_MARK = "★"


@dataclass(frozen=True)
class TextColumn:
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


def chosen_columns(columns: Sequence[TextColumn], width: int, gap: int) -> list[TextColumn]:
    """The columns that fit beside each other, in their order; always the most important."""
    chosen: set[int] = set()
    left = width
    for i in sorted(range(len(columns)), key=lambda i: columns[i].priority):
        needed = columns[i].width + (gap if chosen else 0)
        if not chosen or needed <= left:
            chosen.add(i)
            left -= needed
    return [column for i, column in enumerate(columns) if i in chosen]


def table_lines(
    columns: Sequence[TextColumn], width: int, *, header: bool, rows: int
) -> list[Text]:
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


def joined(pieces: Iterable[tuple[Text, int]], width: int, separator: str) -> Text:
    """The texts that fit beside each other in one line, each with its priority as a column's;
    empty ones take no place.
    """
    columns = [TextColumn("", [text], priority, widest=width) for text, priority in pieces]
    chosen = chosen_columns([c for c in columns if c.cells[0].plain], width, len(separator))
    return fitted(line_of((separator, "dim")).join(c.cells[0] for c in chosen), width)
