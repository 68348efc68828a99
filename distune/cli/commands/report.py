"""`distune report`: an HTML page about a study."""

import shlex
import socket
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from distune.cli.options import LOGS, Logs, OneStudy
from distune.cli.reading import opened

EXAMPLE = "distune report --logs /shared/logs --study mnist --out mnist.html"

Out = Annotated[
    Path | None,
    typer.Option(
        parser=Path,
        metavar="FILE",
        help="The file to write, replacing one that exists; by default NAME-report.html in the "
        "current directory.",
    ),
]
ColorBy = Annotated[
    str | None,
    typer.Option(
        metavar="PARAM",
        help='Colour the learning curves by this parameter, or by "stage". By default they are '
        "coloured by stage, or, in a study without stages, by the parameter that mattered most.",
    ),
]


def report(
    logs: Logs = LOGS, study: OneStudy = None, out: Out = None, color_by: ColorBy = None
) -> None:
    """Write one HTML file about a study: its ranking, its learning curves, and what mattered.

    You can write it while the study runs. The page works offline, so you can send the file to a
    colleague as it is.
    """
    from distune.report.reading import read_study
    from distune.report.writing import write_report

    with opened(logs, study) as store:
        data = read_study(store)
    written = write_report(data, _about(), out, color_by)
    typer.echo(f"wrote {written}; open it in a browser")


def _about() -> dict[str, str]:
    """When and where this is, and the command that is run."""
    from distune import __version__

    return {
        "written": time.strftime("%Y-%m-%d %H:%M %Z"),
        "version": __version__,
        "host": socket.gethostname(),
        "command": shlex.join(["distune", *sys.argv[1:]]),
    }
