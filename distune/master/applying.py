"""Doing what the planner has decided."""

from collections.abc import Sequence
from dataclasses import dataclass

from distune.errors import BadRecord
from distune.export.leaderboard import best_space, leaderboard_csv
from distune.master import actions
from distune.master.actions import is_new
from distune.master.asked import Remembered
from distune.master.checking import Checking
from distune.master.counting import Counting
from distune.master.keeping import Keeping
from distune.share import protocol, records
from distune.share.heartbeat import Finished
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.study.trial import Checkpoint, Trial
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot

_PUBLISH_TOGETHER = 16  # trials


@dataclass(eq=False)
class Applying:
    """`Applying(...).apply(plan, snapshot)`: each may be done again, by another master, too."""

    _store: Store
    _observer: Observer
    _asked: Remembered
    _counting: Counting
    _checking: Checking
    _keeping: Keeping
    finished: Finished | None = None  # how the study ended, when it has
    _elapsed: float = 0.0

    def __post_init__(self) -> None:
        over = self._store.is_finished()
        #: Trials without a file, because the end came before a worker had claimed them.
        self._withdrawn = self._observer.expected.unseen if over else frozenset()

    def apply(self, plan: Sequence[actions.Action], snapshot: Snapshot) -> None:
        """Do all of it; what was asked is on the disk before anything is published.

        Raises:
            ShareError: the share did not answer; what was not done is planned again.
        """
        self._elapsed = snapshot.elapsed
        if not self._asked.add([one.asked for one in plan if isinstance(one, actions.Ask)]):
            return  # another master was faster: the next look plans with what that has asked for
        done = {one.name: one.stop for one in plan if isinstance(one, actions.Count)}
        self._counting.count(done, snapshot)
        # Workers wait for new trials, and for nothing else of this.
        self._publish_all([one.trial for one in plan if is_new(one)])
        for action in plan:
            if not is_new(action):
                self._apply(action)
        self._store.sync()

    def _apply(self, action: actions.Action) -> None:
        match action:
            case actions.Ask() | actions.Count():
                pass  # all of them together, before
            case actions.Publish(trial):
                self._publish(trial)
            case actions.Replace(trial):
                self._replace(trial)
            case actions.CountUnreadable(name, trial, why):
                self._counting.count_unreadable(name, trial, why, self._elapsed)
                self._store.quarantine(name.filename, why)
            case actions.Lose(name):
                self._store.lose(name, Actor.MASTER)
            case actions.Promote(name, trial):
                # The rename decides: what another master has moved, it has decided about.
                if self._store.lose(name, Actor.MASTER):
                    self._publish(trial)
                    # At once: a listing that hides the successor must not have it made again.
                    self._store.put_away(name.moved(State.LOST, Actor.MASTER))
            case actions.Prune(name, stop):
                self._counting.prune(name, stop)
            case actions.Withdraw(name):
                self._store.withdraw(name)
            case actions.PutAway(name):
                self._store.put_away(name)
            case actions.Quarantine(filename, why):
                self._store.quarantine(filename, why)
            case actions.RemoveHeartbeat(worker):
                self._store.remove_beat(worker)
            case actions.Finish():
                self._finish(action)

    # -- publishing ------------------------------------------------------------------------

    def _publish(self, trial: Trial) -> None:
        # A successor may be under way already, renamed while we listed: look once more
        # before making a second file of one attempt.
        if trial.attempt > 1 and self._is_under_way(trial):
            return
        self._publish_all([trial])

    def _publish_all(self, trials: Sequence[Trial]) -> None:
        for start in range(0, len(trials), _PUBLISH_TOGETHER):
            some = trials[start : start + _PUBLISH_TOGETHER]
            self._store.publish_all(
                some, lambda trial: self._observer.expected.expect(trial.key, trial.attempt)
            )

    def _is_under_way(self, trial: Trial) -> bool:
        self._store.folder.poke(protocol.TRIALS)
        return any(
            (name.key, name.attempt) == (trial.key, trial.attempt)
            for name in self._store.listing().attempts
        )

    def _replace(self, trial: Trial) -> None:
        """Publish a trial again whose file is nowhere in `trials/`, unless `seen/` has it. It may
        only be hidden, so the new one gets a name that no attempt can have had: a rename proves
        its own success only while names are unique.
        """
        attempt, key, given_up = 0, trial.key, None
        for name in self._store.seen_of(trial.number):
            if name.purpose is not trial.purpose:
                continue
            if name.attempt > attempt:
                attempt, given_up = name.attempt, name
            if name.state is State.SEEN:
                self._counting.count_seen(key, self._elapsed)
                return
        if key not in self._withdrawn:
            attempt = max(attempt + 1, self._observer.expected.last_attempt(key))
        left = self._left_by(given_up) if given_up is not None else []
        again = trial.replace(attempt=attempt + 1, checkpoints=left)
        self._store.folder.poke(protocol.TRIALS)
        # Twice: one listing may hide what a worker renames meanwhile.
        if any(n.key == key for _ in range(2) for n in self._store.listing().attempts):
            return
        self._publish_all([again])
        if attempt:
            self._observer.add_event(
                "trouble", f"trial {trial.number}: its file was gone; published again"
            )

    def _left_by(self, name: AttemptName) -> list[Checkpoint]:
        """What an attempt in `seen/` that was given up has left to go on from (P12)."""
        try:
            file = self._store.read_attempt(name, seen=True)
        except (FileNotFoundError, BadRecord):
            return []
        return file.checkpoints_for_the_next(failed=file.failed)

    def _finish(self, action: actions.Finish) -> None:
        # The listing that said so may have been an old one.
        self._store.folder.poke(protocol.TRIALS)
        listing = self._store.listing()
        attempts = listing.attempts
        wished = listing.is_wanted and not action.stopped
        stays = {State.WAITING, *([State.PAUSED] if action.stopped else [])}
        if wished or any(name.state not in stays for name in attempts):
            return
        if self._asked.hears_of_more():
            return  # of another master, that a person wants, maybe
        # What waits is one more attempt at what has been counted, seen only now.
        for name in attempts if not action.stopped else ():
            self._store.withdraw(name)
        history = self._observer.history
        known = len(history)
        # What another master has counted may have another winner, whose test is to come.
        if not self._checking.go_on() or len(history) > known:
            return
        self._store.write_document(protocol.LEADERBOARD, leaderboard_csv(history).encode())
        winner, direction = history.winner(), history.study.direction
        self._store.keep_weights(winner.best_tested(direction) if winner is not None else None)
        best = best_space(history)
        if best is not None:
            self._store.write_document(protocol.BEST, best.encode())
        finished = Finished(
            study=self._observer.study.id,
            reason=action.reason,
            failed=action.failed,
            stopped=action.stopped,
            trials=len(history),
            elapsed=self._elapsed,
        )
        self._keeping.clear()
        self._store.write_document(protocol.FINISHED, records.encode_document(finished))
        self.finished = finished
