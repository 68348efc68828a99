"""`distune presets`: the built-in studies."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.errors import UserError

EXAMPLE = "distune presets; distune master --space lab-scenario5"

Name = Annotated[
    str | None, typer.Argument(metavar="NAME", help="Print the space file of this preset.")
]


def presets(name: Name = None) -> None:
    """List the built-in studies, with what each shows and how long it takes."""
    from rich.table import Table

    from distune.presets.catalogue import describe, preset_names, read_preset

    if name in preset_names():
        typer.echo(read_preset(name), nl=False)
        return
    if name is not None:
        raise UserError(f"no preset {name!r}; there are {', '.join(preset_names())}")

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("preset", "2 cores", "what it shows"):
        table.add_column(heading, no_wrap=heading != "what it shows")
    for preset in preset_names():
        description = describe(preset)
        table.add_row(preset, description.on_two_cores, description.shows)
    console = terminal.console()
    console.print(table, markup=False, highlight=False)
    console.print(
        "\nThe times are for two workers on two CPU cores: "
        "distune master --space NAME --workers 2. For a first look in a tenth of that or less, "
        "add --scale 0.1.",
        highlight=False,
    )
