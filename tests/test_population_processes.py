"""Populations as users run them: a real worker, a real process, real files."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from distune import loops
from distune.cli import app
from distune.errors import UserError
from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.trial import Outcome, Report, Result, Trial
from distune.training.messages import Assignment, Began, Prepare
from distune.training.processes import ExecutorProcess
from distune.training.sharing import SharedProcess
from distune.workloads import mnist_cnn
from tests.conftest import Lab, wait_until
from tests.trials import Trial as WorkloadTrial

SMALL: dict[str, Any] = {
    "dataset": "digits",
    "n_filters": 4,
    "n_hidden": 16,
    "batch_size": 20,
    "n_train": 200,
    "epochs": 3,
}


def counted(folder: Path) -> list[dict[str, Any]]:
    lines = [line for line in (folder / "history.jsonl").read_text().splitlines() if line]
    return [json.loads(line) for line in lines]


def test_a_study_trained_in_populations_has_each_trial_once_with_a_curve_of_its_own(
    lab: Lab,
) -> None:
    lab.write_space(
        objective="mnist-cnn",
        metric=None,
        direction=None,
        repeats=2,
        trials=6,
        lease="20s",
        params={**SMALL, "lr": {"type": "float", "low": 0.01, "high": 0.1}, "momentum": [0, 0.9]},
    )
    worker = lab.worker("--device", "cpu", "--population", "4")
    done = lab.run("master", "--space", "space.json", "--plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert worker.wait(timeout=60) == 0
    folder = lab.logs / "space"
    trained = [one for one in counted(folder) if one["trial"]["purpose"] == "train"]
    assert sorted(one["trial"]["number"] for one in trained) == list(range(6))
    assert {one["trial"]["attempt"] for one in trained} == {1}
    assert "up to 4 of one network at once" in lab.log_of(worker)
    for one in trained:
        trial = one["trial"]
        alone = list(mnist_cnn.train(trial["params"], WorkloadTrial(seed=trial["seed"])))
        best = max(alone, key=lambda report: report["val_accuracy"])
        assert one["result"]["steps"] == len(alone)
        assert one["result"]["value"] == pytest.approx(best["val_accuracy"], abs=2 / 297)


def test_a_member_that_is_stopped_answers_before_its_epoch_is_over_and_the_others_go_on() -> None:
    space = SpaceFile.model_validate({"objective": "mnist-cnn", "params": SMALL})
    study = freeze(space, name="s", study_id="s-1", lease=20.0, created=0.0)
    woken = threading.Event()
    process = ExecutorProcess(Prepare(device="cpu"), wake=woken.set)
    first, second = SharedProcess(process, 2, "always").seats
    # Epochs of many seconds: one image after the other, on one core.
    long = {**SMALL, "batch_size": 1, "n_train": 300, "epochs": 200, "n_filters": 64}
    said: dict[int, list[Any]] = {0: [], 1: []}

    def heard(seat: int, kind: type) -> bool:
        said[seat] += [first, second][seat].poll()
        return any(isinstance(one, kind) for one in said[seat])

    try:
        for number, seat in enumerate((first, second)):
            trial = Trial(study="s-1", number=number, attempt=1, seed=number, params=long)
            seat.start(Assignment(study=study, trial=trial, folder="f"))
        wait_until(lambda: heard(0, Began) and heard(1, Began), what="both have begun")
        first.stop()
        wait_until(lambda: heard(0, Result), what="the first is over")
        (result,) = [one for one in said[0] if isinstance(one, Result)]
        assert result.outcome is Outcome.RELEASED
        assert not any(isinstance(one, Report) for one in said[0])
        wait_until(lambda: heard(1, Report), what="the second has reported an epoch")
        assert not heard(1, Result)
    finally:
        tail = process._tail
        process.end(grace=0.0)
        assert tail is not None
        tail.text(wait=5.0)  # its reader sees the end


@pytest.mark.parametrize(("asked", "told"), [([], "1"), (["--population", "auto"], "auto")])
def test_a_masters_own_workers_train_as_many_at_once_as_it_was_told(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, asked: list[str], told: str
) -> None:
    lab.write_space()
    found: list[loops.MasterOptions] = []

    def run_master(options: loops.MasterOptions, screen: object) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr(loops, "run_master", run_master)
    space = str(lab.folder / "space.json")
    CliRunner().invoke(app, ["master", "--space", space, *asked])
    arguments = list(found[0].worker_arguments)
    assert arguments[arguments.index("--population") + 1] == told


def test_the_size_of_a_population_is_a_number(lab: Lab) -> None:
    lab.write_space()
    done = lab.run("worker", "--population", "half")
    assert done.returncode == 2
    assert "neither auto nor a number" in done.stderr


def test_populations_are_for_cpus() -> None:
    assert loops._population_size(None, "cuda:0") == 1
    assert loops._population_size(1, "cuda:0") == 1
    with pytest.raises(UserError, match="one at a time"):
        loops._population_size(4, "cuda:0")
    assert loops._population_size(None, "cpu") == 4
