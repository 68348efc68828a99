"""One worker, its executors and a share in memory, step by step."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import pytest

from distune.errors import BadRecord, ShareError
from distune.share import protocol, records
from distune.share.heartbeat import Beat, Finished
from distune.share.protocol import Actor, AttemptName, Halt, State
from distune.share.store import Store
from distune.study.trial import (
    FAILURES,
    Checkpoint,
    Failure,
    Outcome,
    Record,
    Report,
    Result,
    Trial,
)
from distune.training.messages import Died, Saves
from distune.worker.context import WorkerIdentity
from distune.worker.limits import WorkerLimits
from distune.worker.worker import Worker
from tests.fake_executor import FakeExecutor
from tests.histories import make_study
from tests.memory_folder import Faults, MemoryFolder, Share


def failed(message: str) -> Result:
    return Result(outcome=Outcome.FAILED, failure=Failure(message=message))


FAILED = failed("no kernel image")
SOUND = Result(outcome=Outcome.COMPLETE)  # of a self-test


class Bench:
    """A study with waiting trials and a worker at it; time passes when the test says so."""

    def __init__(
        self,
        jobs: int = 1,
        trial_timeout: float | None = None,
        devices: Sequence[str] | None = None,
        limits: WorkerLimits | None = None,
    ) -> None:
        self.now = 0.0
        self.folder = MemoryFolder(Share(), random.Random(0), lambda: self.now, Faults())
        self.store = Store(self.folder)
        self.study, _ = make_study(20, trial_timeout=trial_timeout)
        self.store.create(self.study)
        self.studies = {"s": self.store}
        self.executors = [FakeExecutor() for _ in range(jobs)]
        self.said: list[str] = []
        self.worker = Worker(
            WorkerIdentity("w-1", "h", 1, "cpu"),
            lambda: self.studies,
            self.executors,
            devices=devices,
            limits=limits,
            say=self.said.append,
            monotonic=lambda: self.now,
            wall=lambda: self.now,
            rng=random.Random(1),
        )

    def publish(
        self,
        number: int,
        attempt: int = 1,
        failed_on: Sequence[str] = (),
        best: dict[str, float] | None = None,
    ) -> None:
        self.store.publish(
            Trial(
                study=self.study.id,
                number=number,
                attempt=attempt,
                failed_on=list(failed_on),
                params={"x": 0.5},
                best=best,
            )
        )

    def step(self, seconds: float = 0.0) -> None:
        """Let time pass, in steps as short as a real worker's."""
        until = self.now + seconds
        while True:
            self.worker.step()
            if self.now >= until:
                return
            self.now = min(self.now + 0.5, until)

    def answer(self, *messages: Record | Died) -> None:
        self.executors[0].says += messages
        failed = any(getattr(one, "outcome", Outcome.FAILED) in FAILURES for one in messages)
        self.step(0.5 if failed else 0.0)  # so long a failure is not sure

    def others(self, **fields: int) -> None:
        """Another worker's heartbeat."""
        beat = Beat(worker="w-2", host="h", pid=2, device="cpu", jobs=1, counter=1, state="working")
        self.store.beat("w-2", beat.replace(**fields))

    def names(self, state: State) -> list[AttemptName]:
        return [n for n in self.store.listing().attempts if n.state is state]

    def result_of(self, number: int) -> Result | None:
        (name,) = [n for n in self.store.listing().attempts if n.trial == number]
        return self.store.read_attempt(name).result

    def beat(self) -> Beat:
        return records.decode_document(Beat, self.store.beats()["w-1"])


def test_what_has_been_tried_before_goes_before_what_is_new() -> None:
    bench = Bench()
    for number in range(12):
        bench.publish(number)
    bench.publish(15, attempt=2)
    bench.step()
    assert [trial.number for trial in bench.executors[0].trials] == [15]


def test_what_is_published_twice_is_trained_once_by_a_worker_and_then_given_back() -> None:
    """Two masters may do so; the name of a file and what it says belong together."""
    bench = Bench()
    bench.publish(0)
    bench.step()
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    (done,) = bench.names(State.DONE)
    before = bench.folder.read(done.live_path)
    bench.publish(0)
    bench.step(seconds=5.0)
    assert len(bench.executors[0].trials) == 1
    assert bench.folder.read(done.live_path) == before
    assert [(n.trial, n.attempt) for n in bench.names(State.LOST)] == [(0, 1)]


