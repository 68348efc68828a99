"""`distune init`: a space file to start from."""

from pathlib import Path
from typing import Annotated

import typer

from distune.errors import UserError

EXAMPLE = "distune init space.json; edit it; distune check space.json"


File = Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")]


def init(file: File = Path("space.json")) -> None:
    """Write a space file to start from; its comments explain it."""
    from distune.presets.catalogue import read_starter
    from distune.space_file.read import YAML

    if file.suffix.lower() in YAML:
        raise UserError(f"{file}: the file to start from is JSON: call it {file.stem}.json")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(read_starter())
    except FileExistsError:
        raise UserError(f"{file} is there already; choose another name or remove it") from None
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror}") from None
    typer.echo(f"wrote {file}; edit it, then: distune check {file}")
