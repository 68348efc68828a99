"""`distune top`: the live view, for any number of viewers."""

from __future__ import annotations

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Logs, OneStudy, Plain

EXAMPLE = "distune top --logs /shared/logs"

Json = Annotated[
    bool, typer.Option("--json", help="Print a snapshot as a line of JSON every second.")
]


def top(
    logs: Logs = LOGS, study: OneStudy = None, plain: Plain = False, as_json: Json = False
) -> None:
    """Watch a study live, read-only, from any machine that sees the shared folder."""
    from distune.share.find_studies import open_study
    from distune.watch.observer import Observer
    from distune.watch.screen import run_viewer

    with terminal.stall().watched():
        observer = Observer(open_study(logs, study))
    raise typer.Exit(run_viewer(observer, terminal.screen(plain, as_json)))
