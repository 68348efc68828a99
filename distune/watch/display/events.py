"""What happened lately, as lines: failures stay when there is not room for everything."""

from collections.abc import Sequence

from rich.text import Text

from distune.study.trial import FAILURES
from distune.watch.display.failed import failed_trials, failure_words
from distune.watch.display.numbers import clock
from distune.watch.display.text import clean, fitted, line_of
from distune.watch.snapshot import Event, Snapshot

#: Sign, style of the sign, style of the text: trouble strikes the eye, routine does not.
_KINDS: dict[str, tuple[str, str, str]] = {
    "claimed": ("›", "dim", "dim"),
    "complete": ("✓", "", ""),
    "diverged": ("~", "", ""),
    "pruned": ("–", "dim", "dim"),
    "failed": ("✗", "bold red", "red"),
    "timeout": ("✗", "bold red", "red"),
    "out-of-memory": ("✗", "bold red", "red"),
    "lost": ("?", "bold yellow", "yellow"),
    "released": ("‹", "dim", "dim"),
    "retried": ("↻", "dim", "dim"),
    "halt": ("!", "bold yellow", "yellow"),
    "enqueued": ("+", "", ""),
    "stage": ("▸", "bold", ""),
    "trouble": ("!", "bold red", "red"),
}
_FAILING = frozenset({*map(str, FAILURES), "lost", "trouble"})
_ROUTINE = "claimed"  # what runs shows it, too
_NO_CLOCK = " " * 8  # it was over before anybody watched


def event_lines(
    snapshot: Snapshot, width: int, shown: range, everything: bool = False
) -> list[Text]:
    """The last events, the newest last; or just these, if `everything` is to be seen."""
    events, rows = snapshot.events, len(shown)
    if everything and events:
        return [_line(one, width) for one in events[shown.start : shown.stop]]
    before = [] if any(e.kind in _FAILING for e in events) else _before(snapshot, (rows + 1) // 2)
    lines = [*before, *(_line(one, width) for one in last_events(events, rows - len(before)))]
    nothing = Text("nothing has happened since this view was opened", "dim")
    return [fitted(line, width) for line in lines or [nothing]]


def last_events(events: Sequence[Event], rows: int) -> list[Event]:
    """The last that fit. Failures have half of the rows if there are so many, and what was claimed
    goes first.
    """
    failing = [i for i, one in enumerate(events) if one.kind in _FAILING]
    kept = frozenset(failing[::-1][: (rows + 1) // 2])

    def order(i: int) -> tuple[bool, bool, int]:
        return i not in kept, events[i].kind == _ROUTINE, -i

    return [events[i] for i in sorted(sorted(range(len(events)), key=order)[: max(rows, 0)])]


def _line(event: Event, width: int) -> Text:
    return _laid_out(clock(event.at), event.kind, event.text, width)


def _laid_out(at: str, kind: str, text: str, width: int) -> Text:
    sign, sign_style, style = _KINDS.get(kind, ("•", "dim", ""))
    said = (clean(text), style)
    return fitted(line_of((at, "dim"), "  ", (sign, sign_style), " ", said), width)


def _before(snapshot: Snapshot, rows: int) -> list[Text]:
    """What had failed before this view was opened."""
    lines = []
    for one in reversed(failed_trials(snapshot.history, rows)):
        why = ": ".join(filter(None, failure_words(one)))
        text = f"trial {one.trial.number} failed: {why}"
        lines.append(_laid_out(_NO_CLOCK, one.result.outcome, text, 10**4))
    return lines
