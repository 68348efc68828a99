"""`distune doctor`: whether this very directory keeps the protocol's promises."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Json, Logs, duration

EXAMPLE = "distune doctor --logs /shared/logs --peer     (on two hosts at once)"

Peer = Annotated[
    bool,
    typer.Option("--peer", help="Test together with another host that runs the same command now."),
]
Wait = Annotated[float, duration("How long to wait for the other host.")]
Timeout = Annotated[
    float, duration("Treat an operation that takes longer than this as one that never answers.")
]


def doctor(
    logs: Logs = LOGS,
    peer: Peer = False,
    wait: Wait = "2m",  # type: ignore[assignment]  # parsed like what is given
    timeout: Timeout = "1m",  # type: ignore[assignment]
    as_json: Json = False,
) -> None:
    """Test what the protocol relies on in this very folder, and say whether to trust it, and
    which lease, heartbeat and poll interval to use.

    The answer stays there as doctor.json, and distune master follows it. All tests run in a
    hidden folder of their own and disturb no study. The command exits with status 0 when all is
    well, 1 when a promise of the protocol does not hold, and 2 when it was started wrongly.
    """
    from distune.doctor.examination import examine
    from distune.doctor.rendering import render
    from distune.share import protocol

    diagnosis, left = examine(logs, peer=peer, wait=wait, patience=timeout, tell=terminal.remark)
    failed = diagnosis.grade == "fail"
    if as_json:
        terminal.print_json(diagnosis.model_dump(mode="json"))
        raise typer.Exit(int(failed))
    terminal.console().print(render(diagnosis))
    if left == "written":
        does = "refuses because of it" if failed else "goes by it"
        typer.echo(f"distune master --logs {logs} {does}: {logs / protocol.DOCTOR}")
    elif left or diagnosis.peer:
        typer.echo(left or f"the other host leaves all this in {protocol.DOCTOR}")
    raise typer.Exit(int(failed))
