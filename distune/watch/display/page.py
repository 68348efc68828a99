"""What a live view shows instead of the study: a trial that was opened, the keys that there are."""

import io
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.watch.display.failed import failed_trials, failures_counted
from distune.watch.display.text import indented, line_of
from distune.watch.display.trial_detail import trial_detail
from distune.watch.display.wish import Part, Wish
from distune.watch.display.workers import running_names, shown_workers
from distune.watch.snapshot import Snapshot

#: The attempts at a trial, as `Store.attempts_of` gives them.
Attempts = Sequence[tuple[AttemptName, AttemptFile]]
_MOST_TRIALS = 10  # of one configuration
_KEYS = [
    ("↑ ↓, k j", "one row up, down"),
    ("PgUp, PgDn, space", "ten rows"),
    ("Home, End, g G", "the first, the last row"),
    ("Tab", "the next list: Ranking, Running, Workers, Events"),
    ("Enter", "open the marked trial: its attempts, curve, output"),
    ("Esc", "go back"),
    ("s", "sort the ranking by rank, newest first, longest first"),
    ("f", "failures instead of the ranking, with their places in code"),
    ("?", "these keys"),
]
_QUITS = [("q", "leave; the study goes on")]
_STAYS = [
    ("Ctrl-C", "stop this master; the same command goes on from there"),
    ("q", "nothing, so that no slip ends a study"),
]
_KEY_WIDTH = 19


def rows_of(snapshot: Snapshot, wish: Wish) -> int:
    """How many rows there are in the list that keys move in."""
    match wish.part:
        case Part.RANKING if wish.failures:
            return failures_counted(snapshot.history)
        case Part.RANKING:
            return snapshot.history.configurations
        case Part.RUNNING:
            return len(running_names(snapshot))
        case Part.WORKERS:
            return len(shown_workers(snapshot))
        case Part.EVENTS:
            return len(snapshot.events)


def trials_at(snapshot: Snapshot, wish: Wish) -> tuple[int, ...]:
    """The trials of the marked row, or the first; none where it is no trial's."""
    at = wish.marked(wish.part, rows_of(snapshot, wish)) or 0
    if wish.part is Part.RANKING and wish.failures:
        return tuple(one.trial.number for one in failed_trials(snapshot.history, at + 1)[at:])
    if wish.part is Part.RANKING:
        places = wish.places(snapshot.history, range(at, at + 1))
        return tuple(t.trial.number for _, one in places for t in one.trials[:_MOST_TRIALS])
    running = running_names(snapshot)[at : at + 1] if wish.part is Part.RUNNING else []
    return tuple(name.trial for name in running)


def trial_page(snapshot: Snapshot, trials: Sequence[Attempts], width: int) -> list[Text]:
    """All that is known of these trials, as `distune show` has it, line by line."""
    blocks: list[RenderableType] = []
    for attempts in trials:
        detail = trial_detail(snapshot, attempts, width) if attempts else None
        blocks += [detail or Text(" It has no file here.", "dim"), Text("")]
    return _lines_of(Group(*blocks[:-1]), width)


def _lines_of(renderable: RenderableType, width: int) -> list[Text]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    return [
        Text.assemble(*((part.text, part.style or "") for part in line))
        for line in console.render_lines(renderable, pad=False)
    ]


def help_page(width: int, quits: bool) -> list[Text]:
    """The keys, each with what it does."""
    rows = [*_KEYS, *(_QUITS if quits else _STAYS)]
    return [indented(line_of((f"{key:<{_KEY_WIDTH}}", "bold"), does), width) for key, does in rows]
