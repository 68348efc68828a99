"""The parts that a study's view is made of, and how they share the rows that there are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from rich.text import Text

from distune.share.protocol import State
from distune.watch.display.best_so_far import best_aside, best_lines, best_spark
from distune.watch.display.events import event_lines
from distune.watch.display.failed import failed_lines, failures_counted
from distune.watch.display.goals import front_aside
from distune.watch.display.leaderboard import ranking_lines, stage_lines
from distune.watch.display.numbers import plural
from distune.watch.display.state import is_over, planned_trials
from distune.watch.display.text import indented, padded, rule_line
from distune.watch.display.wish import UNCHANGED, Part, Wish
from distune.watch.display.workers import (
    live_workers,
    running_aside,
    running_lines,
    shown_workers,
    worker_lines,
    workers_summary,
)
from distune.watch.snapshot import Snapshot

_MARK = "›"
_SPARK = 16  # cells


@dataclass(frozen=True)
class Panel:
    """A titled part of the screen.

    Attributes:
        total: of what it lists; which of it are shown is said in the title.
        wanted: rows that it has a use for.
        draw: its lines, of a width, for these of its rows.
        weight: its share of rows where there are not enough.
        fixed: rows that its own heading takes.
        part: the list that it is, if keys can move in it.
        beside: it stands at the right where there is room.
    """

    title: str
    total: int
    wanted: int
    draw: Callable[[Snapshot, int, range], list[Text]]
    weight: int = 3
    aside: str = ""
    fixed: int = 0
    counts_hidden: bool = True
    part: Part | None = None
    beside: bool = False


def panels_of(
    snapshot: Snapshot, *, header: bool, plot: int = 0, wish: Wish = UNCHANGED
) -> list[Panel]:
    """What there is to show, the most important first. `plot`: rows that there are for one."""
    over, stages, events = is_over(snapshot), len(snapshot.stages), len(snapshot.events)
    running, workers = len(snapshot.in_state(State.TAKEN)), len(shown_workers(snapshot))
    # Places that will be needed soon are kept, so that nothing jumps when they fill.
    slots = sum(view.beat.jobs for view in live_workers(snapshot) if view.beat is not None)
    at_least = 0 if over else 1
    wanted = max(running, 0 if over else slots, at_least)
    together, is_read = workers_summary(snapshot, workers), wish.part is Part.EVENTS
    plotted = len(snapshot.history) > 1 and not snapshot.study.objectives

    panels = [
        _failures(snapshot) if wish.failures else _ranking(snapshot, header, plot > 0, wish),
        Panel("Best so far", 0, plot if plotted else 0, best_lines, weight=4,
              aside=best_aside(snapshot) if plot else "", beside=True),
        Panel("Stages", stages, stages, stage_lines, weight=2),
        Panel("Running", running, wanted, running_lines, aside=running_aside(snapshot),
              part=Part.RUNNING),
        Panel("Workers", workers, max(workers, at_least), worker_lines, aside=together,
              part=Part.WORKERS),
        Panel("Events", events, max(events, 2), partial(event_lines, everything=is_read),
              counts_hidden=is_read, part=Part.EVENTS, beside=True),
    ]  # fmt: skip
    return [panel for panel in panels if panel.wanted]


def _ranking(snapshot: Snapshot, header: bool, plot: bool, wish: Wish) -> Panel:
    ranked, planned = snapshot.history.configurations, planned_trials(snapshot)
    coming = 10**9 if planned is None else -(-planned // snapshot.study.repeats)
    return Panel(
        "Ranking",
        ranked,
        max(ranked, 1, 0 if is_over(snapshot) else coming),
        partial(ranking_lines, header=header, wish=wish),
        weight=6,
        aside=_ranked_words(snapshot, plot) if len(snapshot.history) else "",
        fixed=1 if header else 0,
        part=Part.RANKING,
    )


def _ranked_words(snapshot: Snapshot, plot: bool) -> str:
    history = snapshot.history
    said = [plural(history.configurations, "configuration"), front_aside(snapshot)]
    spark = "" if plot or len(history) < 2 else best_spark(history, _SPARK)
    return ", ".join(filter(None, [*said, spark and f"best so far {spark}"]))


def _failures(snapshot: Snapshot) -> Panel:
    total = failures_counted(snapshot.history)
    aside = f"{plural(total, 'trial')}, the last first" if total else ""
    return Panel(
        "Failures", total, max(total, 1), failed_lines, weight=6, aside=aside, part=Part.RANKING
    )


def shared_out(panels: Sequence[Panel], available: int, part: Part | None = None) -> list[int]:
    """Rows of each panel's content; 0 for one that has to go.

    The most important open first. What is left goes, one row at a time, to the panel that has
    least for its weight; the one where keys move (`part`) has twice that.
    """
    rows = [0] * len(panels)
    weights = [one.weight * (2 if part in (Part.RUNNING, Part.WORKERS, Part.EVENTS)
               and one.part is part else 1) for one in panels]  # fmt: skip
    for i, panel in enumerate(panels):
        if available >= 2 + panel.fixed:
            rows[i] = 1
            available -= 2 + panel.fixed
    while available > 0:
        hungry = [i for i, panel in enumerate(panels) if 0 < rows[i] < panel.wanted]
        if not hungry:
            break
        # The next row makes it `rows + 1`; ties go to the more important.
        rows[min(hungry, key=lambda i: (rows[i] + 1) / weights[i])] += 1
        available -= 1
    return rows


def panel_lines(
    panel: Panel, snapshot: Snapshot, width: int, rows: int, wish: Wish | None = None
) -> list[Text]:
    """A panel of exactly `rows` rows, besides its heading and fixed rows. Without a wish, which
    could move it, it says how many are hidden.
    """
    if not panel.counts_hidden or panel.part is None:
        shown = range(rows)
    else:
        shown = (wish or UNCHANGED).shown(panel.part, rows, panel.total)
    more = _hidden(panel, shown, scrolls=wish is not None) if panel.counts_hidden else ""
    lines = [rule_line(panel.title, panel.aside, more, width)]
    content = panel.draw(snapshot, width - 1, shown)
    marked = wish.marked(panel.part, panel.total) if wish and panel.part else None
    for i, line in enumerate(content, shown.start - panel.fixed):
        lines.append(_marked(line, width) if i == marked else indented(line, width))
    return lines + [Text("")] * (1 + panel.fixed + rows - len(lines))


def _hidden(panel: Panel, shown: range, scrolls: bool) -> str:
    """`41–80 of 92`, `and 40 more`; nothing if nothing is."""
    last = min(shown.stop, panel.total)
    hidden = panel.total - (last - shown.start)
    if hidden <= 0:
        return ""
    if not scrolls or panel.part is None:
        return f"and {hidden:,} more"
    first = f"{shown.start + 1:,}–" if last > shown.start + 1 else ""
    return f"{first}{last:,} of {panel.total:,}"


def _marked(line: Text, width: int) -> Text:
    """In one colour: those of its words would become patches of their own."""
    return padded(Text(f"{_MARK}{line.plain}", "reverse"), width)
