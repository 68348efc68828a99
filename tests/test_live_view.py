"""The live view as a person sees it: a real master in a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading

import pyte
import pytest

from tests.conftest import DISTUNE, Lab, wait_until


class Terminal:
    """A program in a pseudo-terminal, and the screen it paints."""

    def __init__(self, lab: Lab, *arguments: str, columns: int = 80, rows: int = 24) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self._master, slave = pty.openpty()
        self.resize(columns, rows)
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [*DISTUNE, *arguments],
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
                data = os.read(self._master, 65536)
            except OSError:  # Linux says so when the last writer has gone
                return
            if not data:
                return
            with self._lock:
                self._stream.feed(data)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with self._lock:
            self.screen.resize(rows, columns)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

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


def test_a_viewer_scrolls_sorts_and_quits_by_keys(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=40)
    offered = ["--workers", "1", "--objective", "train:quick"]
    assert lab.run("master", "--space", "space.json", *offered).returncode == 0
    ranked = [row["trials"][0] for row in lab.status()["ranking"]]
    terminal = Terminal(lab, "top")

    def first_row(trial: int, rank: str) -> None:
        def there() -> bool:
            rows = [line.replace("★", " ").split() for line in terminal.lines[5:8]]
            return [rank, str(trial)] in [row[:2] for row in rows[:1]]

        wait_until(there, what=f"trial {trial} stands first")

    first_row(ranked[0], "1")
    keys = "q quit · ↑ ↓ scroll · s sort (best first)"
    wait_until(lambda: keys in terminal.lines[-1], what="the last line of the first picture")
    terminal.press(b"\x1b[B\x1b[B")
    first_row(ranked[2], "3")
    terminal.press(b"\x1b[A\x1b[5~")
    first_row(ranked[0], "1")
    terminal.press(b"s")
    wait_until(lambda: "newest first" in terminal.lines[-1])
    wait_until(lambda: " 39 " in terminal.lines[5], what="the newest stands first")
    terminal.press(b"q")
    assert terminal.wait(10) == 0