def test_the_next_training_is_one_rename_away_when_the_one_before_ends() -> None:
    bench = Bench()
    for number in range(4):
        bench.publish(number)
    bench.step()
    bench.step(seconds=0.5)
    happened: list[str] = []
    for operation in ("names", "read", "append", "rewrite", "move"):
        watch(bench.folder, operation, happened)
    watch(bench.executors[0], "start", happened)
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    assert happened[:2] == ["move", "start"]
    assert len(bench.executors[0].trials) == 2
    assert "append" in happened[2:]  # the result of the first one
    assert len(bench.names(State.DONE)) == 1


def test_a_study_whose_trials_are_known_does_not_go_before_the_others() -> None:
    bench = Bench()
    other = Store(MemoryFolder(Share(), random.Random(0), lambda: bench.now, Faults()))
    other.create(make_study(100, name="other")[0])
    bench.studies["other"] = other
    for number in range(100):
        bench.publish(number)
        other.publish(bench.store.read_attempt(bench.names(State.WAITING)[-1]).trial)
    bench.step()
    for _ in range(80):
        bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    done = len(bench.names(State.DONE))
    assert 25 <= done <= 55


def watch(thing: object, operation: str, happened: list[str]) -> None:
    real = getattr(thing, operation)

    def noted(*arguments: object, **options: object) -> object:
        happened.append(operation)
        return real(*arguments, **options)

    setattr(thing, operation, noted)


def test_a_trial_that_was_replaced_after_it_was_read_is_trained_but_never_counted() -> None:
    bench = Bench()
    for number in range(2):
        bench.publish(number)
    bench.step()
    bench.step(seconds=0.5)  # reads ahead what the other one says
    (waiting,) = bench.names(State.WAITING)
    other = bench.store.read_attempt(waiting).trial.replace(params={"x": 0.75})
    bench.store.withdraw(waiting)
    bench.store.publish(other)
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    bench.answer(Result(outcome=Outcome.COMPLETE, value=2.0))
    files = {name.trial: name for name in bench.names(State.DONE)}
    assert bench.executors[0].trials[1].params == {"x": 0.5}
    with pytest.raises(BadRecord, match="another setting"):
        bench.store.read_ended(files[waiting.trial])
    assert bench.store.read_ended(files[1 - waiting.trial]).result is not None


def test_a_claim_that_seemed_to_come_too_late_is_trained_when_it_turns_up() -> None:
    bench = Bench()
    bench.step()
    bench.publish(0)
    real = bench.folder.move

    def lie(source: str, target: str) -> None:
        real(source, target)
        bench.folder.move = real  # type: ignore[method-assign]
        raise FileNotFoundError(source)

    bench.folder.move = lie  # type: ignore[method-assign]
    bench.step()
    assert bench.executors[0].trials == []
    assert len(bench.names(State.TAKEN)) == 1
    bench.step(seconds=bench.study.lease / 2)
    assert [trial.number for trial in bench.executors[0].trials] == [0]


def test_a_training_goes_on_though_one_listing_misses_its_file() -> None:
    bench = Bench()
    bench.publish(0)
    bench.step()
    real, missed = bench.folder.names, list[str]()

    def miss_once(folder: str) -> list[str]:
        if folder != protocol.TRIALS or missed:
            return real(folder)
        missed.append(folder)
        return []

    bench.folder.names = miss_once  # type: ignore[method-assign]
    bench.step(seconds=bench.study.lease / 2)
    assert missed
    assert bench.executors[0].stops == 0
    assert [name.trial for name in bench.names(State.TAKEN)] == [0]


def test_a_study_is_dropped_when_its_folder_is_gone_for_long_and_others_are_there() -> None:
    bench = Bench()
    bench.publish(0)
    bench.step()
    other = Store(MemoryFolder(Share(), random.Random(0), lambda: bench.now, Faults()))
    other.create(make_study(1, name="other")[0])
    bench.studies["other"] = other
    del bench.studies["s"]
    bench.step(seconds=60)
    assert bench.executors[0].stops == 0
    bench.step(seconds=100)
    assert bench.executors[0].stops == 1
    assert "study s is gone" in bench.said


