"""Short trials that a real training process trains one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.study import Study
from distune.study.trial import Outcome, Record, Result, Trial
from distune.training.messages import Assignment, OfferRecord, Prepare, Unbegun
from distune.training.processes import Died, ExecutorProcess
from tests.conftest import Lab, wait_until

OBJECTIVE = """
import os, pathlib, time

def train(params):
    number = int(params["x"])
    here = pathlib.Path(__file__).parent
    with (here / "order").open("a") as order:
        print(number, file=order)
    while (here / f"wait-{number}").exists():
        time.sleep(0.01)
    print("this is", number, flush=True)
    if (here / f"fail-{number}").exists():
        raise ValueError(f"no {number}")
    if (here / f"die-{number}").exists():
        os.abort()
    return number
"""


class Process:
    """A training process, and what it says of which trial."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "turns.py").write_text(OBJECTIVE)
        params = {"x": {"type": "float", "low": 0.0, "high": 100.0}}
        fields = {"metric": "y", "direction": "minimize", "params": params}
        space = SpaceFile.model_validate({"objective": "turns:train", **fields})
        self.study: Study = freeze(space, name="s", study_id="s", lease=20.0, created=0.0)
        offer = OfferRecord(name="turns:train", path=str(folder / "turns.py"))
        self.process = ExecutorProcess(Prepare(device="cpu", offers=[offer]))
        self.said: list[tuple[int, Record | Died]] = []

    def start(self, *numbers: int) -> None:
        trials = [
            Trial(study="s", number=number, attempt=1, params={"x": number}) for number in numbers
        ]
        self.process.start_in_turn(
            [Assignment(study=self.study, trial=trial, folder="f") for trial in trials]
        )

    def results(self) -> dict[int, Result]:
        self.said += self.process.poll_members()
        return {member: one for member, one in self.said if isinstance(one, Result)}

    def is_in(self, number: int) -> bool:
        order = self.folder / "order"
        return order.exists() and str(number) in order.read_text().split()


@contextmanager
def running(folder: Path) -> Iterator[Process]:
    one = Process(folder)
    try:
        yield one
    finally:
        tail = one.process._tail
        one.process.end(grace=0.0)
        assert tail is not None
        tail.text(wait=5.0)  # its reader sees the end


def test_trials_in_turn_are_trained_once_each_in_their_order(tmp_path: Path) -> None:
    with running(tmp_path) as process:
        process.start(5, 3, 4)
        wait_until(lambda: len(process.results()) == 3)
        assert {m: r.value for m, r in process.results().items()} == {0: 5.0, 1: 3.0, 2: 4.0}
        assert (tmp_path / "order").read_text().split() == ["5", "3", "4"]
        process.said.clear()
        process.start(6, 7)  # the next row
        wait_until(lambda: len(process.results()) == 2)
        assert (tmp_path / "order").read_text().split() == ["5", "3", "4", "6", "7"]


def test_what_waits_for_a_long_trial_is_given_back_while_that_is_trained(tmp_path: Path) -> None:
    (tmp_path / "wait-1").touch()
    with running(tmp_path) as process:
        process.start(0, 1, 2, 3)
        wait_until(lambda: len(process.results()) == 3, what="all but the long one are over")
        outcomes = {member: one.outcome for member, one in process.results().items()}
        assert outcomes == {0: Outcome.COMPLETE, 2: Outcome.RELEASED, 3: Outcome.RELEASED}
        (tmp_path / "wait-1").unlink()
        wait_until(lambda: len(process.results()) == 4)
        assert process.results()[1].outcome is Outcome.COMPLETE
        assert not process.is_in(2)
        process.said.clear()
        process.start(4, 5)  # and it goes on
        wait_until(lambda: len(process.results()) == 2)
        assert {one.outcome for one in process.results().values()} == {Outcome.COMPLETE}


def test_what_a_stopped_trial_would_have_done_is_not_done(tmp_path: Path) -> None:
    (tmp_path / "wait-0").touch()
    with running(tmp_path) as process:
        process.start(0, 1, 2)
        wait_until(lambda: process.is_in(0))
        process.process.stop(1)
        (tmp_path / "wait-0").unlink()
        wait_until(lambda: len(process.results()) == 3)
        assert process.results()[1].outcome is Outcome.RELEASED
        assert not process.is_in(1)


def test_after_a_failure_the_rest_comes_back_and_the_output_is_that_of_the_one_that_failed(
    tmp_path: Path,
) -> None:
    (tmp_path / "fail-1").touch()
    with running(tmp_path) as process:
        process.start(0, 1, 2)
        wait_until(lambda: len(process.results()) == 2 and len(process.said) >= 4)
        assert process.results()[1].outcome is Outcome.FAILED
        assert [member for member, one in process.said if isinstance(one, Unbegun)] == [2]
        assert process.process.tail().splitlines()[-1] == "this is 1"


def test_a_process_that_dies_in_a_row_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "die-1").touch()
    with running(tmp_path) as process:
        process.start(0, 1, 2)
        wait_until(lambda: process.results() or process.said)
        ((_, died),) = process.said  # what was not sent is lost with it
        assert isinstance(died, Died)
        assert "SIGABRT" in died.reason
        assert not process.is_in(2)


def test_a_study_of_short_trials_counts_each_once_though_some_fail_and_some_kill_their_process(
    lab: Lab,
) -> None:
    (lab.folder / "short.py").write_text(
        "import os\n"
        f"log = os.open({str(lab.folder / 'order')!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)\n"
        "def train(params, trial):\n"
        "    os.write(log, b'%d %d\\n' % (trial.number, trial.attempt))\n"
        "    if trial.number == 50: os.abort()\n"
        "    if trial.number % 40 == 7: raise ValueError('seven')\n"
        "    return params['x']\n"
    )
    lab.write_space(
        objective="short:train",
        metric="y",
        direction="minimize",
        trials=150,
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}},
        max_attempts=1,
    )
    done = lab.run(
        *("master", "--space", "space.json", "--workers", "1", "--plain"),
        *("--objective", str(lab.folder / "short.py:train")),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (lab.logs / "space" / "history.jsonl").read_text().split("\n")
    history = [json.loads(line) for line in lines if line]
    trained = [one for one in history if one["trial"]["purpose"] == "train"]
    assert sorted(one["trial"]["number"] for one in trained) == list(range(150))
    failed = {
        one["trial"]["number"]: one["result"]["failure"]["message"]
        for one in trained
        if one["result"]["outcome"] == "failed"
    }
    assert set(failed) == {7, 47, 50, 87, 127}
    assert "SIGABRT" in failed[50]
    assert failed[47] == "ValueError: seven"
