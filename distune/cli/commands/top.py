"""`distune top`: the live view, for any number of viewers."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Logs, OneStudy, Plain
from distune.cli.reading import opened

EXAMPLE = "distune top --logs /shared/logs"

Json = Annotated[
    bool, typer.Option("--json", help="Print a snapshot as a line of JSON every second.")
]


def top(
    logs: Logs = LOGS, study: OneStudy = None, plain: Plain = False, as_json: Json = False
) -> None:
    """Watch a study live, read-only, from any machine that sees the shared folder."""
    from distune.watch.observer import Observer
    from distune.watch.screen import run_viewer

    with opened(logs, study) as store:
        observer = Observer(store)
    raise typer.Exit(run_viewer(observer, terminal.screen(plain, as_json)))
