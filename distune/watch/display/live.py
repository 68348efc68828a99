"""The live view, which fills a screen and never more, and the same without that limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from distune.share.protocol import State
from distune.watch.display.cells import fitted, indented, plural, rule_line
from distune.watch.display.facts import is_over, live_workers, planned_trials
from distune.watch.display.leaderboard import ranking_lines
from distune.watch.display.parts import (
    event_lines,
    running_lines,
    shown_workers,
    stage_lines,
    study_lines,
    worker_lines,
    workers_note,
)
from distune.watch.snapshot import Snapshot

_Draw = Callable[[Snapshot, int, int], list[Text]]


@dataclass(frozen=True)
class _Section:
    """A titled part of the screen.

    Attributes:
        total: of what it lists; what is not shown of it is said in the title.
        wanted: rows that it has a use for.
        weight: its share of rows where there are not enough.
        fixed: rows that its own heading takes.
    """

    title: str
    note: str
    total: int
    wanted: int
    weight: int
    draw: _Draw
    fixed: int = 0
    counts_hidden: bool = True


def _heading(section: _Section, shown: int, width: int) -> Text:
    hidden = section.total - shown if section.counts_hidden else 0
    more = f"and {hidden:,} more" if hidden > 0 else ""
    return rule_line(section.title, section.note, more, width)


def _sections(snapshot: Snapshot, *, header: bool) -> list[_Section]:
    """What there is to show, the most important first."""
    history, over = snapshot.history, is_over(snapshot)
    running = len(snapshot.in_state(State.TAKEN))
    workers = len(shown_workers(snapshot))
    at_least = 0 if over else 1
    planned = planned_trials(snapshot)
    # Places that will be needed soon are kept, so that nothing jumps when they fill.
    coming = 10**9 if planned is None else -(-planned // snapshot.study.repeats)
    slots = sum(view.beat.jobs for view in live_workers(snapshot) if view.beat is not None)

    def ranking(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
        return ranking_lines(snapshot, width, rows, header)

    sections = [
        _Section(
            title="Ranking",
            note=plural(history.configurations, "configuration") if len(history) else "",
            total=history.configurations,
            wanted=max(history.configurations, 1, 0 if over else coming),
            weight=6,
            draw=ranking,
            fixed=1 if header else 0,
        ),
        _Section(
            title="Stages",
            note="",
            total=len(snapshot.stages),
            wanted=len(snapshot.stages),
            weight=2,
            draw=stage_lines,
        ),
        _Section(
            title="Running",
            note=plural(running, "trial") if running else "",
            total=running,
            wanted=max(running, 0 if over else slots, at_least),
            weight=3,
            draw=running_lines,
        ),
        _Section(
            title="Workers",
            note=workers_note(snapshot, workers),
            total=workers,
            wanted=max(workers, at_least),
            weight=3,
            draw=worker_lines,
        ),
        _Section(
            title="Events",
            note="",
            total=len(snapshot.events),
            wanted=max(len(snapshot.events), 1),
            weight=3,
            draw=event_lines,
            counts_hidden=False,
        ),
    ]
    return [section for section in sections if section.wanted]


def _shared_out(sections: Sequence[_Section], available: int) -> list[int]:
    """Rows of each section's content; 0 for one that has to go.

    The most important open first. What is left goes, one row at a time, to whoever has
    least for its weight.
    """
    rows = [0] * len(sections)
    for i, section in enumerate(sections):
        if available >= 2 + section.fixed:
            rows[i] = 1
            available -= 2 + section.fixed
    while available > 0:
        hungry = [i for i, section in enumerate(sections) if 0 < rows[i] < section.wanted]
        if not hungry:
            break
        # The next row makes it `rows + 1`; ties go to the more important.
        rows[min(hungry, key=lambda i: (rows[i] + 1) / sections[i].weight)] += 1
        available -= 1
    return rows


def _section_lines(section: _Section, snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """A section of exactly `rows` rows, besides its heading and fixed rows."""
    drawn = section.draw(snapshot, width - 1, rows)
    lines = [_heading(section, min(rows, section.total), width)]
    lines += [indented(line, width) for line in drawn]
    return lines + [Text("")] * (1 + section.fixed + rows - len(lines))


def render(snapshot: Snapshot, width: int, height: int) -> RenderableType:
    """The live leaderboard, never taller than `height` nor wider than `width`."""
    return Group(*_screen(snapshot, width, height))


def _screen(snapshot: Snapshot, width: int, height: int) -> list[Text]:
    study_rows = 3 if height >= 14 else 2 if height >= 6 else 1
    lines = [indented(line, width) for line in study_lines(snapshot, width - 2, study_rows)]
    sections = _sections(snapshot, header=height >= 13)
    gap = 1 if height >= 30 else 0
    available = height - len(lines) - gap * len(sections)
    for section, rows in zip(sections, _shared_out(sections, available), strict=True):
        if rows:
            lines += [Text("")] * gap
            lines += _section_lines(section, snapshot, width, rows)
    return [fitted(line, width) for line in lines[:height]]


def status_text(snapshot: Snapshot, width: int) -> RenderableType:
    """One snapshot as text: the live view without a limit to its height."""
    lines = [indented(line, width) for line in study_lines(snapshot, width - 2, 3)]
    most = {"Ranking": 20, "Events": 10}
    for section in _sections(snapshot, header=True):
        if section.title == "Events" and not section.total:
            continue  # who looks once has seen nothing happen
        rows = min(max(section.total, 1), most.get(section.title, 10**9))
        block = _section_lines(section, snapshot, width, rows)
        while block and not block[-1].plain:
            block.pop()
        lines += [Text(""), *block]
    return Group(*(fitted(line, width) for line in lines))
