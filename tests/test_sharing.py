"""Several executors that are one process: rounds, groups, and who pays when something breaks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from distune.share.heartbeat import Beat
from distune.share.protocol import State
from distune.share.records import decode_document
from distune.share.store import Store
from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.study import Study
from distune.study.trial import Failure, Outcome, Record, Report, Result, Trial
from distune.training.messages import Assignment, Began, Check, Checked, Moved, Ready, Unbegun
from distune.training.processes import Died
from distune.training.sharing import SharedProcess
from distune.worker.worker import Worker, WorkerIdentity
from distune.workloads.grouping import When
from tests.simulation import Faults, MemoryFolder, Share

# There a process chooses to train several trials at once.
pytestmark = pytest.mark.usefixtures("nothing_compiled")

DONE = Result(outcome=Outcome.COMPLETE, value=0.5)
FAILED = Result(outcome=Outcome.FAILED, failure=Failure(message="no luck"))
NO_MEMORY = Result(outcome=Outcome.OUT_OF_MEMORY, failure=Failure(message="MemoryError"))
KILLED = Died("was killed by SIGKILL: this machine is out of memory", "", out_of_memory=True)


class FakeProcess:
    """Keeps what it is asked for, and says what the test tells it to."""

    def __init__(self) -> None:
        self.given: list[list[int]] = []  # numbers of the trials of each group
        self.stopped: list[int] = []
        self.ends = self.checks = self.in_turn = 0
        self.says: list[tuple[int, Record | Died]] = []

    def start(self, assignment: Assignment) -> None:
        self.start_together([assignment])

    def start_together(self, assignments: Sequence[Assignment]) -> None:
        self.given.append([one.trial.number for one in assignments])

    def start_in_turn(self, assignments: Sequence[Assignment]) -> None:
        self.start_together(assignments)
        self.in_turn += 1

    def tail(self) -> str:
        return "what it printed"

    def check(self, check: Check) -> None:
        self.checks += 1

    def stop(self, member: int) -> None:
        self.stopped.append(member)

    def end(self, grace: float) -> None:
        self.ends += 1
        self.says.clear()

    def abort(self) -> str:
        self.end(0.0)
        return "it hung here"

    def poll_members(self) -> list[tuple[int, Record | Died]]:
        said, self.says = self.says, []
        return said


def make_study(name: str = "s") -> Study:
    params = {"n_filters": 8, "batch_size": 20, "lr": {"type": "float", "low": 0.1, "high": 1.0}}
    space = SpaceFile.model_validate({"objective": "mnist-cnn", "params": params})
    return freeze(space, name=name, study_id=name, lease=5.0, created=0.0)


STUDY, OTHER = make_study(), make_study("other")


def a_trial(number: int, study: Study = STUDY, **changes: Any) -> Assignment:
    params = {"n_filters": 8, "batch_size": 20, "lr": 0.1, **changes.pop("params", {})}
    trial = Trial(study=study.id, number=number, attempt=1, params=params).replace(**changes)
    return Assignment(study=study, trial=trial, folder="f")


class Rig:
    """Four seats at one process."""

    def __init__(self, seats: int = 4, when: When = "where it pays") -> None:
        self.process = FakeProcess()
        self.woken = 0
        self.shared = SharedProcess(self.process, seats, when, self.wake)  # type: ignore[arg-type]
        self.seats = self.shared.seats

    def wake(self) -> None:
        self.woken += 1

    def start(self, *assignments: Assignment) -> None:
        for seat, assignment in zip(self.seats, assignments, strict=False):
            seat.start(assignment)

    def poll(self) -> list[list[Record | Died]]:
        """A worker's look at all of them."""
        return [list(seat.poll()) for seat in self.seats]

    def say(self, *messages: tuple[int, Record | Died]) -> list[list[Record | Died]]:
        self.process.says += messages
        return self.poll()

    @property
    def takes(self) -> list[bool]:
        return [seat.takes(STUDY) for seat in self.seats]


def outcome(said: Sequence[Record | Died]) -> Outcome:
    (result,) = [message for message in said if isinstance(message, Result)]
    return result.outcome


def test_trials_that_were_claimed_together_are_trained_at_once() -> None:
    rig = Rig()
    rig.start(*(a_trial(i) for i in range(4)))
    assert rig.process.given == [[0, 1, 2, 3]]
    said = rig.say((2, Report(step=1, metrics={"a": 2.0}, seconds=1.0)), (0, Moved(fraction=0.5)))
    assert [len(each) for each in said] == [1, 0, 1, 0]
    assert isinstance(said[2][0], Report)


