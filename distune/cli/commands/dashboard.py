"""`distune dashboard`: the studies in a browser."""

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
        help="Listen on this address of the host. Anybody who reaches any other than 127.0.0.1 "
        "needs the token that is then printed.",
    ),
]


def dashboard(logs: Logs = LOGS, port: Port = 8265, host: Host = "127.0.0.1") -> None:
    """Show the studies of a folder in a browser, while they run. It changes nothing in them."""
    from distune.export.files import need

    need("starlette", "uvicorn", extra="dashboard")
    from distune.dashboard.serving import serve

    serve(logs.resolve(), host, port, terminal.say)
