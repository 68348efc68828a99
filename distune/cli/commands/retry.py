"""`distune retry`: trains trials again."""

import os
import socket
from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.halting import Standing
from distune.cli.options import LOGS, AnyOwner, Logs, StudyName, TrialNumbers
from distune.errors import HasMaster, UserError

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
    ranked instead of the one before, which stays in seen/. A master that runs takes it in at its
    next look; if none runs, start it again afterwards.
    """
    from distune.master.lock import Identity
    from distune.master.revision import ask_to_retry
    from distune.master.revision import retry as try_again

    if bool(trials) == failed:
        raise UserError("say which: numbers of trials, or --failed")
    standing = Standing.of(logs, study, any_owner)
    store, host = standing.store, socket.gethostname()
    with terminal.stall().watched():
        try:
            new = try_again(
                logs.resolve() / study, store, Identity(host, os.getpid()), trials or []
            )
            found = [f"{old} as {number}" for old, number in new.items()]
            then = "start the study's master again, with the command that you have started it with"
        except HasMaster:
            found = [str(number) for number in ask_to_retry(store, host, trials or [])]
            then = "the study's master sees to it at its next look"
            if standing.halt is not None:
                then = f"but the study {standing.halt.meaning}; to go on: {standing.resume}"
    if not found:
        typer.echo(f"no trial of {study} has failed: there is nothing to try again")
        return
    typer.echo(f"to be trained again: trial {', '.join(found)}")
    typer.echo(then)
