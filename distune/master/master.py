"""The master of a study: scan, plan, apply, again. All state is in the directory (P4)."""

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Literal

from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.master import planner
from distune.master.actions import asks_to_confirm, is_new, is_test
from distune.master.applying import Applying
from distune.master.asked import Remembered
from distune.master.asking import PatientSampler
from distune.master.checking import Checking
from distune.master.counting import Counting
from distune.master.keeping import Keeping
from distune.master.lock import Identity, Rivals, second_master
from distune.master.wishes import Wishes
from distune.search.asked import AskedSoFar
from distune.search.judge import Judge
from distune.search.ranking import History
from distune.search.staged import make_sampler
from distune.share import protocol, records
from distune.share.doubts import Doubts
from distune.share.heartbeat import Finished, MasterBeat
from distune.share.protocol import Halt, State
from distune.share.store import Store
from distune.study.study import Limits
from distune.study.trial import Asked, Counted, Dropped, Purpose, Trial
from distune.watch.observer import Observer
from distune.watch.snapshot import Snapshot, WorkerView

_CHECK_EVERY = 5.0  # seconds between two looks at what only accidents change
_AT_ONCE = 0.01  # seconds
_FILES = 20  # of `seen/`, looked at each time


class ClaimPace:
    """How fast workers claim: the master comes back before they have nothing to claim."""

    def __init__(self) -> None:
        #: Seconds in which workers will have claimed what waits for them, at the pace that they
        #: had between the last two looks; 0 if they had claimed all of it.
        self.lasts = math.inf
        self._left = 0  # how many waited after the last look

    def follow(self, waiting: int, new: int, seconds: float) -> None:
        """Take in what was left waiting `seconds` after the look before, and what is new."""
        claimed, self._left = self._left - waiting, waiting + new
        if self._left == 0:
            self.lasts = math.inf
        elif claimed > 0:
            self.lasts = self._left * seconds / claimed if waiting else 0.0
        else:
            self.lasts = max(2 * self.lasts, _AT_ONCE)


class Patrol:
    """Looks for what has no business outside `trials/`, a few places at a time (P11)."""

    def __init__(self, store: Store, lease: float, checking: Checking) -> None:
        self._store = store
        self._lease = lease
        self._checking = checking
        self._seen = store.inspect_seen()

    def look(self, workers: Iterable[WorkerView]) -> None:
        self._store.mend_folders()
        for path, why in self._store.strange_beats().items():
            self._store.set_aside(path, why)
        for view in workers:
            if view.beat is None and view.silence >= self._lease:
                self._store.set_aside(protocol.beat_path(view.worker), "it is no heartbeat")
        looked_at = 0
        for one in itertools.islice(self._seen, _FILES):
            looked_at += 1
            self._checking.look_into(one)
        if looked_at < _FILES:
            self._seen = self._store.inspect_seen()  # all over again