def test_fewer_than_there_are_seats_begin_when_the_worker_looks_again() -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1))
    assert (rig.process.given, rig.woken) == ([], 2)
    rig.poll()
    assert rig.process.given == [[0, 1]]


def test_what_does_not_fit_is_trained_after_the_others_and_alone() -> None:
    rig = Rig(seats=6)
    rig.start(
        a_trial(0, params={"n_filters": 4}),
        a_trial(1),
        a_trial(2, best={"steps": 3.0}),  # a winner's test
        a_trial(3, params={"lr": 0.7}),
        a_trial(4, attempt=2),  # who was in trouble before
        a_trial(5, OTHER),
    )
    for done in ([0], [1, 3], [2], [4], [5]):
        assert rig.process.given[-1] == done
        rig.say(*((member, DONE) for member in range(len(done))))
    assert len(rig.process.given) == 5


def test_numbers_that_are_rounded_otherwise_are_never_trained_beside_float32() -> None:
    rig = Rig(when="always")
    for number, precision in enumerate(("bfloat16", "tf32", "bfloat16", "float32")):
        rig.seats[number].start(a_trial(number, params={"precision": precision}))
    for number in range(4):
        assert rig.process.given[-1] == [number]
        rig.say((0, DONE))


def test_no_seat_takes_a_trial_until_all_have_heard_that_theirs_are_over() -> None:
    rig = Rig()
    assert rig.takes == [True] * 4
    rig.start(*(a_trial(i) for i in range(4)))
    rig.say((0, DONE), (1, DONE), (2, DONE))
    assert rig.takes == [False] * 4
    rig.process.says = [(3, DONE)]
    assert list(rig.seats[1].poll()) == []
    assert rig.takes == [False] * 4  # the last one has not been told yet
    rig.poll()
    assert rig.takes == [True] * 4


def test_only_the_first_seat_takes_what_cannot_be_trained_at_once() -> None:
    rig = Rig()
    space = SpaceFile.model_validate({"objective": "spirals", "params": {"lr": [0.1, 0.2]}})
    spirals = freeze(space, name="n", study_id="n", lease=5.0, created=0.0)
    assert [seat.takes(spirals) for seat in rig.seats] == [True, False, False, False]


def test_who_waits_is_heard_of_as_long_as_the_process_works() -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1, params={"n_filters": 4}))
    rig.poll()
    assert rig.say((0, Moved(fraction=0.1)))[1] == [Ready()]
    assert rig.poll()[1] == []  # nothing is heard of a process that hangs


def test_a_member_is_stopped_by_its_place_in_the_group() -> None:
    rig = Rig()
    rig.start(a_trial(0, params={"n_filters": 4}), a_trial(1), a_trial(2))
    rig.poll()
    rig.say((0, DONE))
    assert rig.process.given[-1] == [1, 2]
    rig.seats[2].stop()
    assert rig.process.stopped == [1]


def test_who_waits_is_stopped_at_once_and_never_trained() -> None:
    rig = Rig()
    rig.start(a_trial(0, params={"n_filters": 4}), a_trial(1))
    rig.poll()
    rig.seats[1].stop()
    assert outcome(rig.poll()[1]) is Outcome.RELEASED
    rig.say((0, DONE))
    assert rig.process.given == [[0]]


def test_a_failure_in_a_population_is_nobodys_and_alone_it_is_the_trials() -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1))
    rig.poll()
    said = rig.say((0, FAILED), (1, DONE))
    assert [outcome(said[0]), outcome(said[1])] == [Outcome.RELEASED, Outcome.COMPLETE]
    rig.start(a_trial(0, attempt=2))
    rig.poll()
    assert outcome(rig.say((0, FAILED))[0]) is Outcome.FAILED


def test_a_death_in_a_population_gives_its_trials_back_and_the_next_group_begins() -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1), a_trial(2, params={"n_filters": 4}))
    rig.poll()
    rig.say((0, Began()), (1, Began()))
    said = rig.say((0, Died("was killed", "")))
    assert [outcome(said[0]), outcome(said[1])] == [Outcome.RELEASED] * 2
    assert rig.process.given == [[0, 1], [2]]
    died = Died("was killed", "")
    assert rig.say((0, died))[2] == [died]