def test_listings_are_few_while_there_is_something_to_claim() -> None:
    bench = Bench()
    for number in range(100):
        bench.publish(number)
    bench.step()
    happened: list[str] = []
    watch(bench.folder, "names", happened)
    for _ in range(50):
        bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    assert len(bench.executors[0].trials) == 51
    assert len(happened) <= 2


def rival_claims(bench: Bench, numbers: Collection[int]) -> None:
    for name in bench.names(State.WAITING):
        if name.trial in numbers:
            bench.store.claim(name, "w-2")


def test_a_worker_with_rivals_lists_seldom_and_still_gets_what_comes() -> None:
    bench = Bench()
    for number in range(10):
        bench.publish(number)
    bench.step()
    assert not bench.worker.claiming.has_rivals
    rival_claims(bench, range(10))
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    assert bench.worker.claiming.has_rivals
    happened: list[str] = []
    watch(bench.folder, "names", happened)
    for _ in range(20):
        bench.now += 0.01
        bench.worker.step()
    assert 1 <= len(happened) <= 3
    bench.publish(10)
    bench.now += 0.1
    bench.worker.step()
    assert bench.executors[0].trials[-1].number == 10
    bench.step(11.0)
    assert not bench.worker.claiming.has_rivals


def test_a_worker_that_loses_a_claim_goes_on_elsewhere_as_the_next_ones_are_lost_too() -> None:
    bench = Bench()
    for number in range(40):
        bench.publish(number)
    bench.step()
    first = bench.executors[0].trials[0].number
    rival_claims(bench, [(first + i) % 40 for i in range(1, 11)])
    happened: list[str] = []
    for operation in ("move", "names"):
        watch(bench.folder, operation, happened)
    watch(bench.executors[0], "start", happened)
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    assert happened.index("start") <= 3
    assert "names" not in happened[: happened.index("start")]


def test_a_listing_of_what_others_have_claimed_is_soon_given_up() -> None:
    bench = Bench()
    for number in range(40):
        bench.publish(number)
    bench.step()
    rival_claims(bench, range(40))
    happened: list[str] = []
    watch(bench.folder, "move", happened)
    bench.now += 0.5
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    assert len(happened) <= 10


@pytest.mark.parametrize("answer", [ShareError("no answer"), FileNotFoundError("a stale name")])
def test_what_could_not_be_written_is_written_later(answer: Exception) -> None:
    bench = Bench()
    bench.publish(0)
    bench.step()
    real = bench.folder.append

    def fails(path: str, data: bytes) -> None:
        bench.folder.append = real  # type: ignore[method-assign]
        raise answer

    bench.folder.append = fails  # type: ignore[method-assign]
    bench.answer(Report(step=1, metrics={"y": 1.0}, seconds=1.0))
    bench.step(seconds=3)
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    (done,) = bench.names(State.DONE)
    file = bench.store.read_ended(done)
    assert file.claim is not None
    assert [report.step for report in file.reports] == [1]


def test_when_its_study_is_over_a_worker_gives_back_what_it_trains() -> None:
    bench = Bench(jobs=2)
    bench.publish(0)
    bench.step()
    finished = Finished(study=bench.study.id, reason="enough", trials=0, elapsed=0.0)
    bench.store.write_document(protocol.FINISHED, records.encode_document(finished))
    bench.step(seconds=5)
    assert bench.names(State.TAKEN) == []
    assert [name.trial for name in bench.names(State.LOST)] == [0]
    assert bench.worker.finished


def test_a_trial_that_failed_here_is_left_to_another_living_worker() -> None:
    bench = Bench()
    bench.others()
    bench.publish(0, attempt=2, failed_on=["w-1"])
    bench.publish(1)
    bench.step()
    assert [trial.number for trial in bench.executors[0].trials] == [1]
    bench.answer(Result(outcome=Outcome.COMPLETE, value=1.0))
    bench.step(seconds=bench.study.lease / 2)
    assert len(bench.executors[0].trials) == 1
    bench.step(seconds=2 * bench.study.lease)  # the other one is dead
    assert [trial.number for trial in bench.executors[0].trials] == [1, 0]


