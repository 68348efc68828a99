"""The diagnosis for people: a table, what fails and what to do, one line at the end."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from distune.doctor.diagnosis import PROMISES, CheckResult, Diagnosis, Grade
from distune.watch.display.text import clean

_STYLES: dict[Grade, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
_WORDS: dict[Grade, str] = {"ok": "ok", "warn": "warn", "fail": "FAIL"}


def render(diagnosis: Diagnosis) -> RenderableType:
    """The whole of it, as wide as the console."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("tried", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in diagnosis.checks:
        word = Text(_WORDS[check.grade], style=_STYLES[check.grade])
        table.add_row(word, Text(clean(check.name)), Text(clean(check.value)))
    blocks: list[RenderableType] = [table]
    for alike in _by_remedy(diagnosis.checks):
        blocks += [Text(""), _explain(alike)]
    blocks += [Text(""), Text(clean(diagnosis.summary), style=_STYLES[diagnosis.grade])]
    return Group(*blocks)


def _by_remedy(checks: list[CheckResult]) -> list[list[CheckResult]]:
    """Those that are not fine, in their order; those with the same remedy together."""
    alike: dict[tuple[str | None, str], list[CheckResult]] = {}
    for check in checks:
        if check.grade != "ok":
            alike.setdefault((check.promise, check.advice), []).append(check)
    return list(alike.values())


def _explain(checks: list[CheckResult]) -> Text:
    """What checks that are not fine mean, and what to do."""
    check = checks[0]
    text = Text(overflow="fold")
    text.append(", ".join(clean(one.name) for one in checks), style=_STYLES[check.grade])
    text.append(": ")
    if check.promise is not None:
        promise = PROMISES[check.promise].rstrip(".")
        text.append(f"breaks {check.promise} ({promise}): ")
    text.append(clean(check.advice) + ".")
    return text
