"""What a worker trains its trials in: executors, and a slot for each trial they can be given."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from distune.study.durations import format_duration
from distune.study.study import Study
from distune.study.trial import (
    Checkpoint,
    Failure,
    Outcome,
    Output,
    Record,
    Report,
    Result,
    Resumed,
)
from distune.training.messages import (
    Assignment,
    Died,
    Saves,
    TrainingProgress,
    TrainingStarted,
)
from distune.worker.limits import WorkerLimits
from distune.worker.memory import MemoryLimit, MemoryShortage
from distune.worker.open_study import Attempt, OpenStudy

_STOP_GRACE = 2.0  # seconds until an executor that does not stop is killed
_LONGEST_IMPORT = 120.0  # seconds until a training must have begun
_LONGEST_SELF_TEST = 180.0  # seconds, torch's import included


class ExecutorLike(Interface):
    """What a worker needs of an executor."""

    slots: int  # how many trials it may be given at a time; they are numbered from 0

    def takes(self, slot: int, study: Study) -> bool: ...
    def start(self, slot: int, assignment: Assignment) -> None: ...
    def poll(self) -> Sequence[tuple[int, Record | Died]]: ...
    def stop(self, slot: int, *, save: bool = False) -> None: ...
    def terminate(self) -> None: ...
    def end(self, slot: int, grace: float) -> None: ...
    def abort(self, slot: int) -> str: ...
    def tail(self) -> str: ...


@dataclass
class OngoingSelfTest:
    """A self-test because of an attempt, whose result waits until it is clear whose fault it is."""

    attempt: Attempt
    result: Result
    until: float  # when the test must have ended
    answer: Result | None = None


@dataclass(eq=False)
class Slot:
    """Place for one trial in an executor."""

    place: int  # of the slot among the worker's
    executor: ExecutorLike
    number: int  # of the slot among the executor's
    device: str = ""  # that it trains on
    attempt: Attempt | None = None
    busy: bool = False  # the executor works, be it on an attempt that is not the worker's any more
    stop_by: float | None = None  # when an executor that was asked to stop is killed
    silence: float = 0.0  # seconds since something was heard of the training
    heard: float = 0.0  # when this was last looked at
    started: bool = False
    self_test: OngoingSelfTest | None = None

    @property
    def free(self) -> bool:
        return self.attempt is None and not self.busy and self.self_test is None

    @property
    def saves(self) -> bool:
        """A training that saves states goes on in it, and no self-test."""
        attempt = None if self.self_test else self.attempt
        return self.busy and attempt is not None and attempt.saves

    def start_self_test(self, attempt: Attempt, result: Result, folder: str, now: float) -> None:
        self.self_test = OngoingSelfTest(attempt, result, until=now + _LONGEST_SELF_TEST)
        test = attempt.assignment.replace(folder=folder, self_test=True)
        self.executor.start(self.number, test)
        self.busy = True

    def end(self, grace: float = 0.0) -> None:
        """Stop whatever the executor does for it."""
        self.executor.end(self.number, grace)
        self.busy, self.stop_by = False, None

    def put_down(self, result: Result, unsure_until: float = 0.0) -> None:
        """The attempt is over; its result is written when there is time, but not before that."""
        assert self.attempt is not None
        self.attempt.ended(result, unsure_until)
        self.attempt = None

    def release(self, why: str) -> None:
        """Give the attempt back, if there is one; its training has been stopped."""
        if self.attempt is not None:
            self.put_down(Result(outcome=Outcome.RELEASED, failure=Failure(message=why)))

    def give_back(self, why: str) -> None:
        """Stop the training of an attempt at once, and give it back."""
        if self.busy:
            self.end()
        self.release(why)

    def save(self, by: float) -> None:
        """Have the training save a last state and end, until then at the latest."""
        if self.stop_by is None:
            self.executor.stop(self.number, save=True)
            self.stop_by = by

    def evict(self, why: str) -> None:
        """Stop the training of an attempt that is not the worker's any more, and drop it (P7)."""
        assert self.attempt is not None
        self.attempt.study.drop(self.attempt, why)
        self.attempt = None
        if self.busy and self.self_test is None:  # which is about the host, and goes on
            self.executor.stop(self.number)
            self.stop_by = self.heard + _STOP_GRACE

    def hear(self, message: Record | Died) -> Result | None:
        """Take in what the executor says; the result, if the trial is over."""
        self.silence = 0.0
        match message:
            case TrainingStarted():
                self.started = True
                if self.attempt is not None:
                    self.attempt.began(message.code)
            case TrainingProgress() if self.attempt is not None:
                self.attempt.progressed(message)
            case Output() if self.attempt is not None:
                self.attempt.printed(message.text)
            case Report() if self.attempt is not None:
                self.attempt.report(message)
            case Saves() if self.attempt is not None:
                self.attempt.saves = True
            case Checkpoint() | Resumed() if self.attempt is not None:
                self.attempt.saved(message)
            case Result():
                return message
            case Died() if self.busy:
                return message.as_result()
        return None

    def check_time(self, now: float) -> Result | None:
        """Kill an executor that hangs, or does not stop; the result of what hung."""
        if self.stop_by is not None and now >= self.stop_by:
            self.end()
            if self.attempt is not None and self.self_test is None:
                # Nobody may want it to end any more, but it has.
                failure = Failure(message="it was to end, and had no state saved in time")
                return Result(outcome=Outcome.RELEASED, failure=failure)
        if self.self_test is not None:
            if not self.busy or now < self.self_test.until:
                return None
            self.end()
            message = f"the self-test did not end within {format_duration(_LONGEST_SELF_TEST)}"
            return Result(outcome=Outcome.TIMEOUT, failure=Failure(message=message))
        timeout = self.attempt.study.study.trial_timeout if self.attempt is not None else None
        # Importing torch over a network may take longer than a short trial.
        if timeout is None or self.silence < (
            timeout if self.started else max(timeout, _LONGEST_IMPORT)
        ):
            return None
        message = f"no report for {format_duration(timeout)} (trial_timeout): killed"
        failure = Failure(message=message, output=self.executor.abort(self.number))
        return Result(outcome=Outcome.TIMEOUT, failure=failure)


