"""A worker: claim, train, report, until nothing is left.

It is a small supervisor without torch. Training happens in executors, child processes
that stay warm from trial to trial; whatever becomes of one, the worker lives on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol as Interface

from distune import protocol
from distune.errors import BadRecord, NotAFolder, ShareError, UserError
from distune.heartbeat import Beat, Progress
from distune.messages import Assignment, Moved, Ready
from distune.processes import Died
from distune.protocol import Actor, AttemptName, State
from distune.store import Store
from distune.study import Study
from distune.trial import Claim, Failure, Outcome, Purpose, Record, Report, Result
from distune.workloads import WORKLOADS

_DISCOVER_EVERY = 2.0  # seconds between two looks for new studies
_FLUSH_EVERY = 1.0  # seconds that a report may wait to be written
_LISTINGS_TO_FORGET = 15
_STOP_GRACE = 2.0  # seconds until an executor that does not stop is killed
_CLAIM_AMONG = 8  # so that many workers do not all run for the same file
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0  # seconds, when the share does not answer


class ExecutorLike(Interface):
    """What a worker needs of an executor."""

    def start(self, assignment: Assignment) -> None: ...
    def poll(self) -> Sequence[Record | Died]: ...
    def stop(self) -> None: ...
    def terminate(self) -> None: ...
    def end(self, grace: float) -> None: ...
    def tail(self) -> str: ...


@dataclass(frozen=True)
class WorkerIdentity:
    """Who it is and on what it trains."""

    worker: str
    host: str
    pid: int
    device: str


@dataclass
class _Held:
    """An attempt that this worker owns, and what is not written of it yet."""

    study: _OpenStudy
    name: AttemptName
    unwritten: list[Record] = field(default_factory=list)
    result: Result | None = None
    written: bool = False  # the result is in the file; the rename is left
    flushed: float = 0.0
    progress: Progress | None = None
    tells_progress: bool = False  # the objective does so itself, more finely than by steps


@dataclass
class _Slot:
    executor: ExecutorLike
    held: _Held | None = None
    busy: bool = False  # the executor works, be it on something nobody wants any more
    stop_by: float | None = None


@dataclass
class _Trouble:
    """With one study's folder, or with the logs directory itself."""

    since: float | None = None
    until: float | None = None
    pause: float = _SHORTEST_PAUSE


@dataclass
class _OpenStudy:
    name: str
    store: Store
    study: Study
    epochs: int | None = None
    next_beat: float = 0.0
    counter: int = 0
    unlisted: int = 0  # discoveries in which others were there and it was not
    trouble: _Trouble = field(default_factory=_Trouble)


