"""Short trials that a training process trains one after the other, and its parent's half of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.space_file.read import parse_space_file
from distune.study.study import Study
from distune.study.trial import Failure, Outcome, Record, Result, Trial
from distune.training.messages import (
    Assignment,
    Died,
    Prepare,
    Ready,
    Spent,
    TrainingProgress,
)
from distune.training.offer import Offer
from distune.training.process import ExecutorProcess
from distune.training.turns import TrialsInTurn
from tests.conftest import Lab, wait_until

DONE = Result(outcome=Outcome.COMPLETE, value=0.5)
RELEASED = Result(outcome=Outcome.RELEASED)
FAILED = Result(outcome=Outcome.FAILED, failure=Failure(message="no luck"))


class FakeProcess:
    """Keeps what it is asked for, and says what the test tells it to."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []  # numbers of the trials of each row
        self.stopped: list[int] = []
        self.ends = self.renewals = 0
        self.says: list[tuple[int, Record | Died]] = []

    def start(self, *assignments: Assignment) -> None:
        self.given.append([one.trial.number for one in assignments])

    def tail(self) -> str:
        return "what it printed"

    def stop(self, slot: int, *, save: bool = False) -> None:
        self.stopped.append(slot)

    def end(self, grace: float) -> None:
        self.ends += 1
        self.says.clear()

    def renew(self) -> None:
        self.renewals += 1

    def abort(self) -> str:
        self.end(0.0)
        return "it hung here"

    def poll(self) -> list[tuple[int, Record | Died]]:
        said, self.says = self.says, []
        return said


def make_study(name: str = "s") -> Study:
    space = parse_space_file(
        '{"objective": "o:o", "params": {"x": [1, 2]}, "metric": "y", "direction": "maximize"}', ""
    )
    return freeze(space, name=name, study_id=name, lease=5.0, created=0.0)


STUDY, OTHER = make_study(), make_study("other")


def a_trial(number: int, study: Study = STUDY, attempt: int = 1) -> Assignment:
    trial = Trial(study=study.id, number=number, attempt=attempt, params={"x": 1})
    return Assignment(study=study, trial=trial, folder="f")


class Row:
    """Eight slots of one process, for one trial after the other; and a clock."""

    def __init__(self) -> None:
        self.process = FakeProcess()
        self.now = 0.0
        self.woken = 0
        self.executor = TrialsInTurn(
            self.process,  # type: ignore[arg-type]
            self.wake,
            monotonic=lambda: self.now,
        )
        self.numbers = iter(range(1000))

    def wake(self) -> None:
        self.woken += 1

    def start(self, *assignments: Assignment) -> None:
        for slot, assignment in enumerate(assignments):
            self.executor.start(slot, assignment)

    def start_next(self, count: int) -> None:
        self.start(*(a_trial(next(self.numbers)) for _ in range(count)))

    def say(self, *messages: tuple[int, Record | Died]) -> list[list[Record | Died]]:
        """What the worker hears then, slot by slot."""
        self.process.says += messages
        heard = self.executor.poll()
        return [[one for slot, one in heard if slot == each] for each in range(8)]

    def train(self, count: int, seconds: float) -> list[list[Record | Died]]:
        """So many, to their end."""
        self.start_next(count)
        self.executor.poll()
        self.now += seconds
        return self.say(*((slot, DONE) for slot in range(count)))

    @property
    def places(self) -> int:
        takes = [self.executor.takes(slot, STUDY) for slot in range(8)]
        assert takes == sorted(takes, reverse=True)
        return sum(takes)


def outcome(said: Sequence[Record | Died]) -> Outcome:
    (result,) = [message for message in said if isinstance(message, Result)]
    return result.outcome


@pytest.mark.parametrize(
    ("seconds", "places"), [(0.0001, 8), (0.004, 5), (0.009, 2), (0.011, 1), (60.0, 1)]
)
def test_as_many_are_given_in_turn_as_take_a_fiftieth_of_a_second(
    seconds: float, places: int
) -> None:
    row = Row()
    assert row.places == 1
    row.train(1, seconds)
    assert row.places == places


def test_trials_in_turn_are_fed_as_soon_as_all_places_are_taken_and_each_has_its_result() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(8)
    assert row.process.given[-1] == [1, 2, 3, 4, 5, 6, 7, 8]
    values = [Result(outcome=Outcome.COMPLETE, value=float(slot)) for slot in range(8)]
    said = row.say(*enumerate(values))
    assert said == [[value] for value in values]
    assert row.places == 8


