"""The live view as a person sees it: a real master in a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence

import psutil
import pyte
import pytest

from tests.conftest import DISTUNE, Lab, wait_until


class Terminal:
    """A program in a pseudo-terminal, and the screen it paints."""

    def __init__(
        self,
        lab: Lab,
        *arguments: str,
        program: Sequence[str] = DISTUNE,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*program, *arguments],
            cwd=lab.folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        lab.started.append(self.process)
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # Linux says so when the last writer has gone
                return
            if not data:
                return
            with self._lock:
                self._stream.feed(data)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with self._lock:
            self.screen.resize(rows, columns)

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def press_ctrl_c(self) -> None:
        self.press(b"\x03")

    @property
    def lines(self) -> list[str]:
        with self._lock:
            return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def wait(self, seconds: float = 60) -> int:
        status = self.process.wait(seconds)
        self._reader.join(5)
        return status


@pytest.fixture
def busy(lab: Lab) -> Lab:
    """A study with two workers that takes its time."""
    lab.write_space(
        trials=200,
        params={
            "x": {"type": "float", "low": 0, "high": 1},
            "pause": 0.15,
            "steps": 20,
            "epochs": 20,  # known beforehand, so that there is a progress bar
        },
    )
    return lab


@pytest.mark.long
def test_every_part_is_on_eighty_by_twenty_four(busy: Lab) -> None:
    terminal = Terminal(
        busy, "master", "--space", "space.json", "--workers", "2", "--objective", "train:train"
    )
    wait_until(lambda: "★" in terminal.text and "▁" in terminal.text, what="a full picture")
    wait_until(lambda: "%" in running_lines(terminal), what="progress of the running trials")
    words = ("space", "train:train", "minimize loss", "/200", "★", "Running", "Workers", "claimed")
    # At any one moment a picture may be half painted.
    wait_until(lambda: all(map(terminal.text.__contains__, words)), what=f"all of {words}")
    terminal.press_ctrl_c()
    assert terminal.wait(10) == 130
    assert "goes on from here" in terminal.text


def running_lines(terminal: Terminal) -> str:
    text = terminal.text
    return text[text.find("Running") : text.find("Workers")]


@pytest.mark.long
def test_it_follows_the_size_of_the_terminal(busy: Lab) -> None:
    terminal = Terminal(
        busy, "master", "--space", "space.json", "--workers", "2", "--objective", "train:train"
    )
    wait_until(lambda: "★" in terminal.text)
    for columns, rows in ((120, 40), (50, 12), (200, 60), (80, 24)):
        terminal.resize(columns, rows)
        os.kill(terminal.process.pid, signal.SIGWINCH)
        with terminal._lock:
            terminal.screen.reset()
        wait_until(
            lambda: "★" in terminal.text and "space" in terminal.lines[0],
            what=f"a picture of {columns}x{rows}",
        )


def test_the_final_table_stays_on_the_terminal(lab: Lab) -> None:
    lab.write_space(trials=4)
    terminal = Terminal(
        lab, "master", "--space", "space.json", "--workers", "1", "--objective", "train:train",
        rows=40,
    )  # fmt: skip
    assert terminal.wait() == 0
    assert "Best: loss" in terminal.text
    assert "leaderboard.csv" in terminal.text


@pytest.mark.long
def test_top_shows_the_live_view_from_elsewhere(busy: Lab) -> None:
    busy.master("--plain")
    busy.worker()
    wait_until(lambda: len(busy.seen()) > 1, what="something is counted")
    terminal = Terminal(busy, "top", columns=100, rows=30)
    wait_until(lambda: "★" in terminal.text and "▁" in terminal.text)
    terminal.press_ctrl_c()
    assert terminal.wait(10) == 0


def first_row(terminal: Terminal, trial: int, rank: str) -> None:
    """Wait until this trial stands in the marked row."""

    def there() -> bool:
        rows = [line[1:].replace("★", " ").split() for line in terminal.lines if line[:1] == "›"]
        return [row[:2] for row in rows] == [[rank, str(trial)]]

    wait_until(there, what=f"trial {trial} is marked")


FAILING = """
def helper(x):
    raise ValueError(f"x is {x}")

def train(params):
    if params["x"] > 0.5:
        helper(params["x"])
    print("went well")
    return params["x"]
