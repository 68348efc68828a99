"""Lines for people: none stops the work, whatever becomes of standard output and error."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from distune import streams
from tests.conftest import DISTUNE, Lab, wait_until
from tests.test_cli import finished

#: Prints more than a pipe holds, then waits.
TALKER = """\
import os, time

def train(params, trial):
    for line in range(20):
        print("loss \\N{RIGHTWARDS ARROW}", line, "x" * 10_000, flush=True)
    while not os.path.exists("go"):
        time.sleep(0.02)
    return params["x"]
"""
#: Where the output of a process goes, as a shell says it, and what reads it.
WAYS_TO_LOSE_OUTPUT = {
    "a full disk": ("> /dev/full 2>&1", ""),
    "closed descriptors": ("<&- >&- 2>&-", ""),
    "a reader that has gone": ("2>&1", "head -1"),
    "a reader that stands still": ("2>&1", "(until [ -e go ]; do sleep 0.1; done)"),
}


def start_in_shell(lab: Lab, way: str, *command: str) -> subprocess.Popen[bytes]:
    """Start `distune COMMAND` with such an output; ends as distune does."""
    redirection, reader = WAYS_TO_LOSE_OUTPUT[way]
    line = f"{shlex.join([*DISTUNE, *command])} {redirection}"
    script = f"set -o pipefail; {line} | {reader}" if reader else f"exec {line}"
    return lab.start_program(["bash", "-c", script])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One that is over, to be looked at."""
    lab = Lab(tmp_path_factory.mktemp("study"))
    return finished(lab, trials=2, params={"x": [0.1, 0.2], "label": "\N{BLACK STAR}"})


@pytest.mark.long
def test_no_worker_and_no_master_waits_for_its_output_or_dies_of_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.folder / "talk.py").write_text(TALKER)
    lab.write_space(objective="talk:train", metric=None, trials=len(WAYS_TO_LOSE_OUTPUT) + 1)
    train = ["worker", "--verbose", "--objective", "talk:train", "--jobs", "1"]
    started = [
        start_in_shell(lab, "a full disk", "master", "--plain", "--space", "space.json"),
        *(start_in_shell(lab, way, *train) for way in WAYS_TO_LOSE_OUTPUT),
    ]
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1:strict")
    last = lab.start(*train)
    held = [f"{number:06d}.1.jsonl" for number in range(len(started))]
    wait_until(
        lambda: [n[:14] for n in lab.names() if n.endswith(".taken")] == held,
        what="each of the workers trains one",
    )
    (lab.folder / "go").touch()
    assert [process.wait(60) for process in (*started, last)] == [0] * (len(started) + 1)
    assert lab.counted() == list(range(len(started)))
    log = (lab.folder / f"{lab.started.index(last)}.log").read_bytes()
    assert b"loss > 19 xxx" in log


def test_a_local_worker_is_replaced_where_its_log_can_no_longer_be_written(lab: Lab) -> None:
    lab.write_space(objective="train:hang", trials=1)
    master = lab.master("--plain", "--workers", "1", "--objective", "train:hang")
    wait_until(lambda: list(lab.folder.glob("logs/space/artifacts/*/pid")), what="it trains")
    log = lab.logs / "space" / "local-workers" / "worker-1.log"
    log.unlink()
    log.mkdir()
    (worker,) = (p for p in psutil.Process(master.pid).children() if "worker" in p.cmdline())
    worker.kill()
    wait_until(lambda: [n for n in lab.names() if n.startswith("000000.2.jsonl.")], what="another")


def test_where_an_encoding_has_no_symbols_views_have_stand_ins(
    study: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    for command in ("status", "best", "show 1", "top"):
        done = study.run(*command.split())
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        assert "?" not in done.stdout
        assert ("label *" in done.stdout) == (command in ("best", "show 1"))


def test_every_symbol_of_the_views_has_a_stand_in() -> None:
    folder = Path(streams.__file__).parent / "watch" / "display"
    source = "".join(path.read_text() for path in folder.glob("*.py"))
    symbols = {character for character in source if not character.isascii()} - {"\ufffd"}
    assert len(symbols) > 20
    streams.make_reliable()
    said = "".join(sorted(symbols)).encode("ascii", streams.ENCODING_ERRORS).decode()
    assert len(said) == len(symbols)
    assert "?" not in said


def test_what_was_asked_for_and_cannot_be_written_is_a_failure_in_one_line(study: Lab) -> None:
    for command in ("status", "best --json", "export --out -", "check space.json"):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [*DISTUNE, *command.split()],
                cwd=study.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        said = "distune: cannot write to standard output: No space left on device\n"
        assert (done.returncode, done.stderr) == (1, said)


def test_a_mistake_keeps_its_exit_status_where_it_cannot_be_said(lab: Lab) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*DISTUNE, "tune"], cwd=lab.folder, stderr=full, check=False)
    assert done.returncode == 2


def test_exported_data_are_utf_8_whatever_the_terminal_shows(
    study: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert "\N{BLACK STAR}" in study.run("export", "--format", "csv", "--out", "-").stdout


def test_a_worker_whose_terminal_is_closed_gives_its_trial_back(lab: Lab) -> None:
    lab.write_space(objective="train:hang", trials=1, lease="60s")
    lab.master("--plain")
    ours, its = os.openpty()
    worker = subprocess.Popen(
        [*DISTUNE, "worker", "--objective", "train:hang", "--jobs", "1"],
        cwd=lab.folder, stdin=its, stdout=its, stderr=its, start_new_session=True,
    )  # fmt: skip
    lab.started.append(worker)
    os.close(its)
    wait_until(lambda: list(lab.folder.glob("logs/space/artifacts/*/pid")), what="it trains")
    os.close(ours)
    for _ in range(2):  # the shell's, and the kernel's
        worker.send_signal(signal.SIGHUP)
    assert worker.wait(10) == 143
    wait_until(lambda: "000000.2.jsonl" in lab.names(), what="it was given back")


def test_last_words_are_written_before_a_process_ends() -> None:
    program = "from distune import streams; streams.make_reliable(); streams.never_wait()\n"
    program += "print('the last words'); raise RuntimeError('at the end')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout == "the last words\n"
    assert done.stderr.endswith("RuntimeError: at the end\n")