def test_a_trial_that_turns_out_to_be_long_has_the_next_ones_trained_alone() -> None:
    row = Row()
    row.train(1, 0.001)
    row.train(8, 3600.0)
    assert row.places == 1


def test_another_study_is_not_believed_to_be_as_quick() -> None:
    row = Row()
    row.train(1, 0.001)
    assert [row.executor.takes(slot, OTHER) for slot in range(8)] == [True] + [False] * 7


def test_what_waits_for_its_turn_is_given_back_when_a_trial_before_it_fails() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start(*(a_trial(number, attempt=2 if number == 8 else 1) for number in range(1, 9)))
    said = row.say((0, DONE), (1, Spent()), (1, FAILED))
    assert outcome(said[0]) is Outcome.COMPLETE
    assert outcome(said[1]) is Outcome.FAILED
    (failed,) = [one for one in said[1] if isinstance(one, Result)]
    assert failed.failure is not None
    assert failed.failure.output == "what it printed"
    assert [outcome(each) for each in said[2:]] == [Outcome.RELEASED] * 6
    assert row.process.renewals == 1
    assert row.places == 1
    row.start(a_trial(9).replace(self_test=True))
    assert row.process.given[-1] == [9], "the host is tested in the new one"
    row.say((0, DONE))
    assert row.process.renewals == 1, "nothing went wrong there"


def test_what_waits_is_given_again_to_a_process_that_says_its_setting_is_impossible() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(8)
    said = row.say((0, DONE), (1, FAILED))
    assert not any(isinstance(one, Result) for each in said[2:] for one in each)
    assert row.process.given[-1] == [3, 4, 5, 6, 7, 8]
    assert row.process.renewals == 0


def test_a_failure_does_not_make_a_study_one_of_short_trials() -> None:
    row = Row()
    for says in ([(0, FAILED)], [(0, Spent()), (0, FAILED)], [(0, RELEASED)]):
        row.start_next(1)
        row.say(*says)
        assert row.places == 1


def test_another_attempt_that_waits_for_a_long_trial_is_given_back() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start(a_trial(1), *(a_trial(number, attempt=2) for number in range(2, 9)))
    row.now += 0.4
    assert not any(row.say())
    row.now += 0.2
    assert [outcome(each) for each in row.say()[1:]] == [Outcome.RELEASED] * 7
    row.say((0, DONE))
    assert row.places == 1


def test_the_death_of_a_process_gives_back_all_whose_turn_may_have_come() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(3)
    row.executor.poll()
    said = row.say((0, DONE), (0, Died("was killed by SIGSEGV", "")))
    assert [outcome(one) for one in said[:3]] == [Outcome.COMPLETE, *[Outcome.RELEASED] * 2]
    assert row.places == 1  # so that the next death is a trial's own


def test_the_end_of_a_process_gives_back_all_whose_turn_may_have_come() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(8)
    assert row.executor.abort(3) == "it hung here"
    said = row.say()
    assert said[3] == []
    assert [outcome(said[slot]) for slot in (0, 1, 2, 4, 5, 6, 7)] == [Outcome.RELEASED] * 7


def test_a_second_attempt_is_trained_alone() -> None:
    row = Row()
    row.train(1, 0.001)
    trials = [a_trial(number, attempt=2 if number == 4 else 1) for number in range(1, 9)]
    row.start(*trials)
    assert row.process.given[-1] == [1, 2, 3, 5, 6, 7, 8]
    row.say(*((slot, DONE) for slot in (0, 1, 2, 4, 5, 6, 7)))
    assert row.process.given[-1] == [4]


def test_fewer_than_there_are_places_begin_when_the_worker_looks_again() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(2)
    assert (row.process.given, row.woken) == ([[0]], 2)
    row.executor.poll()
    assert row.process.given[-1] == [1, 2]


def test_no_trial_is_taken_until_the_last_of_a_row_is_over() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(8)
    row.say(*((slot, DONE) for slot in range(7)))
    assert row.places == 0
    row.say((7, DONE))
    assert row.places == 8


