"""One training process for several trials of a worker's, trained at once where they fit together,
and in turn where they are so short that handing over each of them would take longer.

To the worker each `Seat` is an executor of its own. The process is fed in rounds: what the
seats have been given when the process is free is sorted into groups; the groups are trained one
after the other, a group of several as a population or in turn; and no seat takes another trial
before the last of them is over. So a round begins with all seats free, and its trials, claimed in
one step of the worker, begin together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence

from distune.study.study import Study
from distune.study.trial import FAILURES, Failure, Outcome, Record, Result
from distune.training.messages import Assignment, Began, Check, Checked, Ready, Unbegun
from distune.training.processes import Died, ExecutorProcess
from distune.workloads.grouping import When, group_key, may_share

#: Seconds, about, that a trial which is claimed may wait for those before it.
_TURNS_LAST = 0.02


class SharedProcess:
    """`SharedProcess(process, 4, "always").seats` are four executors for a worker.

    A failure in a population is nobody's in particular: who is trained on is given back, and an
    attempt that is not a trial's first is always trained alone. If memory was short, one of them
    says so, and the worker makes room by one (see `Room`): once, because it happened once. So is
    the death of a process that trained several in turn: which of them it was is not known.

    Args:
        process: whose every message is heard here.
        seats: how many trials are taken for it at a time, to be trained at once.
        when: where it trains them at once.
        wake: called when `poll` should be called soon.
        in_turn: how many are taken at a time, at most, where they are short.
        monotonic: a clock that tells how long they take, in seconds.
    """

    def __init__(
        self,
        process: ExecutorProcess,
        seats: int,
        when: When,
        wake: Callable[[], None] = lambda: None,
        in_turn: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seats = [Seat(self, number) for number in range(max(seats, in_turn))]
        self._process = process
        self._population = seats
        self._in_turn = in_turn
        self._monotonic = monotonic
        self._when: When = when
        self._wake = wake
        self._waiting: dict[int, Assignment] = {}  # by seat
        self._group: list[Assignment] = []  # what is trained
        self._trained: list[int | None] = []  # by whom; None for what is over
        self._begun = False  # something was heard of the group
        self._at_once = False  # or in turn
        self._crowded = False  # it was out of memory, and the worker knows
        self._fed = 0.0  # when that was
        self._pace: dict[str, float] = {}  # seconds that a study's last trials took, each
        self._checking: int | None = None
        self._in_round = False
        self._says: dict[int, list[Record | Died]] = {
            number: [] for number in range(len(self.seats))
        }

    def serves(self, seat: int, study: Study) -> bool:
        """Whether this seat is for trials of this study, which are then trained at the same time
        as those of others: one is for all of them.
        """
        return seat == 0 or (seat < self._population and may_share(study, self._when))

    def takes(self, seat: int, study: Study) -> bool:
        """Whether a trial of this study could be trained soon, if this seat were given it."""
        idle = not self._in_round and self._checking is None
        return idle and (self.serves(seat, study) or seat < self._turns(study))

    def _turns(self, study: Study) -> int:
        """How many of its trials to train in turn."""
        pace = self._pace.get(study.id, math.inf)
        return max(1, min(self._in_turn, int(_TURNS_LAST / max(pace, 1e-6))))

    def start(self, seat: int, assignment: Assignment) -> None:
        assert assignment.study is not None
        self._says[seat].clear()
        self._waiting[seat] = assignment
        if not any(self.takes(one, assignment.study) for one in self._idle()):
            self._feed()
        else:
            self._wake()  # with the next look the worker has claimed what there was

    def _idle(self) -> Iterator[int]:
        return (seat for seat in range(len(self.seats)) if seat not in self._waiting)

    def check(self, seat: int, check: Check) -> None:
        """What is trained meanwhile has to wait, or to be done again."""
        if self._trained:
            self._process.end(grace=0.0)
            self._set_aside()
        self._in_round = True
        self._checking = seat
        self._process.check(check)

    def poll(self, seat: int) -> Sequence[Record | Died]:
        for member, message in self._process.poll_members():
            self._hear(member, message)
        said, self._says[seat] = self._says[seat], []
        self._feed()
        return said

    def stop(self, seat: int) -> None:
        if seat in self._waiting:
            del self._waiting[seat]
            self._says[seat].append(_given_back("stopped by the master"))
        elif seat in self._trained:
            self._process.stop(self._trained.index(seat))

    def end(self, seat: int, grace: float) -> None:
        """End what this seat has been given; the process, if that is trained now."""
        self._waiting.pop(seat, None)
        if seat in self._trained or self._checking == seat:
            self._process.end(grace)
            self._set_aside(but=seat)
        self._says[seat].clear()

    def abort(self, seat: int) -> str:
        if seat not in self._trained:
            self.end(seat, grace=0.0)
            return ""
        said = self._process.abort()
        self._set_aside(but=seat)
        self._says[seat].clear()
        return said

    def terminate(self) -> None:
        self._process.terminate()

    def tail(self) -> str:
        return self._process.tail()

    def _feed(self) -> None:
        """Give the process its next group, if it is free and there is one."""
        if self._trained or self._checking is not None:
            return
        if not self._waiting:
            # Until every seat has heard its result: they shall be free in one step.
            self._in_round = any(self._says.values())
            return
        self._in_round = True
        first = next(iter(self._waiting))
        key = self._key(self._waiting[first])
        if key is not None:
            alike = [seat for seat, one in self._waiting.items() if self._key(one) == key]
            seats = alike[: self._population]
        else:
            seats = self._in_turn_with(first)
        self._trained = [*seats]
        self._group = [self._waiting.pop(seat) for seat in seats]
        self._begun = self._crowded = False
        self._at_once = key is not None and len(seats) > 1
        self._fed = self._monotonic()
        if len(self._group) == 1:
            self._process.start(self._group[0])
        elif self._at_once:
            self._process.start_together(self._group)
        else:
            self._process.start_in_turn(self._group)

    @property
    def _in_a_row(self) -> bool:
        """Whether several are trained in turn."""
        return len(self._group) > 1 and not self._at_once

    def _in_turn_with(self, first: int) -> list[int]:
        """The seats whose trials are trained in turn, if that of the first one is."""
        assignment = self._waiting[first]
        if assignment.study is None or assignment.trial.attempt > 1:
            return [first]
        alike = [
            seat
            for seat, one in self._waiting.items()
            if one.study is assignment.study and one.trial.attempt == 1 and self._key(one) is None
        ]
        return alike[: self._turns(assignment.study)]

    def _key(self, assignment: Assignment) -> tuple[str, str] | None:
        """The same for what can be trained at once; None for what is trained alone."""
        study, trial = assignment.study, assignment.trial
        if self._population == 1 or study is None or trial.best is not None or trial.attempt > 1:
            return None
        key = group_key(study.objective, trial.params, self._when)
        return None if key is None else (study.id, key)

    def _hear(self, member: int, message: Record | Died) -> None:
        if isinstance(message, Died):
            self._died(message)
        elif isinstance(message, Checked):
            if self._checking is not None:
                self._says[self._checking].append(message)
                self._checking = None
        elif member < len(self._trained) and (seat := self._trained[member]) is not None:
            self._begun |= isinstance(message, Began)
            if isinstance(message, Unbegun):
                self._waiting[seat] = self._group[member]
                self._is_over(member)
            elif isinstance(message, Result):
                self._says[seat].append(self._blamed(message))
                self._is_over(member)
            else:
                self._says[seat].append(message)
        for seat in self._waiting:  # it waits for a process that works, and does not hang
            self._says[seat] = self._says[seat] or [Ready()]

    def _is_over(self, member: int) -> None:
        self._trained[member] = None
        if any(seat is not None for seat in self._trained):
            return
        self._trained = []
        seconds = self._monotonic() - self._fed
        self._pace[self._group[0].trial.study] = seconds / len(self._group)

    def _blamed(self, result: Result) -> Result:
        """What a member's result says about its trial."""
        if result.outcome not in FAILURES or result.failure is None:
            return result
        if not self._at_once:  # the next ones begin before the worker asks for what it printed
            output = result.failure.output or self._process.tail()
            return result.replace(failure=result.failure.replace(output=output))
        if result.outcome is Outcome.OUT_OF_MEMORY and not self._crowded:
            self._crowded = True
            return result
        return self._given_back(result.failure.message, result.failure)

    def _died(self, died: Died) -> None:
        if self._checking is not None:
            self._says[self._checking].append(died)
            self._checking = None
        for seat in self._trained:
            if seat is None:
                continue
            if len(self._group) == 1:
                said: Record | Died = died
            elif self._in_a_row:
                said = self._given_back(f"the training process {died.reason}")
            else:
                said = self._blamed(died.as_result())
            self._says[seat].append(said)
        self._forget_pace()
        self._trained = []

    def _forget_pace(self) -> None:
        """Whatever went wrong: the next trials of this study are trained alone at first."""
        for assignment in self._group[:1]:  # they are all of one study
            self._pace.pop(assignment.trial.study, None)

    def _given_back(self, why: str, failure: Failure | None = None) -> Result:
        how = "at once" if self._at_once else "in turn"
        return _given_back(
            f"{why} (one of {len(self._group)} trained {how}; it is tried again alone)", failure
        )

    def _set_aside(self, but: int | None = None) -> None:
        """The process was ended on behalf of a seat; the others' trials wait if they had not
        begun, and else are given back.
        """
        for seat, assignment in zip(self._trained, self._group, strict=False):
            if seat is None or seat == but:
                continue
            if self._begun or self._in_a_row:  # which may have been silent about that
                self._says[seat].append(_given_back("its training process was ended"))
            else:
                self._waiting[seat] = assignment
        self._forget_pace()
        self._trained, self._checking = [], None


class Seat:
    """What a worker takes for an executor; see `worker.ExecutorLike`."""

    def __init__(self, shared: SharedProcess, number: int) -> None:
        self._shared = shared
        self._number = number

    def serves(self, study: Study) -> bool:
        return self._shared.serves(self._number, study)

    def takes(self, study: Study) -> bool:
        return self._shared.takes(self._number, study)

    def start(self, assignment: Assignment) -> None:
        self._shared.start(self._number, assignment)

    def check(self, check: Check) -> None:
        self._shared.check(self._number, check)

    def poll(self) -> Sequence[Record | Died]:
        return self._shared.poll(self._number)

    def stop(self) -> None:
        self._shared.stop(self._number)

    def terminate(self) -> None:
        self._shared.terminate()

    def end(self, grace: float) -> None:
        self._shared.end(self._number, grace)

    def abort(self) -> str:
        return self._shared.abort(self._number)

    def tail(self) -> str:
        return self._shared.tail()


def _given_back(why: str, failure: Failure | None = None) -> Result:
    failure = (failure or Failure(message=why)).replace(message=why[:500], infeasible=False)
    return Result(outcome=Outcome.RELEASED, failure=failure)
