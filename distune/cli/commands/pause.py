"""`distune pause`: a study rests, while its workers and its master stay."""

import typer

from distune.cli.halting import Standing
from distune.cli.options import LOGS, AnyOwner, Logs, SomeStudy
from distune.errors import UserError

EXAMPLE = "distune pause mnist --logs /shared/logs"


def pause(study: SomeStudy = None, logs: Logs = LOGS, any_owner: AnyOwner = False) -> None:
    """Have a study rest: what is trained goes on to its end and is counted, nothing new is begun.

    Its workers stay, and serve other studies meanwhile; its master stays, too. A pause lasts until
    distune resume, whatever is ended and started again, and counts towards no time limit.
    """
    from distune.share.protocol import Halt

    found = Standing.of(logs, study, any_owner)
    if found.finished is not None:
        raise UserError(f"study {found.name} is over ({found.finished.reason}): nothing can pause")
    if found.halt not in (None, Halt.PAUSE):
        raise UserError(f"study {found.name} {found.halt.meaning}; first: {found.resume}")
    halt = found.mark(Halt.PAUSE)
    typer.echo(f"study {found.name} {halt.meaning}")
    typer.echo(f"to go on: {found.resume}")
