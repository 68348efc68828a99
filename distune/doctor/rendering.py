"""The diagnosis for people: a table, what fails and what to do, one line at the end."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from distune.doctor.diagnosis import PROMISES, CheckResult, Diagnosis, Grade
from distune.watch.display.text import clean

_STYLES: dict[Grade, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def render(diagnosis: Diagnosis) -> RenderableType:
    """The whole of it, as wide as the console."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("tried", no_wrap=True)
    table.add_column("found", overflow="fold")
    alike: dict[tuple[str | None, str], list[CheckResult]] = {}
    for check in diagnosis.checks:
        word = Text("FAIL" if check.grade == "fail" else check.grade, style=_STYLES[check.grade])
        table.add_row(word, Text(clean(check.name)), Text(clean(check.value)))
        if check.grade != "ok":  # what has the same remedy is explained together
            alike.setdefault((check.promise, check.advice), []).append(check)
    blocks: list[RenderableType] = [table]
    for checks in alike.values():
        blocks += [Text(""), _explain(checks)]
    blocks += [Text(""), Text(clean(diagnosis.summary), style=_STYLES[diagnosis.grade])]
    return Group(*blocks)


def _explain(checks: list[CheckResult]) -> Text:
    """What checks that are not fine mean, and what to do."""
    check = checks[0]
    names = ", ".join(clean(one.name) for one in checks)
    promise = PROMISES[check.promise].rstrip(".") if check.promise else ""
    breaks = f"breaks {check.promise} ({promise}): " if promise else ""
    means = f": {breaks}{clean(check.advice)}."
    return Text.assemble((names, _STYLES[check.grade]), means, overflow="fold")
