"""`distune launch slurm`: workers as an array of a Slurm cluster."""

import os
from pathlib import Path
from typing import Annotated, Any

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

EXAMPLE = (
    "distune launch slurm --logs /shared/logs --workers 40 --at-once 8 --gpus 1 --time 2h\n"
    "         distune launch slurm --objective train.py:train --sbatch --qos=low --dry-run"
)


def _time(text: str) -> str:
    from distune.launch.slurm import slurm_time

    try:
        return slurm_time(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Count = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="How many workers to start in all: when one's time is over, the next begins.",
    ),
]
AtOnce = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="How many of them to run at a time. By default all."),
]
Cpus = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Cores of each worker; it trains a trial on each."),
]
Gpus = Annotated[
    str | None,
    typer.Option(metavar="[TYPE:]N", help="GPUs of each worker; it trains a trial on each."),
]
Memory = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory of each worker, such as 16G.")
]
Time = Annotated[
    Any,
    typer.Option(
        parser=_time,
        metavar="DURATION",
        help="Time limit of each worker, such as 2h; 1-12:00:00 is fine, too. It gives its trials "
        "back 90 seconds before.",
    ),
]
Partition = Annotated[str | None, typer.Option(metavar="NAME", help="The partition to run in.")]
Account = Annotated[str | None, typer.Option(metavar="NAME", help="The account to charge.")]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OPTION",
        help="Another #SBATCH line, such as --qos=low; it wins over those above. Repeat the "
        "option to give several.",
    ),
]


def slurm(
    logs: Logs = LOGS,
    study: WorkOn = None,
    workers: Count = 1,
    at_once: AtOnce = None,
    time: Time = None,
    gpus: Gpus = None,
    cpus: Cpus = None,
    memory: Memory = None,
    partition: Partition = None,
    account: Account = None,
    sbatch: Sbatch = None,
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
    """Write a batch file for an array of workers, and submit it with sbatch.

    Many short workers get through a busy cluster sooner than few long ones, and cost nothing: one
    whose time is over gives its trials back, and those that are left when the study is over end
    within seconds. They never ask Slurm for anything.
    """
    from distune.launch.slurm import SlurmArray, sbatch_file, time_for_work
    from distune.training.offer import Offer

    shared, name = common.checked_logs(logs), common.launch_name(study)
    Offer.parse_all(objective or [], Path(shared))
    common.check_gpus(gpus, devices_per_trial)
    path = out or Path(f"{name}.sbatch")
    if not dry_run:
        common.require("sbatch", "run this on a login node of the cluster")
    worker = common.python_words(python) + as_arguments(
        logs=shared, study=study, jobs=jobs, devices_per_trial=devices_per_trial,
        objective=common.absolute_objectives(objective or []),
        allow_commands=allow_commands, any_owner=any_owner,
        data_dir=data_dir and common.absolute(str(data_dir)),
        time_limit=time and f"{time_for_work(time)}s",
    )  # fmt: skip
    array = SlurmArray(
        name=name, worker=worker, folder=os.getcwd(), workers=workers, at_once=at_once, cpus=cpus,
        gpus=gpus, memory=memory, time=time, partition=partition, account=account,
        extra=sbatch or [],
    )  # fmt: skip
    common.write(path, sbatch_file(array))
    if dry_run:
        common.tell(submit=f"sbatch {path}")
        return
    number = common.submit(["sbatch", "--parsable", str(path)]).partition(";")[0]
    common.tell(
        submitted=f"job {number}, {workers} in all, {min(at_once or workers, workers)} at once",
        watch=f"distune top --logs {shared}   (or: squeue --job {number})",
        stop=f"scancel {number}   (each gives its trials back)",
        output=f"{name}-{number}_*.out",
    )
    common.tell_if_no_study(shared, study)
