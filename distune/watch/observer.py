"""Watching a study: look at the share, remember a little, give a snapshot.

The master and every viewer watch with this; it writes nothing.
"""

import os
import time
from collections.abc import Callable
from functools import partial

from distune.errors import BadRecord
from distune.search.plateau import Plateau
from distune.search.ranking import History
from distune.search.staged import StagedSampler, StageView, make_sampler
from distune.share import protocol
from distune.share.doubts import Doubts
from distune.share.heartbeat import Finished
from distune.share.lines_file import LinesFile
from distune.share.protocol import Halt, State
from distune.share.store import Listing, Store
from distune.study.study import Limits
from distune.study.trial import Counted, Dropped
from distune.watch.attempt_files import LONGEST_LEAP, AttemptFiles, Refuse, recover
from distune.watch.beats import Heartbeats
from distune.watch.curves import GoingOn, RunningCurves
from distune.watch.event_log import EventLog
from distune.watch.expected import ExpectedTrials
from distune.watch.snapshot import Event, Snapshot

_RATE_OVER = 30  # trials


class Observer:
    """`Observer(store).look()`.

    Args:
        store: of the study.
        follows_history: read new lines of `history.jsonl` at each look; the master, which
            writes them, does not.
        refuse: why a trial is none of this study's, if so. Only the master asks so closely
            whether a file there is one of its own.
        monotonic: this watcher's clock, for silence (P6).
        wall: for people.

    Attributes:
        history: what is counted.
        history_file: where that is written.
        dropped_file: which of it persons have dropped.
        recovered: what `seen/` had and the history file lacked.
        expected: the trials that should be there.
    """

    def __init__(
        self,
        store: Store,
        *,
        follows_history: bool = True,
        refuse: Refuse | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.store = store
        self.study = store.load()
        self.history = History(self.study)
        self.history_file = LinesFile(store, protocol.HISTORY, Counted, self.study)
        self.dropped_file = LinesFile(store, protocol.DROPPED, Dropped, self.study)
        self._follows = follows_history
        self._monotonic = monotonic
        self._sampler = make_sampler(self.study)
        self._beats = Heartbeats(store, self.study, monotonic, partial(self.add_event, "trouble"))
        self.catch_up()
        self.recovered = recover(store, self.history, refuse or (lambda trial, history: None))
        self._log = EventLog(self.history, wall)
        self.expected = ExpectedTrials(self.history)
        self._files = AttemptFiles(
            store,
            self.history,
            self.expected,
            refuse,
            self.catch_up,
            Doubts.of(store.folder, monotonic),
        )
        self._plateau = Plateau(self.study)
        self._curves = RunningCurves(store, self.study)
        self._going_on = GoingOn(store, self.study)
        self._doubted_halts = Doubts.of(store.folder, monotonic)

    def add_event(self, kind: str, text: str) -> None:
        self._log.add(kind, text)

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened lately, the newest last."""
        return tuple(self._log.events)

    def expect_all(self, listing: Listing) -> None:
        """Expect the trials of a listing."""
        for name in self._files.split(listing, everything=True)[0]:
            self.expected.expect(name.key, name.attempt)

    def blind(self) -> None:
        """The share could not be read: no worker was silent meanwhile."""
        self._beats.blind()

    def look(
        self, *, elapsed: float | None = None, limits: Limits | None = None, curves: bool = False
    ) -> Snapshot:
        """Look once.

        Args:
            elapsed: from the master, which knows it better than its heartbeat does.
            limits: likewise.
            curves: read what running attempts have reported, too.

        Raises:
            ShareError: the share did not answer; call `blind()` and look again later.
        """
        if self._follows:
            self.catch_up()
        listing = self.store.listing(viewer=self._follows)
        now = self._monotonic()
        attempts, strangers = self._files.split(listing)
        halt = self._read_halt(listing, strangers)
        holders = {n.worker for n in attempts if n.state is State.TAKEN and n.worker}
        workers = self._beats.workers(holders)
        self.expected.follow(attempts)
        files, bad = self._files.ended(attempts)
        if curves:
            files.update(self._files.running(attempts, now))
        judged = not self._follows and self.study.pruner is not None
        unread = judged and self._going_on.read(attempts)
        finished = self._read_finished() if self._follows else None
        master, silence, heard = self._beats.master(now) if self._follows else (None, 0.0, True)
        if elapsed is None:
            elapsed = master.elapsed if master else 0.0
        self._log.counted()
        self._log.listed(attempts, files)
        if finished is None:  # a mark stays behind in a study that is over
            self._log.halted(halt)
        stages = self._follow_stages()
        limits = limits or (master.limits if master else Limits())
        return Snapshot(
            study=self.study,
            limits=limits,
            elapsed=elapsed,
            history=self.history,
            since_best=self._plateau.since(self.history) if limits.plateau else 0,
            attempts=attempts,
            strangers=strangers,
            files=files,
            curves=self._curves.read(attempts, now) if judged else {},
            going_on=dict(self._going_on.trials),
            unread=unread,
            bad=bad,
            wasted=self._files.wasted,
            absent=dict(self.expected.absent),
            next_number=self.expected.next_number,
            workers=workers,
            size=self._sampler.size,
            halt=halt,
            wishes=listing.wishes,
            retries=listing.retries,
            stages=stages,
            events=self.events,
            finished=finished,
            master=master,
            master_silence=silence,
            master_heard=heard,
            trials_per_second=None if halt is Halt.PAUSE else self._rate(elapsed),
            logs=os.path.abspath(self.store.folder.root.parent),
        )

    def catch_up(self) -> None:
        """Take in what the history file has and this observer lacks, and what was dropped."""
        try:
            for counted, line in self.history_file.read():
                self.take_in(counted, line)
        except BadRecord as error:
            self.history_file.problem = str(error)  # what is known stands; the master mends it
        try:
            for dropped, _ in self.dropped_file.read():
                self.history.drop(dropped)
        except BadRecord as error:
            self.dropped_file.problem = str(error)

    def take_in(self, counted: Counted, line: bytes) -> None:
        """Add a line of the history file, if a master of this study can have written it."""
        # Of the count, not of the highest: a few lines must not leap to a trillion.
        if counted.trial.number <= len(self.history) + LONGEST_LEAP:
            self.history.add(counted, line)

    def _read_halt(self, listing: Listing, strangers: dict[str, str]) -> Halt | None:
        """What is wanted of the study; a mark that nobody can have made is a stranger."""
        halt, bad = self.store.read_halts(listing.halts)
        strangers.update((n, why) for n, why in bad.items() if self._doubted_halts.confirmed(n))
        self._doubted_halts.keep(bad)
        return halt

    def _read_finished(self) -> Finished | None:
        try:
            return self.store.read_finished()
        except BadRecord:
            return None

    def _follow_stages(self) -> tuple[StageView, ...]:
        if not isinstance(self._sampler, StagedSampler):
            return ()
        self._sampler.follow(self.history.trials)
        views = tuple(self._sampler.views())
        self._log.staged(views)
        return views

    def _rate(self, elapsed: float) -> float | None:
        last = self.history.trials[-_RATE_OVER:]
        recent = [one.elapsed for one in last if one.elapsed is not None]
        if len(recent) < 2:
            return None
        # Up to now, not up to the last one: a study that has stalled shows it.
        return len(recent) / max(elapsed - recent[0], 1e-3)
