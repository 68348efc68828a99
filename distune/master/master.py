"""The master of a study: scan, plan, apply, again. All state is in the directory, so a
restart is the normal path (P4).
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeGuard

import filelock

from distune.errors import BadRecord, Forbidden, NotAFolder, ShareError, UserError
from distune.export.leaderboard import best_space, leaderboard_csv
from distune.master import planner
from distune.master.asked import Remembered
from distune.master.planner import (
    Ask,
    Bury,
    Count,
    Finish,
    Forfeit,
    GiveUp,
    Prune,
    Publish,
    Quarantine,
    Replace,
    Settle,
    Withdraw,
)
from distune.search.ranking import History
from distune.search.samplers.staged import make_sampler
from distune.share import protocol, records
from distune.share.heartbeat import Finished, MasterBeat
from distune.share.protocol import COUNTED, Actor, AttemptName, State
from distune.share.store import Listing, Store
from distune.study.study import Limits
from distune.study.trial import Counted, Failure, Outcome, Purpose, Result, Trial
from distune.watch.counting import count_attempt
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot

_PUBLISH_TOGETHER = 16  # trials
_AT_ONCE = 0.01  # seconds
_CHECK_EVERY = 4.0  # seconds between two looks at what only accidents change
_PATROL_FILES = 20  # of `seen/`, looked at in each patrol


@dataclass(frozen=True)
class Identity:
    """Who a master or worker is."""

    host: str
    pid: int


class Master:
    """Owns one study: `Master(store, limits, identity).step()` until `finished` is set.

    Args:
        store: of a study that has been created.
        limits: in force from now on, whatever they were before.
        identity: for whoever tries to be a second master.
        monotonic: its clock (P6).
        wall: a clock for people.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        identity: Identity,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.limits = limits
        self.identity = identity
        self.finished: Finished | None = None
        #: Seconds that masters have run this study, in sum.
        self.elapsed = 0.0
        #: Whether the last step changed anything: then the next should come soon.
        self.active = True
        #: Seconds in which workers will have claimed what waits for them, at the pace that they had
        #: between the last two looks; 0 if they had claimed all of it.
        self.lasts = math.inf
        self._left = 0  # how many waited after the last look
        self._monotonic = monotonic
        said: list[str] = []
        store.tell = said.append
        store.mend_folders()
        self.study = store.load()
        self._sampler = make_sampler(self.study)
        self._asked = Remembered(store, self.study)
        self._started = False
        self.observer = Observer(
            store, follows_history=False, refuse=self._refuse, monotonic=monotonic, wall=wall
        )
        store.tell = lambda line: self.observer.add_event("trouble", line)
        for line in said:
            store.tell(line)
        self._mend_history()
        before = store.read_master()
        self.elapsed = before.elapsed if before else _last_elapsed(self.observer)
        self._counter = before.counter if before else 0
        self._history_unsure = False  # an append failed: some of its lines may be there
        if before is not None and before.state == "running":
            self.observer.add_event(
                "trouble",
                f"the master before this one ({before.host}, pid {before.pid}) was killed or cut "
                f"off; going on from {len(self.observer.history)} counted trials",
            )
        # A trial that is hidden from one listing (an old cache, a rename nearby) must not be
        # taken for one that was never published.
        store.folder.poke(protocol.TRIALS)
        listings = [store.listing(), store.listing()]
        self._mend_asked(listings)
        for listing in listings:
            self.observer.expect_all(listing)
        #: Trials without a file, because the end came before anybody had claimed them.
        self._withdrawn = self.observer.expected.unseen if store.is_finished() else frozenset()
        self._last_step = monotonic()
        self._next_beat = self._next_patrol = self._next_check = self._last_step
        self._seen = store.inspect_seen()
        store.reopen()
        self._started = True

    def _mend_history(self) -> None:
        """Make the cache say what is known, now that `seen/` has been compared with it."""
        file, known = self.observer.history_file, self.observer.history.lines()
        file.distrust_tail()
        if file.problem is not None:
            file.mend(file.problem, known)
        else:
            file.append([records.encode(one) for one in self.observer.recovered], known)

    def _mend_asked(self, listings: Sequence[Listing]) -> None:
        """See that everything is known that was asked for: lines may be lost, trials tell of it."""
        history = self.observer.history
        asked = self._asked.so_far
        if asked.next_trial <= history.highest or asked.has_gaps():
            self._asked.recover(counted.trial for counted in history.trials)
        for name in {name for listing in listings for name in listing.attempts}:
            if name.purpose is Purpose.TRAIN and asked.of(name.trial) is None:
                try:
                    self._asked.recover([self.store.read_attempt(name).trial])
                except (FileNotFoundError, BadRecord):
                    continue
        lost = self._asked.mend(self._sampler, history)
        if lost is not None:
            self.observer.add_event("trouble", lost)

    def _refuse(self, trial: Trial, history: History) -> str | None:
        """Why a trial is none that this study has asked for, if so."""
        if not self._started:
            self._asked.recover([trial])
        limit = self.limits.trials
        # Limits may have been higher before this master started; what it has not published
        # since, nobody has.
        beyond = self._started and limit is not None and trial.number >= limit
        if beyond or self._asked.refuses(trial):
            return "nobody asked for such a trial"
        if trial.purpose is Purpose.TEST:
            known = history.has((Purpose.TRAIN, trial.number))
            return None if known else "nobody asked for such a test"
        return None

    def step(self, *, curves: bool = False) -> Snapshot:
        """Look once and do what there is to do.

        Raises:
            ShareError: the share did not answer. What was not done is done at the next
                step; call `observer.blind()` and come again.
        """
        try:
            return self._step(curves)
        except (FileNotFoundError, NotAFolder):
            self.store.mend_folders()  # somebody has deleted or replaced one
            raise

    def _step(self, curves: bool) -> Snapshot:
        now = self._monotonic()
        last_step, self._last_step = self._last_step, now
        self.elapsed += now - last_step
        if now >= self._next_beat:
            self._beat("running")
        if now >= self._next_check:
            self._next_check = now + min(_CHECK_EVERY, self.study.lease / 4)
            self._keep_history()
            lost = self._asked.keep()
            if lost is not None:
                self.observer.add_event("trouble", lost)
            # Only a second master, where locks cannot be trusted, could have ended it.
            try:
                self.finished = self.store.read_finished()
            except BadRecord as error:
                self.store.set_aside(protocol.FINISHED, str(error))
        snapshot = self.observer.look(elapsed=self.elapsed, limits=self.limits, curves=curves)
        actions = planner.plan(snapshot, self._asked.so_far, self._sampler)
        self.active = bool(actions)
        self._asked.add([action.asked for action in actions if isinstance(action, Ask)])
        new = [action.trial for action in actions if _is_new(action)]
        self._follow_claims(len(snapshot.in_state(State.WAITING)), len(new), now - last_step)
        self._count([a.name for a in actions if isinstance(a, Count)], snapshot)
        # Workers wait for new trials, and for nothing else of this.
        self._publish_new(new)
        for action in actions:
            if not _is_new(action):
                self._apply(action)
        self.store.sync()
        if now >= self._next_patrol:
            self._patrol(snapshot)
            self._next_patrol = now + self.study.lease / 4
        return snapshot

    def _follow_claims(self, waiting: int, new: int, seconds: float) -> None:
        """Note how fast they are made.

        Args:
            waiting: trials that were left.
            new: trials that are about to be added.
            seconds: since the look before.
        """
        claimed, self._left = self._left - waiting, waiting + new
        if self._left == 0:
            self.lasts = math.inf
        elif claimed > 0:
            self.lasts = self._left * seconds / claimed if waiting else 0.0
        else:
            self.lasts = max(2 * self.lasts, _AT_ONCE)

    def _patrol(self, snapshot: Snapshot) -> None:
        """Look for what has no business outside `trials/`, in a few places each time (P11)."""
        self.store.mend_folders()
        for path, why in self.store.strange_beats().items():
            self.store.set_aside(path, why)
        for view in snapshot.workers:
            if view.beat is None and view.silence >= self.study.lease:
                self.store.set_aside(protocol.beat_path(view.worker), "it is no heartbeat")
        looked_at = 0
        for path, problem in itertools.islice(self._seen, _PATROL_FILES):
            looked_at += 1
            if problem is not None:
                self.store.set_aside(path, problem)
        if looked_at < _PATROL_FILES:
            self._seen = self.store.inspect_seen()  # all over again

    def leave(self) -> None:
        """Say in the heartbeat that the study is at rest, if the share can be reached."""
        try:
            self._beat("finished" if self.finished else "stopped")
        except (ShareError, FileNotFoundError):
            pass

    def _beat(self, state: Literal["running", "stopped", "finished"]) -> None:
        self._counter += 1
        self.store.beat_as_master(
            MasterBeat(
                study=self.study.id,
                host=self.identity.host,
                pid=self.identity.pid,
                counter=self._counter,
                state=state,
                elapsed=self.elapsed,
                limits=self.limits,
            )
        )
        self._next_beat = self._monotonic() + self.study.beat_interval

    # -- actions -------------------------------------------------------------------------

    def _apply(self, action: planner.Action) -> None:
        match action:
            case Ask() | Count():
                pass  # all of them together, before
            case Publish(trial):
                self._publish(trial)
            case Replace(trial):
                self._replace(trial)
            case Forfeit(name, trial, why):
                failure = Failure(message=f"its file cannot be read: {why}")
                result = Result(outcome=Outcome.FAILED, failure=failure)
                worker, elapsed = name.worker, self.elapsed
                self._add([Counted(trial=trial, worker=worker, result=result, elapsed=elapsed)])
                self.store.quarantine(name.filename, why)
            case GiveUp(name):
                self.store.give_up(name, Actor.MASTER)
            case Prune(name):
                self._prune(name)
            case Withdraw(name):
                self.store.withdraw(name)
            case Settle(name):
                self._settle(name)
            case Quarantine(filename, why):
                self.store.quarantine(filename, why)
            case Bury(worker):
                self.store.remove_beat(worker)
            case Finish():
                self._finish(action)

    def _publish(self, trial: Trial) -> None:
        # A successor may be under way already, renamed while we listed: look once more
        # before making a second file of one attempt.
        if trial.attempt > 1 and self._is_under_way(trial):
            return
        self.observer.expected.expect(trial.key, trial.attempt)
        self.store.publish(trial)

    def _publish_new(self, trials: Sequence[Trial]) -> None:
        for start in range(0, len(trials), _PUBLISH_TOGETHER):
            some = trials[start : start + _PUBLISH_TOGETHER]
            self.store.publish_all(
                some, lambda trial: self.observer.expected.expect(trial.key, trial.attempt)
            )

    def _is_under_way(self, trial: Trial) -> bool:
        self.store.folder.poke(protocol.TRIALS)
        return any(
            (name.key, name.attempt) == (trial.key, trial.attempt)
            for name in self.store.listing().attempts
        )

    def _replace(self, trial: Trial) -> None:
        """Publish a trial again whose file is nowhere in `trials/`, unless `seen/` has it.

        The file may only be hidden, by a cache and a rename nearby. So it gets a name that no
        attempt can have had: a rename is proof of its own success only while names are unique.
        """
        attempt, key = 0, trial.key
        for name in self.store.seen_of(trial.number):
            if name.purpose is not trial.purpose:
                continue
            attempt = max(attempt, name.attempt)
            if name.state in COUNTED:
                self._count_seen(name)
                return
        if key not in self._withdrawn:
            attempt = max(attempt + 1, self.observer.expected.last_attempt(key))
        again = trial.replace(attempt=attempt + 1)
        self.store.folder.poke(protocol.TRIALS)
        if any(n.key == key for n in self.store.listing().attempts):
            return
        self.observer.expected.expect(key, again.attempt)
        self.store.publish(again)
        if attempt:
            self.observer.add_event(
                "trouble", f"trial {trial.number}: its file was gone; published again"
            )

    def _settle(self, name: AttemptName) -> None:
        if name.state is State.DONE and self._is_put_away(name.key):
            self.store.give_up(name, Actor.MASTER)
        else:
            self.store.settle(name)

    def _is_put_away(self, key: tuple[Purpose, int]) -> bool:
        """Whether `seen/` has what was counted of a trial; then nothing may take its place."""
        return any(n.key == key and n.state in COUNTED for n in self.store.seen_of(key[1]))

    def _prune(self, name: AttemptName) -> None:
        if self.observer.history.has(name.key) and self._is_put_away(name.key):
            self.store.give_up(name, Actor.MASTER)
            return
        pruned = self.store.prune(name)
        if pruned is not None:
            self._count_seen(pruned)

    def _count_seen(self, name: AttemptName) -> None:
        """Count an attempt that lies in `seen/` already."""
        try:
            file = self.store.read_attempt(name, seen=True)
        except FileNotFoundError:
            return  # the next look will miss it
        except BadRecord as error:
            self.store.set_aside(name.seen_path, str(error))
            return
        self._add([count_attempt(self.study, name, file, self.elapsed)])

    def _count(self, names: list[AttemptName], snapshot: Snapshot) -> None:
        """History first, then the rename: a crash in between is seen by `_same_attempt`."""
        if not names:
            return
        files = snapshot.files
        self._add([count_attempt(self.study, n, files[n], self.elapsed) for n in names])
        for name in names:
            self.store.settle(name)

    def _add(self, counted: list[Counted]) -> None:
        if self._history_unsure:
            self.observer.catch_up()
        history = self.observer.history
        new = [(c, records.encode(c)) for c in counted if not history.has(c.key)]
        self._history_unsure = True
        lines = [line for _, line in new]
        self.observer.history_file.append(lines, itertools.chain(history.lines(), lines))
        self._history_unsure = False
        for one, line in new:
            history.add(one, line)

    def _keep_history(self) -> None:
        """Write what is remembered anew if the file has less: the share came back in an older
        state, or somebody has removed or cut the cache.
        """
        file, known = self.observer.history_file, self.observer.history
        try:
            whole = file.is_whole() and not file.lost
        except BadRecord as error:
            file.mend(str(error), known.lines())
            return
        if not whole:
            file.rewrite(known.lines())
            count = len(known) + len(known.tests)
            self.observer.add_event(
                "trouble", f"{protocol.HISTORY} had lost lines; all {count} written anew"
            )

    def _finish(self, action: Finish) -> None:
        # The listing that said so may have been an old one.
        self.store.folder.poke(protocol.TRIALS)
        attempts = self.store.listing().attempts
        if any(name.state is not State.WAITING for name in attempts):
            return
        for name in attempts:  # one more attempt at what has been counted, seen only now
            self.store.withdraw(name)
        self._keep_history()
        history = self.observer.history
        self.store.write_document(protocol.LEADERBOARD, leaderboard_csv(history).encode())
        best = best_space(history)
        if best is not None:
            self.store.write_document(protocol.BEST, best.encode())
        finished = Finished(
            study=self.study.id,
            reason=action.reason,
            failed=action.failed,
            trials=len(history),
            elapsed=self.elapsed,
        )
        self.store.write_document(protocol.FINISHED, records.encode_document(finished))
        self.finished = finished
        self._beat("finished")


