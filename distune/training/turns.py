"""Several short trials at a time for one training process, which trains one after the other:
handing over each of them takes longer than training it.
"""

import math
import time
from collections.abc import Callable, Sequence

from distune.study.study import Study
from distune.study.trial import FAILURES, Failure, Outcome, Record, Result
from distune.training.growth import Growth
from distune.training.messages import LONG_TURN, WAITED, Assignment, Died, Ready, Spent
from distune.training.process import ExecutorProcess

#: Seconds, about, that a trial which is claimed may wait for those before it.
_ROW_LASTS = 0.02


def _released(why: str) -> Result:
    return Result(outcome=Outcome.RELEASED, failure=Failure(message=why))


_RENEWED = _released("it waited for a new training process; it can be tried elsewhere now")


class TrialsInTurn:
    """`TrialsInTurn(process)` is an executor for a worker, with as many slots as `slots` says.

    Where trials are short, the process is given several in a row, and takes no more until the
    last of them is over. An attempt that is not a trial's first is trained alone. The death of a
    process that had several is no trial's in particular: all are given back, to be tried alone.
    What waits for a trial that fails or takes long is given back too: a slot may be free elsewhere.

    Args:
        wake: called when `poll` should be called soon.
        slots: how many short trials it takes at a time; eight are what eight workers need for a
            thousand trials a second (`scripts/bench_coordination.py speed`).
    """

    def __init__(
        self,
        process: ExecutorProcess,
        wake: Callable[[], None] = lambda: None,
        slots: int = 8,
        monotonic: Callable[[], float] = time.monotonic,
        growth: Growth | None = None,
    ) -> None:
        self.slots = slots
        self._growth = growth
        self._process = process
        self._wake = wake
        self._monotonic = monotonic
        self._waiting: dict[int, Assignment] = {}  # by slot
        self._row: dict[int, Assignment] = {}  # what the process has, and is not over
        self._length = 0  # of the row when it began
        self._began = 0.0
        self._ended_well = 0  # of the row
        self._spent = False  # the process is renewed when it is free
        self._seconds: dict[str, float] = {}  # that each of a study's last trials took
        self._said: list[tuple[int, Record | Died]] = []

    def takes(self, slot: int, study: Study) -> bool:
        """Whether the process would train a trial of this study soon, given to this slot."""
        return not (self._row or self._said) and slot < self._longest_row(study.id)

    def _longest_row(self, study: str) -> int:
        seconds = max(self._seconds.get(study, math.inf), 1e-6)
        return max(1, min(self.slots, int(_ROW_LASTS / seconds)))

    def start(self, slot: int, assignment: Assignment) -> None:
        assert assignment.study is not None
        if assignment.self_test:  # alone, and at once; the trials that are trained are given back
            if any(not one.self_test for one in self._row.values()):
                self._process.end(grace=0.0)
                self._process_ended()
            self._waiting = {slot: assignment.replace(slot=slot), **self._waiting}
            self._feed()
            return
        self._waiting[slot] = assignment.replace(slot=slot)
        others = (other for other in range(self.slots) if other not in self._waiting)
        if any(self.takes(other, assignment.study) for other in others):
            self._wake()  # with the next look the worker has claimed what there was
        else:
            self._feed()

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        for slot, message in self._process.poll():
            self._hear(slot, message)
        if self._row and self._monotonic() - self._began >= LONG_TURN:
            self._give_back_waiting(WAITED)
        self._feed()
        said, self._said = self._said, []
        return said

    def stop(self, slot: int, *, save: bool = False) -> None:
        if slot in self._row:
            self._process.stop(slot, save=save)
        elif self._waiting.pop(slot, None):
            self._give_back(slot, "stopped by the master")

    def terminate(self) -> None:
        self._process.terminate()

    def tail(self) -> str:
        return self._process.tail()

    def end(self, slot: int, grace: float) -> None:
        """End what this slot was given; with the process, if that has it already."""
        self._waiting.pop(slot, None)
        if self._row.pop(slot, None):
            self._process.end(grace)
            self._process_ended()
        self._said = [one for one in self._said if one[0] != slot]

    def abort(self, slot: int) -> str:
        """End a trial that hangs; what it printed last, with the stack it hangs in."""
        printed = self._process.abort() if slot in self._row else ""
        self.end(slot, grace=0.0)
        return printed

    def _feed(self) -> None:
        """Give the process its next row, if it is free and there is one."""
        if self._row or not self._waiting:
            return
        first = next(iter(self._waiting.values()))
        alike = [
            slot
            for slot, one in self._waiting.items()
            if not first.self_test
            and one.study is first.study
            and one.trial.attempt == first.trial.attempt == 1
        ]
        slots = alike[: self._longest_row(first.trial.study)] or [first.slot]
        self._row = {slot: self._waiting.pop(slot) for slot in slots}
        self._length, self._began, self._ended_well = len(slots), self._monotonic(), 0
        self._process.start(*self._row.values())

    def _hear(self, slot: int, message: Record | Died) -> None:
        if isinstance(message, Died):
            self._died(message)
        elif isinstance(message, Spent):
            self._spent = True
        elif slot in self._row:
            if isinstance(message, Result):
                message = self._ended(slot, message)
            self._said.append((slot, message))
        # What waits does so for a process that works, and does not hang.
        self._said += [(slot, Ready()) for slot in self._waiting]

    def _ended(self, slot: int, result: Result) -> Result:
        ended = self._row.pop(slot)
        failed = result.outcome in FAILURES
        # Output of this trial, until the next row begins: before the worker asks for it.
        if failed and result.failure is not None and not result.failure.output:
            failure = result.failure.replace(output=self._process.tail())
            result = result.replace(failure=failure)
        if self._spent or (not self._row and self._has_outgrown()):
            self._process.renew()
            self._process_ended()
            self._give_back_waiting(_RENEWED)
        elif failed:  # the process has dropped the others
            self._waiting, self._row = {**self._row, **self._waiting}, {}
        else:
            self._ended_well += result.outcome is not Outcome.RELEASED
            if not self._row and self._ended_well and not ended.self_test:
                seconds = self._monotonic() - self._began
                self._seconds[ended.trial.study] = seconds / self._ended_well
        return result

    def _has_outgrown(self) -> bool:
        if self._growth is None or self._process.pid is None:
            return False
        return self._growth.is_too_much(self._process.pid)

    def _died(self, died: Died) -> None:
        if self._length == 1:
            self._said += [(slot, died) for slot in self._row]
            self._row = {}
        self._process_ended(f"the training process {died.reason}")

    def _process_ended(self, why: str = "its training process was ended") -> None:
        """Give back what it had; whatever was wrong, the next trials are trained alone at first."""
        why += f" (one of {self._length} trained in turn; it is tried again alone)"
        for slot in self._row:
            self._give_back(slot, why)
        self._row = {}
        self._seconds.clear()
        self._spent = False

    def _give_back_waiting(self, result: Result) -> None:
        for slot in [slot for slot, one in self._waiting.items() if not one.self_test]:
            del self._waiting[slot]
            self._said.append((slot, result))

    def _give_back(self, slot: int, why: str) -> None:
        self._said.append((slot, _released(why[:500])))
