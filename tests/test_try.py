"""`distune try`: one trial in the foreground."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Lab

OBJECTIVE = """\
import subprocess

def train(params, trial):
    print("in", trial.dir, flush=True)
    subprocess.run(["echo", "of a child"])
    yield {"loss": params["x"]}
    (trial.dir / "kept").write_text("")
    assert params["x"] < 1, "too big"
"""


@pytest.fixture
def lab_of(lab: Lab) -> Lab:
    (lab.folder / "mine.py").write_text(OBJECTIVE)
    lab.write_space(objective="mine:train", params={"x": [0.5, 2.0]}, sampler="grid", repeats=2)
    return lab


def files_in(folder: Path) -> list[Path]:
    """But for what Python itself keeps of a module that it imports."""
    return sorted(path for path in folder.iterdir() if path.name != "__pycache__")


def test_a_trial_is_trained_in_the_foreground_and_nothing_is_written(lab_of: Lab) -> None:
    before = files_in(lab_of.folder)
    done = lab_of.run("try", "--space", "space.json", "--objective", "mine.py:train")
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert said[0].startswith("trial 0 of space: mine:train, seed ")
    assert "x 0.5" in said[1]
    assert said[3] == "of a child"
    assert said[4].startswith("step 1  loss 0.5000")
    assert said[5].startswith("complete, loss 0.5000 in ")
    assert files_in(lab_of.folder) == before


def test_a_trial_that_fails_shows_why_with_exit_status_1(lab_of: Lab) -> None:
    command = ["try", "--space", "space.json", "--objective", "mine.py:train", "--trial", "3"]
    done = lab_of.run(*command)
    assert done.returncode == 1
    assert 'assert params["x"] < 1, "too big"' in done.stdout
    assert done.stderr == "distune: trial 3: failed: AssertionError: too big\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "space.json names code of your own: start this with --objective mine:train"),
        (["--objective", "mine.py:train", "--trial", "4"], "no trial 4: there is nothing left"),
        (["--objective", "mine.py:train", "--device", "tpu"], "tpu"),
    ],
)
def test_a_trial_that_cannot_be_tried_is_a_mistake(
    lab_of: Lab, arguments: list[str], said: str
) -> None:
    done = lab_of.run("try", "--space", "space.json", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_tried_trial_is_the_one_that_a_study_would_train(lab_of: Lab) -> None:
    (lab_of.folder / "mine.py").write_text("def train(params, trial):\n    print(trial.seed)\n")
    done = lab_of.run("try", "--space", "space.json", "--objective", "mine.py:train", "--trial=1")
    seed = done.stdout.splitlines()[2]
    lab_of.run("master", "--space", "space.json", "--workers", "1", "--objective", "mine.py:train")
    assert str(json.loads(lab_of.run("show", "1", "--json").stdout)["seed"]) == seed
