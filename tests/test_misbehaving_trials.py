"""Trials that hang, die, leak and flood: real workers, real processes, one study each."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from distune.share.find_studies import open_study
from distune.share.protocol import State
from distune.training.tail import Tail
from tests.conftest import DISTUNE, Lab, executors_of, wait_until

MISBEHAVING = """\
import ctypes, multiprocessing, os, signal, subprocess, sys, time

def each_in_its_way(params):
    return globals()[params["how"]](params)

def raises(params):
    print("reading the data")
    raise ValueError("the learning rate is cursed")

def leaves(params):
    sys.exit(7)

def segfaults(params):
    ctypes.string_at(0)

def is_killed(params):
    os.kill(os.getpid(), signal.SIGKILL)

def greedy(params):
    return float(len(bytearray(10 ** 15)))

def greedy_for_real(params):
    return float(len([bytearray(2 ** 20) for _ in range(4096)]))

def hangs(params):
    print("before the loop")
    while True:
        time.sleep(0.01)

def hangs_later(params):
    yield {"loss": 3.0}
    time.sleep(3600)

def slow_but_alive(params, trial):
    for step in range(12):
        time.sleep(0.25)
        trial.progress(step / 12)
    return 0.5

def is_impossible(params):
    import distune
    raise distune.Infeasible("3 layers of a kernel of 9 do not fit")

def floods(params):
    for i in range(200_000):
        print("x" * 99)
    print("the last line")
    raise RuntimeError("after the flood")

def is_no_number(params):
    return "rather good"

def stray(params, trial):
    subprocess.Popen(["sleep", "1000"])
    daemon = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(1000)"
    subprocess.run([sys.executable, "-c", daemon], check=True)
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,)).start()
    return 1.0

broken = False

def sticky(params, trial):
    global broken
    broken |= trial.number == 0
    if broken:
        raise RuntimeError("device-side assert triggered")
    return 1.0

service = None

def calls_a_service(params):
    # As wandb does: a helper that is started once, and asked by each trial.
    global service
    if service is None:
        service = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    service.stdin.write(b"1.0\\n")
    service.stdin.flush()
    return float(service.stdout.readline())

loader = None

def loads(params):
    import torch
    global loader
    if loader is None:
        data = torch.utils.data.TensorDataset(torch.arange(8.0))
        loader = torch.utils.data.DataLoader(data, num_workers=2, persistent_workers=True)
    return sum(float(batch[0]) for batch in loader)

def forks(params):
    os.fork()
    return 1.0
