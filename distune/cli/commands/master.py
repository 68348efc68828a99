"""`distune master`: owns one study."""

from typing import Annotated

import typer

from distune.cli import terminal
from distune.cli.options import (
    LOGS,
    AllowCommands,
    AnyOwner,
    DataDir,
    DevicesPerTrial,
    Given,
    Logs,
    Objectives,
    Plain,
    TimeLimit,
    as_arguments,
    duration,
    finite,
)
from distune.cli.reading import checked_name, read_given, read_space
from distune.errors import UserError
from distune.streams import never_wait

EXAMPLE = "distune master --space lab-scenario5 --logs /shared/logs --time-limit 2h"

Space = Annotated[str, typer.Option(metavar="FILE", help="A space file, or the name of a preset.")]
Name = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The study's name; by default that of its space file."),
]
Trials = Annotated[
    int | None,
    typer.Option(min=1, max=10**9, metavar="N", help="How many trials to train, repeats included."),
]
Target = Annotated[
    float | None,
    typer.Option(
        parser=finite, metavar="VALUE", help="Stop as soon as the best metric is this good."
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=2**63 - 1, metavar="N", help="Seed sampling and training."),
]
Scale = Annotated[
    float | None,
    typer.Option(
        metavar="FRACTION",
        help="Train on only this fraction of the epochs and of the data, for a first look.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=0,
        max=1024,
        metavar="N",
        help="Also start this many workers here; they share this machine's cores and GPUs.",
    ),
]
MaxTotalSeconds = Annotated[
    float | None, duration("Stop when all trials together have trained for so long, such as 20h.")
]
Plateau = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Stop when N configurations in a row have not bettered the best."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda[:i]|mps", help="What those workers train on; see distune worker."
    ),
]
WarmStart = Annotated[
    str | None,
    typer.Option(metavar="STUDY", help="Begin with what another study has found: name or folder."),
]
IgnoreDoctor = Annotated[
    bool, typer.Option("--ignore-doctor", help="Disregard what distune doctor found.")
]
Json = Annotated[
    bool, typer.Option("--json", help="Print a snapshot as a line of JSON every half second.")
]


def master(
    space: Space,
    logs: Logs = LOGS,
    study: Name = None,
    trials: Trials = None,
    time_limit: TimeLimit = None,
    target: Target = None,
    max_total_seconds: MaxTotalSeconds = None,
    plateau: Plateau = None,
    seed: Seed = None,
    warm_start: WarmStart = None,
    scale: Scale = None,
    workers: Workers = 0,
    device: Device = "auto",
    devices_per_trial: DevicesPerTrial = None,
    objective: Objectives = None,
    allow_commands: AllowCommands = False,
    data_dir: DataDir = None,
    any_owner: AnyOwner = False,
    ignore_doctor: IgnoreDoctor = False,
    given: Given = False,
    plain: Plain = False,
    as_json: Json = False,
) -> None:
    """Run a study: publish its trials, repair what crashed, rank the results, show them live.

    Stop it whenever you like: the same command goes on where it stopped.
    """
    from distune.master.opening import MasterOptions
    from distune.master.run import run_master
    from distune.space_file.scaling import scaled

    never_wait()
    file, source, name = read_space(space)
    if scale is not None:
        if not 0 < scale <= 1:
            raise UserError(f"--scale {scale:g}: give a number above 0, and 1 at most")
        file, name = scaled(file, scale), f"{name}-x{scale:g}"
    changes = {
        "trials": trials, "time_limit": time_limit, "target": target, "seed": seed,
        "max_total_seconds": max_total_seconds, "plateau": plateau,
    }  # fmt: skip
    options = MasterOptions(
        space=file.model_copy(update={k: v for k, v in changes.items() if v is not None}),
        source=source, name=checked_name(study or name), logs=logs,
        objectives=objective or [], given=read_given(ends_with_it=True) if given else b"",
        workers=workers, device=device, devices_per_trial=devices_per_trial, any_owner=any_owner,
        ignore_doctor=ignore_doctor, warm_start=warm_start,
        worker_arguments=as_arguments(
            device=device, devices_per_trial=devices_per_trial, objective=objective,
            allow_commands=allow_commands, any_owner=any_owner, data_dir=data_dir, given=given,
        ),
    )  # fmt: skip
    raise typer.Exit(run_master(options, terminal.screen(plain, as_json)))