def test_a_trial_that_reports_nothing_for_too_long_is_killed_and_says_where_it_hung() -> None:
    bench = Bench(trial_timeout=60.0)
    bench.publish(0)
    bench.step(seconds=50)
    bench.answer(Report(step=1, metrics={"y": 1.0}, seconds=50.0))
    bench.step(seconds=59)
    assert bench.executors[0].aborted == 0
    bench.step(seconds=2)
    assert bench.executors[0].aborted == 1
    result = bench.result_of(0)
    assert result is not None
    assert (result.outcome, result.steps) == (Outcome.TIMEOUT, 1)
    assert result.failure is not None
    assert result.failure.output == "Current thread: in train.py"


def test_time_in_which_the_worker_could_not_look_is_not_the_trials() -> None:
    bench = Bench(trial_timeout=60.0)
    bench.publish(0)
    bench.step()
    bench.step()
    bench.now += 600.0  # stopped, or in a call to a share that hung
    bench.step()
    assert bench.executors[0].aborted == 0


def doubting(bench: Bench) -> None:
    """Have the worker test itself, because of trial 2."""
    for number in range(3):
        bench.publish(number)
        bench.step()
        bench.answer(FAILED)
    assert bench.executors[0].self_tests == 1


def test_the_failure_that_made_it_doubt_is_not_the_trials_if_the_host_is_broken() -> None:
    bench = Bench()
    doubting(bench)
    assert [bench.result_of(n) for n in range(2)] == [
        FAILED.replace(failure=Failure(message="no kernel image",
                                                     output="the last words"))
    ] * 2  # fmt: skip
    assert bench.names(State.TAKEN), "the third waits for the verdict"
    bench.answer(failed("cuda:0 cannot compute"))
    last = bench.result_of(2)
    assert last is not None
    assert last.outcome is Outcome.RELEASED
    assert bench.names(State.LOST)
    assert bench.worker.studies.left == {"s": "cuda:0 cannot compute"}
    assert bench.worker.stuck
    assert (bench.beat().state, bench.beat().trouble) == ("gave up", "cuda:0 cannot compute")
    bench.publish(9)
    bench.step(seconds=100)
    assert len(bench.executors[0].trials) == 3


def test_a_self_test_goes_on_when_its_trial_is_taken_back() -> None:
    bench = Bench()
    doubting(bench)
    (taken,) = bench.names(State.TAKEN)
    assert bench.store.lose(taken, Actor.MASTER)
    bench.publish(3)
    bench.step(seconds=5)
    assert bench.executors[0].stops == 0
    bench.answer(SOUND)
    bench.step(seconds=1)
    assert [name.trial for name in bench.names(State.TAKEN)] == [3]


def test_a_self_test_ends_with_its_study() -> None:
    bench = Bench(jobs=2)
    doubting(bench)
    (taken,) = bench.names(State.TAKEN)
    assert bench.store.lose(taken, Actor.MASTER)
    bench.step(seconds=5)
    finished = Finished(study=bench.study.id, reason="enough", trials=0, elapsed=0.0)
    bench.store.write_document(protocol.FINISHED, records.encode_document(finished))
    bench.step(seconds=5)
    assert bench.worker.finished
    assert bench.executors[0].ends == 1


def test_a_self_test_does_not_keep_a_study_from_being_stopped_at_once() -> None:
    bench = Bench()
    doubting(bench)
    bench.store.mark(Halt.NOW, "desk")
    bench.step(seconds=5)
    last = bench.result_of(2)
    assert last is not None
    assert (last.outcome, bench.executors[0].ends) == (Outcome.RELEASED, 1)
    bench.store.resume()
    bench.publish(3)
    bench.step(seconds=60)
    bench.step(seconds=60)
    assert [name.trial for name in bench.names(State.TAKEN)] == [3], "its slot is free"


def test_giving_up_gives_back_what_the_other_executors_train() -> None:
    bench = Bench(jobs=2)
    bench.publish(0)
    bench.publish(1)
    bench.step()
    assert len(bench.names(State.TAKEN)) == 2
    mine = bench.executors[0].trials[0].number
    for number in (2, 3):
        bench.answer(FAILED)
        bench.publish(number)
        bench.step()
    bench.answer(FAILED)
    bench.answer(failed("the disk is gone"))
    bench.step()
    other = bench.result_of(1 - mine)
    assert other is not None
    assert other.outcome is Outcome.RELEASED
    assert bench.names(State.TAKEN) == []


