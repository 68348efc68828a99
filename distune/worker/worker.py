"""A worker: claim, train, report, until nothing is left.

It is a small supervisor without torch. Training happens in executors, child processes
that stay warm from trial to trial; whatever becomes of one, the worker lives on.
"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.share import protocol
from distune.share.heartbeat import Beat, BeatState, Progress
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Listing, Store
from distune.study.durations import format_duration
from distune.study.study import Study
from distune.study.trial import (
    FAILURES,
    Claim,
    Failure,
    Outcome,
    Purpose,
    Record,
    Report,
    Result,
    Trial,
)
from distune.training.messages import Assignment, Began, Check, Checked, Moved, Ready
from distune.training.processes import Died
from distune.worker.health import Company, GiveUp, Health, Pause
from distune.worker.memory import HOST, Crowded, Room
from distune.workloads import WORKLOADS

_DISCOVER_EVERY, _DISCOVER_AT_WORK_EVERY = 2.0, 8.0  # seconds between looks for new studies
_FLUSH_EVERY = 1.0  # seconds that a report may wait to be written
_LISTINGS_TO_FORGET = 15
_STOP_GRACE = 2.0  # seconds until an executor that does not stop is killed
_CLAIM_AMONG = 8  # at least, so that many workers do not all run for the same file
_LISTING_LASTS = 1.0  # seconds in which a listing is good enough to claim from
_MOST_LOST = 2  # claims in a row, until a listing is not believed any more
_RIVALS_REMEMBERED = 10.0  # seconds
_RIVALS_LIST_EVERY = 0.1  # seconds at least: what comes meanwhile is found with one look
_LOOK_AROUND_EVERY = 2.0  # seconds between two looks at the other workers' heartbeats
_LONGEST_IMPORT = 120.0  # seconds until a training must have begun
_LONGEST_CHECK = 180.0  # seconds for a self-test, torch's import included
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0  # seconds, when the share does not answer


class ExecutorLike(Interface):
    """What a worker needs of an executor.

    Attributes:
        slots: how many trials it may be given at a time; they are numbered from 0.
    """

    slots: int

    def takes(self, slot: int, study: Study) -> bool:
        """Whether it would train a trial of the study soon if it were given it now."""

    def start(self, slot: int, assignment: Assignment) -> None: ...
    def check(self, slot: int, check: Check) -> None: ...
    def poll(self) -> Sequence[tuple[int, Record | Died]]: ...
    def stop(self, slot: int) -> None: ...
    def terminate(self) -> None: ...
    def end(self, slot: int, grace: float) -> None: ...
    def abort(self, slot: int) -> str: ...
    def tail(self) -> str: ...


@dataclass(frozen=True)
class WorkerIdentity:
    """Who it is and on what it trains."""

    worker: str
    host: str
    pid: int
    device: str


@dataclass(eq=False)
class _Held:
    """An attempt that this worker owns, and what is not written of it yet."""

    study: _OpenStudy
    name: AttemptName
    unwritten: list[Record] = field(default_factory=list)
    reports: int = 0
    result: Result | None = None
    written: bool = False  # the result is in the file; the rename is left
    flushed: float = 0.0
    progress: Progress | None = None
    tells_progress: bool = False  # the objective does so itself, more finely than by steps


@dataclass
class _Slot:
    index: int  # among all of the worker's
    executor: ExecutorLike
    number: int  # among the executor's
    held: _Held | None = None
    busy: bool = False  # the executor works, be it on something nobody wants any more
    stop_by: float | None = None
    silence: float = 0.0  # seconds since something was heard of the training
    heard: float = 0.0  # when this was last looked at
    began: bool = False
    testing: _Test | None = None

    def end(self, grace: float) -> None:
        self.executor.end(self.number, grace)

    @property
    def free(self) -> bool:
        return self.held is None and not self.busy and self.testing is None


@dataclass
class _Test:
    """A self-test, because of one failed attempt too many."""

    study: _OpenStudy
    name: AttemptName
    result: Result  # of that attempt, withheld until it is clear whose fault it is
    until: float
    checked: Checked | None = None


@dataclass
class _Trouble:
    """With one study's folder, or with the logs directory itself."""

    until: float | None = None
    pause: float = _SHORTEST_PAUSE