def _is_new(action: planner.Action) -> TypeGuard[Publish]:
    """Whether it publishes a first attempt; these come last, together."""
    return isinstance(action, Publish) and action.trial.attempt == 1


def _last_elapsed(observer: Observer) -> float:
    return observer.history.elapsed


@contextmanager
def only_master(
    study_folder: Path, store: Store, identity: Identity, wait: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Be this study's only master.

    The lock is for the ordinary case. Where it cannot be trusted (sshfs lets both win),
    the heartbeat of a master on another host is watched as well; and if both fail, two
    masters still count every trial once.

    Raises:
        UserError: there is one already; says where.
    """
    # The lock's library opens whatever is there for writing.
    try:
        store.folder.read(protocol.LOCK, limit=0, part=True)
    except (FileNotFoundError, Forbidden):
        pass  # another user's, who may be at work
    except BadRecord as error:
        store.set_aside(protocol.LOCK, str(error))
    lock = filelock.FileLock(study_folder / protocol.LOCK, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(_second_master(study_folder, store)) from None
    except (NotImplementedError, OSError):
        pass  # no locks on this file system: the heartbeat has to do
    try:
        first = store.read_master()
        if first is not None and first.state == "running" and first.host != identity.host:
            wait(3 * store.load().beat_interval)
            second = store.read_master()
            if second is not None and second.counter != first.counter:
                raise UserError(_second_master(study_folder, store))
        yield
    finally:
        lock.release()


def _second_master(study_folder: Path, store: Store) -> str:
    beat = store.read_master()
    who = f"on {beat.host}, pid {beat.pid}" if beat else "just starting"
    return (
        f"the study {study_folder.name!r} has a master already ({who}); "
        "watch it with: distune top, or stop that one first"
    )
