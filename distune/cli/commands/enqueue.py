"""`distune enqueue`: has a setting tried next, while the study is under way."""

import json
import secrets
import socket
import time
from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.halting import Standing
from distune.cli.options import LOGS, AnyOwner, Logs, StudyName
from distune.errors import UserError
from distune.study.space import scalars
from distune.study.study import Study
from distune.study.trial import Params

EXAMPLE = """distune enqueue mnist '{"lr": 0.1, "batch_size": 64}' --logs /shared/logs"""

Settings = Annotated[
    list[str],
    typer.Argument(
        metavar="JSON...", help="Values of parameters; what one leaves out is drawn.",
        show_default=False,
    ),
]  # fmt: skip


def enqueue(
    study: StudyName, settings: Settings, logs: Logs = LOGS, any_owner: AnyOwner = False
) -> None:
    """Have settings of your own tried next, while the study runs or after it has ended.

    They come on top of the limit on trials, and the sampler learns from them. Nothing has to be
    stopped: the master takes them in at its next look.
    """
    found = Standing.of(logs, study, any_owner)
    checked = [_checked(found.store.load(), text) for text in settings]
    with terminal.stall().watched():
        # Taken in in the order of their names, which is that of this host's clock: for people.
        now = int(time.time())
        for place, setting in enumerate(checked):
            wish = f"{now % 2**32:08x}{place % 2**12:03x}{secrets.token_hex(3)[1:]}"
            found.store.enqueue(wish, setting, socket.gethostname())
        if found.store.is_finished():
            found.store.reopen()
    some = f"{len(checked)} settings are" if len(checked) > 1 else "1 setting is"
    typer.echo(f"{some} tried next")
    if found.halt is not None:
        typer.echo(f"but the study {found.halt.meaning}; to go on: {found.resume}")
    if not found.has_master:  # that of a study that is over has ended
        typer.echo("no master runs: start it with the command that you have started it with before")


def _checked(study: Study, text: str) -> Params:
    """The setting that somebody has typed.

    Raises:
        UserError: it is none of the study's.
    """
    from distune.search.further import workload_of
    from distune.space_file.model import check_enqueued

    study.refuse_earlier()
    if study.stages is not None:
        raise UserError(f"{study.name} is tuned in stages, which say themselves what is tried")
    if study.settings is not None:
        raise UserError(f"{study.name} has a list of settings: append to it in the space file")
    try:
        setting = json.loads(text)
    except ValueError as error:
        raise UserError(
            f"{text!r} is no JSON ({error}); write '{{\"NAME\": VALUE}}', in single quotes"
        ) from None
    if not isinstance(setting, dict):
        raise UserError(f"""{text!r} is no JSON object: write '{{"NAME": VALUE}}'""")
    checked: Params = scalars(setting)
    try:
        check_enqueued(study.space, workload_of(study), checked, study.name)
    except ValueError as error:
        raise UserError(str(error)) from None
    return checked
