"""`distune launch compose`: a study's master and workers in containers on this host."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from distune.cli.commands.launch import common
from distune.cli.commands.launch.common import Count, DryRun, Out, Space, StudyOf
from distune.cli.options import (
    LOGS,
    AllowCommands,
    DataDir,
    DevicesPerTrial,
    Jobs,
    Logs,
    Objectives,
    as_arguments,
)
from distune.errors import UserError

EXAMPLE = "distune launch compose --space space.json --objective train.py:train --workers 2"

Image = Annotated[
    str, typer.Option(metavar="NAME", help="The image; docker/README.md says how to build it.")
]
Gpus = Annotated[
    bool, typer.Option("--gpus", help="Let the worker see the host's NVIDIA GPUs, all of them.")
]


def compose(
    space: Space,
    logs: Logs = LOGS,
    study: StudyOf = None,
    workers: Count = 1,
    image: Image = "distune",
    gpus: Gpus = False,
    jobs: Jobs = "1",  # type: ignore[assignment]  # parsed like what is given
    devices_per_trial: DevicesPerTrial = None,
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    data_dir: DataDir = None,
    out: Out = None,
    dry_run: DryRun = False,
) -> None:
    """Write a compose file of a study's master and its workers, and start it, with Docker or
    Podman.

    The containers run as you. They see the logs directory, the current one, in which the space file
    and the objectives lie, read-only, and --data-dir or a volume in its place. Workers train one
    trial at a time each, unless --jobs says otherwise.
    """
    from distune.launch.compose import Composition, compose_file
    from distune.launch.names import object_name
    from distune.training.offer import Offer

    if gpus and workers > 1:
        raise UserError(
            "--gpus: each worker would see all GPUs and begin with the first: give --workers 1 "
            "and --jobs auto, which trains on each"
        )
    name, preset = common.checked_space(space, study)
    shared = common.checked_logs(logs)
    Offer.parse_all(objective or [], Path(shared))
    path = out or Path(f"{common.launch_name(name)}.compose.yaml")
    objectives = [common.objective_below_here(text) for text in objective or []]
    there = space if preset else common.below_here(space)
    program = [] if dry_run else _program()
    master = as_arguments(
        space=there, logs="/logs", study=name, plain=True,
        objective=objectives,
    )  # fmt: skip
    worker = as_arguments(
        logs="/logs", study=name, jobs=jobs, devices_per_trial=devices_per_trial,
        objective=objectives,
        allow_commands=allow_commands,
    )  # fmt: skip
    composition = Composition(
        name=object_name(name), master=["master", *master], worker=["worker", *worker],
        workers=workers, image=image, logs=shared, work=os.getcwd(),
        data=common.absolute(str(data_dir)) if data_dir else None,
        user=f"{os.getuid()}:{os.getgid()}", gpus=gpus,
    )  # fmt: skip
    common.write(path, compose_file(composition))
    if dry_run:
        common.tell(start=f"docker compose -f {path} up --detach")
        return
    common.submit([*program, "-f", str(path), "up", "--detach"])
    said = f"{' '.join(program)} -f {path}"
    common.tell(
        started=f"a master and {workers} workers",
        watch=f"distune top --logs {shared}   (or: {said} logs --follow master)",
        stop=f"{said} down   (each gives its trials back; up goes on)",
    )


def _program() -> list[str]:
    if shutil.which("docker") is None and shutil.which("podman-compose") is not None:
        return ["podman-compose"]
    common.require("docker", "install it, or podman-compose")
    return ["docker", "compose"]
