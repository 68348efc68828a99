"""The live view, which fills a screen and never more, and the same without that limit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rich.console import Group, RenderableType
from rich.text import Text

from distune.share.protocol import State
from distune.watch.display.goals import front_aside
from distune.watch.display.leaderboard import ranking_lines, stage_lines
from distune.watch.display.numbers import clock, plural
from distune.watch.display.state import is_over, planned_trials, study_lines
from distune.watch.display.text import clean, fitted, indented, line_of, rule_line
from distune.watch.display.wish import UNCHANGED, Wish
from distune.watch.display.workers import (
    live_workers,
    running_lines,
    shown_workers,
    worker_lines,
    workers_summary,
)
from distune.watch.snapshot import Snapshot

#: Sign, style of the sign, style of the text: trouble strikes the eye, routine does not.
_MOST_ROWS = 1000  # of a panel, where nothing else limits it
_KINDS: dict[str, tuple[str, str, str]] = {
    "claimed": ("›", "blue", "dim"),
    "complete": ("✓", "green", ""),
    "diverged": ("~", "yellow", ""),
    "pruned": ("–", "cyan", ""),
    "failed": ("✗", "bold red", "red"),
    "timeout": ("✗", "bold red", "red"),
    "out-of-memory": ("✗", "bold red", "red"),
    "lost": ("?", "bold yellow", "yellow"),
    "released": ("‹", "yellow", ""),
    "retried": ("↻", "yellow", ""),
    "halt": ("!", "bold yellow", "yellow"),
    "enqueued": ("+", "cyan", ""),
    "stage": ("▸", "bold cyan", ""),
    "trouble": ("!", "bold red", "red"),
}


def event_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    events = snapshot.events[-rows:] if rows > 0 else ()
    if not events:
        return [Text("nothing has happened since this view was opened", "dim")]
    lines = []
    for event in events:
        sign, sign_style, style = _KINDS.get(event.kind, ("•", "dim", ""))
        at, text = (clock(event.at), "dim"), (clean(event.text), style)
        lines.append(fitted(line_of(at, "  ", (sign, sign_style), " ", text), width))
    return lines


@dataclass(frozen=True)
class _Panel:
    """A titled part of the screen.

    Attributes:
        total: of what it lists; what is not shown of it is said in the title.
        wanted: rows that it has a use for.
        weight: its share of rows where there are not enough.
        fixed: rows that its own heading takes.
    """

    title: str
    total: int
    wanted: int
    draw: Callable[[Snapshot, int, int], list[Text]]
    weight: int = 3
    aside: str = ""
    fixed: int = 0
    counts_hidden: bool = True


def _panels(snapshot: Snapshot, *, header: bool, wish: Wish = UNCHANGED) -> list[_Panel]:
    """What there is to show, the most important first."""
    history, over = snapshot.history, is_over(snapshot)
    ranked, stages, events = history.configurations, len(snapshot.stages), len(snapshot.events)
    running, workers = len(snapshot.in_state(State.TAKEN)), len(shown_workers(snapshot))
    planned, at_least = planned_trials(snapshot), 0 if over else 1
    # Places that will be needed soon are kept, so that nothing jumps when they fill.
    coming = 10**9 if planned is None else -(-planned // snapshot.study.repeats)
    slots = sum(view.beat.jobs for view in live_workers(snapshot) if view.beat is not None)
    wanted = max(running, 0 if over else slots, at_least)
    under_way = plural(running, "trial") if running else ""
    together = workers_summary(snapshot, workers)

    panels = [
        _Panel(
            "Ranking",
            ranked,
            max(ranked, 1, 0 if over else coming),
            partial(ranking_lines, header=header, wish=wish),
            weight=6,
            aside=_ranked_words(snapshot) if len(history) else "",
            fixed=1 if header else 0,
        ),
        _Panel("Stages", stages, stages, stage_lines, weight=2),
        _Panel("Running", running, wanted, running_lines, aside=under_way),
        _Panel("Workers", workers, max(workers, at_least), worker_lines, aside=together),
        _Panel("Events", events, max(events, 1), event_lines, counts_hidden=False),
    ]
    return [panel for panel in panels if panel.wanted]


def _ranked_words(snapshot: Snapshot) -> str:
    said = [plural(snapshot.history.configurations, "configuration"), front_aside(snapshot)]
    return ", ".join(filter(None, said))


def _shared_out(panels: Sequence[_Panel], available: int) -> list[int]:
    """Rows of each panel's content; 0 for one that has to go.

    The most important open first. What is left goes, one row at a time, to the panel that has
    least for its weight.
    """
    rows = [0] * len(panels)
    for i, panel in enumerate(panels):
        if available >= 2 + panel.fixed:
            rows[i] = 1
            available -= 2 + panel.fixed
    while available > 0:
        hungry = [i for i, panel in enumerate(panels) if 0 < rows[i] < panel.wanted]
        if not hungry:
            break
        # The next row makes it `rows + 1`; ties go to the more important.
        rows[min(hungry, key=lambda i: (rows[i] + 1) / panels[i].weight)] += 1
        available -= 1
    return rows


def _panel_lines(panel: _Panel, snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """A panel of exactly `rows` rows, besides its heading and fixed rows."""
    hidden = panel.total - min(rows, panel.total) if panel.counts_hidden else 0
    more = f"and {hidden:,} more" if hidden > 0 else ""
    lines = [rule_line(panel.title, panel.aside, more, width)]
    lines += [indented(line, width) for line in panel.draw(snapshot, width - 1, rows)]
    return lines + [Text("")] * (1 + panel.fixed + rows - len(lines))


def render(snapshot: Snapshot, width: int, height: int, wish: Wish | None = None) -> RenderableType:
    """The live leaderboard, never taller than `height` nor wider than `width`. With a `wish`, the
    keys that change it stand in the last line, if there is room.
    """
    hint = []
    if wish is not None and height >= 10:
        hint, height = [Text(f" {wish.hint}", "dim")], height - 1
    study_rows = 3 if height >= 14 else 2 if height >= 6 else 1
    lines = [indented(line, width) for line in study_lines(snapshot, width - 2, study_rows)]
    panels = _panels(snapshot, header=height >= 13, wish=wish or UNCHANGED)
    gap = 1 if height >= 30 else 0
    available = height - len(lines) - gap * len(panels)
    for panel, rows in zip(panels, _shared_out(panels, available), strict=True):
        if rows:
            lines += [Text("")] * gap
            lines += _panel_lines(panel, snapshot, width, rows)
    if hint:
        lines += [Text("")] * (height - len(lines))
    return Group(*(fitted(line, width) for line in [*lines[:height], *hint]))


def status_text(snapshot: Snapshot, width: int) -> RenderableType:
    """One snapshot as text: the live view, as high as it needs to be, but for thousands of workers
    and of their trials.
    """
    lines = [indented(line, width) for line in study_lines(snapshot, width - 2, 3)]
    most = {"Ranking": 20, "Events": 10}
    for panel in _panels(snapshot, header=True):
        if panel.title == "Events" and not panel.total:
            continue  # nothing has happened since the only look
        rows = min(max(panel.total, 1), most.get(panel.title, _MOST_ROWS))
        block = _panel_lines(panel, snapshot, width, rows)
        while block and not block[-1].plain:
            block.pop()
        lines += [Text(""), *block]
    return Group(*(fitted(line, width) for line in lines))
