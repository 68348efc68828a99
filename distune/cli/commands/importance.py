"""`distune importance`: which parameters mattered."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Json, Logs, StudyName

EXAMPLE = "distune importance mnist --logs /shared/logs"

Objective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="For which of the study's objectives; by default the first one."
    ),
]


def importance(
    study: StudyName, objective: Objective = None, logs: Logs = LOGS, as_json: Json = False
) -> None:
    """Show which parameters mattered, how sure that is, and what chance alone would give.

    It takes 20 configurations with a complete trial.
    """
    from distune.export.importance import importances
    from distune.share.find_studies import open_study
    from distune.watch.display.importance import importance_json, importance_text
    from distune.watch.load import LoadedStudy

    stall = terminal.stall()
    with stall.watched():
        store = open_study(logs, study)
    history = LoadedStudy(store, stall.watched).history
    found = importances(history, objective)
    if as_json:
        terminal.print_json(importance_json(history.study, found))
        return
    console = terminal.console()
    console.print(importance_text(history.study, found, console.width))
