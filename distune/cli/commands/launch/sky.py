"""`distune launch sky`: workers on nodes that SkyPilot finds."""

import os
from pathlib import Path
from typing import Annotated

import typer

from distune.cli.commands.launch import common
from distune.cli.commands.launch.common import Count, DryRun, Out
from distune.cli.options import (
    AllowCommands,
    DevicesPerTrial,
    Jobs,
    Objectives,
    WorkOn,
    as_arguments,
)
from distune.errors import UserError

EXAMPLE = (
    "distune launch sky --volume shared-logs --image me/distune:cuda --workers 4 --gpus A100:1"
)

Volume = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="SkyPilot's volume with the logs directory. Not a bucket: there is no rename in it.",
    ),
]
Image = Annotated[
    str | None, typer.Option(metavar="NAME", help="A container's image that has distune.")
]
Setup = Annotated[
    str | None, typer.Option(metavar="COMMAND", help="What installs distune on a node.")
]
Gpus = Annotated[
    str | None, typer.Option(metavar="NAME[:N]", help="GPUs of each node, such as A100:1.")
]
Cpus = Annotated[str | None, typer.Option(metavar="N[+]", help="Cores of each node, such as 8+.")]
Memory = Annotated[
    str | None, typer.Option(metavar="N[+]", help="Gigabytes of memory of each node, such as 32+.")
]
Infra = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where, such as k8s/my-context; by default the cheapest."),
]
Spot = Annotated[
    bool, typer.Option("--spot", help="Take nodes that are cheap and may be taken away.")
]


def sky(
    volume: Volume,
    study: WorkOn = None,
    workers: Count = 1,
    image: Image = None,
    setup: Setup = None,
    gpus: Gpus = None,
    cpus: Cpus = None,
    memory: Memory = None,
    infra: Infra = None,
    spot: Spot = False,
    jobs: Jobs = None,
    devices_per_trial: DevicesPerTrial = None,
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    out: Out = None,
    dry_run: DryRun = False,
) -> None:
    """Write a YAML for SkyPilot, a worker a node, and start it as a managed job.

    With objectives, the nodes get a copy of the current directory. The master runs wherever the
    volume can be mounted.
    """
    from distune.launch.names import object_name
    from distune.launch.sky import LOGS, Nodes, sky_file
    from distune.training.offer import Offer

    if image is None and setup is None:
        raise UserError("the nodes have no distune yet: give an --image that has it, or --setup")
    common.check_gpus(gpus, devices_per_trial)
    Offer.parse_all(objective or [], Path(LOGS))
    objectives = [common.objective_below_here(text) for text in objective or []]
    name = common.launch_name(study)
    path = out or Path(f"{name}.sky.yaml")
    if not dry_run:
        common.require("sky", "pip install skypilot")
    worker = as_arguments(
        logs=LOGS,
        study=study,
        jobs=jobs,
        devices_per_trial=devices_per_trial,
        objective=objectives,
        allow_commands=allow_commands,
    )
    called = "distune" if study is None else object_name(study)
    nodes = Nodes(
        name=called, worker=["distune", "worker", *worker], workers=workers, volume=volume,
        image=image, setup=setup, work=os.getcwd() if objectives else None, gpus=gpus, cpus=cpus,
        memory=memory, infra=infra, spot=spot,
    )  # fmt: skip
    common.write(path, sky_file(nodes))
    if dry_run:
        common.tell(start=f"sky jobs launch --name {called} {path}")
        return
    common.submit(["sky", "jobs", "launch", "--name", called, "--detach-run", "--yes", str(path)])
    common.tell(
        started=f"{workers} nodes, as the managed job {called}",
        watch=f"sky jobs logs --name {called}",
        stop=f"sky jobs cancel --name {called}   (each gives its trials back)",
    )