"""


@pytest.fixture
def over(lab: Lab) -> Lab:
    """A study that is over, half of whose trials have failed."""
    (lab.folder / "half.py").write_text(FAILING)
    lab.write_space(
        objective="half:train",
        trials=20,
        max_attempts=1,
        params={"x": [i / 20 for i in range(20)]},
    )
    offered = ["--workers", "1", "--objective", "half:train"]
    done = lab.run("master", "--space", "space.json", *offered)
    assert done.returncode == 0, done.stderr
    return lab


def test_a_viewer_moves_sorts_and_quits_by_keys(over: Lab) -> None:
    ranked = [row["trials"][0] for row in over.status()["ranking"]]
    terminal = Terminal(over, "top")
    keys = "q quit · ↑ ↓ move · enter open · s sort (rank) · f failures · ? keys"
    wait_until(lambda: keys in terminal.lines[-1], what="the last line of the first picture")
    terminal.press(b"\x1b[B\x1b[B")
    first_row(terminal, ranked[1], "2")
    terminal.press(b"\x1b[A\x1b[5~")
    first_row(terminal, ranked[0], "1")
    terminal.press(b"\x1b[F")
    first_row(terminal, ranked[-1], "–")
    wait_until(lambda: "–20 of 20" in terminal.text, what="it says where one is")
    terminal.press(b"s")
    wait_until(lambda: "s sort (newest)" in terminal.lines[-1])
    wait_until(lambda: " 19 " in terminal.lines[5], what="the newest stands first")
    terminal.press(b"?")
    wait_until(lambda: "leave; the study goes on" in terminal.text, what="the keys are listed")
    terminal.press(b"\x1b")
    wait_until(lambda: "Ranking" in terminal.text)
    terminal.press(b"q")
    assert terminal.wait(10) == 0
    assert "distune report --logs logs --study space" in terminal.text


def test_a_viewer_sees_failures_with_their_place_and_opens_one(over: Lab) -> None:
    terminal = Terminal(over, "top", columns=100, rows=30)
    place = "half.py:3 "
    wait_until(lambda: "✗ trial" in terminal.text, what="failures are seen without a key")
    terminal.press(b"f")
    wait_until(lambda: "Failures" in terminal.text and place in terminal.text)
    terminal.press(b"j\r")
    wait_until(lambda: "Attempt 1" in terminal.text, what="it is opened")
    wait_until(lambda: "half.py:3: ValueError: x is 0." in terminal.text)
    terminal.press(b"\x1b")
    wait_until(lambda: "Failures" in terminal.text, what="back at the failures")
    terminal.press(b"\x1b\r")
    wait_until(lambda: "went well" in terminal.text, what="the best is opened, with its output")
    terminal.press(b"q")
    assert terminal.wait(10) == 0


def test_a_master_s_own_view_has_keys_and_q_does_not_end_it(busy: Lab) -> None:
    terminal = Terminal(
        busy, "master", "--space", "space.json", "--workers", "1", "--objective", "train:train"
    )
    wait_until(lambda: "Ctrl-C stop" in terminal.lines[-1], what="the last line says how to stop")
    terminal.press(b"q?")
    wait_until(lambda: "no slip ends a study" in terminal.text, what="q is explained")
    terminal.press(b"\x1b\t")
    running = re.compile(r"^Running  \d trials? .*\n›", re.MULTILINE)  # a worker may have two seats
    wait_until(lambda: running.search(terminal.text), what="a trial runs, and is marked")
    terminal.press(b"\r")
    wait_until(lambda: "Attempt 1" in terminal.text, what="a running trial is opened")
    assert terminal.process.poll() is None
    terminal.press_ctrl_c()
    assert terminal.wait(30) == 130
    assert "goes on from here" in terminal.text


@pytest.mark.long
def test_a_master_in_the_background_goes_on_and_in_front_again_has_its_keys(busy: Lab) -> None:
    shell = ["bash", "--norc", "--noprofile", "-i"]
    terminal = Terminal(busy, program=shell)
    command = [*DISTUNE, "master", "--space", "space.json", "--workers", "1"]
    terminal.press(shlex.join([*command, "--objective", "train:train"]).encode() + b"\n")
    wait_until(lambda: len(busy.seen()) > 1 and "Ctrl-C stop" in terminal.lines[-1])
    (master,) = psutil.Process(terminal.process.pid).children()
    terminal.press(b"\x1a")
    wait_until(lambda: master.status() == psutil.STATUS_STOPPED, what="Ctrl-Z stops it")
    terminal.press(b"bg\ncat\n")  # which reads what the master must not
    wait_until(
        lambda: lines_wait(terminal) and len(psutil.Process(terminal.process.pid).children()) == 2
    )
    counted = len(busy.seen())
    wait_until(lambda: len(busy.seen()) > counted + 2, what="it counts in the background")
    terminal.press(b"\x04fg\n")
    wait_until(lambda: os.tcgetpgrp(terminal.master) == master.pid)
    wait_until(lambda: not lines_wait(terminal), what="it has the terminal again")
    terminal.press(b"?")
    wait_until(lambda: "no slip ends a study" in terminal.text, what="it hears keys")
    terminal.press_ctrl_c()
    wait_until(lambda: "goes on from here" in terminal.text)
    terminal.press(b"exit\n")
    terminal.wait(10)


def lines_wait(terminal: Terminal) -> bool:
    """Whether the terminal gives whole lines, not keys."""
    return bool(termios.tcgetattr(terminal.master)[3] & termios.ICANON)


def test_the_terminal_is_as_it_was_when_the_view_is_left(over: Lab) -> None:
    terminal = Terminal(over, "top")
    before = termios.tcgetattr(terminal.master)
    wait_until(lambda: "q quit" in terminal.lines[-1])
    assert not lines_wait(terminal)
    terminal.press(b"q")
    assert terminal.wait(10) == 0
    assert termios.tcgetattr(terminal.master)[3] == before[3]


def test_the_end_says_what_to_do_next(lab: Lab) -> None:
    lab.write_space(trials=4)
    terminal = Terminal(
        lab, "master", "--space", "space.json", "--workers", "1", "--objective", "train:train",
        rows=40, columns=100,
    )  # fmt: skip
    assert terminal.wait() == 0
    for line in ("distune best --logs logs --study space --json",
                 "distune report --logs logs --study space",
                 "distune dashboard --logs logs"):  # fmt: skip
        assert f"  {line}\n" in terminal.text