@dataclass
class _OpenStudy:
    worker: str
    name: str
    store: Store
    study: Study
    epochs: int | None = None
    next_beat: float = 0.0
    counter: int = 0
    unchecked: bool = True  # since the last beat: which files it owns
    unlisted: int = 0  # discoveries in which others were there and it was not
    trouble: _Trouble = field(default_factory=_Trouble)
    claim_trouble: _Trouble = field(default_factory=_Trouble)
    health: Health = field(default_factory=Health)
    paused_until: float | None = None
    said: str = ""  # why it has paused or given up
    company: Company = field(init=False)
    next_look_around: float = 0.0
    failed_on: dict[AttemptName, list[str]] = field(default_factory=dict)  # of waiting ones
    ended: list[_Held] = field(default_factory=list)  # trained, but not put away yet
    candidates: list[AttemptName] = field(default_factory=list)  # to claim, the next one last
    listed: float = -math.inf  # when that was
    next_listing: float = -math.inf  # not before, if others claim as fast
    ahead: dict[AttemptName, Trial] = field(default_factory=dict)  # what the next one says
    next_end_look: float = 0.0
    claimed_last: bool = False  # when it was looked for something to claim

    def __post_init__(self) -> None:
        self.company = Company(self.worker, self.study.lease)

    @property
    def longest_pause(self) -> float:
        """Seconds: a worker that pauses for longer seems lost when the share is back."""
        return min(_LONGEST_PAUSE, self.study.lease / 8)


