"""An executor without a process, for tests of what a worker does with one."""

from __future__ import annotations

from collections.abc import Sequence

from distune.study.study import Study
from distune.study.trial import Outcome, Record, Result, Trial
from distune.training.messages import Assignment, Died, SelfTest, TrainingStarted


class FakeExecutor:
    """It has one slot, begins what it is given, and says what the test tells it to."""

    slots = 1

    def __init__(self) -> None:
        self.trials: list[Trial] = []
        self.self_tests = self.stops = self.ends = self.aborted = 0
        self.says: list[Record | Died] = []

    def takes(self, slot: int, study: Study) -> bool:
        return True

    def start(self, slot: int, assignment: Assignment) -> None:
        self.trials.append(assignment.trial)
        self.says.append(TrainingStarted())

    def self_test(self, slot: int, test: SelfTest) -> None:
        self.self_tests += 1

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        said, self.says = self.says, []
        return [(0, message) for message in said]

    def stop(self, slot: int) -> None:
        self.stops += 1
        self.says = [Result(outcome=Outcome.RELEASED)]

    def terminate(self) -> None: ...

    def end(self, slot: int, grace: float) -> None:
        self.ends += 1

    def abort(self, slot: int) -> str:
        self.aborted += 1
        return "Current thread: in train.py"

    def tail(self) -> str:
        return "the last words"
