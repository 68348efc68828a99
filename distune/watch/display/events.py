"""What happened lately, as lines."""

from __future__ import annotations

from rich.text import Text

from distune.watch.display.numbers import clock
from distune.watch.display.text import clean, fitted, line_of
from distune.watch.snapshot import Event, Snapshot

#: Sign, style of the sign, style of the text: trouble strikes the eye, routine does not.
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
    "stage": ("▸", "bold cyan", ""),
    "trouble": ("!", "bold red", "red"),
}


def _event_line(event: Event) -> Text:
    sign, sign_style, style = _KINDS.get(event.kind, ("•", "dim", ""))
    return line_of(
        (clock(event.at), "dim"), "  ", (sign, sign_style), " ", (clean(event.text), style)
    )


def event_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    events = snapshot.events[-rows:] if rows > 0 else ()
    if not events:
        return [Text("nothing has happened since this view was opened", "dim")]
    return [fitted(_event_line(event), width) for event in events]
