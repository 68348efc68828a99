"""`distune.claim`: trials for a loop of the user's own."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import distune
from distune.errors import UserError
from distune.share.folder import Folder
from distune.share.store import Store
from tests.conftest import Lab, wait_until

LOOP = """\
import sys, time
import distune

for trial in distune.claim("logs", study="space"):
    with trial:
        for epoch in range(5):
            time.sleep(0.01)
            trial.report(epoch, loss=trial.params["x"] + 1 / (epoch + 1))
"""

#: Goes on where another loop was; writes down what it does, where the worker says nothing: with
#: PYTHONUNBUFFERED `print` writes a line in pieces, and the worker's lines come between them.
RESUMING = """\
import sys, time
import distune

for trial in distune.claim("logs", study="space"):
    with trial:
        state = trial.load()
        done = int(state) if state is not None else 0
        with open("begun.txt", "a") as begun:
            print(done, trial.steps, file=begun)
        for epoch in range(done, 6):
            time.sleep(PAUSE)
            trial.report(epoch, loss=trial.params["x"] + 1 / (epoch + 1))
            trial.save(str(epoch + 1).encode())
"""


def claim(lab: Lab, **options: Any) -> Any:
    return distune.claim(lab.logs, study="space", quiet=True, time_limit=60.0, **options)


def _is_said(lab: Lab, word: str) -> bool:
    """Whether a word stands in the file of an attempt that is being trained."""
    files = (lab.logs / "space" / "trials").glob("*.taken")
    return any(word in file.read_text() for file in files)


def begun(lab: Lab) -> list[tuple[int, int]]:
    """The epochs that `RESUMING` found done, and its steps, at the beginning of each attempt."""
    lines = (lab.folder / "begun.txt").read_text().splitlines()
    return [(int(done), int(steps)) for done, steps in (line.split() for line in lines)]


def histories(lab: Lab) -> list[Any]:
    return distune.load(lab.logs / "space").trials


def test_a_loop_trains_a_study_to_its_end(lab: Lab) -> None:
    lab.write_space(trials=4)
    master = lab.master("--plain")
    numbers, stopped = [], False
    for trial in claim(lab):
        numbers.append(trial.number)
        assert trial.params.keys() == {"x"}
        assert trial.attempt == 1
        with trial:
            for epoch in range(3):
                trial.report(10 * epoch, loss=trial.params["x"] + 1 / (epoch + 1), acc=0.5)
                stopped |= trial.should_stop
    assert not stopped
    assert master.wait(30) == 0
    assert sorted(numbers) == [0, 1, 2, 3]
    found = histories(lab)
    assert [one.value for one in found] == [one.params["x"] + 1 / 3 for one in found]
    assert [step["step"] for step in found[0].curve] == [1, 2, 3]
    assert found[0].metrics["acc"] == 0.5


def test_what_the_body_raises_is_the_trials_failure_and_the_loop_goes_on(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.write_space(trials=2, max_attempts=1)
    master = lab.master("--plain")
    for trial in claim(lab):
        with trial:
            if trial.number == 0:
                raise ValueError("zero is too small")
            trial.report(1, loss=0.5)
    assert master.wait(30) == 0
    outcomes = {one.number: one.outcome for one in histories(lab)}
    assert outcomes == {0: "failed", 1: "complete"}
    shown = lab.run("show", "0").stdout
    assert "zero is too small" in shown
    assert "test_claim.py" in shown
    assert "ValueError: zero is too small" in capsys.readouterr().err


def test_a_trial_that_reported_nothing_says_so(lab: Lab) -> None:
    lab.write_space(trials=1, max_attempts=1)
    lab.master("--plain")
    for trial in claim(lab):
        with trial:
            pass
    (only,) = histories(lab)
    assert only.outcome == "failed"
    assert "did not report 'loss'" in lab.run("show", "0").stdout


def test_a_pruned_trial_is_told_to_stop(lab: Lab) -> None:
    pruner = {"name": "threshold", "upper": 1.0}
    lab.write_space(trials=1, pruner=pruner)
    lab.master("--plain")
    deadline = time.monotonic() + 30
    for trial in claim(lab):
        with trial:
            while not trial.should_stop and time.monotonic() < deadline:
                trial.report(trial.steps, loss=5.0)
                time.sleep(0.02)
    (only,) = histories(lab)
    assert only.outcome == "pruned"


def test_the_seconds_that_a_trial_may_have_end_it_complete(lab: Lab) -> None:
    lab.write_space(trials=1, max_seconds=0.3)
    lab.master("--plain")
    for trial in claim(lab):
        with trial:
            while not trial.should_stop:
                time.sleep(0.02)
                trial.report(trial.steps, loss=0.5)
    (only,) = histories(lab)
    assert only.outcome == "complete"
    assert only.seconds >= 0.3


def test_a_killed_loop_is_taken_up_where_it_was(lab: Lab) -> None:
    lab.write_space(trials=1, checkpoint_every=0.01, lease="2s")
    lab.master("--plain")
    (lab.folder / "loop.py").write_text(RESUMING.replace("PAUSE", "0.4"))
    first = lab.start_program([sys.executable, "loop.py"])
    wait_until(lambda: _is_said(lab, "sha256"), what="it is written that a state is saved")
    first.kill()
    second = lab.start_program([sys.executable, "loop.py"])
    assert second.wait(60) == 0
    anew, resumed = begun(lab)
    assert anew == (0, 0)
    assert resumed[0] == resumed[1] > 0
    (only,) = histories(lab)
    assert (only.outcome, only.attempt) == ("complete", 2)
    assert [step["step"] for step in only.curve] == [1, 2, 3, 4, 5, 6]


def test_a_loop_pauses_its_trials_and_goes_on_with_the_best(lab: Lab) -> None:
    lab.write_space(
        trials=6,
        params={"x": {"low": 0.0, "high": 1.0}, "epochs": 6},
        pruner={"name": "asha", "min_resource": 1, "reduction_factor": 3},
        checkpoint_every=0.01,
    )
    lab.master("--plain")
    (lab.folder / "loop.py").write_text(RESUMING.replace("PAUSE", "0.01"))
    loop = lab.start_program([sys.executable, "loop.py"])
    assert loop.wait(60) == 0
    outcomes = [one.outcome for one in histories(lab)]
    assert outcomes.count("complete") >= 1
    assert outcomes.count("pruned") >= 2
    assert (1, 1) in begun(lab)


def test_ctrl_c_gives_a_trial_back(lab: Lab) -> None:
    lab.write_space(trials=2)
    lab.master("--plain")
    (lab.folder / "loop.py").write_text(LOOP.replace("sleep(0.01)", "sleep(0.5)"))
    loop = lab.start_program([sys.executable, "loop.py"])
    wait_until(lambda: lab.taken_by(loop))
    loop.send_signal(signal.SIGINT)
    assert loop.wait(30) != 0
    assert "KeyboardInterrupt" in lab.log_of(loop)
    assert lab.taken_by(loop) == []
    again = lab.start_program([sys.executable, "loop.py"])
    assert again.wait(60) == 0
    assert lab.counted() == [0, 1]


def test_leaving_the_loop_gives_back_what_is_held(lab: Lab) -> None:
    lab.write_space(trials=3)
    lab.master("--plain")
    with claim(lab) as trials:
        for trial in trials:
            with trial:
                trial.report(1, loss=0.5)
            break
        assert isinstance(next(trials).number, int)  # claimed, and never begun
    assert not any("taken" in name for name in lab.names())


def test_two_loops_share_a_study(lab: Lab) -> None:
    lab.write_space(trials=12)
    lab.master("--plain")
    (lab.folder / "loop.py").write_text(LOOP)
    loops = [lab.start_program([sys.executable, "loop.py"]) for _ in range(2)]
    assert [loop.wait(60) for loop in loops] == [0, 0]
    assert lab.counted() == list(range(12))


def test_a_loop_trains_so_many_and_no_more(lab: Lab) -> None:
    lab.write_space(trials=5)
    lab.master("--plain")
    trained = 0
    for trial in claim(lab, max_trials=2):
        with trial:
            trial.report(1, loss=0.5)
            trained += 1
    assert trained == 2


def test_a_trial_is_trained_in_a_with(lab: Lab) -> None:
    lab.write_space(trials=2)
    lab.master("--plain")
    trials = claim(lab)
    trial = next(trials)
    with pytest.raises(UserError, match="belongs into its `with trial:`"):
        trial.report(1, loss=0.5)
    with pytest.raises(UserError, match="trained in `with trial:`"):
        next(trials)
    assert not any("taken" in name for name in lab.names())


def test_a_step_that_does_not_grow_fails_the_trial(lab: Lab) -> None:
    lab.write_space(trials=1, max_attempts=1)
    lab.master("--plain")
    for trial in claim(lab):
        with trial:
            trial.report(3, loss=0.5)
            trial.report(3, loss=0.4)
    assert "given step 3 after step 3" in lab.run("show", "0").stdout


def test_a_study_that_no_loop_trains_is_refused(lab: Lab) -> None:
    lab.write_space(
        objective="spirals", metric=None, direction=None, params={"lr": [0.1], "epochs": 1}
    )
    lab.master("--plain")
    with pytest.raises(UserError, match=r"spirals.*start distune worker"):
        list(claim(lab))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        distune.claim(tmp_path / "no" / "logs", study="space")


def test_a_loop_has_a_heartbeat_while_it_trains(lab: Lab) -> None:
    lab.write_space(trials=1, lease="2s")
    lab.master("--plain")
    for trial in claim(lab):
        with trial:
            time.sleep(5)  # silent for longer than its lease: what it holds stays its own
            trial.report(1, loss=0.5)
    (only,) = histories(lab)
    assert (only.outcome, only.attempt) == ("complete", 1)
    assert Store(Folder(lab.logs / "space")).is_finished()