"""


@pytest.fixture
def bad(lab: Lab) -> Lab:
    (lab.folder / "bad.py").write_text(MISBEHAVING)
    return lab


def run_one(lab: Lab, function: str, status: int = 0, **fields: Any) -> dict[str, Any]:
    """A study of one trial of one function, run to its end; the trial's only attempt."""
    lab.write_space(objective=f"bad:{function}", trials=1, **{"max_attempts": 1, **fields})
    arguments = ["--workers", "1", "--objective", f"bad:{function}"]
    done = lab.run("master", "--space", "space.json", *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    shown = json.loads(lab.run("show", "0", "--json").stdout)
    attempt: dict[str, Any] = shown["attempts"][-1]
    return attempt


FAILURES = {
    "raises": ("failed", "ValueError: the learning rate is cursed", "reading the data"),
    "leaves": ("failed", "the objective called sys.exit(7)", "in leaves"),
    "segfaults": ("failed", "the training process was killed by SIGSEGV", "in segfaults"),
    "is_killed": ("failed", "the training process was killed by SIGKILL", ""),
    "greedy": ("out-of-memory", "MemoryError", "in greedy"),
    "floods": ("failed", "RuntimeError: after the flood", "the last line"),
    "is_no_number": ("failed", "the objective gave 'rather good'", ""),
}


@pytest.mark.long
def test_how_a_trial_failed_stands_in_its_file_and_is_shown(bad: Lab) -> None:
    bad.write_space(
        objective="bad:each_in_its_way", params={"how": list(FAILURES)}, sampler="grid",
        trials=None, max_attempts=1,
    )  # fmt: skip
    arguments = ["--workers", "1", "--objective", "bad:each_in_its_way"]
    done = bad.run("master", "--space", "space.json", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    store = open_study(bad.logs, "space")
    # Where the first failed fast enough, others were trained in turn, given back and tried again.
    names = [name for name in store.seen() if name.state is State.SEEN]
    files = [store.read_attempt(name, seen=True) for name in names]
    assert {file.trial.params["how"] for file in files} == set(FAILURES)
    for file in files:
        outcome, message, details = FAILURES[str(file.trial.params["how"])]
        assert file.result is not None
        failure = file.result.failure
        assert failure is not None
        assert file.result.outcome == outcome
        assert failure.message.startswith(message)
        assert details in failure.traceback + failure.output
        shown = bad.run("show", str(file.trial.number)).stdout
        assert outcome in shown
        assert message in " ".join(shown.split())
    for path in (bad.logs / "space" / "seen" / "000").iterdir():
        assert path.stat().st_size < 100_000, "what it printed must not fill the share"


def test_a_setting_that_can_never_work_is_tried_once(bad: Lab) -> None:
    attempt = run_one(bad, "is_impossible", status=1, max_attempts=3)
    assert attempt["result"]["failure"]["message"] == "3 layers of a kernel of 9 do not fit"
    assert bad.seen() == ["000000.jsonl"], "no attempt was lost"


@pytest.mark.long
def test_a_trial_that_hangs_is_killed_and_shows_where_it_hung(bad: Lab) -> None:
    result = run_one(bad, "hangs", status=1, trial_timeout="2s")["result"]
    assert result["outcome"] == "timeout"
    assert result["failure"]["message"] == "no report for 2.0s (trial_timeout): killed"
    assert "before the loop" in result["failure"]["output"]
    assert "in hangs" in result["failure"]["output"]


@pytest.mark.long
def test_a_trial_that_hangs_after_a_report_is_timed_out_from_that_report(bad: Lab) -> None:
    result = run_one(bad, "hangs_later", status=1, trial_timeout="2s")["result"]
    assert (result["outcome"], result["steps"]) == ("timeout", 1)


@pytest.mark.long
def test_progress_keeps_a_trial_alive_that_reports_late(bad: Lab) -> None:
    result = run_one(bad, "slow_but_alive", trial_timeout="2s")["result"]
    assert (result["outcome"], result["value"]) == ("complete", 0.5)


def test_processes_that_a_trial_leaves_behind_are_killed_and_said(bad: Lab) -> None:
    bad.write_space(objective="bad:stray", trials=1)
    bad.master()
    worker = bad.start("worker", "--objective", "bad:stray", "--forever")
    wait_until(bad.seen, what="the trial to be counted")
    asleep = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "1000"]]
    assert asleep == []
    bad.wait_for_words(worker, "killed 3 processes that the trial had left behind")


@pytest.mark.parametrize("function", ["calls_a_service", "loads"])
@pytest.mark.long
def test_a_library_whose_helpers_were_killed_finds_a_fresh_process(bad: Lab, function: str) -> None:
    """PyTorch's own loader, in `loads`, would wait for those that were killed for ever."""
    bad.write_space(objective=f"bad:{function}", trials=2, max_attempts=1, trial_timeout="60s")
    bad.master()
    worker = bad.start("worker", "--objective", f"bad:{function}", "--jobs", "1")
    assert worker.wait(100) == 0
    assert bad.status()["trials"]["outcomes"]["complete"] == 2
    assert bad.seen() == [f"{number:06d}.jsonl" for number in range(2)], "no attempt was lost"


def test_what_one_trial_has_broken_in_its_process_fails_no_other(bad: Lab) -> None:
    bad.write_space(objective="bad:sticky", trials=4, max_attempts=1)
    bad.master()
    worker = bad.start("worker", "--objective", "bad:sticky", "--jobs", "1")
    assert worker.wait(60) == 0
    outcomes = bad.status()["trials"]["outcomes"]
    assert (outcomes["complete"], outcomes["failed"]) == (3, 1)