def test_where_others_succeed_it_pauses_tries_one_and_gives_up() -> None:
    bench = Bench(jobs=2)
    bench.others(completed=12)
    numbers = iter(range(20))

    def fail_once() -> None:
        bench.publish(next(numbers))
        bench.step()
        busy = [p for p in bench.executors if len(p.trials) > len(ended[p])]
        (executor,) = busy
        ended[executor].append(executor.trials[-1].number)
        executor.says.append(FAILED)
        bench.step()
        if executor.self_tests > sum(checked.values()):
            checked[executor] = executor.self_tests
            executor.says.append(SOUND)
            bench.step()

    ended: dict[FakeExecutor, list[int]] = {executor: [] for executor in bench.executors}
    checked: dict[FakeExecutor, int] = {}
    for _ in range(3):
        fail_once()
    bench.step()
    assert bench.beat().state == "paused"
    assert "while others succeed" in bench.beat().trouble
    bench.publish(next(numbers))
    bench.publish(next(numbers))
    bench.step(seconds=29)
    assert bench.names(State.TAKEN) == []
    bench.step(seconds=2)
    assert len(bench.names(State.TAKEN)) == 1, "one at a time, on probation"
    (executor,) = [p for p in bench.executors if len(p.trials) > len(ended[p])]
    executor.says.append(FAILED)
    bench.step()
    executor.says.append(SOUND)
    bench.step()
    assert "while others succeed" in bench.worker.studies.left["s"]
    # Nothing is wrong with the host that its test could find: this one is the trial's failure.
    assert {bench.result_of(n).outcome for n in (0, 1, 2)} == {Outcome.FAILED}  # type: ignore[union-attr]


# Out of memory

NO_MEMORY = Result(
    outcome=Outcome.OUT_OF_MEMORY, failure=Failure(message="CUDA out of memory: tried 2 GiB")
)


def at_work(bench: Bench) -> list[FakeExecutor]:
    """The executors that train now."""
    taken = {(name.trial, name.attempt) for name in bench.names(State.TAKEN)}
    last = [(executor, executor.trials[-1]) for executor in bench.executors if executor.trials]
    return [executor for executor, trial in last if (trial.number, trial.attempt) in taken]


def test_out_of_memory_beside_others_is_given_back_and_fewer_are_trained_from_then_on() -> None:
    bench = Bench(jobs=4, devices=["cuda:0"] * 4)
    for number in range(8):
        bench.publish(number)
    bench.step()
    assert len(at_work(bench)) == 4
    first = bench.executors[0].trials[-1].number
    bench.answer(NO_MEMORY)
    result = bench.result_of(first)
    assert result is not None
    assert result.outcome is Outcome.RELEASED
    assert result.failure is not None
    assert "beside other trials on device cuda:0: CUDA out of memory" in result.failure.message
    said = [line for line in bench.said if line.startswith("out of memory")]
    assert said == [
        "out of memory: at most 3 at a time on device cuda:0 from now on; "
        f"trial {first} is given back"
    ]
    bench.step(seconds=5)
    assert len(at_work(bench)) == 3
    assert bench.beat().jobs == 3
    assert bench.beat().failed == 0
    at_work(bench)[0].says.append(Result(outcome=Outcome.COMPLETE, value=1.0))
    bench.step(seconds=5)
    assert len(at_work(bench)) == 3, "one went, one came"


def test_out_of_memory_alone_is_the_trials_own_failure() -> None:
    bench = Bench(jobs=2, devices=["cuda:0", "cuda:1"])
    bench.publish(0)
    bench.publish(1)
    bench.step()
    mine = bench.executors[0].trials[-1].number
    bench.answer(NO_MEMORY)
    result = bench.result_of(mine)
    assert result is not None
    assert result.outcome is Outcome.OUT_OF_MEMORY
    assert not [line for line in bench.said if line.startswith("out of memory")]
    bench.step(seconds=5)
    assert (bench.beat().jobs, bench.beat().failed) == (2, 1)


