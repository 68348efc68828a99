"""Watching a study: look at the share, remember a little, give a snapshot.

The master and every viewer watch with this; it writes nothing.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from distune.errors import BadRecord
from distune.search.ranking import History
from distune.search.samplers.staged import StagedSampler, StageView, make_sampler
from distune.share import protocol, records
from distune.share.heartbeat import Beat, Finished, MasterBeat, Watch
from distune.share.lines_file import LinesFile
from distune.share.protocol import COUNTED, AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Listing, Store
from distune.study.study import Limits, Study
from distune.study.trial import (
    FAILURES,
    Counted,
    Failure,
    Outcome,
    Purpose,
    Result,
    Trial,
    summarize,
)
from distune.watch.snapshot import Event, Snapshot, WorkerView

#: A number so far beyond the known ones was not published by a master of this study.
_LONGEST_LEAP = 100_000
_MOST_ATTEMPTS = 900_000  # a trial's; names have room for a few more
_EVENTS_KEPT = 200
_CURVES_READ = 40
_CURVE_AGE = 2.0  # seconds; a network file system's cache is no fresher
_RATE_OVER = 30  # trials
_BEATS_LAST = 2.0  # seconds; a study is looked at more often than its workers


def count_attempt(
    study: Study, name: AttemptName, file: AttemptFile, elapsed: float | None
) -> Counted:
    """What the history keeps of an attempt that ends its trial."""
    if name.state is State.PRUNED:
        best = summarize(file.reports, study.metric, study.direction, study.summary)
        result = Result(
            outcome=Outcome.PRUNED,
            value=best.metrics[study.metric] if best else None,
            metrics=best.metrics if best else {},
            seconds=file.reports[-1].seconds if file.reports else 0.0,
            steps=len(file.reports),
        )
    else:
        result = file.result or _unreadable("the file has no result")
    return Counted(
        trial=file.trial,
        worker=name.worker,
        device=file.claim.device if file.claim else "",
        result=result,
        elapsed=elapsed,
    )


def _unreadable(why: str) -> Result:
    return Result(outcome=Outcome.FAILED, failure=Failure(message=why))


def _why(result: Result) -> str:
    return result.failure.message if result.failure else "no reason given"


#: Why a trial is none that the study has asked for, if so, given what was counted before.
Refuse = Callable[[Trial, History], str | None]


def recover(store: Store, history: History, refuse: Refuse) -> list[Counted]:
    """Add to the history what `seen/` has and it lacks: a crash came between, or the cache is
    gone. Of two files of one trial (two masters raced) the lower attempt counts. What cannot
    be read there counts nothing: its trial is made again.

    Returns:
        What was added, each trial after those that it rests upon: by number, tests last.
    """
    found: list[Counted] = []
    reach = len(history)
    unknown = store.seen(history.counted)
    for name in sorted(unknown, key=lambda n: (n.purpose is Purpose.TEST, n.trial, n)):
        if name.state not in COUNTED or history.has(name.key):
            continue
        if name.trial > reach + _LONGEST_LEAP:
            continue
        try:
            file = store.read_ended(name, seen=True)
        except (FileNotFoundError, BadRecord):
            continue
        if refuse(file.trial, history) is None:
            reach = max(reach, name.trial)
            found.append(count_attempt(history.study, name, file, None))
            history.add(found[-1])
    return found


class Observer:
    """`Observer(store).look()`.

    Args:
        store: of the study.
        follows_history: read new lines of `history.jsonl` at each look; the master, who
            writes them, does not.
        refuse: why a trial is none of this study's, if so. Only the master asks so closely
            whether somebody else has put a file there.
        monotonic: this watcher's clock, for silence (P6).
        wall: for people.
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
        self._follows = follows_history
        self._refuse = refuse
        self._verdicts: dict[AttemptName, str | None] = {}
        self._monotonic = monotonic
        self._wall = wall
        self._sampler = make_sampler(self.study)
        self._stages_begun = 0
        self._events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self._watch = Watch(longest_step=self.study.lease / 4)
        self._master_watch = Watch(longest_step=60.0)
        self._next_number = 0
        self._absent: dict[tuple[Purpose, int], int] = {}
        self._attempts: dict[tuple[Purpose, int], int] = {}  # the highest seen, of open trials
        self._before: frozenset[AttemptName] | None = None
        self._curves: dict[AttemptName, tuple[float, AttemptFile]] = {}
        self._beats: dict[str, Beat] = {}
        self._workers: tuple[WorkerView, ...] = ()
        self._next_beats = -math.inf
        self._last_master: MasterBeat | None = None
        self.catch_up()
        self.recovered = recover(store, self.history, refuse or (lambda trial, history: None))
        self._announced, self._announced_tests = len(self.history), len(self.history.tests)
        self._recent = deque((c.elapsed for c in self.history.trials[-_RATE_OVER:]), _RATE_OVER)
        if self.history.trials:
            self.expect((Purpose.TRAIN, self.history.highest))

    def note(self, kind: str, text: str) -> None:
        """Add an event."""
        self._events.append(Event(self._wall(), kind, text))

    @property
    def unseen(self) -> frozenset[tuple[Purpose, int]]:
        """Trials that should be there or counted, and of which no listing has had a file."""
        return frozenset(key for key in self._absent if key not in self._attempts)

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened lately, the newest last."""
        return tuple(self._events)

    def expect(self, key: tuple[Purpose, int], attempt: int = 0) -> None:
        """The master is about to publish this trial: were it in no listing from now on, that
        would be because its file has moved on or vanished, not because it never was.

        Args:
            key: of the trial.
            attempt: which file of it, if there is one.
        """
        purpose, number = key
        if purpose is Purpose.TRAIN:
            for missed in self.history.missing(self._next_number, number + 1):
                self._absent[Purpose.TRAIN, missed] = 0
            self._next_number = max(self._next_number, number + 1)
        if not self.history.has(key):
            self._absent.setdefault(key, 0)
        if attempt:
            self._absent[key] = 0
            self._attempts[key] = max(attempt, self._attempts.get(key, 0))

    def expect_all(self, listing: Listing) -> None:
        """Expect the trials of a listing."""
        for name in self._known(listing)[0]:
            self.expect(name.key, name.attempt)

    def last_attempt(self, key: tuple[Purpose, int]) -> int:
        """The highest attempt that has been seen of a trial that is not over; 0 if none."""
        return self._attempts.get(key, 0)

    def blind(self) -> None:
        """The share could not be read: nobody was silent meanwhile."""
        self._watch.blind()
        self._master_watch.blind()

    def look(
        self, *, elapsed: float | None = None, limits: Limits | None = None, curves: bool = False
    ) -> Snapshot:
        """Look once.

        Args:
            elapsed: if the caller is the master, who knows better than its heartbeat.
            limits: likewise.
            curves: read what running attempts have reported, too.

        Raises:
            ShareError: the share did not answer; call `blind()` and look again later.
        """
        if self._follows:
            self.catch_up()
        listing = self.store.listing()
        now = self._monotonic()
        attempts, strangers = self._known(listing)
        if now >= self._next_beats:
            holders = {n.worker for n in attempts if n.state is State.TAKEN and n.worker}
            self._look_at_workers(self.store.beats(), holders)
        self._follow_absence(attempts)
        files, bad = self._read_ended(attempts)
        if curves:
            files.update(self._read_running(attempts, now))
        finished, master, master_silence = self._master(now)
        if elapsed is None:
            elapsed = master.elapsed if master else 0.0
        self._derive_events(attempts, files)
        stages = self._follow_stages()
        return Snapshot(
            study=self.study,
            limits=limits or (master.limits if master else Limits()),
            elapsed=elapsed,
            history=self.history,
            attempts=attempts,
            strangers=strangers,
            files=files,
            bad=bad,
            absent=dict(self._absent),
            next_number=self._next_number,
            workers=self._workers,
            size=self._sampler.size,
            stages=stages,
            events=self.events,
            finished=finished,
            master=master,
            master_silence=master_silence,
            trials_per_second=self._rate(elapsed),
        )

    # -- parts of a look -----------------------------------------------------------------

    def catch_up(self) -> None:
        """Take in what the history file has and this observer lacks."""
        try:
            for counted, line in self.history_file.read():
                reach = max(len(self.history), self.history.highest) + _LONGEST_LEAP
                if counted.trial.number <= reach:
                    self.history.add(counted, line)
        except BadRecord as error:
            self.history_file.problem = str(error)  # what is known stands; the master mends it

    def _known(self, listing: Listing) -> tuple[tuple[AttemptName, ...], dict[str, str]]:
        """What lies in `trials/`, and what of it is none of ours, and why."""
        known: list[AttemptName] = []
        strangers = dict.fromkeys(listing.strangers, "it is not the name of an attempt")
        reach = max(self._next_number, len(self.history))
        verdicts, self._verdicts = self._verdicts, {}
        told = False
        for name in sorted(listing.attempts):
            why = self._misplaced(name, reach)
            if why is None and self._refuse is not None and not self._is_expected(name):
                why = verdicts[name] if name in verdicts else self._examine(name)
                if why is not None and name not in verdicts and not told:
                    # Where locks lie there may be a second master, who has asked for it.
                    self.catch_up()
                    told, why = True, self._examine(name)
                self._verdicts[name] = why
            if why is None:
                known.append(name)
                reach = max(reach, name.trial + 1)
            else:
                strangers[name.filename] = why
        return tuple(known), strangers

    def _misplaced(self, name: AttemptName, reach: int) -> str | None:
        if name.state in COUNTED:
            return f"what is {name.state} has no business in {protocol.TRIALS}/"
        if name.trial >= reach + _LONGEST_LEAP or name.attempt > _MOST_ATTEMPTS:
            return "nobody asked for such a trial"
        if name.purpose is Purpose.TEST and not self.study.has_test:
            return "this study has no test"
        return None

    def _is_expected(self, name: AttemptName) -> bool:
        if name.purpose is Purpose.TRAIN:
            return name.trial < self._next_number
        return name.key in self._absent or self.history.has(name.key)

    def _examine(self, name: AttemptName) -> str | None:
        """Why a file is none of this study's whose trial this watcher has not heard of."""
        assert self._refuse is not None
        try:
            return self._refuse(self.store.read_attempt(name).trial, self.history)
        except FileNotFoundError:
            return None  # it was there, and has moved on: so it was somebody's
        except BadRecord as error:
            return str(error)

    def _follow_absence(self, attempts: tuple[AttemptName, ...]) -> None:
        """Keep track of trials that are not over, to notice one whose file has vanished."""
        present = {n.key for n in attempts}
        for name in attempts:
            self.expect(name.key, name.attempt)
        for key in list(self._absent):
            if self.history.has(key):
                del self._absent[key]
                self._attempts.pop(key, None)
            else:
                self._absent[key] = 0 if key in present else self._absent[key] + 1

    def _read_ended(
        self, attempts: tuple[AttemptName, ...]
    ) -> tuple[dict[AttemptName, AttemptFile], dict[AttemptName, str]]:
        files: dict[AttemptName, AttemptFile] = {}
        bad: dict[AttemptName, str] = {}
        for name in attempts:
            if name.state in (State.DONE, State.LOST):
                try:
                    files[name] = self.store.read_ended(name)
                except BadRecord as error:
                    bad[name] = str(error)
                except FileNotFoundError:
                    continue
        return files, bad

    def _read_running(
        self, attempts: tuple[AttemptName, ...], now: float
    ) -> dict[AttemptName, AttemptFile]:
        running = [n for n in attempts if n.state is State.TAKEN][:_CURVES_READ]
        self._curves = {n: c for n, c in self._curves.items() if n in running}
        for name in running:
            if name in self._curves and now - self._curves[name][0] < _CURVE_AGE:
                continue
            try:
                self._curves[name] = (now, self.store.read_attempt(name))
            except (BadRecord, FileNotFoundError):
                continue
        return {name: file for name, (_, file) in self._curves.items()}

    def _master(self, now: float) -> tuple[Finished | None, MasterBeat | None, float]:
        if not self._follows:
            return None, None, 0.0
        try:
            finished = self.store.read_finished()
        except BadRecord:
            finished = None
        beat = self.store.read_master()
        self._last_master = beat or self._last_master
        signature = records.encode_document(self._last_master) if self._last_master else b""
        silence = self._master_watch.look({"master": signature}, now)["master"]
        return finished, self._last_master, silence

    def _look_at_workers(self, beats: dict[str, bytes], holders: set[str]) -> None:
        # The clock after the reading: time that it took is nobody's silence.
        now = self._monotonic()
        silence = self._watch.look(beats, now, holders)
        self._next_beats = now + min(_BEATS_LAST, self.study.lease / 8)
        for worker, data in beats.items():
            try:
                beat = records.decode_document(Beat, data)
            except BadRecord:
                continue  # caught in the middle of a rewrite: what it said before stands
            if beat.worker != worker:
                continue
            before = self._beats.get(worker)
            if beat.trouble and (before is None or before.trouble != beat.trouble):
                self.note("trouble", f"{worker} {beat.state}: {beat.trouble}")
            self._beats[worker] = beat
        self._beats = {w: b for w, b in self._beats.items() if w in silence}
        self._workers = tuple(
            WorkerView(w, self._beats.get(w), silence[w]) for w in sorted(silence)
        )

    def _rate(self, elapsed: float) -> float | None:
        recent = [at for at in self._recent if at is not None]
        if len(recent) < 2:
            return None
        # Up to now, not up to the last one: a study that has stalled shows it.
        return len(recent) / max(elapsed - recent[0], 1e-3)

    # -- events --------------------------------------------------------------------------

    def _derive_events(
        self, attempts: tuple[AttemptName, ...], files: dict[AttemptName, AttemptFile]
    ) -> None:
        now = frozenset(attempts)
        before, self._before = self._before, now
        for counted in self.history.trials[self._announced :]:
            self._announce(counted)
            self._recent.append(counted.elapsed)
        for counted in self.history.tests[self._announced_tests :]:
            found = {k: v for k, v in counted.result.metrics.items() if k.startswith("test_")}
            shown = ", ".join(f"{key} {value:.5g}" for key, value in found.items())
            self.note(counted.result.outcome, f"trial {counted.trial.number} tested: {shown}")
        self._announced, self._announced_tests = len(self.history), len(self.history.tests)
        if before is None:
            return
        for name in sorted(now - before):
            match name.state:
                case State.TAKEN:
                    self.note("claimed", f"trial {name.label} claimed by {name.worker}")
                case State.LOST:
                    self._announce_lost(name, files.get(name))
                case State.WAITING if name.attempt > 1:
                    self.note("retried", f"trial {name.trial}: attempt {name.attempt} published")

    def _follow_stages(self) -> tuple[StageView, ...]:
        if not isinstance(self._sampler, StagedSampler):
            return ()
        self._sampler.follow(self.history.trials)
        views = self._sampler.views()
        begun = [view for view in views if view.state != "waiting"]
        for view in begun[self._stages_begun :] if self._stages_begun else ():
            settings = ", ".join(f"{k} {v}" for k, v in view.start.items())
            self.note("stage", f"stage {view.stage.name} starts from {settings}")
        self._stages_begun = len(begun)
        return tuple(views)

    def _announce(self, counted: Counted) -> None:
        result, number = counted.result, counted.trial.number
        match result.outcome:
            case outcome if outcome in FAILURES:
                self.note(outcome, f"trial {number} failed for good: {_why(result)}")
            case outcome:
                value = "" if result.value is None else f", {self.study.metric} {result.value:.5g}"
                self.note(outcome, f"trial {number} {outcome}{value}")

    def _announce_lost(self, name: AttemptName, file: AttemptFile | None) -> None:
        result = file.result if file else None
        if result is not None and result.outcome in FAILURES:
            self.note(result.outcome, f"trial {name.label} failed on {name.worker}: {_why(result)}")
        elif result is not None and result.outcome is Outcome.RELEASED:
            self.note("released", f"trial {name.label} given back by {name.worker}: {_why(result)}")
        else:
            self.note("lost", f"trial {name.label} lost: {name.worker} fell silent")
