"""`distune launch ssh`: a worker on each of several hosts."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from distune.cli.commands.launch import common
from distune.cli.commands.launch.common import PYTHON, DryRun, Out, Python
from distune.cli.options import (
    LOGS,
    AllowCommands,
    AnyOwner,
    DataDir,
    DevicesPerTrial,
    Jobs,
    Logs,
    Objectives,
    WorkOn,
    as_arguments,
)
from distune.errors import UserError

EXAMPLE = "distune launch ssh gpu7 me@gpu8 gpu9=4 --logs /shared/logs --objective train.py:train"

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="HOST...",
        help="Hosts, as ssh knows them. HOST=N trains N trials at a time on it.",
        show_default=False,
    ),
]
File = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="More hosts, HOST or HOST=N, one a line; # begins a comment."
    ),
]


def ssh(
    host: Names = None,
    hosts: File = None,
    logs: Logs = LOGS,
    study: WorkOn = None,
    jobs: Jobs = None,
    devices_per_trial: DevicesPerTrial = None,
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    any_owner: AnyOwner = False,
    data_dir: DataDir = None,
    python: Python = PYTHON,
    out: Out = None,
    dry_run: DryRun = False,
) -> None:
    """Write a script that runs a worker on each host through ssh, and run it.

    It connects as you would: with your ~/.ssh/config, its keys and its ProxyJump, and it asks no
    questions. Each line has its host before it. Ctrl-C, or the end of this command in any other
    way, has all workers give their trials back and end. A host that does not answer is named, and
    the others go on.

    Paths are those of the hosts; what is relative is taken from the current directory.
    """
    from distune.launch.ssh import parse_hosts, ssh_script

    found, name = parse_hosts(host or [], _read(hosts)), common.launch_name(study)
    path = out or Path(f"{name}-ssh.sh")
    if not dry_run:
        for program in ("bash", "ssh"):
            common.require(program, "install it")
    objectives = common.absolute_objectives(objective or [])
    modules = not all(".py:" in text for text in objectives)
    shared = common.absolute(str(logs))
    worker = common.python_words(python) + as_arguments(
        logs=shared, study=study, jobs=jobs, devices_per_trial=devices_per_trial,
        objective=objectives, allow_commands=allow_commands,
        any_owner=any_owner, data_dir=data_dir and common.absolute(str(data_dir)),
    )  # fmt: skip
    common.write(path, ssh_script(found, worker, os.getcwd() if modules else None))
    if dry_run:
        common.tell(start=f"bash {path}")
        return
    common.tell(
        started=f"workers on {len(found)} hosts",
        watch=f"distune top --logs {shared}   (on a machine that sees it)",
        stop="Ctrl-C   (each gives its trials back)",
    )
    sys.stdout.flush()
    os.execvp("bash", ["bash", str(path)])


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--hosts {file}: cannot be read: {error}") from None
