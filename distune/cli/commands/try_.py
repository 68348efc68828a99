"""`distune try`: one trial, here and now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distune.cli import terminal
from distune.cli.options import AllowCommands, DataDir, DevicesPerTrial, Objectives
from distune.cli.reading import read_space
from distune.errors import StudyFailed, UserError

if TYPE_CHECKING:
    from distune.study.trial import Report

EXAMPLE = "distune try --space space.json --objective train.py:train"

Space = Annotated[str, typer.Option(metavar="FILE", help="A space file, or the name of a preset.")]
Number = Annotated[
    int,
    typer.Option("--trial", min=0, metavar="N", help="Which trial of the study, from 0."),
]
Seed = Annotated[int | None, typer.Option(min=0, metavar="N", help="As for distune master.")]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda[:i]|mps", help="What to train on.")]


def try_(
    space: Space,
    objective: Objectives = None,
    trial: Number = 0,
    seed: Seed = None,
    device: Device = "auto",
    devices_per_trial: DevicesPerTrial = None,
    allow_commands: AllowCommands = False,
    data_dir: DataDir = None,
) -> None:
    """Train one trial in the foreground and show what it prints, before you start a study.

    It is trained as a worker would train it. Nothing is written to the logs directory, and what
    it leaves in trial.dir is gone afterwards. It exits with status 1 if the trial fails.
    """
    import tempfile

    from distune.space_file.freeze import freeze
    from distune.space_file.preview import trial_at
    from distune.training.foreground import train_here
    from distune.training.messages import Prepare
    from distune.training.offer import Offer
    from distune.watch.display.numbers import duration, format_scalar, format_value
    from distune.worker import host
    from distune.worker.admission import lacking_option
    from distune.workloads import check_installed

    file, source, name = read_space(space)
    if seed is not None:
        file = file.model_copy(update={"seed": seed})
    study = freeze(file, name="try", study_id="try", lease=1.0, created=0.0)
    # No code is refused because of where it lies: what is shared is not looked at.
    offers = Offer.parse_all(objective or [], Path(tempfile.gettempdir()) / "none")
    lacking = lacking_option(study, [one.name for one in offers], allow_commands)
    if lacking is not None:
        raise UserError(f"{source} names code of your own: start this with {lacking}")
    check_installed(study.objective, study.datasets)
    _fetch_data(study.datasets, data_dir)
    wanted = trial_at(study, trial)
    terminal.show(f"trial {trial} of {name}: {study.objective_name}, seed {wanted.seed}")
    for key, value in wanted.params.items():
        terminal.show(f"  {key} {format_scalar(value)}")
    on = "cpu" if device == "auto" and not host.visible_gpus() else device
    given = host.DeviceSet(on, (on,))
    if devices_per_trial is not None:
        given = host.device_sets(on, devices_per_trial)[0]
    prepare = Prepare(
        device=given.devices[0],
        devices=list(given.devices),
        offers=offers,
        data_dir=str(data_dir.resolve()) if data_dir else None,
    )

    def tell(report: Report) -> None:
        metrics = "  ".join(f"{k} {format_value(v)}" for k, v in report.metrics.items())
        terminal.show(f"step {report.step}  {metrics}  {duration(report.seconds)}")

    threads = max(1, host.usable_cores() // len(given.devices))
    result = train_here(study, wanted, prepare, threads, terminal.show, tell, given.visible)
    failure = result.failure
    if failure is not None:
        for line in failure.traceback.splitlines():
            terminal.show(line)
        raise StudyFailed(f"trial {trial}: {result.outcome}: {failure.message}")
    value = f"{study.metric} {format_value(result.value)}"
    terminal.show(f"{result.outcome}, {value} in {duration(result.seconds)}; nothing is kept")


def _fetch_data(names: Sequence[str], data_dir: Path | None) -> None:
    from distune.workloads.data import DATA_SETS
    from distune.workloads.data.folders import DataFolders

    folders = DataFolders.of(data_dir)
    for data_set in (DATA_SETS[name] for name in names):
        if folders.locate(data_set) is None:
            terminal.warn(folders.announcement(data_set))
            folders.fetch(data_set)
