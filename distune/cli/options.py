"""Options that several commands have."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from distune.study.durations import parse_duration


def duration(help: str) -> Any:
    """An option that is a duration, in seconds."""

    def parse(text: str) -> float:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return typer.Option(parser=parse, metavar="DURATION", help=help)


def finite(text: str) -> float:
    """Parse an option that is a number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise typer.BadParameter(f"{text!r} is not a finite number")
    return number


def as_arguments(**options: Any) -> list[str]:
    """Options as a command line has them."""
    arguments = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value:
            for one in value if isinstance(value, list) else [value]:
                arguments += [flag] if one is True else [flag, str(one)]
    return arguments


#: How `distune.run` hands its function down to its own children, and never over the share.
Given = Annotated[
    bool, typer.Option("--given", hidden=True, help="Read an objective from the standard input.")
]


def _parse_jobs(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and 1 <= int(text) <= 1024:
        return int(text)
    raise typer.BadParameter(f"{text!r} is neither auto nor a number from 1 to 1024")


#: `parser=Path`, because the command line would look at the path, and hang if the share does.
Logs = Annotated[
    Path,
    typer.Option(
        parser=Path, metavar="DIRECTORY", help="The shared folder that holds the studies."
    ),
]
LOGS: Path = "logs"  # type: ignore[assignment]  # parsed like what is given


def _studies(context: typer.Context, incomplete: str) -> list[str]:
    """What a shell offers for a study's name: those in the folder that was typed before."""
    from distune.errors import DistuneError
    from distune.share.find_studies import find_studies

    try:
        there = find_studies(Path(context.params.get("logs") or LOGS))
    except DistuneError:
        return []
    return [name for name in there if name.startswith(incomplete)]


OneStudy = Annotated[
    str | None,
    typer.Option(
        "--study",
        metavar="NAME",
        help="Which study, if there is more than one.",
        autocompletion=_studies,
    ),
]
StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="Which study.", autocompletion=_studies)
]
#: Of a command that ends something: without a name it says what there is, and chooses none.
SomeStudy = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY", help="Which study.", show_default=False, autocompletion=_studies
    ),
]
TrialNumbers = Annotated[
    list[int] | None,
    typer.Argument(min=0, metavar="TRIAL...", help="The trials' numbers.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs to read.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print plain lines instead of the live view.")]
TimeLimit = Annotated[float | None, duration("Stop after this long, such as 90s, 2h or 1h30m.")]
Objectives = Annotated[
    list[str] | None,
    typer.Option(
        "--objective",
        metavar="MODULE:FUNCTION",
        help="Allow this objective of your own to run; path/to/file.py:function works too. "
        "Repeat the option to allow several.",
    ),
]
AllowCommands = Annotated[
    bool,
    typer.Option(
        "--allow-commands",
        help="Run the commands that studies name. Anyone who can write to the shared folder can "
        "then run programs on this machine.",
    ),
]
AnyOwner = Annotated[
    bool,
    typer.Option(
        "--any-owner",
        help="Also work on a study that another user put in a folder where anyone may create "
        "files.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIRECTORY",
        help="Where data sets are kept, and missing ones downloaded to. Defaults to "
        "$DISTUNE_DATA, or else to the cache.",
    ),
]
WorkOn = Annotated[str | None, typer.Option(metavar="NAME", help="Work on this study only.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        parser=_parse_jobs,
        metavar="auto|N",
        help="How many trials to train at a time. auto, the default, means one per GPU; without a "
        "GPU, one per core, but at most one per gigabyte of free memory.",
    ),
]
DevicesPerTrial = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1024,
        metavar="N",
        help="How many devices each trial has to itself, for objectives that use torchrun or DDP; "
        "on the CPU, so many processes.",
    ),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]|mps", help="What to train on.")]
