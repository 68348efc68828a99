"""`distune verify`: whether all that a study has counted is there, and sound."""

import os
import socket
from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, AnyOwner, Json, Logs

EXAMPLE = "distune verify mnist --logs /shared/logs"

Name = Annotated[
    str | None,
    typer.Argument(metavar="STUDY", help="Which study, if there is more than one."),
]
Repair = Annotated[
    bool,
    typer.Option("--repair", help="Mend what can be mended; no master may run meanwhile."),
]


def verify(
    study: Name = None,
    logs: Logs = LOGS,
    repair: Repair = False,
    any_owner: AnyOwner = False,
    as_json: Json = False,
) -> None:
    """Check that a study has each of its trials once, and that its file in seen/, its line in
    history.jsonl and its line in asked.jsonl agree and have the right checksums.

    What two of these agree on is enough to mend the third: --repair does that, and keeps what was
    damaged in the study's quarantine/. Without it nothing is changed. The command exits with
    status 0 when all is well or has been mended, 1 when something is wrong, and 2 when it was
    started wrongly.
    """
    from distune.master import verification
    from distune.master.lock import Identity
    from distune.share import access
    from distune.share.find_studies import choose_study, open_study

    stall = terminal.stall()
    with stall.watched():
        store = open_study(logs, study)
        frozen = store.load()
        folder = logs.resolve() / choose_study(logs, study)[0]
        if repair and not any_owner:
            access.check_owner(folder)
    if repair:
        identity = Identity(socket.gethostname(), os.getpid())
        done = verification.repair(folder, store, identity, stall.watched)
    else:
        done = verification.verify(store, stall.watched)
    if as_json:
        terminal.print_json(verification.as_json(frozen, done))
    else:
        for line in verification.in_words(frozen, done):
            typer.echo(terminal.harmless(line))
    raise typer.Exit(int(not done.is_sound))