def test_a_trial_that_forks_and_returns_twice_counts_once(bad: Lab) -> None:
    bad.write_space(objective="bad:forks", trials=5)
    done = bad.run("master", "--space", "space.json", "--workers", "1", "--objective", "bad:forks")
    assert done.returncode == 0, done.stderr
    assert bad.status()["trials"]["outcomes"]["complete"] == 5


@contextmanager
def little_memory(mebibytes: int) -> Iterator[Path]:
    """A control group that a process can be put in (v1 or v2; root); skips without one."""
    root = Path("/sys/fs/cgroup")
    v2 = (root / "cgroup.controllers").exists()
    group = root / ("" if v2 else "memory") / f"distune-test-{os.getpid()}"
    try:
        group.mkdir()
        limit = group / ("memory.max" if v2 else "memory.limit_in_bytes")
        limit.write_text(str(mebibytes * 2**20))
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
    except OSError as error:
        if group.exists():
            group.rmdir()
        pytest.skip(f"cannot limit memory here: {error}")
    try:
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), 20, "the group to be empty")
        group.rmdir()


@pytest.mark.long
def test_a_trial_that_the_kernel_kills_for_memory_is_out_of_memory(bad: Lab) -> None:
    with little_memory(600) as group:
        bad.write_space(objective="bad:greedy_for_real", trials=1, max_attempts=1)
        bad.master()
        wait_until(bad.names, what="a trial")
        procs = str(group / "cgroup.procs")
        command = [*DISTUNE, "worker", "--objective", "bad:greedy_for_real"]
        code = f"import os; open({procs!r}, 'w').write(str(os.getpid()))\n"
        code += f"os.execvp({command[0]!r}, {command!r})"
        (bad.folder / "limited.py").write_text(code)
        worker = bad.start_program([sys.executable, "limited.py"])
        wait_until(bad.seen, what="the trial to be counted")
        assert worker.wait(30) == 0  # it has survived its executor
        result = json.loads(bad.run("show", "0", "--json").stdout)["attempts"][-1]["result"]
        assert result["outcome"] == "out-of-memory"
        assert result["failure"]["message"] == (
            "the training process was killed by SIGKILL: "
            "this machine, container or batch job is out of memory"
        )


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


@pytest.mark.long
def test_a_worker_whose_executor_is_killed_again_and_again_goes_on(bad: Lab) -> None:
    bad.write_space(trials=4, max_attempts=1)
    bad.master()
    worker = bad.worker()

    def executor() -> int | None:
        return next((p.pid for p in executors_of(worker.pid)), None)

    for _ in range(2):
        wait_until(lambda: bad.taken_by(worker) and executor(), what="a trial under way")
        victim = executor()
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        wait_until(partial(_is_gone, victim), what="its end")
    assert worker.wait(60) == 0
    outcomes = bad.status()["trials"]["outcomes"]
    assert outcomes["complete"] + outcomes["failed"] == 4
    assert outcomes["failed"] >= 1


def test_the_tail_of_the_output_is_whole_however_slowly_it_is_shown() -> None:
    reading, writing = os.pipe()
    may_go_on = threading.Event()
    echoed: list[str] = []

    def echo(line: str) -> None:
        echoed.append(line)
        may_go_on.wait(10)

    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as writer:
        tail = Tail(stream, echo)
        writer.write(b"the first\n")
        wait_until(lambda: echoed, what="its reader is held up")
        writer.write(b"the last")
        threading.Timer(0.1, may_go_on.set).start()
        assert tail.text() == "the first\nthe last"
        writer.close()
        assert tail.text(wait=10) == "the first\nthe last"
    assert echoed == ["the first", "the last"]


def test_what_is_printed_is_read_on_though_it_cannot_be_shown() -> None:
    reading, writing = os.pipe()

    def echo(line: str) -> None:
        raise OSError("the terminal is closed")

    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as writer:
        tail = Tail(stream, echo)
        for piece in (b"the first\n", b"the last\n"):
            writer.write(piece)
        assert tail.text() == "the first\nthe last\n"
        writer.close()
        assert tail.text(wait=10) == "the first\nthe last\n"