def test_a_process_that_works_is_heard_of_for_what_waits_for_it() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start(a_trial(1), a_trial(2, attempt=2), *(a_trial(number) for number in range(3, 9)))
    said = row.say((0, TrainingProgress(fraction=0.1)))
    assert said[1] == [Ready()]
    assert row.say()[1] == []  # nothing is heard of a process that hangs


def test_a_trial_that_waits_is_stopped_at_once_and_never_trained() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(2)
    row.executor.stop(1)
    assert outcome(row.say()[1]) is Outcome.RELEASED
    assert row.process.given[-1] == [1]
    assert row.process.stopped == []
    row.executor.stop(0)
    assert row.process.stopped == [0]


def test_ending_what_waits_does_not_end_the_process() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(2)
    row.executor.end(1, 0.0)
    assert row.process.ends == 0
    row.executor.poll()
    assert row.process.given[-1] == [1]
    row.executor.end(0, 0.0)
    assert row.process.ends == 1


def test_a_failure_alone_and_a_death_alone_are_the_trials() -> None:
    row = Row()
    row.start_next(1)
    row.now += 1.0
    assert outcome(row.say((0, FAILED))[0]) is Outcome.FAILED
    row.start_next(1)
    died = Died("was killed", "")
    assert row.say((0, died))[0] == [died]


def test_a_test_of_the_host_gives_back_what_is_trained_and_goes_before_what_waits() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start(*(a_trial(number) for number in range(1, 8)), a_trial(8, attempt=2))
    row.executor.start(0, a_trial(0).replace(self_test=True))
    assert row.process.ends == 1
    assert row.process.given[-1] == [0], "alone"
    said = row.say()
    assert [outcome(each) for each in said[:7]] == [Outcome.RELEASED] * 7
    assert row.process.given[-1] == [0]
    row.executor.start(1, a_trial(1).replace(self_test=True))
    assert row.process.given[-1] == [0], "a test that is under way goes on"
    assert row.say((0, DONE))[0] == [DONE]
    assert row.process.given[-1] == [1]
    assert row.say((1, DONE))[1] == [DONE]
    assert row.process.given[-1] == [8]


# -- a real process --------------------------------------------------------------------------------

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
        offer = Offer(name="turns:train", path=str(folder / "turns.py"))
        self.process = ExecutorProcess(Prepare(device="cpu", offers=[offer]))
        self.said: list[tuple[int, Record | Died]] = []

    def start(self, *numbers: int) -> None:
        trials = [
            Trial(study="s", number=number, attempt=1, params={"x": number}) for number in numbers
        ]
        self.process.start(
            *(
                Assignment(study=self.study, trial=trial, folder="f", slot=slot)
                for slot, trial in enumerate(trials)
            )
        )

    def results(self) -> dict[int, Result]:
        self.said += self.process.poll()
        return {slot: one for slot, one in self.said if isinstance(one, Result)}

    def deaths(self) -> list[Died]:
        self.results()
        return [one for _, one in self.said if isinstance(one, Died)]

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
        assert {slot: one.value for slot, one in process.results().items()} == {
            0: 5.0,
            1: 3.0,
            2: 4.0,
        }
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
        outcomes = {slot: one.outcome for slot, one in process.results().items()}
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
        time.sleep(0.2)  # for the process to hear it
        (tmp_path / "wait-0").unlink()
        wait_until(lambda: len(process.results()) == 3)
        assert process.results()[1].outcome is Outcome.RELEASED
        assert not process.is_in(1)


def test_after_a_failure_the_rest_is_dropped_and_the_output_is_that_of_the_trial_that_failed(
    tmp_path: Path,
) -> None:
    (tmp_path / "fail-1").touch()
    with running(tmp_path) as process:
        process.start(0, 1, 2)
        wait_until(lambda: len(process.results()) == 2)
        assert process.results()[1].outcome is Outcome.FAILED
        failure = process.results()[1].failure
        assert failure is not None
        assert failure.output == "this is 1\n"
        process.start(2)  # which the parent does
        wait_until(lambda: len(process.results()) == 2 and process.is_in(2))
        assert (tmp_path / "order").read_text().split() == ["0", "1", "2"]


def test_a_process_that_dies_in_a_row_says_so_once(tmp_path: Path) -> None:
    (tmp_path / "die-1").touch()
    with running(tmp_path) as process:
        process.start(0, 1, 2)
        wait_until(process.deaths)
        (died,) = process.deaths()
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
