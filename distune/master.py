"""The master of a study: scan, plan, apply, again. All state is in the directory, so a
restart is the normal path (P4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock

from distune import export, planner, protocol, records
from distune.errors import BadRecord, ShareError, UserError
from distune.heartbeat import Finished, MasterBeat
from distune.observer import Observer, count_attempt
from distune.planner import (
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
from distune.protocol import COUNTED, Actor, AttemptName, State
from distune.samplers import make_sampler
from distune.snapshot import Snapshot
from distune.store import Store
from distune.study import Limits
from distune.trial import Counted, Failure, Outcome, Result, Trial


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
        self._monotonic = monotonic
        self.observer = Observer(store, follows_history=False, monotonic=monotonic, wall=wall)
        self.study = self.observer.study
        self._sampler = make_sampler(self.study)
        store.distrust_tail(protocol.HISTORY)
        store.append_history(self.observer.recovered)
        before = store.read_document(protocol.MASTER, MasterBeat)
        self.elapsed = before.elapsed if before else _last_elapsed(self.observer)
        self._counter = before.counter if before else 0
        self._history_unsure = False  # an append failed: some of its lines may be there
        if before is not None and before.state == "running":
            self.observer.note(
                "trouble",
                f"the master before this one ({before.host}, pid {before.pid}) was killed or cut "
                f"off; going on from {len(self.observer.history)} counted trials",
            )
        # A trial that is hidden from one listing (an old cache, a rename nearby) must not be
        # taken for one that was never published.
        store.folder.poke(protocol.TRIALS)
        for _ in range(2):
            self.observer.expect_all(store.listing())
        self._last_step = monotonic()
        self._next_beat = self._last_step
        store.reopen()

    def step(self, *, curves: bool = False) -> Snapshot:
        """Look once and do what there is to do.

        Raises:
            ShareError: the share did not answer. What was not done is done at the next
                step; call `observer.blind()` and come again.
        """
        now = self._monotonic()
        self.elapsed += now - self._last_step
        self._last_step = now
        if now >= self._next_beat:
            self._beat("running")
            # Only a second master, where locks cannot be trusted, could have ended it.
            if self.store.is_finished():
                self.finished = self.store.read_document(protocol.FINISHED, Finished)
        snapshot = self.observer.look(elapsed=self.elapsed, limits=self.limits, curves=curves)
        actions = planner.plan(snapshot, self._sampler)
        self.active = bool(actions)
        self._count([a.name for a in actions if isinstance(a, Count)], snapshot)
        for action in actions:
            self._apply(action)
        return snapshot

    def leave(self) -> None:
        """Say in the heartbeat that the study is at rest, if the share can be reached."""
        try:
            self._beat("finished" if self.finished else "stopped")
        except (ShareError, FileNotFoundError):
            pass

    def _beat(self, state: str) -> None:
        self._counter += 1
        self.store.beat_as_master(
            MasterBeat.model_validate(
                {
                    "host": self.identity.host,
                    "pid": self.identity.pid,
                    "counter": self._counter,
                    "state": state,
                    "elapsed": self.elapsed,
                    "limits": self.limits,
                }
            )
        )
        self._next_beat = self._monotonic() + self.study.beat_interval

    # -- actions -------------------------------------------------------------------------

    def _apply(self, action: planner.Action) -> None:
        match action:
            case Count():
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
                self.store.settle(name)
            case GiveUp(name):
                self.store.give_up(name, Actor.MASTER)
            case Prune(name):
                self._prune(name)
            case Withdraw(name):
                self.store.withdraw(name)
            case Settle(name):
                self.store.settle(name)
            case Quarantine(filename, why):
                self.store.quarantine(filename)
                self.observer.note("trouble", f"{filename} set aside in quarantine/: {why}")
            case Bury(worker):
                self.store.remove_beat(worker)
            case Finish():
                self._finish(action)

    def _publish(self, trial: Trial) -> None:
        # A successor may be under way already, renamed while we listed: look once more
        # before making a second file of one attempt.
        if trial.attempt > 1 and self._is_under_way(trial):
            return
        self.observer.expect(trial.purpose, trial.number)
        self.store.publish(trial)

    def _is_under_way(self, trial: Trial) -> bool:
        self.store.folder.poke(protocol.TRIALS)
        return any(
            (name.purpose, name.trial, name.attempt) == (trial.purpose, trial.number, trial.attempt)
            for name in self.store.listing().attempts
        )

    def _replace(self, trial: Trial) -> None:
        """Publish a trial again whose file is nowhere in `trials/`, unless `seen/` has it."""
        attempt = 0
        for name in self.store.seen_of(trial.number):
            if name.purpose is not trial.purpose:
                continue
            attempt = max(attempt, name.attempt)
            if name.state in COUNTED:
                self._count_seen(name)
                return
        again = trial.model_copy(update={"attempt": attempt + 1})
        self.store.folder.poke(protocol.TRIALS)
        if any(n.key == (trial.purpose, trial.number) for n in self.store.listing().attempts):
            return
        self.store.publish(again)
        if attempt or trial.number < len(self.observer.history):
            self.observer.note(
                "trouble", f"trial {trial.number}: its file was gone; published again"
            )

    def _prune(self, name: AttemptName) -> None:
        pruned = self.store.prune(name)
        if pruned is not None:
            self._count_seen(pruned)

    def _count_seen(self, name: AttemptName) -> None:
        """Count an attempt that lies in `seen/` already."""
        try:
            file = self.store.read_attempt(name, seen=True)
        except (BadRecord, FileNotFoundError) as error:
            self.observer.note("trouble", f"{name.filename} cannot be read: {error}")
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
        new = [c for c in counted if self.observer.history.get(c.key) is None]
        self._history_unsure = True
        self.store.append_history(new)
        self._history_unsure = False
        self.observer.history.extend(new)

    def _finish(self, action: Finish) -> None:
        # The listing that said so may have been an old one.
        self.store.folder.poke(protocol.TRIALS)
        if any(name.state is not State.WAITING for name in self.store.listing().attempts):
            return
        history = self.observer.history
        self.store.write_document(protocol.LEADERBOARD, export.leaderboard_csv(history).encode())
        best = export.best_space(history)
        if best is not None:
            self.store.write_document(protocol.BEST, best.encode())
        finished = Finished(
            reason=action.reason,
            failed=action.failed,
            trials=len(history),
            elapsed=self.elapsed,
        )
        self.store.write_document(protocol.FINISHED, records.encode_document(finished))
        self.finished = finished
        self._beat("finished")


def _last_elapsed(observer: Observer) -> float:
    return max((c.elapsed or 0.0 for c in observer.history.trials), default=0.0)


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
    lock = filelock.FileLock(study_folder / protocol.LOCK, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(_second_master(study_folder, store)) from None
    except (NotImplementedError, OSError):
        pass  # no locks on this file system: the heartbeat has to do
    try:
        first = store.read_document(protocol.MASTER, MasterBeat)
        if first is not None and first.state == "running" and first.host != identity.host:
            wait(3 * store.load().beat_interval)
            second = store.read_document(protocol.MASTER, MasterBeat)
            if second is not None and second.counter != first.counter:
                raise UserError(_second_master(study_folder, store))
        yield
    finally:
        lock.release()


def _second_master(study_folder: Path, store: Store) -> str:
    beat = store.read_document(protocol.MASTER, MasterBeat)
    who = f"on {beat.host}, pid {beat.pid}" if beat else "just starting"
    return (
        f"the study {study_folder.name!r} has a master already ({who}); "
        "watch it with: distune top, or stop that one first"
    )
