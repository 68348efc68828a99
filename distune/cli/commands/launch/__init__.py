"""`distune launch`: starts workers through an engine that exists already."""

import typer

from distune.cli.group import CommandGroup

#: In the order of the help.
ENGINES = {
    "slurm": "Workers as an array of a Slurm cluster.",
    "ssh": "A worker on each of several hosts.",
    "k8s": "A study as Jobs of Kubernetes.",
    "compose": "A study in containers on this host.",
    "sky": "Workers on nodes that SkyPilot finds.",
}
EXAMPLE = "distune launch slurm --logs /shared/logs --workers 40 --at-once 8 --gpus 1 --time 2h"


class _Engines(CommandGroup):
    package = __name__
    registry = ENGINES


launch = typer.Typer(
    cls=_Engines, add_completion=False, rich_markup_mode=None, epilog=f"\b\nExample: {EXAMPLE}"
)


@launch.callback()
def _before() -> None:
    """Start workers through an engine: write a plain file for it, which is yours to read, keep and
    edit, submit it unless --dry-run is given, and say how to watch and stop what it starts.

    No engine is asked for anything afterwards: workers meet in the shared folder alone.
    """
