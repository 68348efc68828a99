"""`distune top`: the live view, for any number of viewers."""

import time
from pathlib import Path
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
    """Watch a study live, read-only, from any machine that sees the shared folder. Where there is
    none yet, wait for it.

    Keys: arrows, Page Up and Page Down move, Tab goes to the next list, Enter opens a trial and Esc
    goes back, s sorts, f shows the failures, ? lists all keys, q quits.
    """
    from distune.watch.observer import Observer
    from distune.watch.viewer import run_viewer

    _wait_for(logs, study)
    with opened(logs, study) as store:
        observer = Observer(store)
    raise typer.Exit(run_viewer(observer, terminal.screen(plain, as_json)))


def _wait_for(logs: Path, study: str | None) -> None:
    """Until there is a study to watch; what cannot be one's logs directory is a mistake."""
    from distune.share.find_studies import find_studies, none_yet
    from distune.share.waiting import LONGEST_WAIT

    said, stall = False, terminal.stall()
    while True:
        with stall.watched():
            if not logs.resolve().parent.is_dir() or find_studies(logs, study):
                return
            if not said:
                terminal.warn(none_yet(logs, study))
                said = True
        time.sleep(LONGEST_WAIT)
