"""Executors without a process: one that says what a test tells it to, and one that trains in
simulated time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from distune.study.study import Study
from distune.study.trial import FAILURES, Failure, Outcome, Params, Record, Report, Result, Trial
from distune.training.messages import Assignment, Died, Spent, TrainingStarted


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


_SOUND = Result(outcome=Outcome.COMPLETE)
_BROKEN = Result(outcome=Outcome.FAILED, failure=Failure(message="the device is broken"))


class SimulatedExecutor(FakeExecutor):
    """Trains in simulated time; two reports, then a result. Sometimes it fails or dies."""

    def __init__(
        self,
        rng: random.Random,
        now: Callable[[], float],
        failing: float,
        longest: float,
        broken: bool = False,
    ) -> None:
        super().__init__()
        self._rng = rng
        self._broken = broken
        self._now = now
        self._longest = longest
        self._failing = failing
        self._due: list[tuple[float, Record | Died]] = []

    def start(self, slot: int, assignment: Assignment) -> None:
        if assignment.self_test:
            self._say_after((1.0, _BROKEN if self._broken else _SOUND))
            return
        self.trials.append(assignment.trial)
        value = objective(assignment.trial.params)
        assert assignment.study is not None
        metrics = {assignment.study.metric: value}
        length = self._rng.uniform(0.1, self._longest)
        if self._broken:
            failure = Failure(message="no kernel image is available")
            self._say_after((0.05, Result(outcome=Outcome.FAILED, failure=failure)))
        elif self._rng.random() < self._failing:
            self._say_after((length, Died("was killed by SIGKILL", "")))
        else:
            result = Result(outcome=Outcome.COMPLETE, value=value, metrics=metrics, seconds=length)
            self._say_after(
                (length / 3, Report(step=1, metrics={"y": -9.0}, seconds=length / 3)),
                (length / 2, Report(step=2, metrics=metrics, seconds=length / 2)),
                (length, result),
            )

    def _say_after(self, *messages: tuple[float, Record | Died]) -> None:
        """Say these, each after so many seconds, and nothing else."""
        self._due = [(self._now() + seconds, message) for seconds, message in messages]

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        self.says = [message for when, message in self._due if when <= self._now()]
        self._due = [(when, message) for when, message in self._due if when > self._now()]
        return super().poll()

    def stop(self, slot: int, *, save: bool = False) -> None:
        self._say_after((0.5, Result(outcome=Outcome.RELEASED)))

    def abort(self, slot: int) -> str:
        self._say_after()
        return ""

    def terminate(self) -> None:
        self._say_after()

    def end(self, slot: int, grace: float) -> None:
        self._say_after()


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
            self._trains.stop(0)
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
