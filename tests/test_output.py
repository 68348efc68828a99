"""What trials print is kept, each trial's own, and shown."""

from __future__ import annotations

import io
import json
import os

import pytest

from distune.share import records
from distune.share.protocol import AttemptName
from distune.study.trial import Purpose
from distune.training.printed import end_of_output
from distune.training.tail import Tail
from tests.conftest import Lab

OBJECTIVE = """\
import os, subprocess

def train(params, trial):
    if trial.number % 3:
        print("trial", trial.number)
        if trial.number == 4:
            subprocess.run(["echo", "its child"])
        os.write(2, b"raw %d" % trial.number)
    if trial.number == 2:
        print("x" * 100_000)
    if trial.number == 5:
        raise ValueError("oops")
    return params["x"]
"""


def outputs(lab: Lab) -> dict[int, str]:
    found = {}
    for number in lab.counted():
        path = lab.logs / "space" / AttemptName.counted((Purpose.TRAIN, number)).seen_path
        found[number] = records.parse_attempt(path.read_bytes()).output
    return found


@pytest.mark.long
def test_the_output_of_every_trial_is_kept_and_shown(lab: Lab) -> None:
    """Also where short ones are trained in a row by one process."""
    (lab.folder / "mine.py").write_text(OBJECTIVE)
    lab.write_space(objective="mine:train", metric="value", trials=30, max_attempts=1)
    done = lab.run(
        "master", "--space", "space.json", "--workers", "1", "--objective", "mine.py:train"
    )
    assert done.returncode == 0, done.stderr
    printed = outputs(lab)
    for number in range(30):
        if number % 3 == 0:
            assert printed[number] == ""
        elif number == 2:
            assert printed[number] == "x" * (records.OUTPUT_LIMIT - 1) + "\n"
        else:
            child = "its child\n" * (number == 4)
            assert printed[number] == f"trial {number}\n{child}raw {number}"
    assert "   trial 4\n   its child\n   raw 4" in _without_ends(lab.run("show", "4").stdout)
    shown = lab.run("show", "5").stdout
    assert "ValueError: oops" in shown
    assert "   trial 5\n   raw 5" in _without_ends(shown)
    # On a busy machine it may have been given back before its turn came.
    *_, counted = json.loads(lab.run("show", "4", "--json").stdout)["attempts"]
    assert counted["output"] == printed[4]


def _without_ends(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())


@pytest.fixture
def pipe() -> tuple[io.FileIO, int]:
    reading, writing = os.pipe()
    return io.FileIO(reading), writing


def test_trials_that_print_one_after_the_other_are_told_apart(pipe: tuple[io.FileIO, int]) -> None:
    echoed: list[str] = []
    stream, writing = pipe
    tail = Tail(stream, echoed.append)
    whole = b"one\n" + end_of_output(3) + end_of_output(12) + b"two\n\nrest" + end_of_output(4)
    for i in range(len(whole)):  # the ends come in pieces
        os.write(writing, whole[i : i + 1])
    assert tail.of_trial(4) == "two\n\nrest"
    assert tail.of_trial(3) == "one\n"
    assert tail.of_trial(12) == ""
    assert tail.of_trial(3) == ""  # it is told once
    os.write(writing, b"last words")
    os.close(writing)
    assert tail.text(wait=60.0) == "last words"
    assert echoed == ["one", "two", "", "restlast words"]


def nested_bars() -> bytes:
    """As tqdm writes them: an outer one, and below it one for each of its steps."""
    inner = [b"\n\r%3d%%|####|\x1b[A" % percent for percent in range(101)]
    return b"".join(b"\r%2d/20" % step + b"".join(inner) for step in range(21)) + b"\n"


@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_of_a_progress_bar_the_last_state_is_kept(pipe: tuple[io.FileIO, int], cut: int) -> None:
    """And with it what was printed before: thousands of states are longer than all that is kept."""
    stream, writing = pipe
    tail = Tail(stream)
    bar = b"".join(b"\r%4d/5000" % i for i in range(5001))
    whole = b"loaded\n" + nested_bars() + bar + b"\nwindows\r\n50%\r100%\r"
    for i in range(0, len(whole), cut):
        os.write(writing, whole[i : i + cut])
    os.write(writing, end_of_output(0) + b"the next trial's" + end_of_output(1))
    assert tail.of_trial(0) == "loaded\n20/20\n5000/5000\nwindows\r\n100%\r"
    assert tail.of_trial(1) == "the next trial's"
    os.close(writing)


def test_an_output_is_whole_as_soon_as_its_end_is_written(pipe: tuple[io.FileIO, int]) -> None:
    """Who asks does not depend on when the thread that reads is woken."""
    stream, writing = pipe
    tail = Tail(stream)
    for slot in range(300):
        printed = f"{slot} " * 1000
        os.write(writing, printed.encode() + end_of_output(slot))
        assert tail.of_trial(slot) == printed
    os.close(writing)
