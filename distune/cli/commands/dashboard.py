"""`distune dashboard`: the studies in a browser."""

import os
from pathlib import Path
from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import LOGS, Logs

EXAMPLE = "distune dashboard --logs /shared/logs"

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")]
Host = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="Listen on this address of the host; 0.0.0.0 means all. Anybody who reaches any other "
        "than 127.0.0.1 needs the token that is then printed.",
    ),
]
Actions = Annotated[
    bool,
    typer.Option(
        "--actions",
        help="Also let whoever has the token, which is then always needed, stop, pause and resume "
        "studies, have trials tried again, and enqueue settings.",
    ),
]


def dashboard(
    logs: Logs = LOGS, port: Port = 8265, host: Host = "127.0.0.1", actions: Actions = False
) -> None:
    """Show the studies of a folder in a browser, while they run.

    It changes nothing in them. Where the browser is on another host, forward the port
    (ssh -L 8265:localhost:8265 HOST), or listen on another address.
    """
    from distune.extras import need

    need("starlette", "uvicorn", extra="dashboard")
    from distune.dashboard.serving import serve

    # Not resolved: a share that is away would hold it up here.
    serve(Path(os.path.abspath(logs)), host, port, terminal.say, acts=actions)