class Master:
    """Owns one study: `Master(store, limits, identity).step()` until `finished` is set.

    Args:
        store: of a study that has been created.
        limits: in force from now on, whatever they were before.
        identity: to be shown to a second master.
        reopens: a study that is over goes on.
        code: gives a digest of the user's code that is to train it, as it is now; empty if any is.
        wake: called, by another thread, when a sampler that is slow has an answer.
        monotonic: its clock (P6).
        wall: a clock for people.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        identity: Identity,
        *,
        reopens: bool = True,
        code: Callable[[], str] = lambda: "",
        wake: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.limits = limits
        self.identity = identity
        self.pace = ClaimPace()
        #: Whether the last step changed anything: then the next should come soon.
        self.active = True
        self._code = code
        self._monotonic = monotonic
        said: list[str] = []
        store.tell = said.append
        store.mend_folders()
        self.study = store.load()
        self._sampler = make_sampler(self.study)
        self._judge = Judge(self.study)
        self._asking = PatientSampler(self._sampler, wake)
        self._asked = Remembered(store, self.study)
        self._started = False
        self.observer = Observer(
            store, follows_history=False, refuse=self._refuse, monotonic=monotonic, wall=wall
        )
        store.tell = lambda line: self.observer.add_event("trouble", line)
        for line in said:
            store.tell(line)
        self._mend_dropped()
        self._asked.read(self.observer.history)
        doubts = Doubts.of(store.folder, monotonic)
        self._counting = Counting(store, self.observer, doubts, self._judge)
        self._counting.mend()
        self._succeed(store.read_master())
        self._expect_what_is_there()
        checking = Checking(store, self.observer, self._asked, self._counting, doubts)
        checking.restore_files()
        self.keeping = Keeping(store, self.observer.history, self.asked)
        self._applying = Applying(
            store, self.observer, self._asked, self._counting, checking, self.keeping
        )
        self._wishes = Wishes(
            store,
            self.observer,
            self._asked,
            self.keeping,
            Doubts.of(store.folder, monotonic),
            self.observer.add_event,
        )
        self._patrol = Patrol(store, self.study.lease, checking)
        self._halt: Halt | None = None  # that was seen last
        self._last_step = monotonic()
        self._next_beat = self._next_patrol = self._next_check = self._last_step
        if reopens:
            store.reopen()
        self._started = True

    @property
    def asked(self) -> AskedSoFar:
        """What all masters of the study have asked for."""
        return self._asked.so_far

    @property
    def finished(self) -> Finished | None:
        """How the study ended, when it has."""
        return self._applying.finished

    def _succeed(self, before: MasterBeat | None) -> None:
        """Go on from where the master before this one has stopped."""
        #: Seconds that masters have run this study, in sum.
        self.elapsed = before.elapsed if before else self.observer.history.elapsed
        self._counter = before.counter if before else 0
        self._rivals = Rivals(before.term + 1 if before else 1, self.identity.token)
        if before is not None and before.state == "running":
            self.observer.add_event(
                "trouble",
                f"the master before this one ({before.host}, pid {before.pid}) was killed or cut "
                f"off; going on from {len(self.observer.history)} counted trials",
            )

    def _mend_dropped(self) -> None:
        """Keep what can be read of the trials that persons have dropped."""
        file = self.observer.dropped_file
        if file.problem is not None:
            why = file.problem
            self.observer.add_event(
                "trouble",
                f"{protocol.DROPPED}: {why}; of the trials that were dropped "
                f"{len(self.observer.history.drops)} are known, drop the others again",
            )
            file.write_anew(map(records.encode, self.observer.history.drops))

    def _expect_what_is_there(self) -> None:
        """List `trials/` twice: one listing may hide what must not seem never published."""
        self.store.folder.poke(protocol.TRIALS)
        listings = [self.store.listing(), self.store.listing()]
        names = {name for listing in listings for name in listing.attempts}
        self._asked.recover_all(names, self.observer.history)
        lost = self._asked.mend(self._sampler, self.observer.history)
        if lost is not None:
            self.observer.add_event("trouble", lost)
        for listing in listings:
            self.observer.expect_all(listing)

    def _refuse(self, trial: Trial, history: History) -> str | None:
        """Why a trial is none that this study has asked for, if so."""
        if not self._started:
            self._asked.read(history)
            self._asked.recover([trial], history)
        # Limits may have been higher before this master started; what it has not published
        # since, no master has.
        wants = self._asked.so_far.wants
        by_search = self._started and trial.confirms is None  # else the line is looked for first
        # Who asked for it may be a person, of another master: the line is looked for before.
        if self._asked.refuses(trial) or (
            by_search and not wants(trial.number, self.limits.trials)
        ):
            return "no master asked for such a trial"
        if trial.purpose is Purpose.TEST:
            known = history.has((Purpose.TRAIN, trial.number))
            return None if known else "no master asked for such a test"
        return None

    def step(self, *, curves: bool = False) -> Snapshot:
        """Look once and do what there is to do.

        Raises:
            ShareError: the share did not answer. What was not done is done at the next
                step; call `observer.blind()` and come again.
            UserError: this master has to end, because another was there before, or because
                another study was put in the place of this one.
        """
        try:
            return self._step(curves)
        except (FileNotFoundError, NotAFolder):
            self.store.mend_folders()  # one was deleted or replaced
            raise

    def _step(self, curves: bool) -> Snapshot:
        now = self._monotonic()
        seconds, self._last_step = now - self._last_step, now
        if self._halt is not Halt.PAUSE:
            self.elapsed += seconds
        checks, patrols = now >= self._next_check, now >= self._next_patrol
        if checks:
            self._next_check = now + min(_CHECK_EVERY, self.study.lease / 4)
            self._check_files()
        if now >= self._next_beat:
            self._beat("running")
        self._counting.write_won()
        snapshot = self.observer.look(elapsed=self.elapsed, limits=self.limits, curves=curves)
        self._halt = snapshot.halt
        if self._asked.unwritten:
            self._keep_study()
            self._asked.add()
        if (snapshot.wishes or snapshot.retries) and snapshot.halt is None:
            self._wishes.take_in(snapshot.wishes, snapshot.retries, lambda: self.next_number)
        plan = planner.plan(snapshot, self._asked.so_far, self._asking, self._judge)
        if asks_to_confirm(plan) and self._asked.hears_of_more():
            plan = planner.plan(snapshot, self._asked.so_far, self._asking, self._judge)
        if self.finished is not None and any(map(is_test, plan)):
            self._reopen()  # what has been counted since has another winner
        self.active = bool(plan)
        if plan or (patrols and not checks):
            self._keep_study()  # or it would set another study's trials aside
        self.pace.follow(len(snapshot.in_state(State.WAITING)), sum(map(is_new, plan)), seconds)
        self._applying.apply(plan, snapshot)
        if self.finished is not None:
            self._beat("finished")
        if patrols:
            self._patrol.look(snapshot.workers)
            self._next_patrol = now + self.study.lease / 4
        return snapshot

    def _keep_study(self, names: Collection[str] | None = None) -> None:
        written = self.store.keep_study(names)
        if written is not None:
            self.observer.add_event("trouble", written)

    def _check_files(self) -> None:
        """See that the study's own files are what this master has made of them."""
        names = self.store.folder.names("")
        self._keep_study(names)
        self._counting.keep()
        lost = self._asked.keep()
        if lost is not None:
            self.observer.add_event("trouble", lost)
        try:
            finished = self.store.read_finished(names)
        except BadRecord as error:
            self.store.set_aside(protocol.FINISHED, str(error))
        else:
            self._heed(finished)
        if protocol.CHECKPOINTS in names:
            self.keeping.clear()

    def _heed(self, finished: Finished | None) -> None:
        """Stop where a second master has ended the study, which needs locks that lie. A copy of the
        study that was put back says so, too, and leaves more to do.
        """
        if finished is not None:
            self.observer.catch_up()
            missing = finished.trials > len(self.observer.history)
            listing = self.store.listing()
            if missing or listing.attempts or listing.is_wanted or self.asked.is_wanted():
                self._reopen()
                return
        self._applying.finished = finished

    def _reopen(self) -> None:
        self.store.reopen()
        self._applying.finished = None
        why = "another master wrote it, and there is more to do"
        self.observer.add_event("trouble", f"{protocol.FINISHED} removed: {why}")

    @property
    def next_number(self) -> int:
        """Of a trial, the lowest that none has had."""
        return max(self.asked.next_trial, self.observer.history.highest + 1)

    def ask(self, asked: Sequence[Asked]) -> None:
        """Have trials trained that a person wants. On the disk after it.

        Raises:
            ShareError: they may have been asked for or not; ask again.
        """
        self._asked.add(asked)

    def drop(self, trials: Sequence[Counted]) -> None:
        """Rank counted trials no more. On the disk after it.

        Raises:
            ShareError: some of them may have been dropped or not; drop them again.
        """
        dropped = list(map(Dropped.of, trials))
        known = [*self.observer.history.drops, *dropped]
        lines = list(map(records.encode, dropped))
        self.store.distrust_tail(protocol.DROPPED)
        self.observer.dropped_file.append(lines, map(records.encode, known))
        for one in dropped:
            self.observer.history.drop(one)

    def announce(self) -> None:
        """Send a heartbeat, before workers are started that look at it."""
        with suppress(ShareError, FileNotFoundError):
            self._beat("running")

    def leave(self) -> None:
        """Say in the heartbeat that the study is at rest, if it is there, can be reached, and is
        not another master's.
        """
        try:
            self._keep_study()
            self._beat("finished" if self.finished else "stopped")
        except (ShareError, FileNotFoundError, UserError):
            pass

    def _beat(self, state: Literal["running", "stopped", "finished"]) -> None:
        found = self.store.read_master()
        if self._rivals.is_outranked_by(found):
            raise UserError(second_master(self.study.name, found))
        self._counter += 1
        self.store.beat_as_master(
            MasterBeat(
                study=self.study.id,
                **vars(self.identity),
                term=self._rivals.term,
                counter=self._counter,
                state=state,
                elapsed=self.elapsed,
                limits=self.limits,
                code=self._code(),
            )
        )
        self._next_beat = self._monotonic() + self.study.beat_interval
