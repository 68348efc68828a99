"""`distune check`: a space file in words."""

import shlex
from typing import Annotated

import typer

from distune.cli.reading import checked_name, read_space

EXAMPLE = "distune check space.json"

File = Annotated[str, typer.Argument(metavar="FILE", help="A space file, or the name of a preset.")]
Samples = Annotated[
    int, typer.Option(min=0, metavar="N", help="How many sampled configurations to print.")
]


def check(file: File, samples: Samples = 3) -> None:
    """Check a space file without starting anything, and show what it would try."""
    from distune.space_file.freeze import freeze, limits_of
    from distune.space_file.preview import preview

    space, source, name = read_space(file)
    study = freeze(space, name=checked_name(name), study_id="check", lease=1.0, created=0.0)
    for line in preview(study, limits_of(space), samples):
        typer.echo(line)
    start = ["distune", "master", "--space", file]
    if study.offer:
        start += ["--workers", "1", *study.offer]
    typer.echo(f"{source} is fine; start it: {shlex.join(start)}")