class Worker:
    """`Worker(...).step()` until `finished`.

    Args:
        identity: its id is in the name of every file it owns.
        find_studies: the studies there are, by name.
        executors: as many trials are trained at a time.
        offers: names of the user's objectives that it agrees to run.
        ready: whether this host has what a study needs, so that it can be opened; raises
            `UserError` if it never will.
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
        ready: Callable[[Study], bool] = lambda study: True,
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
        self._find_studies = find_studies
        self._slots = [_Slot(executor) for executor in executors]
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
        self._folder_trouble = _Trouble()

    # -- one step --------------------------------------------------------------------------

    def step(self) -> None:
        """Do what there is to do now; never wait."""
        self.active = False
        for slot in self._slots:
            self._hear(slot)
        now = self._monotonic()
        self._try(self._folder_trouble, partial(self._discover, now))
        for study in list(self._open.values()):
            self._try(study.trouble, partial(self._tend, study, now))
        if any(slot.held is None and not slot.busy for slot in self._slots):
            studies = list(self._open.values())
            self._rng.shuffle(studies)  # fair to all of them
            for study in studies:
                self._try(study.trouble, partial(self._claim_from, study))

    def _tend(self, study: _OpenStudy, now: float) -> None:
        """Beat, and bring the files that are held of a study up to date."""
        if now >= study.next_beat:
            self._check_ownership(study)
            self._beat(study)
        for slot in self._slots:
            if slot.held is not None and slot.held.study is study:
                self._write(slot, now)

    @property
    def idle(self) -> bool:
        return all(slot.held is None for slot in self._slots)

    @property
    def knows_nothing(self) -> bool:
        """No study has been seen yet."""
        return not (self._open or self._over or self.refused or self._preparing)

    @property
    def only_refused(self) -> bool:
        """There is work here, but none that it can do."""
        return bool(self.refused) and not self._open and not self._preparing and self.idle

    def drain(self, reason: str, seconds: float) -> bool:
        """Give everything back: first stop the training, then let go of the files (P7).

        Returns:
            False if the share did not answer in time; then the lease will tell (P6).
        """
        for slot in self._slots:
            self._hear(slot)
            slot.executor.terminate()
        deadline = self._monotonic() + seconds
        for slot in self._slots:  # all of them have the same half second to clean up
            slot.executor.end(grace=max(0.0, deadline - seconds + 0.5 - self._monotonic()))
            slot.busy, slot.stop_by = False, None
        while True:
            try:
                for slot in self._slots:
                    self._let_go(slot, reason)
                self._remove_beats()
                return True
            except (ShareError, FileNotFoundError):
                if self._monotonic() >= deadline:
                    return False
                self._sleep(0.1)

    def _let_go(self, slot: _Slot, reason: str) -> None:
        held = slot.held
        if held is None:
            return
        if held.result is None:
            failure = Failure(message=reason)
            held.result = Result(outcome=Outcome.RELEASED, failure=failure)
            held.unwritten.append(held.result)
        self._write(slot, self._monotonic())

    def _remove_beats(self) -> None:
        for study in self._open.values():
            study.store.remove_beat(self.identity.worker)

    # -- executors -------------------------------------------------------------------------

    def _hear(self, slot: _Slot) -> None:
        """Take in what the executor says. Needs no share, so training never waits for it."""
        for message in slot.executor.poll():
            self.active = True
            match message:
                case Ready():
                    pass
                case Moved():
                    self._follow(slot, message)
                case Report():
                    if slot.held is not None and slot.held.result is None:
                        slot.held.unwritten.append(message)
                        self._follow(slot, message)
                case Result():
                    self._ended(slot, message)
                case Died(reason, output):
                    if slot.busy:
                        why = Failure(message=f"the training process {reason}", output=output)
                        self._ended(slot, Result(outcome=Outcome.FAILED, failure=why))
        if slot.stop_by is not None and self._monotonic() >= slot.stop_by:
            slot.executor.end(grace=0.0)
            slot.stop_by, slot.busy = None, False

    def _ended(self, slot: _Slot, result: Result) -> None:
        slot.busy, slot.stop_by = False, None
        held = slot.held
        if held is None or held.result is not None:
            return
        if result.outcome is Outcome.FAILED and result.failure and not result.failure.output:
            failure = result.failure.model_copy(update={"output": slot.executor.tail()})
            result = result.model_copy(update={"failure": failure})
        if result.outcome is Outcome.FAILED and result.steps == 0:
            # A process that died could not say how far it had come.
            done = [r for r in held.unwritten if isinstance(r, Report)]
            result = result.model_copy(update={"steps": len(done)})
        held.result = result
        held.unwritten.append(result)

    def _follow(self, slot: _Slot, message: Moved | Report) -> None:
        if slot.held is None or slot.held.progress is None:
            return
        if isinstance(message, Moved):
            slot.held.tells_progress = True
            update = message.model_dump()
        else:
            update = {"seconds": message.seconds}
            epochs = slot.held.study.epochs
            if epochs is not None and not slot.held.tells_progress:
                update["fraction"] = min(1.0, message.step / epochs)
        slot.held.progress = slot.held.progress.model_copy(update=update)

    def _abandon(self, slot: _Slot, why: str) -> None:
        """Somebody else owns it now; stop the training and forget it (P7)."""
        assert slot.held is not None
        self._say(f"trial {slot.held.name.label}: {why}; dropped")
        slot.held = None
        if slot.busy:
            slot.executor.stop()
            slot.stop_by = self._monotonic() + _STOP_GRACE

    # -- the share -------------------------------------------------------------------------

    def _discover(self, now: float) -> None:
        if now < self._next_discovery:
            return
        self._next_discovery = now + _DISCOVER_EVERY
        found = self._find_studies()
        trouble: ShareError | FileNotFoundError | None = None
        for name, store in found.items():
            if name in self._open:
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
                if not self._ready(study):
                    self._preparing.add(name)
                    continue
            except UserError as error:
                if name not in self.refused:
                    self._say(f"study {name} is left alone: {error}")
                self.refused[name] = str(error)
                continue
            self.refused.pop(name, None)
            self._say(f"study {name}: {study.objective_name}, {study.metric}")
            self._open[name] = _OpenStudy(name, store, study, _epochs_of(study))
        self._forget_deleted(found)
        for name in list(self.refused):
            if name not in found or name in self._over:
                del self.refused[name]
        if trouble is not None:
            raise trouble
        waiting = self._open or self.refused or self._preparing
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
                for slot in self._slots:
                    if slot.held is not None and slot.held.study is study:
                        self._abandon(slot, f"the study {study.name} was deleted")
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
        return {
            name
            for name in study.store.listing().attempts
            if name.worker == self.identity.worker and name.state is State.TAKEN
        }

    def _check_ownership(self, study: _OpenStudy) -> None:
        """Look in a fresh listing for the files one believes to own, and the other way."""
        held = [s.held for s in self._slots if s.held is not None and s.held.study is study]
        listed = self._mine(study)
        # Where the result is written, the rename that follows will tell.
        gone = {one.name for one in held if not one.written} - listed
        if gone:  # never conclude from one listing: a rename nearby can hide a name
            study.store.folder.poke(protocol.TRIALS)
            gone -= self._mine(study)
        for slot in self._slots:
            if slot.held is not None and slot.held.study is study and slot.held.name in gone:
                self._abandon(slot, "taken back by the master")
        for name in sorted(
            listed - {one.name for one in held}
        ):  # a claim that seemed to have failed
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
                jobs=len(self._slots),
                counter=study.counter,
                state="working" if running else "idle",
                running=[held.progress for held in running if held.progress is not None],
            ),
        )
        study.next_beat = self._monotonic() + study.study.beat_interval

    def _write(self, slot: _Slot, now: float) -> None:
        """Bring the file up to date, and let go of it if the training is over."""
        held = slot.held
        if held is None or not (held.unwritten or held.result):
            return
        if held.result is None and now < held.flushed + _FLUSH_EVERY:
            return
        store = held.study.store
        if not held.written:
            try:
                store.append(held.name, held.unwritten)
            except FileNotFoundError:
                store.folder.poke(protocol.TRIALS)
                if held.name in self._mine(held.study):
                    raise ShareError(
                        f"{held.name.filename} is listed but cannot be opened"
                    ) from None
                self._abandon(slot, "taken back by the master")
                return
            except BadRecord as error:  # somebody has put something else in its place
                store.give_up(held.name, Actor.OWNER)
                self._abandon(slot, f"its file cannot be written: {error}")
                return
            held.unwritten.clear()
            held.flushed = now
            self.active = True
        if held.result is None:
            return
        held.written = True
        if held.result.outcome is Outcome.RELEASED:
            moved = store.give_up(held.name, Actor.OWNER)
        else:
            moved = store.finish(held.name)
        if moved:
            self._say(f"trial {held.name.label}: {_describe(held.result, held.study.study)}")
        else:
            self._say(f"trial {held.name.label}: ended, but it had been taken back meanwhile")
        slot.held = None

    # -- claiming --------------------------------------------------------------------------

    def _claim_from(self, study: _OpenStudy) -> None:
        """Claim as many trials of a study as there are idle executors."""
        while any(slot.held is None and not slot.busy for slot in self._slots):
            if not self._claim_one(study):
                return

    def _claim_one(self, study: _OpenStudy) -> bool:
        if study.counter == 0:
            return False  # no claim before the first heartbeat
        if study.store.is_finished():
            self._close(study)
            return False
        waiting = [n for n in study.store.listing().attempts if n.state is State.WAITING]
        # The winner's test holds everything up: it goes first. Then the oldest.
        waiting.sort(key=lambda name: (name.purpose is not Purpose.TEST, name))
        candidates = waiting[:_CLAIM_AMONG]
        self._rng.shuffle(candidates)
        for name in candidates:
            taken = study.store.claim(name, self.identity.worker)
            if taken is not None:
                self._adopt(study, taken)
                return True
        return False

    def _adopt(self, study: _OpenStudy, name: AttemptName) -> None:
        """Start on a file that carries our id; give it back if it cannot be started."""
        slot = next((s for s in self._slots if s.held is None and not s.busy), None)
        if slot is None:
            study.store.give_up(name, Actor.OWNER)
            return
        try:
            trial = study.store.read_attempt(name).trial
            if trial.study != study.study.id:
                raise BadRecord("it belongs to another study")
            claim = Claim(
                worker=self.identity.worker,
                host=self.identity.host,
                device=self.identity.device,
                time=self._wall(),
            )
            study.store.append(name, [claim])
        except (BadRecord, FileNotFoundError) as error:
            self._say(f"{name.filename} cannot be used ({error}); given back")
            study.store.give_up(name, Actor.OWNER)
            return
        self.active = True
        folder = self._base / study.name / protocol.artifacts_folder(trial.number, trial.attempt)
        slot.executor.start(Assignment(study=study.study, trial=trial, folder=str(folder)))
        slot.busy = True
        slot.held = _Held(
            study,
            name,
            flushed=self._monotonic(),
            progress=Progress(file=name.filename, study=study.study.id),
        )
        self._say(f"trial {name.label}: claimed in {study.name}")

    def _close(self, study: _OpenStudy) -> None:
        """The study is over: whatever is still held of it is given back."""
        for slot in self._slots:
            if slot.held is not None and slot.held.study is study:
                study.store.give_up(slot.held.name, Actor.OWNER)
                self._abandon(slot, "the study is finished")
        study.store.remove_beat(self.identity.worker)
        self._over.add(study.name)
        del self._open[study.name]
        self._next_discovery = 0.0
        self._say(f"study {study.name} is finished")

    # -- when the share does not answer (P9) -------------------------------------------------

    def _try(self, trouble: _Trouble, act: Callable[[], None]) -> None:
        """Do something on the share; after a failure pause, longer each time, and say so once."""
        now = self._monotonic()
        if trouble.until is not None and now < trouble.until:
            return
        try:
            act()
        except (ShareError, FileNotFoundError) as error:
            if trouble.since is None:
                trouble.since = now
                what = error if isinstance(error, ShareError) else f"{error.filename} is not there"
                self._say(f"{what}; training goes on, results are kept, trying again")
            trouble.until = now + trouble.pause * self._rng.uniform(0.5, 1.5)
            trouble.pause = min(trouble.pause * 2, _LONGEST_PAUSE)
            return
        if trouble.since is not None:
            self._say(f"the share is back after {now - trouble.since:.0f} s")
        trouble.since, trouble.until, trouble.pause = None, None, _SHORTEST_PAUSE


def _epochs_of(study: Study) -> int | None:
    """How many steps a training has, if a constant `epochs` says so."""
    epochs = study.space.constants.get("epochs")
    return epochs if isinstance(epochs, int) and epochs >= 1 else None


def _describe(result: Result, study: Study) -> str:
    if result.failure is not None:
        return f"{result.outcome}: {result.failure.message}"
    if result.value is None:
        shown = ", ".join(f"{k} {v:.5g}" for k, v in result.metrics.items())
        return f"{result.outcome}, {shown}"
    return f"{result.outcome}, {study.metric} {result.value:.5g} in {result.seconds:.1f} s"