@pytest.mark.parametrize("messages", [[(0, KILLED)], [(0, NO_MEMORY), (1, NO_MEMORY)]])
def test_a_population_without_memory_says_so_once(
    messages: list[tuple[int, Record | Died]],
) -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1))
    rig.poll()
    said = rig.say(*messages)
    assert [outcome(said[0]), outcome(said[1])] == [Outcome.OUT_OF_MEMORY, Outcome.RELEASED]


def test_a_process_that_is_killed_for_one_member_gives_the_others_back() -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1))
    rig.poll()
    rig.say((0, Began()), (1, Began()))
    assert rig.seats[0].abort() == "it hung here"
    said = rig.poll()
    assert said[0] == []
    assert outcome(said[1]) is Outcome.RELEASED


def test_ending_who_waits_does_not_end_the_process() -> None:
    rig = Rig()
    rig.start(a_trial(0), a_trial(1, params={"n_filters": 4}))
    rig.poll()
    rig.seats[1].end(0.0)
    assert rig.process.ends == 0
    rig.seats[0].end(0.0)
    assert rig.process.ends == 1


def test_a_self_test_goes_before_what_has_hardly_begun_which_is_done_again() -> None:
    rig = Rig()
    rig.start(a_trial(0, params={"n_filters": 4}), a_trial(1), a_trial(2))
    rig.poll()
    assert outcome(rig.say((0, FAILED))[0]) is Outcome.FAILED
    rig.seats[0].check(Check(study=STUDY, folder="f"))
    assert (rig.process.ends, rig.process.checks) == (1, 1)
    rig.poll()
    assert rig.process.given == [[0], [1, 2]]  # not before the answer
    assert rig.say((0, Checked()))[0] == [Checked()]
    rig.poll()
    assert rig.process.given == [[0], [1, 2], [1, 2]]


# A worker that gives its trials to seats


class Bench:
    """Two processes of three seats each, a worker, and studies in memory."""

    def __init__(self, *studies: Study) -> None:
        self.now = 0.0
        self.rigs = [Rig(3), Rig(3)]
        seats = [
            seat for row in zip(*(rig.seats for rig in self.rigs), strict=True) for seat in row
        ]
        self.studies = studies
        self.stores = {study.name: self.store(study) for study in studies}
        self.said: list[str] = []
        self.worker = Worker(
            WorkerIdentity("w-1", "h", 1, "cpu"),
            lambda: self.stores,
            seats,
            say=self.said.append,
            monotonic=lambda: self.now,
            wall=lambda: self.now,
            rng=random.Random(1),
        )

    def store(self, study: Study) -> Store:
        store = Store(MemoryFolder(Share(), random.Random(0), lambda: self.now, Faults()))
        store.create(study)
        return store

    def publish(self, study: Study, *trials: Trial) -> None:
        for trial in trials:
            self.stores[study.name].publish(trial)

    def steps(self) -> None:
        """What a worker does within a second and a half."""
        for _ in range(3):
            self.now += 0.5
            self.worker.step()

    def waiting(self, study: Study) -> list[int]:
        listing = self.stores[study.name].listing()
        return sorted(name.trial for name in listing.attempts if name.state is State.WAITING)

    @property
    def trained(self) -> list[int]:
        """How many trials each process was given last."""
        return [len(rig.process.given[-1]) if rig.process.given else 0 for rig in self.rigs]

    def jobs(self, study: Study) -> int:
        (beat,) = self.stores[study.name].beats().values()
        return decode_document(Beat, beat).jobs


def test_few_trials_occupy_all_processes() -> None:
    bench = Bench(STUDY)
    bench.publish(STUDY, *(a_trial(number).trial for number in range(4)))
    bench.steps()
    assert bench.trained == [2, 2]


def test_a_worker_claims_no_more_until_a_population_is_over_as_a_whole() -> None:
    bench = Bench(STUDY)
    bench.publish(STUDY, *(a_trial(number).trial for number in range(8)))
    bench.steps()
    assert bench.trained == [3, 3]
    bench.rigs[0].process.says = [(0, DONE), (1, DONE)]
    bench.steps()
    assert len(bench.waiting(STUDY)) == 2
    bench.rigs[0].process.says = [(2, DONE)]
    bench.steps()
    assert bench.waiting(STUDY) == []
    assert bench.trained == [2, 3]