class Slots:
    """All slots of a worker's executors, and how many of them the devices' memory allows."""

    def __init__(
        self, executors: Sequence[ExecutorLike], devices: Sequence[str], limits: WorkerLimits
    ) -> None:
        self.started = 0  # trainings, so far
        self._executors = executors
        self._limits = limits
        self._now = 0.0
        self._slots: list[Slot] = []
        # First all first slots, so that a few trials keep all executors busy.
        for number in range(max(executor.slots for executor in executors)):
            for executor, device in zip(executors, devices, strict=True):
                if number < executor.slots:
                    self._slots.append(Slot(len(self._slots), executor, number, device))
        self._slot_of = {(id(slot.executor), slot.number): slot for slot in self._slots}
        self._memory = MemoryLimit([slot.device for slot in self._slots])

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    @property
    def jobs(self) -> int:
        """How many trials are trained at a time, at most."""
        return min(self._memory.most, len(self._executors))

    @property
    def attempts(self) -> list[Attempt]:
        return [slot.attempt for slot in self._slots if slot.attempt is not None]

    def holding(self, study: OpenStudy) -> list[tuple[Slot, Attempt]]:
        """The slots that have an attempt of this study."""
        return [
            (slot, slot.attempt)
            for slot in self._slots
            if slot.attempt is not None and slot.attempt.study is study
        ]

    def testing(self, study: OpenStudy) -> list[Slot]:
        """The slots whose executor tests the host because of this study."""
        return [s for s in self._slots if s.self_test and s.self_test.attempt.study is study]

    def free_for(self, study: OpenStudy) -> Slot | None:
        """One that takes a trial of this study now, if there is one and memory and time for it."""
        if self.why_none(study):
            return None
        busy = self._busy()
        idle = (s for s in self._slots if s.free and self._memory.allows(s.place, busy))
        return next((s for s in idle if s.executor.takes(s.number, study.study)), None)

    def why_none(self, study: OpenStudy) -> str:
        """Why the worker's limits keep it from another trial of this study; "" if they do not."""
        if self._limits.are_none:  # asked several times a trial
            return ""
        return self._limits.why_none(study.study.id, len(self.attempts), self._now)

    def _busy(self) -> list[int]:
        return [slot.place for slot in self._slots if not slot.free]

    def listen(self, now: float) -> Iterator[tuple[Slot, Record | Died]]:
        """What the executors say. Needs no share, so training never waits for it."""
        self._now = now
        for slot in self._slots:
            # Counted like a watcher's silence: the time in which the worker did not look is not
            # the training's. A share that hangs may have kept it for minutes.
            slot.silence += min(now - slot.heard, 1.0)
            slot.heard = now
        for executor in self._executors:
            for number, message in executor.poll():
                yield self._slot_of[id(executor), number], message

    def start(self, slot: Slot, attempt: Attempt, now: float) -> None:
        self.started += 1
        self._memory.began(slot.place, self._busy())
        slot.executor.start(slot.number, attempt.assignment)
        attempt.since = now
        slot.attempt, slot.busy, slot.started = attempt, True, False
        slot.silence, slot.heard = 0.0, now

    def ended(self, slot: Slot, result: Result, *, killed: bool) -> MemoryShortage | None:
        """A slot's trial is over; whether memory was short because of the others."""
        slot.busy, slot.stop_by = False, None
        others = [place for place in self._busy() if place != slot.place]
        attempt, trial = slot.attempt, None
        if attempt is not None:
            trial = (attempt.study.study.id, attempt.name.purpose, attempt.name.trial)
        return self._memory.ended(slot.place, others, result.outcome, trial, killed=killed)

    def forget(self, study: OpenStudy, why: str) -> None:
        """Drop all that is held of a study."""
        self.end_self_tests(study)
        for slot, _ in self.holding(study):
            slot.evict(why)
        for attempt in list(study.ended):
            study.drop(attempt, why)

    def end_self_tests(self, study: OpenStudy) -> None:
        for slot in self.testing(study):
            slot.end()
            slot.self_test = None

    def save_all(self) -> bool:
        """Ask each training that saves states to save one more, and end; whether there are any."""
        saving = [slot for slot in self._slots if slot.saves]
        for slot in saving:
            slot.executor.stop(slot.number, save=True)
        return bool(saving)

    @property
    def is_saving(self) -> bool:
        """Whether any of those has not ended yet."""
        return any(slot.saves for slot in self._slots)

    def end_all(self, grace: float, monotonic: Callable[[], float]) -> None:
        """Stop everything; all of them have the same seconds to clean up."""
        for executor in self._executors:
            executor.terminate()
        until = monotonic() + grace
        for slot in self._slots:
            slot.end(grace=max(0.0, until - monotonic()))
            slot.self_test = None
