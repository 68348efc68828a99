"""Signals that come before a worker has begun, and those that a program follows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from distune.signals import REQUESTS
from distune.training.children import request_of
from tests.conftest import DISTUNE, Lab, wait_until

SLOW = """\
import os, pathlib, time
pathlib.Path({here!r}).write_text(str(os.getpid()))
while True: time.sleep(0.05)
"""


@pytest.mark.parametrize("sig", REQUESTS)
def test_a_signal_among_the_first_imports_ends_a_worker_as_any_other(
    tmp_path: Path, sig: signal.Signals
) -> None:
    here = tmp_path / "here"
    (tmp_path / "typer.py").write_text(SLOW.format(here=str(here)))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [*DISTUNE, "worker"], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE
    ) as worker:
        wait_until(lambda: here.exists() and here.read_text(), what="it imports")
        worker.send_signal(sig)
        assert worker.wait(10) == 143
        assert worker.stderr is not None
        assert worker.stderr.read() == b""


@pytest.mark.parametrize("sig", REQUESTS)
@pytest.mark.long
def test_a_signal_while_the_objective_is_imported_ends_worker_and_import(
    lab: Lab, sig: signal.Signals
) -> None:
    here = lab.folder / "here"
    (lab.folder / "train.py").write_text(SLOW.format(here=str(here)))
    worker = lab.worker()
    wait_until(lambda: here.exists() and here.read_text(), what="it is imported")
    began = time.monotonic()
    worker.send_signal(sig)
    assert worker.wait(10) == 143
    assert time.monotonic() - began < 5
    wait_until(lambda: not psutil.pid_exists(int(here.read_text())), what="the import has ended")
    assert "Traceback" not in lab.log_of(worker)


def test_a_signal_that_comes_twice_at_once_is_no_impatience(lab: Lab) -> None:
    """As Slurm sends it at a job's time limit."""
    lab.write_space(objective="train:hang", trials=1)
    lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang")
    wait_until(lambda: list(lab.folder.glob("logs/space/artifacts/*/pid")), what="it trains")
    for sig in (signal.SIGTERM, signal.SIGUSR1):
        worker.send_signal(sig)
    assert worker.wait(10) == 143
    assert "everything given back" in lab.log_of(worker)


def test_a_signal_that_comes_again_later_ends_a_process_that_does_not_follow_it() -> None:
    follows_none = (
        "import time; from distune.share.waiting import Interrupt; Interrupt(); print(flush=True)\n"
        "while True: time.sleep(0.05)"
    )
    with subprocess.Popen([sys.executable, "-c", follows_none], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()

        def has_ended() -> bool:
            process.terminate()
            return process.poll() is not None

        wait_until(has_ended, 10, "it ends")
        assert time.monotonic() - began >= 0.5
        assert process.returncode == 143


def test_a_program_that_ends_by_a_request_or_as_a_shell_says_it_has_followed_one() -> None:
    for sig in REQUESTS:
        assert request_of(-sig) is sig
    assert request_of(128 + signal.SIGUSR1) is signal.SIGUSR1
    assert request_of(128 + signal.SIGHUP) is None  # a wrong option, to git
    assert request_of(-signal.SIGKILL) is None


def test_a_signal_that_comes_inside_the_event_which_it_sets_does_not_hang() -> None:
    inside = (
        "import os, signal, threading; from distune.share.waiting import Interrupt\n"
        "event = threading.Event(); Interrupt(event)\n"
        "with event._cond: os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert event.wait(10)"
    )
    assert subprocess.run([sys.executable, "-c", inside], timeout=20, check=False).returncode == 0


#: The main thread waits as for a hard mount whose server is away: no handler of Python's runs.
HANG = """\
import ctypes
def hang():
    lock, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    while True: libc.pthread_mutex_lock(lock)
"""
#: Imported as a worker starts: it hangs when it looks into a folder once there is a file `hang`.
HANGS_IN_SHARE = f"""\
{HANG}
import os
scandir, me = os.scandir, os.getpid()
def look(folder):
    if os.path.exists("hang") and os.getpid() == me and "worker" in sys.argv:
        open("hangs", "w").close()
        hang()
    return scandir(folder)
import sys
os.scandir = look
"""


def test_a_process_whose_main_thread_hangs_ends_in_its_time_or_at_the_second_signal() -> None:
    for within, signals in ((0.3, 1), (1000.0, 2)):
        hangs = HANG + (
            "from distune.share.waiting import Interrupt\n"
            f"Interrupt(None, {within}, lambda: print('late', flush=True))\n"
            "print('here', flush=True); hang()"
        )
        command = [sys.executable, "-c", hangs]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
            process.terminate()
            if signals == 2:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(1.0)
                process.terminate()
            assert process.wait(10) == 143
            assert process.stdout.read() == b"late\n" * (signals == 1)


@pytest.mark.long
def test_a_worker_that_hangs_in_the_share_ends_and_its_trial_is_given_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.folder / "own").mkdir()
    (lab.folder / "own" / "sitecustomize.py").write_text(HANGS_IN_SHARE)
    lab.write_space(objective="train:hang", trials=1)
    lab.master("--plain")
    path = os.pathsep.join([str(lab.folder / "own"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    worker = lab.start("worker", "--objective", "train:hang", "--jobs", "1")
    wait_until(lambda: list(lab.logs.glob("space/artifacts/*/pid")), what="it trains")
    pid = int(next(lab.logs.glob("space/artifacts/*/pid")).read_text())
    (lab.folder / "hang").touch()
    wait_until(lambda: (lab.folder / "hangs").exists(), what="it hangs")
    worker.terminate()
    assert worker.wait(20) == 143
    assert "not drained within 8 s, because the share hangs" in lab.log_of(worker)
    wait_until(lambda: not psutil.pid_exists(pid), 10, "its training has ended")
    wait_until(lambda: "000000.2.jsonl" in lab.names(), 20, "its trial is given back")
