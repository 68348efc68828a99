"""`distune stop`: a study ends for all its processes, wherever they run."""

from typing import Annotated

import typer

from distune.cli.halting import Standing
from distune.cli.options import LOGS, AnyOwner, Logs, SomeStudy

EXAMPLE = "distune stop mnist --now --logs /shared/logs"

Now = Annotated[
    bool,
    typer.Option("--now", help="Do not wait for what is trained: give it back, to go on later."),
]


def stop(
    study: SomeStudy = None, now: Now = False, logs: Logs = LOGS, any_owner: AnyOwner = False
) -> None:
    """End a study after the trials that are being trained; its master and its workers then end.

    Nothing is lost: after distune resume, the master's command goes on from there. Until then the
    study stays stopped, whatever starts its master again.
    """
    from distune.share.protocol import Halt

    found = Standing.of(logs, study, any_owner)
    if found.finished is not None:
        typer.echo(f"study {found.name} is over already: {found.finished.reason}")
    else:
        halt = found.mark(Halt.NOW if now else Halt.STOP)
        typer.echo(f"study {found.name} {halt.meaning}, and then its master ends")
        if not found.has_master:
            typer.echo("no master runs: the next one that is started ends the study")
    if found.finished is None or found.finished.stopped:
        typer.echo(f"to go on later: {found.resume}, and then the master's command as before")