class Worker:
    """`Worker(...).step()` until `finished`.

    Args:
        identity: its id is in the name of every file it owns.
        find_studies: the studies there are, by name.
        executors: each trains one trial at a time, while there is memory for it.
        devices: of the executors; all on the identity's by default.
        offers: names of the user's objectives that it agrees to run.
        ready: whether this host has what a study of some name needs, so that it can be
            opened; raises `UserError` if it cannot work on it.
        allow_commands: whether it runs commands that a study names.
        forever: wait for more when every study is finished.
        say: takes a line for people.
        monotonic, wall, sleep, rng: its clocks, and randomness for claims and pauses.
        base: the logs directory as the objective's process sees it.
    """

    def __init__(
        self,
        identity: WorkerIdentity,
        find_studies: Callable[[], Mapping[str, Store]],
        executors: Sequence[ExecutorLike],
        *,
        devices: Sequence[str] | None = None,
        ready: Callable[[str, Study], bool] = lambda name, study: True,
        offers: Collection[str] = (),
        allow_commands: bool = False,
        forever: bool = False,
        say: Callable[[str], None] = lambda line: None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
        base: Path = Path(),
    ) -> None:
        self.identity = identity
        #: Whether the last step did anything: then the next should come soon.
        self.active = False
        self.finished = False
        #: Studies that this worker cannot work on, and why.
        self.refused: dict[str, str] = {}
        #: Studies that it has left to others, because its trials failed, and why.
        self.given_up: dict[str, str] = {}
        self._find_studies = find_studies
        self._executors = executors
        devices = devices or [identity.device] * len(executors)
        # First all first slots, so that a few trials keep all executors busy.
        places = [
            (number, executor, device)
            for number in range(max(executor.slots for executor in executors))
            for executor, device in zip(executors, devices, strict=True)
            if number < executor.slots
        ]
        self._slots = [
            _Slot(index, executor, number) for index, (number, executor, _) in enumerate(places)
        ]
        self._slot_of = {(id(slot.executor), slot.number): slot for slot in self._slots}
        self._room = Room([device for _, _, device in places])
        self._ready = ready
        self._offers = frozenset(offers)
        self._allow_commands = allow_commands
        self._forever = forever
        self._say = say
        self._monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._base = base
        self._open: dict[str, _OpenStudy] = {}
        self._over: set[str] = set()
        self._bad: dict[str, str] = {}  # studies that cannot be read, and why
        self._preparing: set[str] = set()
        self._next_discovery = 0.0
        self._lost = -math.inf  # when another was faster to claim a trial
        self._folder_trouble = _Trouble()
        self._cut_off_since: float | None = None

    # -- one step --------------------------------------------------------------------------

    def step(self) -> None:
        """Do what there is to do now; never wait."""
        self.active = False
        now = self._monotonic()
        self._listen(now)
        if any(study.ended for study in self._open.values()):
            # An executor shall not wait until the result of its last trial is on the disk.
            self._claim(listing=False)
        self._try(self._folder_trouble, partial(self._discover, now), _LONGEST_PAUSE)
        for study in list(self._open.values()):
            self._try(study.trouble, partial(self._tend, study, now), study.longest_pause)
        self._claim(listing=True)
        for study in self._open.values():
            if study.trouble.until is None and study.claim_trouble.until is None:
                self._try(
                    study.claim_trouble, partial(self._read_ahead, study), study.longest_pause
                )

    def _claim(self, listing: bool) -> None:
        studies = list(self._open.values())
        self._rng.shuffle(studies)  # fair to all of them
        if not listing:
            del studies[1:]  # what happens to be known of one must not put it before the others
        for study in studies:
            if self._place_for(study) is None:
                if listing:
                    study.claim_trouble = _Trouble()  # over, if another look has adopted the claim
            elif study.trouble.until is None:
                claim = partial(self._claim_from, study, listing)
                self._try(study.claim_trouble, claim, study.longest_pause)

    def rest(self) -> None:
        """Hold nothing open on the share: nothing happens for a while."""
        for study in self._open.values():
            study.store.rest()

    def _tend(self, study: _OpenStudy, now: float) -> None:
        """Beat, and bring the files that are held of a study up to date."""
        if now >= study.next_beat:
            self._beat(study)
            study.unchecked = True
        if study.unchecked:  # after the beat: what is wrong with a file silences nobody
            if not self._will_list(study):
                self._check_ownership(study)
            study.unchecked = False
        for slot in self._slots:
            if slot.held is not None and slot.held.study is study:
                self._write(slot, now)
        self._put_away(study)
        for slot in self._slots:
            if slot.testing is not None and slot.testing.study is study:
                self._judge(slot, now)
        if study.name in self.given_up:
            self._leave(study)

    @property
    def idle(self) -> bool:
        return not any(slot.held for slot in self._slots) and not any(
            study.ended for study in self._open.values()
        )

    @property
    def has_rivals(self) -> bool:
        """Others have claimed what it was about to claim, not long ago."""
        return self._monotonic() < self._lost + _RIVALS_REMEMBERED

    @property
    def longest_pause(self) -> float:
        """Seconds that may pass until the next step when nothing happens."""
        return min((one.study.longest_pause for one in self._open.values()), default=1.0)

    @property
    def knows_nothing(self) -> bool:
        """No study has been seen yet."""
        return not (self._open or self._over or self.refused or self.given_up or self._preparing)

    @property
    def only_refused(self) -> bool:
        """There is work here, but none that it can do."""
        left = self._open or self._preparing
        return bool(self.refused or self.given_up) and not left and self.idle

    @property
    def cut_off(self) -> bool:
        """The share did not answer when it was last asked, and this has been said."""
        return self._cut_off_since is not None

    def drain(self, reason: str, seconds: float) -> bool:
        """Give everything back: first stop the training, then let go of the files (P7).

        Returns:
            False if the share did not answer in time; then the lease will tell (P6).
        """
        self._listen(self._monotonic())
        for executor in self._executors:
            executor.terminate()
        deadline = self._monotonic() + seconds
        for slot in self._slots:  # all of them have the same half second to clean up
            slot.end(grace=max(0.0, deadline - seconds + 0.5 - self._monotonic()))
            slot.busy, slot.stop_by, slot.testing = False, None, None
        while True:
            try:
                for slot in self._slots:
                    self._let_go(slot, reason)
                for study in self._open.values():
                    self._put_away(study)
                self._remove_beats()
                return True
            except (ShareError, FileNotFoundError):
                if self._monotonic() >= deadline:
                    return False
                self._sleep(0.1)

    def _let_go(self, slot: _Slot, reason: str) -> None:
        if slot.held is not None:
            failure = Failure(message=reason)
            self._is_over(slot, slot.held, Result(outcome=Outcome.RELEASED, failure=failure))

    def _is_over(self, slot: _Slot, held: _Held, result: Result) -> None:
        """The executor is free; what it has found out is put away when there is time."""
        held.result = result
        held.unwritten.append(result)
        held.study.ended.append(held)
        slot.held = None

    def _remove_beats(self) -> None:
        for study in self._open.values():
            study.store.remove_beat(self.identity.worker)

    # -- executors -------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        """Take in what the executors say. Needs no share, so training never waits for it."""
        for slot in self._slots:
            # Counted like a watcher's silence: the time in which the worker did not look is not
            # the training's. A share that hangs may have kept it for minutes.
            slot.silence += min(now - slot.heard, 1.0)
            slot.heard = now
        for executor in self._executors:
            for number, message in executor.poll():
                self.active = True
                slot = self._slot_of[id(executor), number]
                slot.silence = 0.0
                self._hear(slot, message)
        for slot in self._slots:
            self._check_time(slot, now)

    def _hear(self, slot: _Slot, message: Record | Died) -> None:
        match message:
            case Ready():
                pass
            case Began():
                slot.began = True
            case Checked():
                if slot.testing is not None:
                    slot.testing.checked = message
                    slot.busy = False
            case Moved():
                self._follow(slot, message)
            case Report():
                if slot.held is not None:
                    slot.held.unwritten.append(message)
                    slot.held.reports += 1
                    self._follow(slot, message)
            case Result():
                self._ended(slot, message)
            case Died():
                self._died(slot, message)

    def _died(self, slot: _Slot, died: Died) -> None:
        if slot.testing is not None:
            slot.testing.checked = Checked(problem=f"the training process {died.reason}")
            slot.busy = False
        elif slot.busy:
            self._ended(slot, died.as_result(), killed=True)

    def _check_time(self, slot: _Slot, now: float) -> None:
        """Kill an executor that hangs, or does not stop when it is asked to."""
        if slot.stop_by is not None and now >= slot.stop_by:
            slot.end(grace=0.0)
            slot.stop_by, slot.busy = None, False
        if slot.testing is not None and slot.busy and now >= slot.testing.until:
            slot.end(grace=0.0)
            problem = f"the self-test did not end within {format_duration(_LONGEST_CHECK)}"
            slot.testing.checked, slot.busy = Checked(problem=problem), False
        if slot.held is None or slot.testing is not None:
            return
        timeout = slot.held.study.study.trial_timeout
        # Importing torch over a network may take longer than a short trial.
        if timeout is not None and slot.silence >= (
            timeout if slot.began else max(timeout, _LONGEST_IMPORT)
        ):
            why = Failure(
                message=f"no report for {format_duration(timeout)} (trial_timeout): killed",
                output=slot.executor.abort(slot.number),
            )
            self._ended(slot, Result(outcome=Outcome.TIMEOUT, failure=why))

    def _ended(self, slot: _Slot, result: Result, *, killed: bool = False) -> None:
        slot.busy, slot.stop_by = False, None
        held = slot.held
        others = [index for index in self._busy() if index != slot.index]
        trial = None if held is None else (held.study.study.id, held.name.purpose, held.name.trial)
        crowded = self._room.ends(slot.index, others, result.outcome, trial, killed=killed)
        if crowded is not None:
            result = self._make_room(held, result, crowded)
        if held is None:
            return
        if result.outcome in FAILURES and result.failure and not result.failure.output:
            failure = result.failure.replace(output=slot.executor.tail())
            result = result.replace(failure=failure)
        if result.outcome in FAILURES and result.steps == 0:
            # A process that died could not say how far it had come.
            result = result.replace(steps=held.reports)
        if result.outcome is not Outcome.RELEASED and held.study.health.ended(result):
            self._test_itself(slot, held, result)
            return
        self._is_over(slot, held, result)

    def _make_room(self, held: _Held | None, result: Result, crowded: Crowded) -> Result:
        """Say it, and that the attempt is given back, because it was not its fault alone."""
        where = crowded.memory if crowded.memory == HOST else f"device {crowded.memory}"
        until = "for one trial" if crowded.alone else "from now on"
        label = f"; trial {held.name.label} is given back" if held is not None else ""
        self._say(f"out of memory: at most {crowded.most} at a time on {where} {until}{label}")
        for study in self._open.values():
            study.next_beat = 0.0
        said = result.failure.message if result.failure is not None else "out of memory"
        failure = Failure(message=f"out of memory beside other trials on {where}: {said}")
        return Result(outcome=Outcome.RELEASED, failure=failure)

    def _busy(self) -> list[int]:
        return [slot.index for slot in self._slots if not slot.free]

    def _place_for(self, study: _OpenStudy) -> _Slot | None:
        """An executor that takes a trial of this study now, if there is one and memory for it."""
        busy = self._busy()
        idle = (s for s in self._slots if s.free and self._room.for_one_more(s.index, busy))
        return next((s for s in idle if s.executor.takes(s.number, study.study)), None)

    def _test_itself(self, slot: _Slot, held: _Held, result: Result) -> None:
        study = held.study
        self._say(f"study {study.name}: trials fail here, one after the other: testing this host")
        until = self._monotonic() + _LONGEST_CHECK
        slot.testing = _Test(study, held.name, result, until)
        folder = self._path_of(study, protocol.ARTIFACTS)
        slot.executor.check(slot.number, Check(study=study.study, folder=folder))
        slot.busy = True

    def _judge(self, slot: _Slot, now: float) -> None:
        """Decide what a self-test means, and let the withheld result go."""
        test = slot.testing
        assert test is not None
        if test.checked is None:
            return
        study, result = test.study, test.result
        study.company.look(study.store.beats(), now)
        verdict = study.health.judge(test.checked.problem, study.company)
        slot.testing = None
        match verdict:
            case None:
                self._say(f"study {study.name}: nothing is wrong with this host; going on")
            case Pause(seconds, reason):
                study.paused_until, study.said = now + seconds, reason
                self._say(f"study {study.name}: {reason}; pausing for {format_duration(seconds)}")
            case GiveUp(reason):
                self.given_up[study.name] = study.said = reason
                self._say(f"study {study.name}: giving up here: {reason}")
                if test.checked.problem is not None:  # then it is not the trial's fault
                    failure = Failure(message=f"its worker gave up: {reason}")
                    result = Result(outcome=Outcome.RELEASED, failure=failure)
        study.next_beat = now  # say so
        held = slot.held
        if held is not None and held.name == test.name:  # else it was taken back meanwhile
            self._is_over(slot, held, result)
            self._put_away(study)

    def _leave(self, study: _OpenStudy) -> None:
        """Give back what is held of a study that this worker has given up; its heartbeat
        stays and says why.
        """
        self._end_tests(study)
        for slot in self._slots:
            if slot.held is None or slot.held.study is not study:
                continue
            if slot.busy:
                slot.end(grace=0.0)
                slot.busy, slot.stop_by = False, None
            self._let_go(slot, f"its worker gave up: {study.said}")
        self._put_away(study)
        self._beat(study)
        del self._open[study.name]
        self._next_discovery = 0.0

    def _end_tests(self, study: _OpenStudy) -> None:
        """Nobody wants to know any more: the study is not open after this."""
        for slot in self._slots:
            if slot.testing is not None and slot.testing.study is study:
                slot.end(grace=0.0)
                slot.testing, slot.busy = None, False

    def _follow(self, slot: _Slot, message: Moved | Report) -> None:
        if slot.held is None or slot.held.progress is None:
            return
        if isinstance(message, Moved):
            slot.held.tells_progress = True
            update = message.as_dict()
        else:
            update = {"seconds": message.seconds}
            epochs = slot.held.study.epochs
            if epochs is not None and not slot.held.tells_progress:
                update["fraction"] = min(1.0, message.step / epochs)
        slot.held.progress = slot.held.progress.replace(**update)

    def _abandon(self, slot: _Slot, why: str) -> None:
        """Somebody else owns it now; stop the training and forget it (P7)."""
        assert slot.held is not None
        self._drop(slot.held, why)
        slot.held = None
        if slot.busy and slot.testing is None:  # a self-test is about the host, and goes on
            slot.executor.stop(slot.number)
            slot.stop_by = self._monotonic() + _STOP_GRACE

    def _drop(self, held: _Held, why: str) -> None:
        self._say(f"trial {held.name.label}: {why}; dropped")
        if held in held.study.ended:
            held.study.ended.remove(held)

    # -- the share -------------------------------------------------------------------------

    def _discover(self, now: float) -> None:
        if now < self._next_discovery:
            return
        found = self._find_studies()
        # Not before it has succeeded. Who has no time for another study looks seldom.
        free = not self._open or any(map(self._place_for, self._open.values()))
        self._next_discovery = now + (_DISCOVER_EVERY if free else _DISCOVER_AT_WORK_EVERY)
        trouble: ShareError | FileNotFoundError | None = None
        for name, store in found.items():
            if name in self._open or name in self.given_up:
                continue
            store.tell = self._say
            try:
                study = store.load()
                over = store.is_finished()
            except (BadRecord, NotAFolder) as error:
                self._leave_alone(name, error)
                continue
            except (ShareError, FileNotFoundError) as error:
                trouble = error  # the others may answer
                continue
            self._bad.pop(name, None)
            if over:
                self._over.add(name)
                continue
            self._over.discard(name)
            self._preparing.discard(name)
            try:
                self._check_agreement(study)
                if not self._ready(name, study):
                    self._preparing.add(name)
                    continue
            except UserError as error:
                if name not in self.refused:
                    self._say(f"study {name} is left alone: {error}")
                self.refused[name] = str(error)
                continue
            self.refused.pop(name, None)
            self._say(f"study {name}: {study.objective_name}, {study.metric}")
            self._open[name] = _OpenStudy(
                self.identity.worker, name, store, study, _epochs_of(study)
            )
        self._forget_deleted(found)
        for name in list(self.refused):
            if name not in found or name in self._over:
                del self.refused[name]
        if trouble is not None:
            raise trouble
        waiting = self._open or self.refused or self.given_up or self._preparing
        everything_over = bool(self._over) and not waiting
        self.finished = everything_over and self.idle and not self._forever

    def _leave_alone(self, name: str, error: Exception) -> None:
        """Go on without a study that cannot be read; it is looked at again each time."""
        why = str(error)
        if isinstance(error, BadRecord):
            why = f"{protocol.STUDY} cannot be used: {why}"
        if self._bad.get(name) != why:
            self._bad[name] = why
            self._say(f"study {name} is left alone until that is mended: {why}")

    def _forget_deleted(self, found: Mapping[str, Store]) -> None:
        """Let go of a study whose folder is gone while others are there: it was deleted.

        An empty logs directory says nothing: the share may just be unmounted (P9).
        """
        for study in list(self._open.values()):
            study.unlisted = study.unlisted + 1 if found and study.name not in found else 0
            if study.unlisted >= _LISTINGS_TO_FORGET:
                self._end_tests(study)
                for slot in self._slots:
                    if slot.held is not None and slot.held.study is study:
                        self._abandon(slot, f"the study {study.name} was deleted")
                for held in list(study.ended):
                    self._drop(held, f"the study {study.name} was deleted")
                del self._open[study.name]
                self._over.add(study.name)
                self._say(f"study {study.name} is gone")

    def _check_agreement(self, study: Study) -> None:
        """Whoever can write to the share must not thereby run code here."""
        if study.command is not None:
            if not self._allow_commands:
                raise UserError("it needs a worker started with --allow-commands")
        elif study.objective not in WORKLOADS and study.objective not in self._offers:
            raise UserError(f"it needs a worker started with --objective {study.objective}")

    def _mine(self, study: _OpenStudy) -> set[AttemptName]:
        listing = study.store.listing_for(self.identity.worker)
        self._remember(study, listing)
        return {
            name
            for name in listing.attempts
            if name.worker == self.identity.worker and name.state is State.TAKEN
        }

    def _held_of(self, study: _OpenStudy) -> list[_Held]:
        training = [s.held for s in self._slots if s.held is not None and s.held.study is study]
        return [*training, *study.ended]

    def _will_list(self, study: _OpenStudy) -> bool:
        """Whether it holds nothing and looks for something to claim, which shows the same."""
        idle = study.counter > 1 and study.paused_until is None and study.name not in self.given_up
        return idle and not self._held_of(study) and self._place_for(study) is not None

    def _check_ownership(self, study: _OpenStudy) -> None:
        """Look in a fresh listing for the files one believes to own, and the other way."""
        held = self._held_of(study)
        listed = self._mine(study)
        # Where the result is written, the rename that follows will tell.
        gone = {one.name for one in held if not one.written} - listed
        if gone:  # never conclude from one listing: a rename nearby can hide a name
            study.store.folder.poke(protocol.TRIALS)
            gone -= self._mine(study)
        for slot in self._slots:
            if slot.held is not None and slot.held.study is study and slot.held.name in gone:
                self._abandon(slot, "taken back by the master")
        for one in list(study.ended):
            if one.name in gone:
                self._drop(one, "taken back by the master")
        self._adopt_found(study, listed)

    def _adopt_found(self, study: _OpenStudy, listed: Collection[AttemptName]) -> None:
        """Claims that seemed to have failed (P8)."""
        for name in sorted(set(listed) - {one.name for one in self._held_of(study)}):
            self._adopt(study, name)

    def _beat(self, study: _OpenStudy) -> None:
        # Whether a beat arrived or not, the next one must differ.
        study.counter += 1
        running = [s.held for s in self._slots if s.held is not None]
        study.store.beat(
            self.identity.worker,
            Beat(
                worker=self.identity.worker,
                host=self.identity.host,
                pid=self.identity.pid,
                device=self.identity.device,
                jobs=min(self._room.jobs, len(self._executors)),
                counter=study.counter,
                state=self._state(study, bool(running)),
                running=[held.progress for held in running if held.progress is not None],
                completed=study.health.completed,
                failed=study.health.failed,
                trouble=study.said,
            ),
        )
        study.next_beat = self._monotonic() + study.study.beat_interval

    def _state(self, study: _OpenStudy, works: bool) -> BeatState:
        if study.name in self.given_up:
            return "gave up"
        if study.paused_until is not None:
            return "paused"
        return "working" if works else "idle"

    def _write(self, slot: _Slot, now: float) -> None:
        """Bring the file of an attempt up to date that is being trained."""
        held = slot.held
        assert held is not None
        if held.unwritten and now >= held.flushed + _FLUSH_EVERY:
            why = self._append(held)
            if why is not None:
                self._abandon(slot, why)

    def _append(self, held: _Held) -> str | None:
        """Write what is not written; why the attempt is not this worker's any more, if so."""
        store = held.study.store
        try:
            store.append(held.name, held.unwritten)
        except FileNotFoundError:
            store.folder.poke(protocol.TRIALS)
            if held.name in self._mine(held.study):
                raise ShareError(f"{held.name.filename} is listed but cannot be opened") from None
            return "taken back by the master"
        except BadRecord as error:  # somebody has put something else in its place
            store.give_up(held.name, Actor.OWNER)
            return f"its file cannot be written: {error}"
        held.unwritten.clear()
        held.flushed = self._monotonic()
        self.active = True
        return None

    def _put_away(self, study: _OpenStudy) -> None:
        """Write the results of attempts that are over, and let go of their files."""
        while study.ended:
            held = study.ended[0]
            assert held.result is not None
            if not held.written:
                why = self._append(held)
                if why is not None:
                    self._drop(held, why)
                    continue
                held.written = True
            if held.result.outcome is Outcome.RELEASED:
                moved = study.store.give_up(held.name, Actor.OWNER)
            else:
                moved = study.store.finish(held.name)
            if moved:
                self._say(f"trial {held.name.label}: {_describe(held.result, study.study)}")
            else:
                self._say(f"trial {held.name.label}: ended, but it had been taken back meanwhile")
            study.ended.remove(held)

    # -- claiming --------------------------------------------------------------------------

    def _claim_from(self, study: _OpenStudy, listing: bool) -> None:
        """Claim as many trials of a study as there are idle executors.

        Args:
            study: whose.
            listing: whether to list them; else only what is known is claimed, so that the
                next training begins at once.
        """
        if study.name in self.given_up:
            return
        if study.paused_until is not None:
            if self._monotonic() < study.paused_until:
                return
            study.paused_until, study.said = None, ""
            study.next_beat = 0.0
        while self._place_for(study) is not None:
            if study.health.doubtful and any(
                slot.held is not None and slot.held.study is study for slot in self._slots
            ):
                return
            if not self._claim_one(study, listing):
                return

    def _claim_one(self, study: _OpenStudy, listing: bool) -> bool:
        if study.counter == 0:
            return False  # no claim before the first heartbeat
        now = self._monotonic()
        if listing and now >= study.next_end_look and self._close_if_finished(study, now):
            return False
        if now < study.listed + _LISTING_LASTS and self._claim_known(study):
            return True
        if not listing or (self.has_rivals and now < study.next_listing):
            return False
        study.next_listing = now + _RIVALS_LIST_EVERY
        self._adopt_found(study, self._mine(study))
        if self._place_for(study) is not None and self._claim_known(study):
            return True
        study.listed = -math.inf
        if study.claimed_last:
            study.claimed_last = False
            self._close_if_finished(study, now)
        return False

    def _claim_known(self, study: _OpenStudy) -> bool:
        """Claim one of those that the last listing had."""
        for _ in range(_MOST_LOST):
            if not study.candidates:
                return False
            if self._claim_this(study, study.candidates.pop()):
                return True
        return False

    def _claim_this(self, study: _OpenStudy, name: AttemptName) -> bool:
        taken = study.store.claim(name, self.identity.worker)
        if taken is None:
            self._lose(study)
            return False
        study.claimed_last = True
        self._adopt(study, taken, study.ahead.pop(name, None))
        return True

    def _lose(self, study: _OpenStudy) -> None:
        """Another was faster, who is likely to have the ones after that, too: go on elsewhere."""
        self._lost = self._monotonic()
        if study.candidates:
            place = self._rng.randrange(len(study.candidates))
            study.candidates = [*study.candidates[place:], *study.candidates[:place]]

    def _close_if_finished(self, study: _OpenStudy, now: float) -> bool:
        study.next_end_look = now + _LOOK_AROUND_EVERY
        if not study.store.is_finished():
            return False
        self._close(study)
        return True

    def _remember(self, study: _OpenStudy, listing: Listing) -> None:
        """Note what there is to claim, the best last."""
        waiting = [n for n in listing.attempts if n.state is State.WAITING]
        # The winner's test holds everything up: it goes first. Then what has waited for a
        # lease already, then the oldest.
        waiting.sort(key=lambda name: (not _is_urgent(name), name))
        there = set(waiting)
        study.failed_on = {n: who for n, who in study.failed_on.items() if n in there}
        suitable = (name for name in waiting if not self._leaves_to_others(study, name))
        candidates = list(itertools.islice(suitable, max(_CLAIM_AMONG, len(waiting) * 3 // 4)))
        candidates = [name for name in candidates if _is_urgent(name)] or candidates
        # From somewhere on, in their order: several workers who have the same listing then run
        # into each other once in a while, and not at every second claim.
        begin = self._rng.randrange(len(candidates)) if candidates else 0
        study.candidates = [*candidates[begin:], *candidates[:begin]][::-1]
        study.listed = self._monotonic()
        study.ahead = {name: trial for name, trial in study.ahead.items() if name in there}
        # What is read already comes first.
        study.candidates.sort(key=study.ahead.__contains__)

    def _read_ahead(self, study: _OpenStudy) -> None:
        """Read the trial that will be claimed next: it is then one rename away, which on a
        network is one request instead of several.
        """
        if self._place_for(study) is not None or not study.candidates or study.counter == 0:
            return
        if study.candidates[-1] in study.ahead:
            return
        try:
            study.ahead[study.candidates[-1]] = self._read(study, study.candidates[-1])
        except (FileNotFoundError, BadRecord):
            study.candidates.pop()  # whoever claims it will see

    def _read(self, study: _OpenStudy, name: AttemptName) -> Trial:
        trial = study.store.read_attempt(name).trial
        if trial.study != study.study.id:
            raise BadRecord("it belongs to another study")
        return trial

    def _leaves_to_others(self, study: _OpenStudy, name: AttemptName) -> bool:
        """Whether this waiting trial has failed here, and somebody else could try it."""
        if name.attempt == 1:
            return False
        if name not in study.failed_on:
            try:
                study.failed_on[name] = study.store.read_attempt(name).trial.failed_on
            except (BadRecord, FileNotFoundError):
                return False  # whoever claims it will see
        failed_on = study.failed_on[name]
        if self.identity.worker not in failed_on:
            return False
        now = self._monotonic()
        if now >= study.next_look_around:
            study.company.look(study.store.beats(), now)
            study.next_look_around = now + _LOOK_AROUND_EVERY
        return study.company.can_take(failed_on)

    def _adopt(self, study: _OpenStudy, name: AttemptName, trial: Trial | None = None) -> None:
        """Start on a file that carries our id; give it back if it cannot be started.

        Args:
            study: whose it is.
            name: of the attempt.
            trial: what its file says, if that was read before.
        """
        slot = self._place_for(study)
        if slot is None:
            study.store.give_up(name, Actor.OWNER)
            return
        try:
            trial = trial or self._read(study, name)
        except (BadRecord, FileNotFoundError) as error:
            self._say(f"{name.filename} cannot be used ({error}); given back")
            study.store.give_up(name, Actor.OWNER)
            return
        self.active = True
        folder = self._path_of(study, protocol.artifacts_folder(trial.number, trial.attempt))
        self._room.begins(slot.index, self._busy())
        slot.executor.start(slot.number, Assignment(study=study.study, trial=trial, folder=folder))
        slot.busy = True
        slot.silence, slot.heard, slot.began = 0.0, self._monotonic(), False
        claim = Claim(
            worker=self.identity.worker,
            host=self.identity.host,
            device=self.identity.device,
            time=self._wall(),
            fingerprint=trial.fingerprint,
        )
        slot.held = _Held(
            study,
            name,
            unwritten=[claim],
            flushed=self._monotonic(),
            progress=Progress(file=name.filename, study=study.study.id),
        )
        self._say(f"trial {name.label}: claimed in {study.name}")

    def _close(self, study: _OpenStudy) -> None:
        """The study is over: whatever is still held of it is given back."""
        self._end_tests(study)
        for slot in self._slots:
            if slot.held is not None and slot.held.study is study:
                study.store.give_up(slot.held.name, Actor.OWNER)
                self._abandon(slot, "the study is finished")
        for held in list(study.ended):
            study.store.give_up(held.name, Actor.OWNER)
            self._drop(held, "the study is finished")
        study.store.remove_beat(self.identity.worker)
        self._over.add(study.name)
        del self._open[study.name]
        self._next_discovery = 0.0
        self._say(f"study {study.name} is finished")

    def _path_of(self, study: _OpenStudy, path: str) -> str:
        """Something in a study's folder, as the objective's process sees it."""
        return f"{self._base / study.name}/{path}"

    # -- when the share does not answer (P9) -------------------------------------------------

    def _try(self, trouble: _Trouble, act: Callable[[], None], longest: float) -> None:
        """Do something on the share; after a failure pause, longer each time but never longer
        than `longest` seconds or half as much again. Said once, whatever else fails meanwhile.
        """
        now = self._monotonic()
        if trouble.until is not None and now < trouble.until:
            return
        try:
            act()
        except (ShareError, FileNotFoundError) as error:
            if self._cut_off_since is None:
                self._cut_off_since = now
                # Text: a failure that a local refers to goes in a circle through this frame.
                if isinstance(error, ShareError):
                    what = str(error)
                else:
                    what = f"{error.filename} is not there"
                self._say(f"{what}; training goes on, results are kept, trying again")
            trouble.until = now + trouble.pause * self._rng.uniform(0.5, 1.5)
            trouble.pause = min(trouble.pause * 2, longest)
            return
        trouble.until, trouble.pause = None, _SHORTEST_PAUSE
        if self._cut_off_since is not None and not any(
            one.until is not None for one in self._troubles()
        ):
            self._say(f"the share is back after {now - self._cut_off_since:.0f} s")
            self._cut_off_since = None

    def _troubles(self) -> list[_Trouble]:
        found = [self._folder_trouble]
        for study in self._open.values():
            found += [study.trouble, study.claim_trouble]
        return found


def _is_urgent(name: AttemptName) -> bool:
    return name.purpose is Purpose.TEST or name.attempt > 1


def _epochs_of(study: Study) -> int | None:
    """How many steps every training has, if a constant `epochs` says so."""
    epochs = study.space.constants.get("epochs")
    if any("epochs" in stage.params for stage in study.stages or []):
        return None
    return epochs if isinstance(epochs, int) and epochs >= 1 else None


def _describe(result: Result, study: Study) -> str:
    if result.failure is not None:
        return f"{result.outcome}: {result.failure.message}"
    if result.value is None:
        shown = ", ".join(f"{k} {v:.5g}" for k, v in result.metrics.items())
        return f"{result.outcome}, {shown}"
    return f"{result.outcome}, {study.metric} {result.value:.5g} in {result.seconds:.1f} s"
