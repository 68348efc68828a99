"""The registry of the commands, and how errors become an exit status."""

import os
import sys
import time
from typing import Annotated, NoReturn

import typer

from distune import __version__, streams
from distune.cli.group import CommandGroup
from distune.cli.terminal import harmless, warn
from distune.errors import DistuneError, UserError
from distune.signals import leave_on_request

#: Click's, which newer Typers carry inside themselves under a private name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

#: In the order of the help.
COMMANDS = {
    "master": "Run a study and show its live leaderboard.",
    "worker": "Claim trials, train them and report, until none are left.",
    "top": "Watch a study live, read-only, from any machine.",
    "dashboard": "Show the studies in a browser.",
    "status": "Show where a study stands, as text or JSON.",
    "best": "Show the best configuration so far.",
    "show": "Show everything about one trial.",
    "importance": "Show which parameters mattered, and how sure that is.",
    "report": "Write an HTML page with plots of a study.",
    "export": "Write the trials to a file for other programs.",
    "pause": "Have a study rest, and its workers stay.",
    "resume": "Let a study go on that was paused or stopped.",
    "stop": "End a study after its running trials, or at once.",
    "enqueue": "Have settings of your own tried next.",
    "retry": "Train trials again that have failed, or that you name.",
    "extend": "Train the best further, or trials that you name.",
    "clean": "Remove checkpoints that no trial will go on from.",
    "drop": "Take trials out of the ranking whose results are wrong.",
    "verify": "Check that a study has each of its trials once, and mend it.",
    "launch": "Start workers through Slurm or another engine.",
    "doctor": "Test whether a shared folder can be trusted.",
    "try": "Train one trial here and now, and show what it prints.",
    "init": "Write a space file to start from.",
    "check": "Check a space file and show what it would try.",
    "presets": "List the built-in studies.",
    "data": "Find or download a data set.",
}


#: In the environment of what an engine starts many of, one after the other as they end.
_ARRAY = {
    "SLURM_ARRAY_TASK_ID",
    "JOB_COMPLETION_INDEX",  # Kubernetes
    "PBS_ARRAY_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX",
}
_WAIT = 30.0  # seconds in which a user may see a mistake, until the array's next worker makes it


class _Commands(CommandGroup):
    package = "distune.cli.commands"
    registry = COMMANDS


app = typer.Typer(
    cls=_Commands,
    name="distune",
    help="Tune hyperparameters over nothing but a shared folder.\n\n"
    "On one machine:\n\n    distune master --space quickstart --workers 2\n\n"
    "On several machines that share a folder:\n\n"
    "    distune master --space space.json --logs /shared/logs\n\n"
    "    distune worker --logs /shared/logs      (on as many hosts as you like)",
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _without_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"distune {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def main() -> None:
    """Run a command: a mistake of the user's exits 2, a failure 1, Ctrl-C 130."""
    streams.make_reliable()
    try:
        status = app(standalone_mode=False, prog_name="distune")
        sys.stdout.flush()  # or a disk that is full would be noticed too late to be said
        sys.exit(status)
    except UserError as error:
        _fail(str(error), 2)
    except _UsageError as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "distune")
        message = error.format_message()  # type: ignore[attr-defined]
        _fail(f"{message.rstrip('.')}; see {command} --help", 2)
    except DistuneError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        sys.exit(1)  # the reader has gone; do not complain
    except KeyboardInterrupt:
        sys.exit(130)


def _fail(message: str, status: int) -> NoReturn:
    lines = "\n".join(map(harmless, message.split("\n")))  # a traceback may be part of it
    waits = status == 2 and sys.argv[1:2] == ["worker"] and not _ARRAY.isdisjoint(os.environ)
    if waits:
        warn(f"one of a batch array: it ends in {_WAIT:g} s, or the others would fail at once, too")
    print(f"distune: {lines}", file=sys.stderr)
    if waits:
        leave_on_request()
        time.sleep(_WAIT)
    sys.exit(status)
