"""A study that a worker works on, and the attempts at its trials that the worker owns."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice

from distune.errors import BadRecord, ShareError
from distune.share import protocol
from distune.share.heartbeat import Beat, Progress
from distune.share.protocol import Actor, AttemptName, Halt, State
from distune.share.records import OUTPUT_LIMIT
from distune.share.store import Store
from distune.study.reporting import judged, lacking
from distune.study.study import Study
from distune.study.trial import (
    FAILURES,
    MOST_CHECKPOINTS,
    Checkpoint,
    Claim,
    Outcome,
    Output,
    Record,
    Report,
    Result,
    Resumed,
    Trial,
)
from distune.training.messages import Assignment, TrainingProgress
from distune.worker.claims import Candidates, may_be_claimed
from distune.worker.context import LONGEST_PAUSE, Backoff, WorkerContext
from distune.worker.health import Health, Peers

_LOOK_AROUND_EVERY = 2.0  # seconds between two looks at other workers' heartbeats, or for the end
_MOST_READ = 200  # files of trials that wait for another attempt, after each listing
_MOST_NAMED = 4  # metrics, in a heartbeat
_MOST_LOST = 2  # claims in a row, until a listing is not believed any more


@dataclass(eq=False)
class Attempt:
    """An attempt at a trial that the worker owns, and what is not written of it yet."""

    study: OpenStudy
    name: AttemptName
    assignment: Assignment
    progress: Progress
    unwritten: list[Record] = field(default_factory=list)
    flushed: float = 0.0  # when it had been written last
    since: float = 0.0  # when its executor was given it
    reports: int = 0
    reports_progress: bool = False  # the objective does so itself, more finely than by steps
    saves: bool = False  # states that it can go on from
    checkpoints: list[Checkpoint] = field(default_factory=list)  # in its file, and not removed
    unreported: list[str] | None = None  # what its study judges it by, and no report had yet
    has_output: bool = False  # what was printed is written, or in `unwritten`
    result: Result | None = None
    unsure_until: float = 0.0  # when its result may be written
    written: bool = False  # the result is in the file; the rename is left

    def began(self, code: str) -> None:
        """Its turn has come, where several short ones are trained one after the other. The claim,
        which is not written before, says which code trains it.
        """
        self.progress = self.progress.replace(begun=True)
        self.unwritten = [
            one.replace(code=code) if isinstance(one, Claim) else one for one in self.unwritten
        ]

    def report(self, report: Report) -> None:
        self.unwritten.append(report)
        self.reports += 1
        if self.unreported is None:
            its_own = self.assignment.trial.best is None  # a test has metrics of its own
            self.unreported = judged(self.study.study) if its_own else []
        if self.unreported:
            self.unreported = [name for name in self.unreported if name not in report.metrics]
        fraction, epochs = self.progress.fraction, self.assignment.trial.epochs
        if self.study.epochs is not None and epochs is not None and not self.reports_progress:
            fraction = min(1.0, report.step / epochs)
        self.progress = self.progress.replace(seconds=report.seconds, fraction=fraction)

    def printed(self, text: str) -> None:
        """Keep what the training printed, the first time that somebody knows it."""
        if not self.has_output and text.strip():
            self.has_output = True
            self.unwritten.append(Output(text=text[-OUTPUT_LIMIT:]))

    def saved(self, record: Checkpoint | Resumed) -> None:
        """There is a state that a later attempt can go on from, once its line is in the file."""
        self.unwritten.append(record)
        self.study.can_resume()
        self.flushed = -math.inf  # the sooner, the less is trained twice (P12)

    def progressed(self, message: TrainingProgress) -> None:
        self.reports_progress = True
        self.progress = self.progress.replace(**message.as_dict())

    def ended(self, result: Result, unsure_until: float = 0.0) -> None:
        """Its executor is free; the result is put away when there is time."""
        self.result, self.unsure_until = result, unsure_until
        self.unwritten.append(result)
        self.study.attempt_ended(self, result)

    def release(self, result: Result, now: float) -> None:
        """Give it back after all, if it failed only a moment ago; or say why it was given back."""
        assert self.result is not None
        if self.unsure_until > now or (
            self.result.outcome is Outcome.RELEASED and not self.written
        ):
            self.result, self.unsure_until = result, 0.0
            self.unwritten[-1] = result


class OpenStudy:
    """A study's folder, as one worker uses it."""

    def __init__(self, context: WorkerContext, name: str, store: Store, study: Study) -> None:
        self.name, self.store, self.study = name, store, study
        self.epochs = study.epochs
        #: The folder, as the objective's process sees it.
        self.checkpoints = context.path_of(name, protocol.CHECKPOINTS)
        self.candidates = Candidates()
        self.health = Health()
        self.peers = Peers(context.worker, study.lease)
        # A worker that pauses for longer seems lost when the share is back.
        longest = min(LONGEST_PAUSE, study.lease / 8)
        self.backoff, self.claim_backoff = Backoff(longest), Backoff(longest)
        self.ended: list[Attempt] = []  # trained, but not put away yet
        self.begun: set[AttemptName] = set()  # by this worker; it trains none of them again
        self.killed: Counter[int] = Counter()  # by number: trials whose process was asked to end
        self.claimed_last = False  # the last look for something to claim has found something
        self.unchecked = True  # since the last heartbeat: which files the worker owns
        self.trained_elsewhere = 0  # trials that other workers had at the last listing
        self.halt: Halt | None = None  # what a person wants of it, at the last listing
        self._confirms: dict[AttemptName, bool] = {}  # whether what waits does, once it is stopped
        self.unlisted = 0  # discoveries in which other studies were there and this one was not
        self.said_why_none = False  # that its limits keep the worker from another trial
        self._said_unreported = False
        self.replaced = False  # another study lies now where it was
        self.next_beat = 0.0
        self._beats = 0
        self._next_look_around = self._next_look_for_end = -math.inf
        self._context = context

    # -- heartbeats ------------------------------------------------------------------------

    @property
    def lists_when_idle(self) -> bool:
        """A worker with nothing of this study to train looks for something to claim."""
        return self._beats > 1 and self.health.may_claim

    def beat(self, running: Sequence[Attempt], jobs: int) -> None:
        """Rewrite the worker's heartbeat, with what is `running` of at most `jobs` trials."""
        # Whether a heartbeat arrived or not, the next one must differ.
        self._beats += 1
        health, unreported = self.health, self._unreported(running)
        self.store.beat(
            self._context.worker,
            Beat(
                **vars(self._context.identity),
                jobs=jobs,
                counter=self._beats,
                state=health.state(works=bool(running)),
                running=[attempt.progress for attempt in running],
                completed=health.completed,
                failed=health.failed,
                trouble=health.reason,
                unreported=unreported,
            ),
        )
        self.next_beat = self._context.monotonic() + self.study.beat_interval

    def _unreported(self, running: Sequence[Attempt]) -> list[str]:
        """Which metrics a training should have reported by now, as long as none has shown that
        they come at its end. Said once.
        """
        if self.health.completed:
            return []
        own = (one.unreported for one in running if one.study is self and one.unreported)
        found = next(own, [])[:_MOST_NAMED]
        if (said := lacking(self.study, found)) and not self._said_unreported:
            self._context.say(f"study {self.name}: {said}")
            self._said_unreported = True
        return found

    def look_at_peers(self) -> None:
        self.peers.look(self.store.beats(), self._context.monotonic())

    # -- claiming --------------------------------------------------------------------------

    def looks_finished(self, *, now: bool) -> bool:
        """Whether the study is over; only looked at once in a while, unless `now`."""
        moment = self._context.monotonic()
        if not now and moment < self._next_look_for_end:
            return False
        self._next_look_for_end = moment + _LOOK_AROUND_EVERY
        return self.store.is_finished()

    def list_mine(self) -> set[AttemptName]:
        """List the study: what the worker owns of it; what it may claim is then known."""
        listing = self.store.listing()
        self._heed(self.store.read_halts(listing.halts)[0])
        waiting = [name for name in listing.attempts if name.state is State.WAITING]
        confirming = self._confirming(waiting) if self.halt is Halt.STOP else ()
        waiting = [name for name in waiting if may_be_claimed(name, self.halt, confirming)]
        others = self._left_to_others(waiting)
        self.candidates.replace(waiting, others, self._context.monotonic(), self._context.rng)
        taken = [name for name in listing.attempts if name.state is State.TAKEN]
        mine = {name for name in taken if name.worker == self._context.worker}
        self.trained_elsewhere = len(taken) - len(mine)
        return mine

    def _heed(self, halt: Halt | None) -> None:
        if halt is not self.halt:
            self._context.say(f"study {self.name} {halt.meaning if halt else 'goes on'}")
        self.halt = halt

    def _confirming(self, waiting: Collection[AttemptName]) -> set[AttemptName]:
        """Those that confirm the best of a search that is stopped; only their files say so."""
        known, there = self._confirms, set(waiting) if self.study.confirm is not None else set()
        self._confirms = {name: confirms for name, confirms in known.items() if name in there}
        for name in islice(sorted(there - known.keys(), reverse=True), _MOST_READ):
            try:
                self._confirms[name] = self.store.read_attempt(name).trial.confirms is not None
            except (BadRecord, FileNotFoundError):
                continue
        return {name for name, confirms in self._confirms.items() if confirms}

    def _left_to_others(self, waiting: Collection[AttemptName]) -> set[AttemptName]:
        """The waiting trials that failed on this worker, and that another one could try."""
        failed_on = self.candidates.failed_on
        unknown = (name for name in waiting if name.attempt > 1 and name not in failed_on)
        for name in islice(unknown, _MOST_READ):
            try:
                failed_on[name] = self.store.read_attempt(name).trial.failed_on
            except (BadRecord, FileNotFoundError):
                continue  # the worker that claims it will see
        worker, now = self._context.worker, self._context.monotonic()
        if now >= self._next_look_around and any(worker in on for on in failed_on.values()):
            self.look_at_peers()
            self._next_look_around = now + _LOOK_AROUND_EVERY
        return {n for n, on in failed_on.items() if worker in on and self.peers.can_take(on)}

    def claim_next(self) -> tuple[AttemptName, Trial | None] | None:
        """Claim one of those that the last listing shows: its name, and its trial if that was
        read ahead. None if there is none, or other workers were faster too often.
        """
        for _ in range(_MOST_LOST):
            name = self.candidates.pop()
            if name is None:
                return None
            taken = self.store.claim(name, self._context.worker)
            if taken is not None:
                self.claimed_last = True
                return taken, self.candidates.read.pop(name, None)
            self.candidates.lost_one(self._context.monotonic(), self._context.rng)
        return None

    def read_ahead(self) -> None:
        """Read the trial that will be claimed next: it is then one rename away, which on a
        network is one request instead of several (`bench_coordination.py gaps`).
        """
        name = self.candidates.next
        if name is None or name in self.candidates.read:
            return
        try:
            self.candidates.read[name] = self.store.read_attempt(name).trial
        except (FileNotFoundError, BadRecord):
            self.candidates.pop()  # the worker that claims it will see

    def look_for_another(self) -> None:
        """See whether another study was put in the place of this one."""
        try:
            self.replaced = self.store.is_replaced()
        except (FileNotFoundError, BadRecord):
            pass  # its master will see

    # -- attempts --------------------------------------------------------------------------

    def attempt_ended(self, attempt: Attempt, result: Result) -> None:
        self.ended.append(attempt)
        if result.outcome is not Outcome.RELEASED:
            # Of one that went on where another was, the training says it all.
            took = max(self._context.monotonic() - attempt.since, result.seconds)
            self._context.limits.ended(self.study.id, took, result.outcome not in FAILURES)

    def can_resume(self) -> None:
        self._context.limits.can_resume(self.study.id, self.study.checkpoint_every or math.inf)

    def append(self, attempt: Attempt) -> str | None:
        """Write what is not written; why the attempt is not this worker's any more, if so."""
        try:
            self.store.append(attempt.name, attempt.unwritten)
        except FileNotFoundError:
            self.store.folder.poke(protocol.TRIALS)
            if attempt.name in self.list_mine():
                name = attempt.name.filename
                raise ShareError(f"{name} is listed but cannot be opened") from None
            return "taken back by the master"
        except BadRecord as error:  # another file has been put in its place
            self.release(attempt.name)
            return f"its file cannot be written: {error}"
        attempt.checkpoints += [one for one in attempt.unwritten if isinstance(one, Checkpoint)]
        attempt.unwritten.clear()
        attempt.flushed = self._context.monotonic()
        return None

    def remove_old_checkpoints(self, attempt: Attempt) -> None:
        """Of an attempt that has just been seen to be the worker's own. Its training, which does
        not know that, removes none: another attempt may be going on from it (P7, P12).
        """
        while len(attempt.checkpoints) > MOST_CHECKPOINTS:
            oldest = protocol.checkpoint_name(*attempt.name.key, attempt.checkpoints[0])
            self.store.remove_checkpoints([oldest])
            del attempt.checkpoints[0]

    def put_away(self, *, at_once: bool = False) -> bool:
        """Write the results of attempts that are over, if any; finish or release their files."""
        now = math.inf if at_once else self._context.monotonic()
        sure = [attempt for attempt in self.ended if attempt.unsure_until <= now]
        for attempt in sure:
            if not attempt.written:
                why = self.append(attempt)
                if why is not None:
                    self.drop(attempt, why)
                    continue
                attempt.written = True
            result = attempt.result
            assert result is not None
            moved = self._move(attempt.name, result.outcome)
            how = _describe(result, self.study)
            how = how if moved else "ended, but it had been taken back meanwhile"
            self._context.say(f"trial {attempt.name.label}: {how}")
            self.ended.remove(attempt)
        return bool(sure)

    def _move(self, name: AttemptName, outcome: Outcome) -> bool:
        """Have the file's name say how it ended; False if it was taken back meanwhile."""
        if outcome is Outcome.RELEASED:
            return self.release(name)
        if outcome is Outcome.PAUSED:
            return self.store.pause(name)
        return self.store.finish(name)

    def release(self, name: AttemptName) -> bool:
        """Give an attempt back; False if the master has taken it back meanwhile."""
        return self.store.lose(name, Actor.OWNER)

    def drop(self, attempt: Attempt, why: str) -> None:
        """Forget an attempt that is not this worker's any more."""
        self._context.say(f"trial {attempt.name.label}: {why}; dropped")
        if attempt in self.ended:
            self.ended.remove(attempt)


def _describe(result: Result, study: Study) -> str:
    if result.failure is not None:
        return f"{result.outcome}: {result.failure.message}"
    if result.value is None:
        shown = ", ".join(f"{k} {v:.5g}" for k, v in result.metrics.items())
        return f"{result.outcome}, {shown}"
    return f"{result.outcome}, {study.metric} {result.value:.5g} in {result.seconds:.1f} s"