def test_all_that_run_out_of_memory_at_once_are_given_back_and_then_tried_one_by_one() -> None:
    bench = Bench(jobs=3, devices=["cuda:0"] * 3)
    for number in range(3):
        bench.publish(number)
    bench.step()
    for executor in bench.executors:
        executor.says.append(NO_MEMORY)
    bench.step()
    assert len(bench.names(State.LOST)) == 3
    assert bench.beat().failed == 0
    for number in range(3):
        bench.publish(number, attempt=2)
    bench.step(seconds=5)
    (only,) = at_work(bench)
    only.says.append(NO_MEMORY)
    bench.step(0.5)
    assert len([n for n in bench.names(State.DONE) if n.attempt == 2]) == 1, "its own failure now"


def test_a_process_killed_for_memory_lowers_what_the_host_trains_whatever_the_device() -> None:
    bench = Bench(jobs=2, devices=["cuda:0", "cuda:1"])
    for number in range(4):
        bench.publish(number)
    bench.step()
    bench.answer(Died("was killed", "", out_of_memory=True))
    assert any("at most 1 at a time on this host" in line for line in bench.said)
    bench.step(seconds=5)
    assert len(at_work(bench)) == 1
    assert bench.beat().jobs == 1


def test_a_failure_just_before_the_workers_own_signal_is_given_back() -> None:
    """A loader whose workers were asked to end first raises before its own process is asked to."""
    bench = Bench(jobs=2)
    for number in range(2):
        bench.publish(number)
    bench.step()
    bench.executors[0].says.append(FAILED)
    bench.step(0.4)
    assert len(bench.names(State.TAKEN)) == 2
    assert bench.worker.drain("its worker got SIGTERM", 3.0)
    results = [bench.result_of(number) for number in range(2)]
    assert [one and one.outcome for one in results] == [Outcome.RELEASED] * 2
    assert len(bench.names(State.LOST)) == 2


def test_only_a_training_that_saves_states_is_asked_for_one_when_its_worker_ends() -> None:
    bench = Bench(jobs=2)
    for number in range(2):
        bench.publish(number)
    bench.step()
    saving, other = bench.executors
    saving.says.append(Saves())
    bench.step()
    checkpoint = Checkpoint(attempt=1, number=1, step=3, size=9, sha256="0" * 64)
    saving.saved = [checkpoint, Result(outcome=Outcome.RELEASED)]
    assert bench.worker.drain("its worker got SIGTERM", 3.0)
    assert (saving.stops, other.stops) == (1, 0)
    files = [bench.store.read_attempt(name) for name in bench.names(State.LOST)]
    assert sorted(file.checkpoints for file in files) == [(), (checkpoint,)]
    said = {file.result.failure.message for file in files if file.result and file.result.failure}
    assert said == {"its worker got SIGTERM"}


def test_a_process_that_somebody_asked_to_end_is_no_failure_but_the_third_time() -> None:
    bench = Bench()
    outcomes = []
    for attempt in (1, 2, 3):
        bench.publish(0, attempt=attempt)
        bench.step(2.0)
        bench.answer(Died("was killed by SIGTERM", "", asked_to=True))
        file = max(bench.store.listing().attempts, key=lambda name: name.attempt)
        result = bench.store.read_attempt(file).result
        assert result is not None
        outcomes.append(result.outcome)
    assert outcomes == [Outcome.RELEASED, Outcome.RELEASED, Outcome.FAILED]


def test_a_worker_with_nothing_to_claim_knows_whether_others_train_what_there_is() -> None:
    bench = Bench()
    bench.step(seconds=5)
    assert "does the master still run?" in bench.worker.studies.why_nothing_waits
    bench.publish(0)
    assert bench.store.claim(AttemptName(0, 1), "w-2") is not None
    bench.step(seconds=5)
    assert "other workers train what there is (1)" in bench.worker.studies.why_nothing_waits
    finished = Finished(study=bench.study.id, reason="enough", trials=1, elapsed=9.0)
    bench.store.write_document(protocol.FINISHED, records.encode_document(finished))
    bench.step(seconds=30)
    assert "is over; waiting for another" in bench.worker.studies.why_nothing_waits
