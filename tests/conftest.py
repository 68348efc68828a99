"""Real processes on real files: how tests start distune and wait for what it does, and on how
many threads they train themselves.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from distune.share.protocol import AttemptName, State

DISTUNE = [sys.executable, "-m", "distune"]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores Ctrl-C, and so would all that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # likewise under nohup

OBJECTIVE = """\
import os, time

def train(params, trial):
    for step in range(params.get("steps", 3)):
        time.sleep(params.get("pause", 0.05))
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / (step + 1)}

def quick(params):
    return (params["x"] - 0.3) ** 2

def hang(params, trial):
    (trial.dir / "pid").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)
"""


def wait_until(condition: Callable[[], object], seconds: float = 60.0, what: str = "") -> None:
    """Wait for a condition, with a deadline.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


def executors_of(worker: int) -> list[psutil.Process]:
    """The training processes of a worker, by its pid."""
    found = []
    for child in psutil.Process(worker).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "distune.training.executor" in child.cmdline():
                found.append(child)
    return found


class Lab:
    """A folder with a space file and an objective, and the processes started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "train.py").write_text(OBJECTIVE)

    def write_space(self, name: str = "space.json", **fields: Any) -> Path:
        """A study of `train:train` over x in [0, 1], but for `fields`; None leaves a key out."""
        default: dict[str, Any] = {
            "objective": "train:train",
            "params": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
            "metric": "loss",
            "direction": "minimize",
            "trials": 6,
            "lease": "5s",
        }
        space = {k: v for k, v in {**default, **fields}.items() if v is not None}
        path = self.folder / name
        path.write_text(json.dumps(space))
        return path

    def run(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run `distune ARGUMENTS` to its end."""
        return subprocess.run(
            [*DISTUNE, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `distune ARGUMENTS`; ended when the test is over."""
        return self.start_program([*DISTUNE, *arguments])

    def start_program(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.started)}.log").open("wb") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT
            )
        self.started.append(process)
        return process

    def master(self, *arguments: str, space: str = "space.json") -> subprocess.Popen[bytes]:
        return self.start("master", "--space", space, *arguments)

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """One that trains one at a time, unless the arguments say otherwise."""
        return self.start("worker", "--objective", "train:train", "--jobs", "1", *arguments)

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{self.started.index(process)}.log").read_text()

    def wait_for_words(self, process: subprocess.Popen[bytes], words: str) -> None:
        """Wait until a process has said this; what it does may be seen before."""
        wait_until(lambda: words in self.log_of(process), what=f"it says {words!r}")

    def names(self, folder: str = "trials", study: str = "space") -> list[str]:
        """What lies in a folder of the study; nothing before it is there."""
        try:
            return sorted(n for n in os.listdir(self.logs / study / folder) if n[0] != ".")
        except FileNotFoundError:
            return []

    def seen(self, study: str = "space") -> list[str]:
        return [n for sub in self.names("seen", study) for n in self.names(f"seen/{sub}", study)]

    def counted(self, study: str = "space") -> list[int]:
        """The trials that have their one name in `seen/`."""
        names = map(AttemptName.parse, self.seen(study))
        return sorted(name.trial for name in names if name.state is State.SEEN)

    def taken_by(self, process: subprocess.Popen[bytes], study: str = "space") -> list[str]:
        """The attempts a worker process holds."""
        return [n for n in self.names(study=study) if f"-{process.pid}-" in n and "taken" in n]

    def crash(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker as a power cut would: with all its children, at the same moment."""
        family = psutil.Process(process.pid).children(recursive=True)
        for one in family:
            one.suspend()
        process.kill()
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()

    def status(self, study: str = "space") -> Any:
        done = self.run("status", "--json", "--study", study)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    one = Lab(tmp_path)
    yield one
    one.end()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch computes on one thread, as in an executor."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
