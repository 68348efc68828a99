"""A signal that asks a training process to end, as its whole tree of processes gets it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from distune.study.trial import Checkpoint, Outcome, Record, Result, Trial
from distune.training.messages import Assignment, Died, Prepare, TrainingStarted
from distune.training.offer import Offer
from distune.training.process import ExecutorProcess
from tests.conftest import Lab, wait_until
from tests.histories import study

OBJECTIVES = """\
import os, signal, subprocess, sys, time

def saves(params, trial):
    done = trial.load() or 0
    with open("steps", "a") as steps:
        while True:
            time.sleep(0.05)
            done += 1
            print(trial.attempt, done, file=steps, flush=True)
            yield {"loss": 1.0}
            trial.save(done)

def saves_none(params):
    while True: time.sleep(0.05)

def handles(params):
    signal.signal(signal.SIGTERM, lambda sig, frame: (print("mine"), sys.exit(3)))
    print("ready", flush=True)
    while True: time.sleep(0.05)

def children(params):
    died = 0
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, b"here")
            while True: time.sleep(1)
        os.read(reading, 4)
        os.kill(child, sig)
        died += os.WTERMSIG(os.waitpid(child, 0)[1]) == sig
        process = subprocess.Popen(["tail", "-f", os.devnull])
        process.send_signal(sig)
        died += process.wait() == -sig
    return died
"""


class Trained:
    """A training process of a test's own, and what it says."""

    def __init__(self, folder: Path, function: str) -> None:
        (folder / "train.py").write_text(OBJECTIVES)
        offer = Offer.parse(f"{folder}/train.py:{function}", folder / "logs")
        self.process = ExecutorProcess(Prepare(device="cpu", offers=[offer]))
        self.said: list[Record | Died] = []
        asked = study(objective=offer.name, metric="loss", direction="minimize")
        trial = Trial(study="s", number=0, attempt=1, seed=1, params={})
        self.process.start(
            Assignment(
                study=asked,
                trial=trial,
                folder=str(folder / "a"),
                checkpoints=str(folder / "checkpoints"),
            )
        )

    def has_said(self, kind: type[Record | Died]) -> Callable[[], bool]:
        def look() -> bool:
            self.said += [message for _, message in self.process.poll()]
            return any(isinstance(message, kind) for message in self.said)

        return look

    def wait_for(self, kind: type[Record | Died]) -> Record | Died:
        wait_until(self.has_said(kind), what=f"it says {kind}")
        return next(message for message in self.said if isinstance(message, kind))

    def get(self, sig: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, sig)


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Trained]]:
    monkeypatch.chdir(tmp_path)
    started = []

    def start(function: str) -> Trained:
        started.append(Trained(tmp_path, function))
        return started[-1]

    yield start
    for one in started:
        one.process.end(0.0)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2])
def test_a_training_saves_its_last_state_before_it_follows_a_signal(
    trained: Callable[[str], Trained], sig: signal.Signals
) -> None:
    one = trained("saves")
    wait_until(lambda: Path("steps").exists() and Path("steps").read_text(), what="it trains")
    one.get(sig)
    result = one.wait_for(Result)
    steps = int(Path("steps").read_text().split()[-1])
    saved = one.wait_for(Checkpoint)
    assert isinstance(result, Result)
    assert isinstance(saved, Checkpoint)
    assert (result.outcome, saved.step) == (Outcome.RELEASED, steps)
    assert result.failure is not None
    assert result.failure.message == f"its training process got {sig.name}"
    died = one.wait_for(Died)
    assert isinstance(died, Died)
    assert (died.asked_to, died.reason) == (True, f"was killed by {sig.name}")


def test_a_worker_that_ends_a_training_process_need_not_wait_for_it(
    trained: Callable[[str], Trained],
) -> None:
    one = trained("saves_none")
    one.wait_for(TrainingStarted)
    began = time.monotonic()
    one.get(signal.SIGTERM)
    one.process.terminate()
    one.process.end(grace=10.0)
    assert time.monotonic() - began < 5.0


def test_a_handler_of_the_objective_s_own_is_left_alone(
    trained: Callable[[str], Trained],
) -> None:
    one = trained("handles")
    wait_until(lambda: one.has_said(Died)() or "ready" in one.process.tail(), what="it is ready")
    one.process.terminate()
    result = one.wait_for(Result)
    assert isinstance(result, Result)
    assert result.failure is not None
    assert "sys.exit(3)" in result.failure.message


def test_what_an_objective_starts_or_forks_follows_each_signal_as_ever(
    trained: Callable[[str], Trained],
) -> None:
    result = trained("children").wait_for(Result)
    assert isinstance(result, Result)
    assert result.value == 10.0, result.failure


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.long
def test_a_signal_to_the_whole_tree_in_any_order_costs_a_step_at_most(lab: Lab, seed: int) -> None:
    (lab.folder / "train.py").write_text(OBJECTIVES)
    lab.write_space(objective="train:saves", trials=1, params={"x": 1})
    lab.master("--plain")
    steps = lab.folder / "steps"
    for attempt in (1, 2):
        worker = lab.start("worker", "--objective", "train:saves", "--jobs", "1")
        wait_until(
            lambda n=attempt: steps.exists() and f"\n{n} " in steps.read_text(),  # type: ignore[misc]
            what="it trains",
        )
        family = psutil.Process(worker.pid).children(recursive=True)
        tree = [*reversed(family), psutil.Process(worker.pid)]
        if seed:
            random.Random(seed).shuffle(tree)
        began = time.monotonic()
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        assert worker.wait(20) == 143
        assert time.monotonic() - began < 5.0, lab.log_of(worker)
    lines = [tuple(map(int, line.split())) for line in steps.read_text().splitlines()]
    last = max(step for attempt, step in lines if attempt == 1)
    first = min(step for attempt, step in lines if attempt == 2)
    assert first >= last, f"{last - first + 1} steps are trained twice"
    shown = json.loads(lab.run("show", "0", "--json").stdout)["attempts"]
    assert {one["result"]["outcome"] for one in shown if one["result"]} == {"released"}
