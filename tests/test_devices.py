"""Several devices for one trial: how a worker divides them, and trials of several processes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from distune.study.trial import Output, Result, Trial
from distune.training.messages import Assignment, Died, Prepare
from distune.training.offer import Offer
from distune.training.process import ExecutorProcess
from distune.worker import host
from tests.conftest import Lab, executors_of, wait_until
from tests.histories import study

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

#: Each rank meets the others, says so, and then does not end when it is asked to.
DEAF = """\
import os, pathlib, signal, sys, time
import torch, torch.distributed as dist
signal.signal(signal.SIGTERM, signal.SIG_IGN)
dist.init_process_group("gloo")
ranks = torch.ones(())
dist.all_reduce(ranks)
pathlib.Path(sys.argv[1], f"{dist.get_rank()}-of-{int(ranks)}").write_text(str(os.getpid()))
while True: time.sleep(1)
"""


# -- dividing them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "each", "labels", "environments"),
    [
        ("0,1,2,3", 2, ["cuda:0,1", "cuda:2,3"], ["0,1", "2,3"]),
        ("5,7,6", 2, ["cuda:0,1"], ["5,7"]),
        ("GPU-8a, MIG-1f/3/0", 2, ["cuda:0,1"], ["GPU-8a,MIG-1f/3/0"]),
        ("3,1", 1, ["cuda:0", "cuda:1"], ["3", "1"]),
    ],
)
@pytest.mark.parametrize("spec", ["auto", "cuda"])
def test_visible_gpus_are_divided_and_each_trial_sees_its_own_only(
    visible: str, each: int, labels: list[str], environments: list[str], spec: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    sets = host.device_sets(spec, each)
    assert [one.label for one in sets] == labels
    assert [one.visible for one in sets] == environments
    assert {one.devices for one in sets} == {tuple(f"cuda:{i}" for i in range(each))}


def test_unless_it_is_asked_for_nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert host.device_sets("auto") == [
        host.DeviceSet("cuda:0", ("cuda:0",)), host.DeviceSet("cuda:1", ("cuda:1",))
    ]  # fmt: skip
    assert host.device_sets("cuda:1", 1) == [host.DeviceSet("cuda:1", ("cuda:1",))]
    assert host.device_sets("cpu", 2) == [host.DeviceSet("cpu", ("cpu", "cpu"))]


@pytest.mark.parametrize(
    ("device", "visible", "said"),
    [
        ("auto", "0,1", "sees 2 GPUs (CUDA_VISIBLE_DEVICES=0,1); give it more, or --device cpu"),
        ("cuda", "GPU-8a", "sees 1 GPU (CUDA_VISIBLE_DEVICES=GPU-8a); give it more"),
        ("cuda:1", "0,1,2", "--device cuda:1 is one device"),
    ],
)
def test_too_few_devices_are_one_clear_line_and_exit_status_2(
    lab: Lab, device: str, visible: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    lab.logs.mkdir()
    done = lab.run("worker", "--device", device, "--devices-per-trial", "3")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("distune: --devices-per-trial 3: ")
    assert said in done.stderr


def test_slots_are_as_many_as_there_are_sets_and_cores_are_divided_among_processes() -> None:
    plan = host.choose_parallelism(None, None, cores=16, memory=2**40, gpus=8, devices_per_trial=2)
    assert (plan.jobs, plan.threads, plan.limit) == (4, 2, "one for each 2 GPUs")
    plan = host.choose_parallelism(None, None, cores=8, memory=2**40, devices_per_trial=4)
    assert (plan.jobs, plan.threads, plan.limit) == (2, 1, "one for each 4 cores")
    plan = host.choose_parallelism(None, None, cores=2, memory=2**40, devices_per_trial=4)
    assert (plan.jobs, plan.threads) == (1, 1)


def test_an_objective_is_told_its_devices_and_what_it_starts_sees_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    code = "import os\ndef t(params, trial):\n    " + (
        "print(trial.device, trial.devices, os.environ['CUDA_VISIBLE_DEVICES'])\n    return 1\n"
    )
    (tmp_path / "train.py").write_text(code)
    offer = Offer.parse(f"{tmp_path}/train.py:t", tmp_path / "logs")
    prepare = Prepare(device="cpu", devices=["cpu", "cpu"], offers=[offer])
    process = ExecutorProcess(prepare, visible="2,3")
    try:
        asked = study(objective="train:t", metric="loss", direction="minimize")
        process.start(
            Assignment(
                study=asked,
                trial=Trial(study="s", number=0, attempt=1, seed=1, params={}),
                folder=str(tmp_path / "a"),
            )
        )
        said: list[Any] = []

        def is_over() -> bool:
            said.extend(message for _, message in process.poll())
            return any(isinstance(message, Result | Died) for message in said)

        wait_until(is_over, what="it is trained")
        printed = [message.text for message in said if isinstance(message, Output)]
        assert printed == ["cpu ('cpu', 'cpu') 2,3\n"]
    finally:
        process.end(0.0)


def test_a_built_in_objective_is_refused_with_several_devices(lab: Lab) -> None:
    lab.write_space(objective="spirals", metric="val_accuracy", params={}, direction="maximize")
    lab.master("--plain")
    wait_until(lambda: lab.names(), what="it is published")
    done = lab.run("worker", "--device", "cpu", "--devices-per-trial", "2")
    assert done.returncode == 2, done.stdout
    assert "spirals trains on one device: start a worker for it without" in done.stderr


# -- trials of several processes -------------------------------------------------------------


@pytest.mark.long
def test_the_example_trains_on_two_devices_with_gloo_and_is_shown_and_exported(lab: Lab) -> None:
    (lab.folder / "examples").symlink_to(EXAMPLES)
    options = ["--trials", "1", "--workers", "1", "--device", "cpu", "--devices-per-trial", "2"]
    done = lab.run("master", "--space", "examples/ddp.json", "--plain", "--allow-commands",
                   "--study", "space", *options)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = lab.status()["ranking"]
    assert len(rows) == 1
    assert lab.run("export", "--out", "trials.csv").returncode == 0
    shown = json.loads(lab.run("show", "0", "--json").stdout)
    assert shown["attempts"][0]["reports"][-1]["metrics"]["ranks"] == 2.0


@pytest.mark.parametrize(("how", "trials"), [("drained", 2), ("killed", 1), ("stopped", 1)])
@pytest.mark.long
def test_trials_side_by_side_meet_only_their_own_ranks_and_leave_none_behind(
    lab: Lab, how: str, trials: int
) -> None:
    (lab.folder / "deaf.py").write_text(DEAF)
    torchrun = ["torchrun", "--standalone", "--nproc-per-node", "{trial_n_devices}"]
    lab.write_space(objective=None, command=[*torchrun, "deaf.py", "{trial_dir}"], trials=trials)
    lab.master()
    options = ["--device", "cpu", "--devices-per-trial", "2", "--jobs", str(trials)]
    worker = lab.start("worker", "--allow-commands", *options)
    artifacts = lab.logs / "space" / "artifacts"
    wait_until(
        lambda: len([*artifacts.glob("*.1/?-of-2")]) == 2 * trials, what="all ranks have met"
    )
    ranks = [int(path.read_text()) for path in artifacts.glob("*.1/*")]
    assert all(map(psutil.pid_exists, ranks))
    trained_by = executors_of(worker.pid)
    if how == "stopped":
        assert lab.run("stop", "space", "--now").returncode == 0
    else:
        worker.send_signal(signal.SIGTERM if how == "drained" else signal.SIGKILL)
    wait_until(lambda: not any(map(psutil.pid_exists, ranks)), 15, "no rank is left")
    if how != "stopped":
        wait_until(lambda: not any(one.is_running() for one in trained_by), 15, "nor an executor")


def test_what_is_asked_of_an_engine_is_enough_for_a_trial(lab: Lab) -> None:
    lab.logs.mkdir()
    launch = ["launch", "slurm", "--dry-run", "--devices-per-trial", "2", "--gpus"]
    done = lab.run(*launch, "a100:1")
    assert done.returncode == 2
    assert "--gpus a100:1: each worker needs 2 at least" in done.stderr
    assert lab.run(*launch, "a100:4").returncode == 0
    text = (lab.folder / "distune.sbatch").read_text()
    assert "#SBATCH --gres=gpu:a100:4" in text
    assert " --devices-per-trial 2" in text
