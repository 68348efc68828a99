"""`distune worker`: trains the trials of the studies it sees."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import (
    LOGS,
    AllowCommands,
    AnyOwner,
    DataDir,
    Device,
    DevicesPerTrial,
    Given,
    Jobs,
    Logs,
    Objectives,
    TimeLimit,
    WorkOn,
)
from distune.cli.reading import read_given
from distune.streams import never_wait

EXAMPLE = "distune worker --logs /shared/logs --device cuda --jobs 2"

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1024,
        metavar="N",
        help="CPU threads per training process. By default 1; with --jobs auto, the cores divided "
        "by the jobs.",
    ),
]
MaxTrials = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Stop after so many trials have been trained."),
]
Forever = Annotated[
    bool, typer.Option("--forever", help="When every study is finished, wait for more.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the objectives print.")]


def worker(
    logs: Logs = LOGS,
    study: WorkOn = None,
    jobs: Jobs = None,
    threads: Threads = None,
    device: Device = "auto",
    devices_per_trial: DevicesPerTrial = None,
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    data_dir: DataDir = None,
    time_limit: TimeLimit = None,
    max_trials: MaxTrials = None,
    forever: Forever = False,
    verbose: Verbose = False,
    any_owner: AnyOwner = False,
    given: Given = False,
) -> None:
    """Claim trials, train them and report, until every study in the shared folder is finished.

    Start it before or after the master, on as many hosts as you like. With a time limit, or in a
    Slurm job, it claims nothing that would not end in time. It exits with status 0 when nothing is
    left to do or its own limit is reached, 143 when a signal stops it, 2 when it was started
    wrongly, and 1 after any other failure.
    """
    from distune.worker.context import WorkerOptions
    from distune.worker.run import run_worker

    never_wait()
    options = WorkerOptions(
        logs=logs, study=study, jobs=jobs, threads=threads, device=device,
        devices_per_trial=devices_per_trial, objectives=objective or [],
        allow_commands=allow_commands, data_dir=data_dir,
        time_limit=time_limit, max_trials=max_trials, forever=forever, verbose=verbose,
        any_owner=any_owner, given=read_given() if given else b"",
    )  # fmt: skip
    raise typer.Exit(run_worker(options, terminal.say))
