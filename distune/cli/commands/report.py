"""`distune report`: an HTML page about a study."""

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
    from distune.report.reading import plotly_script, read_study

    plotly = plotly_script()  # what is not installed is said before anything is read
    from distune.report.writing import write_report

    with opened(logs, study) as store:
        data = read_study(store)
    written = write_report(data, plotly, out, color_by)
    typer.echo(f"wrote {written}; open it in a browser")
