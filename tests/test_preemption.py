"""Signals to training processes that their worker has not sent: a cluster wants its machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from typing import Any

import psutil
import pytest

from tests.conftest import Lab, executors_of, wait_until

PREEMPTED = """\
import subprocess, time

def calls(params, trial):
    (trial.dir / "here").touch()
    subprocess.run(["tail", "-f", "/dev/null"], check=True)

def once(params, trial):
    (trial.dir / "here").touch()
    while trial.attempt == 1:
        time.sleep(0.01)
    return 1.0
"""


@pytest.fixture
def preempted(lab: Lab) -> Lab:
    (lab.folder / "train.py").write_text(PREEMPTED)
    return lab


def attempts_at(lab: Lab, trial: int) -> dict[int, dict[str, Any]]:
    """The result of each that is over, by its number."""
    shown = json.loads(lab.run("show", str(trial), "--json").stdout)["attempts"]
    return {one["attempt"]: one["result"] for one in shown if one["result"]}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("kind", ["calls", "command"])
@pytest.mark.long
def test_a_signal_to_a_whole_tree_of_processes_children_first_fails_no_attempt(
    preempted: Lab, kind: str, sig: signal.Signals
) -> None:
    lab = preempted
    if kind == "command":
        command = ["sh", "-c", "touch {trial_dir}/here; exec tail -f /dev/null"]
        lab.write_space(objective=None, command=command, trials=2, max_attempts=1)
        options = ["--allow-commands"]
    else:
        lab.write_space(objective=f"train:{kind}", trials=2, max_attempts=1)
        options = ["--objective", f"train:{kind}"]
    lab.master()
    artifacts = lab.logs / "space" / "artifacts"
    for turn in (1, 2):
        worker = lab.start("worker", "--jobs", "2", *options)
        wait_until(
            lambda n=turn: len(list(artifacts.glob(f"*.{n}/here"))) == 2,  # type: ignore[misc]
            what="two are trained",
        )
        training = executors_of(worker.pid)
        for process in reversed(psutil.Process(worker.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # its own child's end has ended it
                if process.ppid() != worker.pid or process in training:  # else it is the guardian
                    process.send_signal(sig)
        worker.send_signal(sig)
        assert worker.wait(10) == 143
    for trial in (0, 1):
        outcomes = {n: result["outcome"] for n, result in attempts_at(lab, trial).items()}
        assert outcomes == {1: "released", 2: "released"}


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGHUP, signal.SIGUSR2])
@pytest.mark.long
def test_a_training_process_that_somebody_else_asked_to_end_fails_no_attempt(
    preempted: Lab, sig: signal.Signals
) -> None:
    lab = preempted
    lab.write_space(objective="train:once", trials=1, max_attempts=1)
    lab.master()
    worker = lab.start("worker", "--jobs", "1", "--objective", "train:once")
    wait_until(lambda: list(lab.logs.glob("space/artifacts/*.1/here")), what="it is trained")
    (executor,) = executors_of(worker.pid)
    os.kill(executor.pid, sig)
    assert worker.wait(60) == 0, lab.log_of(worker)
    first, second = attempts_at(lab, 0).values()
    assert first["outcome"] == "released"
    assert first["failure"]["message"] == f"the training process was killed by {sig.name}"
    assert second["outcome"] == "complete"
