"""`distune extend`: trains the best further."""

import os
import socket
from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, AnyOwner, Logs, StudyName, TrialNumbers
from distune.cli.reading import opened_to_change
from distune.errors import UserError

EXAMPLE = "distune extend mnist --top 3 --epochs 50 --logs /shared/logs"


Top = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="All trials of so many configurations, the best ones."),
]
Epochs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="How many each is to have in the end.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=NUMBER",
        help="The same of an objective of your own whose length has another name.",
    ),
]


def extend(
    study: StudyName,
    trials: TrialNumbers = None,
    top: Top = None,
    epochs: Epochs = None,
    changes: Changes = None,
    logs: Logs = LOGS,
    any_owner: AnyOwner = False,
) -> None:
    """Train trials further than they were: those that you name, or the best.

    Each goes on from where it stopped, if it has left a checkpoint, else from its start. It gets a
    new number, keeps its seed, and is ranked beside the one before, as a configuration of its own.
    Stop the study's master before, and start it again afterwards.
    """
    from distune.master.extending import extend as train_further
    from distune.master.lock import Identity
    from distune.search.further import parse_change

    if bool(trials) == (top is not None):
        raise UserError("say which: numbers of trials, or --top 3")
    wanted = dict(map(parse_change, changes or []))
    if epochs is not None:
        wanted["epochs"] = epochs
    if not wanted:
        raise UserError("say how far: --epochs 50, or --set steps=500")
    folder, store = opened_to_change(logs, study, any_owner)
    identity = Identity(socket.gethostname(), os.getpid())
    with terminal.stall().watched():
        found = train_further(folder, store, identity, wanted, numbers=trials or [], top=top or 0)
        master = store.read_master()
    for one in found:
        where = f"step {one.step}" if one.step is not None else f"its start: it {one.why}"
        typer.echo(f"trial {one.trial} is trained further as trial {one.by}, from {where}")
    limit = master.limits.time_limit if master is not None else None
    if master is not None and limit is not None and master.elapsed >= limit:
        typer.echo(f"the study's time limit ({limit:g} s) is over: give the master a longer one")
    typer.echo("start the study's master again, with the command that you have started it with")
