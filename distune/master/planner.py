"""The master's mind: a snapshot in, actions out. Pure: no file, no clock, no randomness."""

import itertools
from collections.abc import Iterator

from distune.master.actions import Action, Ask, Prune, Quarantine, RemoveHeartbeat, Replace
from distune.master.attempts import LISTINGS_TO_VANISH, Attempts
from distune.master.ending import Ending
from distune.master.publishing import Publishing
from distune.master.resting import Resting
from distune.search.asked import AskedSoFar
from distune.search.judge import Judge
from distune.search.sampler import Nothing, Sampler
from distune.share.protocol import Halt, State
from distune.study.trial import Purpose
from distune.watch.snapshot import Snapshot

_SHOW_LOST_FOR = 10  # leases
_SHOW_GIVEN_UP_FOR = 86400.0  # seconds
_MOST_SET_ASIDE = 200  # at a step: a flood of garbage must not hold up the trials


def plan(
    snapshot: Snapshot, asked: AskedSoFar, sampler: Sampler, judge: Judge | None = None
) -> list[Action]:
    """What the master has to do about what it sees, in the order to do it in. The sampler is asked
    once for each configuration that was not asked for before; without a judge no training is
    stopped before its end.
    """
    found = _Plan(snapshot, asked, sampler, judge or Judge(snapshot.study))
    actions = list(found.actions())
    return [*map(Ask, found.publishing.new), *actions]


class _Plan:
    def __init__(
        self, snapshot: Snapshot, asked: AskedSoFar, sampler: Sampler, judge: Judge
    ) -> None:
        self._snapshot = snapshot
        self._asked = asked
        self._judge = judge
        winner = snapshot.history.target_reached(snapshot.limits.target)
        self._limit = snapshot.limits.trials if winner is None else 0
        self._resting = Resting(snapshot, judge)
        self._attempts = Attempts(snapshot, asked, judge, self._resting)
        self.publishing = Publishing(
            snapshot, asked, sampler, judge, self._resting, self._attempts, self._limit
        )
        self._ending = Ending(snapshot, asked, self._attempts, self.publishing, winner, self._limit)

    def actions(self) -> Iterator[Action]:
        strangers = self._snapshot.strangers.items()
        for stranger, why in itertools.islice(strangers, _MOST_SET_ASIDE):
            yield Quarantine(stranger, why)
        for name in self._snapshot.in_state(State.DONE, State.PRUNED):
            yield from self._attempts.over(name)
        paused = self._snapshot.in_state(State.PAUSED)
        in_vain = [action for name in paused for action in self._attempts.paused(name)]
        self._resting.look()
        for name in self._snapshot.in_state(State.LOST):
            yield from self._attempts.lost(name)
        yield from in_vain
        yield from self._attempts.taken_in_vain()
        yield from _not_worth_it(self._snapshot, self._judge)
        yield from self._long_silent()
        if self._snapshot.halt is Halt.PAUSE:
            return  # the end has to wait, too: it may want the winner to be tested
        ending = self._ending.why()
        if ending is None:
            going_on = [*self._vanished(), *self.publishing.new_trials()]
            yield from going_on
            looks_on = self.publishing.nothing is Nothing.STILL_LOOKING
            if not (going_on or looks_on) and self._resting.are_all(self._asked, self._limit):
                # A search ends with trainings that went all the way, if anything did.
                yield from [*self.publishing.promotions(last=True)] or self.publishing.give_up()
        else:
            yield from self._ending.see_to(ending)

    def _long_silent(self) -> Iterator[Action]:
        """Heartbeats of the dead: each poll reads every one, so they must not pile up (P11)."""
        held = [name for name in self._snapshot.attempts if name.state is not State.PAUSED]
        holders = {name.worker for name in held}
        for view in self._snapshot.workers:
            patience = _SHOW_LOST_FOR * self._snapshot.study.lease
            if view.beat is not None and view.beat.state == "gave up":
                patience = max(patience, _SHOW_GIVEN_UP_FOR)  # its reason wants to be read
            if view.silence >= patience and view.beat is not None and view.worker not in holders:
                yield RemoveHeartbeat(view.worker)

    def _vanished(self) -> Iterator[Action]:
        for (purpose, number), listings in sorted(self._snapshot.absent.items()):
            if not self._asked.wants(number, self._limit):
                continue  # or not any more
            if purpose is Purpose.TRAIN and listings >= LISTINGS_TO_VANISH:
                trial = self._attempts.known_trial(number)
                if trial is not None:
                    yield Replace(trial)


def _not_worth_it(snapshot: Snapshot, judge: Judge) -> Iterator[Action]:
    """Trainings that a pruner gives up; not what is taken in vain anyway."""
    silent = {one.worker for one in snapshot.workers if one.silence >= snapshot.study.lease}
    for name, stop in judge.verdicts(snapshot.history, snapshot.curves).items():
        if name.worker not in silent and snapshot.history.get(name.key) is None:
            yield Prune(name, stop)
