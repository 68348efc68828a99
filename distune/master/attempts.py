"""What the master does about the attempts that it sees: which of them are counted, which are lost,
and what comes after them. Pure.
"""

from collections.abc import Iterator

from msgspec import UNSET

from distune.master.actions import (
    Action,
    Count,
    CountUnreadable,
    Lose,
    Prune,
    Publish,
    PutAway,
    Quarantine,
)
from distune.master.resting import Resting
from distune.search.asked import AskedSoFar, trial_of
from distune.search.judge import Judge
from distune.share.protocol import LIVE, AttemptName, State
from distune.study.trial import FAILURES, Counted, Outcome, Purpose, Trial
from distune.watch.snapshot import Snapshot

#: A trial that is in none of so many successive listings has lost its file.
LISTINGS_TO_VANISH = 3
_MOST_UNREADABLE = 10  # attempts at a trial, after which it has failed


class Attempts:
    """The attempts of one look, each to be asked about once."""

    def __init__(
        self, snapshot: Snapshot, asked: AskedSoFar, judge: Judge, resting: Resting
    ) -> None:
        self._snapshot = snapshot
        self._study = snapshot.study
        self._asked = asked
        self._judge = judge
        self._resting = resting
        #: The highest attempt that may still succeed, for each trial that has one.
        self.live = {
            name.key: name.attempt
            for name in sorted(snapshot.attempts)
            if name.state in LIVE and name not in snapshot.bad
        }
        self._settled_now: set[tuple[Purpose, int]] = set()

    def over(self, name: AttemptName) -> Iterator[Action]:
        counted = self._snapshot.history.get(name.key)
        if name in self._snapshot.bad:
            yield from self._unreadable(name)
        elif name not in self._snapshot.files:
            return  # it moved on while we looked
        elif name.key in self._settled_now or (
            counted is not None and not _same_attempt(counted, name)
        ):
            yield Lose(name)  # two masters raced: its trial has been counted already
        elif counted is None and name.state is State.DONE and self._is_tried_again(name):
            yield Lose(name)
        else:
            self._settled_now.add(name.key)
            yield Count(name)

    def _is_tried_again(self, name: AttemptName) -> bool:
        trial, result = self._snapshot.files[name].trial, self._snapshot.files[name].result
        if result is None or result.outcome not in FAILURES or result.infeasible:
            return False
        return trial.failures + 1 < self._study.max_attempts

    def _unreadable(self, name: AttemptName) -> Iterator[Action]:
        # It says no more how often it has failed. An objective whose results cannot be read
        # must not be trained for ever.
        its_own = name.key not in self.live  # not a stray file beside the trial's own
        if its_own and name.attempt >= _MOST_UNREADABLE and name.purpose is Purpose.TRAIN:
            trial = self.known_trial(name.trial)
            known = self._snapshot.history.get(name.key) is not None
            if trial is not None and not known and name.key not in self._settled_now:
                self._settled_now.add(name.key)
                again = trial.replace(attempt=name.attempt)
                yield CountUnreadable(name, again, self._snapshot.bad[name])
                return
        yield from self._set_aside(name)

    def _set_aside(self, name: AttemptName) -> Iterator[Action]:
        successor = self.successor(name)
        if successor is not None:
            yield Publish(successor)
        yield Quarantine(name.filename, self._snapshot.bad[name])

    def lost(self, name: AttemptName) -> Iterator[Action]:
        # The successor comes first: a crash in between leaves this file to do it again.
        if name in self._snapshot.bad:
            yield from self._set_aside(name)
            return
        if name not in self._snapshot.files:
            return
        successor = self.successor(name)
        if successor is not None:
            yield Publish(successor)
        yield PutAway(name)

    def paused(self, name: AttemptName) -> Iterator[Action]:
        if name in self._snapshot.bad:
            yield from self._unreadable(name)
        elif name in self._snapshot.files:
            over = self._snapshot.history.has(name.key) or name.key in self._settled_now
            # Two masters: another attempt has won, or is under way.
            if over or self.live[name.key] > name.attempt or name.purpose is Purpose.TEST:
                yield Lose(name)
            else:
                self._resting.names.append(name)

    def successor(self, name: AttemptName, *, promoted: bool = False) -> Trial | None:
        """The next attempt at the same trial, unless it is counted or already under way."""
        if self._snapshot.history.get(name.key) is not None or name.key in self._settled_now:
            return None
        if self.live.get(name.key, 0) > name.attempt:
            return None
        if name in self._snapshot.bad and name.key in self.live:
            return None  # a stranger's file beside the trial's own
        file = self._snapshot.files.get(name)
        if file is None:
            if name.purpose is Purpose.TEST:
                return None  # published anew when the study ends
            trial = self.known_trial(name.trial)
            return None if trial is None else trial.replace(attempt=name.attempt + 1)
        failed, paused = file.failed, file.result and file.result.outcome is Outcome.PAUSED
        trial = self._judge.goes_on(file, promoted=promoted) if paused else file.trial
        return trial.replace(
            attempt=name.attempt + 1,
            failed_on=[*file.trial.failed_on, *([name.worker] if failed else [])],
            checkpoints=file.checkpoints_for_the_next(failed=failed),
            wasted=(trial.wasted_seconds + file.wasted) or UNSET,
        )

    def taken_in_vain(self) -> Iterator[Action]:
        silence = {view.worker: view.silence for view in self._snapshot.workers}
        for name in self._snapshot.in_state(State.TAKEN):
            counted = self._snapshot.history.get(name.key)
            if counted is not None and _same_attempt(counted, name):
                yield Prune(name)  # a power cut has undone the rename, but not the count
            elif counted is not None or silence.get(name.worker, 0.0) >= self._study.lease:
                yield Lose(name)

    def known_trial(self, number: int) -> Trial | None:
        """A trial of a configuration that was asked for before."""
        asked = self._asked.of(number)
        if asked is None:
            return None
        return self._judge.begun(trial_of(self._study, asked, number))


def _same_attempt(counted: Counted, name: AttemptName) -> bool:
    return (counted.trial.attempt, counted.worker) == (name.attempt, name.worker)
