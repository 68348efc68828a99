"""The live view, which fills a screen and never more, and the same without that limit."""

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.text import Text

from distune.watch.display.panels import Panel, panel_lines, panels_of, shared_out
from distune.watch.display.state import study_lines, title_line
from distune.watch.display.text import fitted, indented, joined, line_of, padded, rule_line
from distune.watch.display.wish import UNCHANGED, Wish
from distune.watch.snapshot import Snapshot

_MOST_ROWS = 1000  # of a panel, where nothing else limits it
_TWO_COLUMNS = 160  # cells; with fewer, all stands below each other
_WIDEST_SIDE = 90
_PLOT_FROM = 34  # lines; lower screens have a few characters instead


def render(
    snapshot: Snapshot,
    width: int,
    height: int,
    wish: Wish | None = None,
    page: Sequence[Text] = (),
    quits: bool = True,
) -> RenderableType:
    """The live leaderboard, never taller than `height` nor wider than `width`. With a `wish`, the
    keys that change it stand in the last line, if there is room.

    Args:
        page: the lines of what is shown instead, if the wish is for such.
        quits: whether `q` ends the view.
    """
    hint = []
    if wish is not None and height >= 10:
        keys = [(Text(words, "dim"), priority) for words, priority in wish.hint(quits)]
        hint, height = [indented(joined(keys, width - 2, " · "), width)], height - 1
    if wish is not None and wish.is_page:
        lines = _page(snapshot, width, height, wish, page)
    else:
        lines = _study(snapshot, width, height, wish)
    if hint:
        lines += [Text("")] * (height - len(lines))
    return Group(*(fitted(line, width) for line in [*lines[:height], *hint]))


def _study(snapshot: Snapshot, width: int, height: int, wish: Wish | None) -> list[Text]:
    study_rows = 3 if height >= 14 else 2 if height >= 6 else 1
    lines = [indented(line, width) for line in study_lines(snapshot, width - 2, study_rows)]
    two, left = width >= _TWO_COLUMNS, height - len(lines)
    plot = min(left // 3, 14) if two else 8 * (height >= _PLOT_FROM)
    panels = panels_of(snapshot, header=height >= 13, plot=plot, wish=wish or UNCHANGED)
    if not two:
        return lines + _column(panels, snapshot, width, left, wish)
    side = min(width * 2 // 5, _WIDEST_SIDE)
    main = width - side - 2
    columns = (
        _column([one for one in panels if one.beside is beside], snapshot, wide, left, wish)
        for beside, wide in ((False, main), (True, side))
    )
    empty = Text("")
    both = zip_longest(*columns, fillvalue=empty)
    return lines + [line_of(padded(one, main), "  ", other) for one, other in both]


def _column(
    panels: Sequence[Panel], snapshot: Snapshot, width: int, height: int, wish: Wish | None
) -> list[Text]:
    """Panels below each other."""
    gap = 1 if height >= 27 else 0
    part = wish.part if wish is not None else None
    lines: list[Text] = []
    for panel, rows in zip(
        panels, shared_out(panels, height - gap * len(panels), part), strict=True
    ):
        if rows:
            lines += [Text("")] * gap
            lines += panel_lines(panel, snapshot, width, rows, wish)
    return lines


def _page(
    snapshot: Snapshot, width: int, height: int, wish: Wish, page: Sequence[Text]
) -> list[Text]:
    """So many of a page's lines as fit, below one that says what the study does."""
    rows = max(height - 2, 0)
    first = max(min(wish.first, len(page) - rows), 0)
    where = f"{first + 1}–{min(first + rows, len(page))} of {len(page)}"
    title = indented(title_line(snapshot, width - 2), width)
    rule = rule_line("Keys" if wish.help else "", "", where if len(page) > rows else "", width)
    return [title, rule, *page[first : first + rows]][:height]


def last_first(page: Sequence[Text], height: int) -> int:
    """How many of its first lines can stand above a screen that high, and one."""
    return max(len(page) - max(height - 3, 0), 0) + 1


def status_text(snapshot: Snapshot, width: int) -> RenderableType:
    """One snapshot as text: the live view, as high as it needs to be, but for thousands of workers
    and of their trials.
    """
    lines = [indented(line, width) for line in study_lines(snapshot, width - 2, 3)]
    most = {"Ranking": 20, "Events": 10}
    for panel in panels_of(snapshot, header=True):
        if panel.title == "Events" and not panel.total:
            continue  # nothing has happened since the only look
        rows = min(max(panel.total, 1), most.get(panel.title, _MOST_ROWS))
        block = panel_lines(panel, snapshot, width, rows)
        while block and not block[-1].plain:
            block.pop()
        lines += [Text(""), *block]
    return Group(*(fitted(line, width) for line in lines))
