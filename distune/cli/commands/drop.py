"""`distune drop`: takes trials out of the ranking."""

import os
import socket

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, AnyOwner, Logs, StudyName, TrialNumbers
from distune.cli.reading import opened_to_change
from distune.errors import UserError

EXAMPLE = "distune drop mnist 17 --logs /shared/logs"


def drop(
    study: StudyName, trials: TrialNumbers = None, logs: Logs = LOGS, any_owner: AnyOwner = False
) -> None:
    """Take trials out of the ranking, the table and the plots: results that you know to be wrong.

    Their files stay in seen/, and they are not trained again (distune retry does that). Stop the
    study's master before.
    """
    from distune.master.lock import Identity
    from distune.master.revision import drop as take_out

    if not trials:
        raise UserError("say which: numbers of trials")
    folder, store = opened_to_change(logs, study, any_owner)
    identity = Identity(socket.gethostname(), os.getpid())
    with terminal.stall().watched():
        is_over = take_out(folder, store, identity, trials)
    typer.echo(f"dropped: {', '.join(map(str, trials))}")
    if not is_over:
        typer.echo("to go on, start the study's master again, with the command as before")