def test_a_study_that_seats_are_not_for_has_one_trial_in_each_process_and_its_master_is_told() -> (
    None
):
    space = SpaceFile.model_validate({"objective": "spirals", "params": {"lr": [0.1, 0.2]}})
    spirals = freeze(space, name="n", study_id="n", lease=5.0, created=0.0)
    bench = Bench(spirals, STUDY)
    bench.publish(spirals, *(a_trial(number, spirals).trial for number in range(5)))
    bench.steps()
    assert bench.trained == [1, 1]
    assert len(bench.waiting(spirals)) == 3
    assert (bench.jobs(spirals), bench.jobs(STUDY)) == (2, 6)


def test_a_population_without_memory_is_tried_again_one_by_one_and_then_there_are_fewer() -> None:
    bench = Bench(STUDY)
    bench.publish(STUDY, *(a_trial(number).trial for number in range(6)))
    bench.steps()
    bench.rigs[0].process.says = [(0, KILLED)]
    bench.steps()
    assert bench.jobs(STUDY) == 5
    assert any("at most 5 at a time on this host" in line for line in bench.said)
    listing = bench.stores["s"].listing()
    given_back = [name.trial for name in listing.attempts if name.state is State.LOST]
    assert len(given_back) == 3
    bench.publish(STUDY, *(a_trial(number, attempt=2).trial for number in given_back))
    bench.steps()
    assert bench.trained == [1, 3]
    assert len(bench.waiting(STUDY)) == 1  # room for five


# -- short trials, in turn -------------------------------------------------------------------------


class Row(Rig):
    """Eight seats at one process, for one trial after the other; and a clock."""

    def __init__(self) -> None:
        self.process = FakeProcess()
        self.now = 0.0
        self.shared = SharedProcess(
            self.process,  # type: ignore[arg-type]
            1,
            "always",
            in_turn=8,
            monotonic=lambda: self.now,
        )
        self.seats = self.shared.seats
        self.numbers = iter(range(1000))

    def start_next(self, count: int) -> None:
        self.start(*(a_trial(next(self.numbers)) for _ in range(count)))

    def train(self, count: int, seconds: float) -> list[list[Record | Died]]:
        """So many, to their end."""
        self.start_next(count)
        self.now += seconds
        self.process.says += [(member, DONE) for member in range(count)]
        return self.poll()

    @property
    def places(self) -> int:
        assert self.takes == sorted(self.takes, reverse=True)
        return sum(self.takes)


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
    assert row.process.in_turn == 1
    values = [Result(outcome=Outcome.COMPLETE, value=float(member)) for member in range(8)]
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
    assert [seat.takes(OTHER) for seat in row.seats] == [True] + [False] * 7


def test_whoever_waits_for_its_turn_is_given_again_when_one_before_it_fails() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(8)
    said = row.say((0, DONE), (1, FAILED), *((member, Unbegun()) for member in range(2, 8)))
    assert outcome(said[0]) is Outcome.COMPLETE
    assert outcome(said[1]) is Outcome.FAILED
    (failed,) = [one for one in said[1] if isinstance(one, Result)]
    assert failed.failure is not None
    assert failed.failure.output == "what it printed"
    assert not any(isinstance(one, Result) for each in said[2:] for one in each)
    assert row.process.given[-1] == [3, 4, 5, 6, 7, 8]


def test_the_death_of_a_process_is_nobodys_whose_turn_may_have_come() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(3)
    row.poll()
    row.process.says += [(0, DONE), (0, Died("was killed by SIGSEGV", ""))]
    said = row.poll()
    assert [outcome(one) for one in said[:3]] == [Outcome.COMPLETE, *[Outcome.RELEASED] * 2]
    assert row.places == 1  # so that the next death is somebody's


def test_the_end_of_a_process_gives_back_all_whose_turn_may_have_come() -> None:
    row = Row()
    row.train(1, 0.001)
    row.start_next(8)
    assert row.seats[3].abort() == "it hung here"
    said = row.poll()
    assert said[3] == []
    assert [outcome(said[seat]) for seat in (0, 1, 2, 4, 5, 6, 7)] == [Outcome.RELEASED] * 7


def test_a_second_attempt_is_trained_alone() -> None:
    row = Row()
    row.train(1, 0.001)
    trials = [a_trial(number, attempt=2 if number == 4 else 1) for number in range(1, 9)]
    row.start(*trials)
    assert row.process.given[-1] == [1, 2, 3, 5, 6, 7, 8]
    row.say(*((member, DONE) for member in range(7)))
    assert row.process.given[-1] == [4]
