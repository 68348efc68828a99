"""`distune retry`: trains trials again."""

import os
import socket
from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, AnyOwner, Logs, StudyName, TrialNumbers
from distune.cli.reading import opened_to_change
from distune.errors import UserError

EXAMPLE = "distune retry mnist --failed --logs /shared/logs"

Failed = Annotated[bool, typer.Option("--failed", help="All that have failed for good.")]


def retry(
    study: StudyName,
    trials: TrialNumbers = None,
    failed: Failed = False,
    logs: Logs = LOGS,
    any_owner: AnyOwner = False,
) -> None:
    """Train trials again, say after you have mended what made them fail.

    Each gets a new number, with the params and the seed that it had; when that is counted, it is
    ranked instead of the one before, which stays in seen/. Stop the study's master before, and
    start it again afterwards.
    """
    from distune.master.lock import Identity
    from distune.master.revision import retry as try_again

    if bool(trials) == failed:
        raise UserError("say which: numbers of trials, or --failed")
    folder, store = opened_to_change(logs, study, any_owner)
    identity = Identity(socket.gethostname(), os.getpid())
    with terminal.stall().watched():
        found = try_again(folder, store, identity, trials or [])
    if not found:
        typer.echo(f"no trial of {study} has failed: there is nothing to try again")
        return
    new = ", ".join(f"{old} as {number}" for old, number in found.items())
    typer.echo(f"to be trained again: trial {new}")
    typer.echo("start the study's master again, with the command that you have started it with")
