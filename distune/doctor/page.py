"""The verdict as a page for people: a table, what fails and what to do, one line at the end."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from distune.display import clean
from distune.doctor.note import Check, Grade, Note
from distune.doctor.verdict import PROMISES

_STYLES: dict[Grade, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_WORDS: dict[Grade, str] = {"ok": "ok", "warn": "warn", "fail": "FAIL"}


def page(note: Note) -> RenderableType:
    """The whole page; its width is the console's."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("tried", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in note.checks:
        style = _STYLES[check.grade]
        table.add_row(
            Text(_WORDS[check.grade], style=style), clean(check.name), Text(clean(check.value))
        )
    parts: list[RenderableType] = [table]
    for check in note.checks:
        if check.grade != "ok":
            parts += [Text(""), _explain(check)]
    parts += [Text(""), Text(clean(note.summary), style=_STYLES[note.grade])]
    return Group(*parts)


def _explain(check: Check) -> Table:
    """What a check that is not fine means, and what to do."""
    lines = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    text = Text()
    if check.promise is not None:
        text.append(f"breaks {check.promise} ({PROMISES[check.promise].rstrip('.')}). ")
    text.append(clean(check.advice))
    lines.add_row(Text(f"{clean(check.name)}:", style=_STYLES[check.grade]), text)
    return lines
