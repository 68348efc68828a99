"""Executors without a process: one that says what a test tells it to, and one that trains in
simulated time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from distune.study.study import Study
from distune.study.trial import (
    FAILURES,
    Checkpoint,
    Failure,
    Outcome,
    Params,
    Record,
    Report,
    Result,
    Resumed,
    Trial,
)
from distune.training.checkpoints import Loaded
from distune.training.context import Stopped, TrialContext
from distune.training.messages import Assignment, Died, Saves, Spent, TrainingStarted
from distune.training.objective import drive
from tests.memory_folder import Crash
from tests.simulated_training import SimulatedCheckpoints, steps_of, training


class FakeExecutor:
    """It has one slot, begins what it is given, and says what the test tells it to."""

    slots = 1

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.self_tests = self.stops = self.ends = self.aborted = 0
        self.says: list[Record | Died] = []
        self.saved: list[Record | Died] = []  # what it says when it is asked to save, and end

    def takes(self, slot: int, study: Study) -> bool:
        return True

    def start(self, slot: int, assignment: Assignment) -> None:
        if assignment.self_test:
            self.self_tests += 1
            return
        self.trials.append(assignment.trial)
        self.says.append(TrainingStarted())

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        said, self.says = self.says, []
        return [(0, message) for message in said]

    def stop(self, slot: int, *, save: bool = False) -> None:
        self.stops += 1
        self.says = [*self.saved] if save else [Result(outcome=Outcome.RELEASED)]

    def terminate(self) -> None: ...

    def end(self, slot: int, grace: float) -> None:
        self.ends += 1

    def abort(self, slot: int) -> str:
        self.aborted += 1
        return "Current thread: in train.py"

    def tail(self) -> str:
        return "the last words"


def objective(params: Params) -> float:
    """What a simulated training finds: a function of its params, so that a mix-up is seen."""
    x = params["x"]
    assert isinstance(x, float)
    return math.sin(12 * x) * (1 - x)


def value_of(study: Study, trial: Trial) -> float:
    """What a simulated training of this trial finds; where it is to be confirmed, with noise."""
    value = objective(trial.params)
    if study.confirm is None:
        return value
    return value + 0.2 * math.sin(trial.seed % 1000 + 1000 * value)


_SOUND = Result(outcome=Outcome.COMPLETE)
_BROKEN = Result(outcome=Outcome.FAILED, failure=Failure(message="the device is broken"))
_STOPPED = Result(outcome=Outcome.RELEASED)

#: Makes the checkpoints of an attempt, whose lines go where the argument says.
MakeCheckpoints = Callable[[Assignment, Callable[[Checkpoint], None]], SimulatedCheckpoints]


class SimulatedExecutor(FakeExecutor):
    """Trains in simulated time, step by step, by the product's own `drive`; saves states and goes
    on from them if it is given `checkpoints`. Sometimes it fails or dies.
    """

    def __init__(
        self,
        rng: random.Random,
        now: Callable[[], float],
        failing: float,
        longest: float,
        broken: bool = False,
        checkpoints: MakeCheckpoints | None = None,
        made: Callable[[Trial, int], None] = lambda trial, step: None,
        host_dies: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._rng = rng
        self._broken = broken
        self._now = now
        self._longest = longest
        self._failing = failing
        self._make_checkpoints = checkpoints
        self._made = made
        self._host_dies = host_dies
        self._due: list[tuple[float, Record | Died]] = []
        self._training: Iterator[Report | Result] | None = None
        self._context: TrialContext | None = None
        self._checkpoints: SimulatedCheckpoints | None = None
        self._step_takes = self._moment = 0.0
        self._next_step = self._next_write = self._dies = math.inf
        self._ends_when_saved = False

    def start(self, slot: int, assignment: Assignment) -> None:
        self._forget()
        if assignment.self_test:
            self._say_after((1.0, _BROKEN if self._broken else _SOUND))
            return
        self.trials.append(assignment.trial)
        if self._broken:
            failure = Failure(message="no kernel image is available")
            self._say_after((0.05, Result(outcome=Outcome.FAILED, failure=failure)))
        else:
            self._begin(assignment)

    def _begin(self, assignment: Assignment) -> None:
        study, trial, now = assignment.study, assignment.trial, self._now()
        assert study is not None
        self._say_after((0.0, TrainingStarted()))
        length = self._rng.uniform(0.1, self._longest)
        dies = self._rng.random() < self._failing
        self._dies = now + length * self._rng.random() if dies else math.inf
        self._step_takes = length / steps_of(trial.seed)
        self._next_step = self._moment = now  # what the first step says is said when it is over
        context = self._context = TrialContext(
            number=trial.number,
            attempt=trial.attempt,
            seed=trial.seed,
            device="cpu",
            folder="",
            checkpoint_every=study.checkpoint_every,
            rungs=trial.pauses_at,
            on_saving=lambda: self._say_after((0.0, Saves())),
            on_resumed=self._resumed,
            ends_when_saved=lambda: self._ends_when_saved,
            monotonic=lambda: self._moment,
        )
        if self._make_checkpoints is not None and study.checkpoint_every:
            self._checkpoints = self._make_checkpoints(
                assignment, lambda checkpoint: self._say_after((0.0, checkpoint))
            )
            context.checkpoints = self._checkpoints
        train = training(value_of(study, trial), study.metric, lambda step: self._made(trial, step))
        self._training = drive(train, study, trial, context, clock=lambda: self._moment)

    def _resumed(self, loaded: Loaded) -> None:
        self._say_after((0.0, Resumed(attempt=loaded.attempt, step=loaded.step)))
        self._say_after(*((0.0, report) for report in loaded.described.reports))

    def _forget(self) -> None:
        """End the training, if there is one."""
        if self._context is not None:
            self._context.close()
        self._training = self._context = self._checkpoints = None
        self._next_step = self._next_write = self._dies = math.inf
        self._ends_when_saved = False
        self._due = []

    def _say_after(self, *messages: tuple[float, Record | Died]) -> None:
        """Say these, each after so many seconds."""
        self._due += [(self._now() + seconds, message) for seconds, message in messages]

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        while self._training is not None:
            when = min(self._next_step, self._next_write, self._dies)
            if when > self._now():
                break
            # It may be long ago: a training goes on while its worker is frozen.
            self._moment = when
            if when == self._dies:
                self._forget()
                self._say_after((0.0, Died("was killed by SIGKILL", "")))
            elif when == self._next_write:
                self._write()
            else:
                self._go_on(self._training)
        self.says += [message for when, message in self._due if when <= self._now()]
        self._due = [(when, message) for when, message in self._due if when > self._now()]
        return super().poll()

    def _go_on(self, steps: Iterator[Report | Result]) -> None:
        try:
            message = next(steps)
        except Stopped:
            message = _STOPPED
        self._see_whether_alive()
        self._next_step += self._step_takes
        over = isinstance(message, Result)
        self._say_after((0.0 if over else self._next_step - self._now(), message))
        if over:
            said = self._due
            self._forget()
            self._due = said
        elif self._checkpoints is not None and self._checkpoints.to_be_written:
            self._next_write = min(self._next_write, self._moment + self._rng.random() / 2)

    def _write(self) -> None:
        assert self._checkpoints is not None
        self._next_write = math.inf
        with suppress(Stopped):
            self._checkpoints.write_now()
        self._see_whether_alive()

    def _see_whether_alive(self) -> None:
        by_itself = self._checkpoints is not None and self._checkpoints.files.crashed
        if by_itself or self._host_dies():
            raise Crash

    def stop(self, slot: int, *, save: bool = False) -> None:
        if save and self._training is not None:
            self._ends_when_saved = True
        else:
            self._forget()
            self._say_after((0.5, _STOPPED))

    def abort(self, slot: int) -> str:
        self._forget()
        return ""

    def terminate(self) -> None:
        self._forget()

    def end(self, slot: int, grace: float) -> None:
        self._forget()


_RELEASED = Result(outcome=Outcome.RELEASED, failure=Failure(message="it waited for another"))


class SimulatedProcess:
    """Trains several trials in turn, each as an executor would, and dies with one of them."""

    def __init__(self, make: Callable[[], SimulatedExecutor], rng: random.Random) -> None:
        self._make = make
        self._rng = rng
        self._slot = 0
        self._trains: SimulatedExecutor | None = None  # in that slot
        self._turns: list[Assignment] = []  # that have not come
        self._said: list[tuple[int, Record | Died]] = []

    def start(self, *assignments: Assignment) -> None:
        self._turns = list(assignments)
        self._next_turn()

    def _next_turn(self) -> None:
        if self._turns:
            assignment = self._turns.pop(0)
            self._slot, self._trains = assignment.slot, self._make()
            self._trains.start(0, assignment)

    def poll(self) -> list[tuple[int, Record | Died]]:
        said, self._said = self._said, []
        if self._trains is None:
            return said
        said += [(self._slot, message) for _, message in self._trains.poll()]
        results = [one for _, one in said if isinstance(one, Result) and one is not _RELEASED]
        if any(one.outcome in FAILURES for one in results):
            said.insert(0, (self._slot, Spent()))
        if any(isinstance(one, Died) for _, one in said):
            self.terminate()
        elif self._rng.random() < 0.02:  # the one that is trained takes long
            said += [(one.slot, _RELEASED) for one in self._turns]
            self._turns = []
        elif any(one.outcome in FAILURES for one in results):
            self._turns = []
        elif results:
            self._next_turn()
        return said

    def stop(self, slot: int, *, save: bool = False) -> None:
        if slot == self._slot and self._trains is not None:
            self._trains.stop(0, save=save)
        else:
            self._said.append((slot, _RELEASED))
            self._turns = [one for one in self._turns if one.slot != slot]

    def abort(self) -> str:
        self.terminate()
        return ""

    def terminate(self) -> None:
        self._trains, self._turns, self._said = None, [], []

    def end(self, grace: float) -> None:
        del grace
        self.terminate()

    def renew(self) -> None:
        self.terminate()

    def tail(self) -> str:
        return ""
