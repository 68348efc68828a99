"""What all engines share: options, the worker's command line, writing and submitting a file."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from distune.cli import terminal
from distune.cli.reading import checked_name, read_space
from distune.errors import UserError

Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The file to write. By default one in the current directory that is named after the "
        "study.",
    ),
]
StudyOf = Annotated[
    str | None,
    typer.Option(
        "--study", metavar="NAME", help="The study's name; by default that of its space file."
    ),
]
Count = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="How many workers.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write the file, and start nothing.")]
Python = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="The Python that has distune, where the workers run. By default the one that runs "
        "this command.",
        show_default=False,
    ),
]
PYTHON: str = sys.executable
Space = Annotated[str, typer.Option(metavar="FILE", help="A space file, or the name of a preset.")]


def checked_logs(logs: Path) -> str:
    """The shared folder's absolute path.

    Raises:
        UserError: it is not there.
    """
    with terminal.stall().watched():
        if not logs.is_dir():
            raise UserError(
                f"{logs}: there is no such folder; start a master first, or check --logs"
            )
        return str(logs.resolve())


def absolute(path: str) -> str:
    """A path that means the same in another directory; links stay, as an environment's do."""
    return os.path.abspath(path)


def python_words(python: str) -> list[str]:
    """How a worker is called. `-P`: nothing is imported from the folder that it runs in."""
    return [absolute(python) if "/" in python else python, "-P", "-m", "distune", "worker"]


def absolute_objectives(objectives: Sequence[str]) -> list[str]:
    """`train.py:train` with the file's whole path; the names of modules stay."""
    split = (text.rpartition(":") for text in objectives)
    return [
        f"{absolute(module) if module.endswith('.py') else module}{colon}{function}"
        for module, colon, function in split
    ]


def launch_name(study: str | None) -> str:
    """What an engine calls workers of this study."""
    return "distune" if study is None else f"distune-{checked_name(study)}"


def require(program: str, where: str) -> None:
    """Raises `UserError` if a program is not there that is to submit the file."""
    if shutil.which(program) is None:
        raise UserError(
            f"there is no {program} on this machine's path: {where}, or give --dry-run, "
            "which only writes the file"
        )


def write(path: Path, text: str) -> None:
    """Write a file for an engine. One that is there stays as it is: it may have been edited.

    Raises:
        UserError: another text is there, or it cannot be written.
    """
    try:
        if path.exists():
            if path.read_text(encoding="utf-8", errors="replace") == text:
                return
            raise UserError(
                f"{path} is there already, and differs from what would be written: remove it, "
                "give another --out, or submit it yourself"
            )
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    typer.echo(f"wrote {path}")


def submit(command: Sequence[str]) -> str:
    """Run an engine's own command; what it prints.

    Raises:
        UserError: it says no.
    """
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split("\n"))
        raise UserError(f"{shlex.join(command)} failed ({done.returncode}): {said}")
    return done.stdout.strip()


def tell(**lines: str) -> None:
    """How to go on: a line each, its name before it."""
    width = max(map(len, lines)) + 2
    for name, line in lines.items():
        typer.echo(f"{f'{name}:':{width}}{line}")


def tell_if_no_study(logs: str, study: str | None) -> None:
    """Workers wait for a study that is not there yet; it costs what the engine charges."""
    from distune.share.find_studies import find_studies, none_yet

    with terminal.stall().watched():
        if not find_studies(Path(logs), study):
            terminal.warn(none_yet(Path(logs), study))


class ContainedStudy(NamedTuple):
    """A study as containers get it, which see nothing of this machine's files."""

    name: str
    space: str  # what `--space` takes there
    objectives: list[str]
    files: dict[str, Path]  # what has to lie in their working directory, by name

    def texts(self) -> dict[str, str]:
        """The files' contents.

        Raises:
            UserError: one cannot be read.
        """
        try:
            return {name: path.read_text(encoding="utf-8") for name, path in self.files.items()}
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"an objective cannot be read: {error}") from None


def check_gpus(asked: str | None, devices_per_trial: int | None) -> None:
    """Raises `UserError` if `--gpus N`, `--gpus TYPE:N` or `--gpus TYPE` is too few for a trial."""
    last = (asked or "").rpartition(":")[2]
    number = int(last) if last.isdecimal() else 1
    if asked and number and number < (devices_per_trial or 1):
        raise UserError(
            f"--gpus {asked}: each worker needs {devices_per_trial} at least, because of "
            f"--devices-per-trial {devices_per_trial}"
        )


def checked_space(space: str, study: str | None) -> tuple[str, bool]:
    """The study's name, and whether the space is a preset.

    Raises:
        UserError: the space file, or the name, cannot be.
    """
    _, source, suggested = read_space(space)
    return checked_name(study or suggested), source != space


def below_here(path: str) -> str:
    """A path from the current directory, as what sees only that has it.

    Raises:
        UserError: it is not in there.
    """
    here = Path.cwd()
    found = here / path
    if not found.is_relative_to(here) or ".." in found.relative_to(here).parts:
        raise UserError(
            f"{path}: it lies outside the current directory, all that is seen: go there"
        )
    return str(found.relative_to(here))


def objective_below_here(text: str) -> str:
    """An objective as what sees only the current directory has it."""
    module, colon, function = text.rpartition(":")
    where = below_here(module) if module.endswith(".py") else module
    return f"{where}{colon}{function}"


def contained_study(space: str, study: str | None, objectives: Sequence[str]) -> ContainedStudy:
    """Check what a study is made of, and say which files it needs.

    Raises:
        UserError: the space file or an objective cannot be.
    """
    from distune.training.offer import Offer

    name, preset = checked_space(space, study)
    Offer.parse_all(objectives, Path("/logs"))
    files = {} if preset else {f"space{Path(space).suffix}": Path(space)}
    there = next(iter(files), space)
    known = []
    for text in objectives:
        module, colon, function = text.rpartition(":")
        path = Path(module if module.endswith(".py") else f"{module}.py")
        if path.is_file():
            files[path.name] = path
            known.append(f"{path.name}{colon}{function}")
        else:
            known.append(text)  # it is in the image
    return ContainedStudy(name, there, known, files)
