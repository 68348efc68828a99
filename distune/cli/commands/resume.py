"""`distune resume`: a study that was paused or stopped goes on."""

import typer

from distune.cli import terminal
from distune.cli.halting import Standing
from distune.cli.options import LOGS, AnyOwner, Logs, SomeStudy

EXAMPLE = "distune resume mnist --logs /shared/logs"


def resume(study: SomeStudy = None, logs: Logs = LOGS, any_owner: AnyOwner = False) -> None:
    """Take back what distune pause or distune stop has asked for.

    A study that was stopped has no master any more: start it again, with the same command.
    """
    found = Standing.of(logs, study, any_owner)
    if found.marked:
        with terminal.stall().watched():
            found.store.resume()
        typer.echo(f"study {found.name} goes on")
    else:
        typer.echo(f"study {found.name} is neither paused nor stopped")
    if not found.has_master:
        typer.echo("no master runs: start it with the command that you have started it with before")
