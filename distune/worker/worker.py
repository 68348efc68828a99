"""A worker: claim, train, report, until nothing is left. It is a small supervisor without torch;
training happens in executors, child processes, and whatever becomes of one, the worker lives on.
"""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from distune.errors import ShareError
from distune.share import protocol
from distune.share.protocol import Halt
from distune.share.store import Store
from distune.study.durations import format_duration
from distune.study.study import Study
from distune.study.trial import FAILURES, Failure, Outcome, Result
from distune.training.messages import Died
from distune.worker.claiming import Claiming
from distune.worker.context import Backoff, Trouble, WorkerContext, WorkerIdentity
from distune.worker.limits import WorkerLimits
from distune.worker.memory import HOST, MemoryShortage
from distune.worker.open_study import Attempt, OpenStudy
from distune.worker.slots import ExecutorLike, Slot, Slots
from distune.worker.studies import Studies

_FAILURE_OUTPUT = 8192  # characters of it are with a failure, and so in the history
_FLUSH_EVERY = 1.0  # seconds that a report may wait to be written
_UNSURE_FOR = 0.5  # seconds after a failure in which a signal may come that explains it
_MOST_KILLS = 3  # of a trial's training, until that is the trial's own doing
_SAVE_WITHIN = 2.5  # seconds that a training has for a last state, if it saves any
_CLEAN_UP_WITHIN = 0.5  # seconds that all executors have when the worker ends


class Worker:
    """`Worker(...).step()` until `finished`.

    Args:
        identity: its id is in the name of every file it owns.
        find_studies: the studies there are, by name.
        executors: each trains one trial at a time, while there is memory for it.
        devices: of the executors; all on the identity's by default.
        may_open: see `Admission`.
        forever: wait for more when every study is finished.
        limits: of what it claims.
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
        may_open: Callable[[str, Study], bool] = lambda name, study: True,
        forever: bool = False,
        limits: WorkerLimits | None = None,
        say: Callable[[str], None] = lambda line: None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
        base: Path = Path(),
    ) -> None:
        limits = limits or WorkerLimits()
        rng = rng or random.Random()
        context = WorkerContext(identity, say, monotonic, wall, rng, base, limits)
        self.identity = identity
        #: Whether the last step did anything: then the next should come soon.
        self.active = False
        self.studies = Studies(context, find_studies, may_open)
        self._slots = Slots(executors, devices or [identity.device] * len(executors), limits)
        self._trouble = Trouble(context, self._backoffs)
        self._discovery_backoff = Backoff()
        self.claiming = Claiming(context, self.studies, self._slots, self._trouble)
        self._forever = forever
        self._say = say
        self._monotonic = monotonic
        self._sleep = sleep
        self._path_of = context.path_of

    # -- what the loop around it wants to know ---------------------------------------------

    @property
    def finished(self) -> bool:
        return self.studies.all_finished and self.idle and not self._forever

    @property
    def idle(self) -> bool:
        return not self._slots.attempts and not any(study.ended for study in self._open)

    @property
    def stuck(self) -> bool:
        """There is work here, but none that it can do."""
        return self.studies.only_refused and self.idle

    @property
    def longest_pause(self) -> float:
        """Seconds that may pass until the next step when nothing happens."""
        return min((study.study.longest_pause for study in self._open), default=1.0)

    @property
    def cut_off(self) -> bool:
        """The share did not answer when it was last asked, and this has been said."""
        return self._trouble.since is not None

    @property
    def _open(self) -> Collection[OpenStudy]:
        return self.studies.open.values()

    def _backoffs(self) -> Iterator[Backoff]:
        yield self._discovery_backoff
        for study in self._open:
            yield study.backoff
            yield study.claim_backoff

    # -- one step --------------------------------------------------------------------------

    def step(self) -> None:
        """Do what there is to do now; never wait."""
        self.active = False
        now, started = self._monotonic(), self._slots.started
        self._listen(now)
        if any(study.ended for study in self._open):
            # An executor shall not wait until the result of its last trial is on the disk.
            self.claiming.claim(listing=False)
        self._trouble.try_to(self._discovery_backoff, self._discover)
        for study in list(self._open):
            self._trouble.try_to(study.backoff, self._tend, study, now)
        self.claiming.claim(listing=True)
        for study in self._open:
            answers = study.backoff.until is None and study.claim_backoff.until is None
            if answers and self._slots.free_for(study) is None:
                self._trouble.try_to(study.claim_backoff, study.read_ahead)
        self.active |= self._slots.started > started

    def rest(self) -> None:
        """Hold nothing open on the share: nothing happens for a while."""
        for study in self._open:
            study.store.folder.rest()

    def drain(self, reason: str, seconds: float) -> bool:
        """Release everything: first stop the training, then give the files back (P7). False if
        the share did not answer in time; then the lease runs out (P6).
        """
        self._listen(self._monotonic())
        deadline = self._monotonic() + seconds
        save_by = self._monotonic() + _SAVE_WITHIN if self._slots.save_all() else 0.0
        while self._slots.is_saving and self._monotonic() < save_by:
            self._sleep(0.01)
            self._listen(self._monotonic())
        self._slots.end_all(_CLEAN_UP_WITHIN, self._monotonic)
        for slot in self._slots:
            slot.release(reason)
        released = Result(outcome=Outcome.RELEASED, failure=Failure(message=reason))
        for attempt in [attempt for study in self._open for attempt in study.ended]:
            attempt.release(released, self._monotonic())
        while True:
            try:
                for study in self._open:
                    study.put_away(at_once=True)
                for study in self._open:
                    study.store.remove_beat(self.identity.worker)
                return True
            except (ShareError, FileNotFoundError):
                if self._monotonic() >= deadline:
                    return False
                self._sleep(0.1)

    def _discover(self) -> None:
        self.studies.discover(self._monotonic(), lambda one: self._slots.free_for(one) is not None)
        for study in self.studies.gone:
            self._slots.forget(study, f"the study {study.name} was deleted or replaced")
            self.studies.is_over(study)
            self._say(f"study {study.name} is gone")

    def _tend(self, study: OpenStudy, now: float) -> None:
        """Send a heartbeat, and bring the files that are held of a study up to date."""
        if now >= study.next_beat:
            study.beat(self._slots.attempts, self._slots.jobs)
            study.unchecked = True
        if study.unchecked:  # after the heartbeat: what is wrong with a file silences no worker
            self.claiming.check_ownership(study)
            study.unchecked = False
        if study.halt is Halt.NOW:
            self._stop(study, now)
        for slot, attempt in self._slots.holding(study):
            if (
                attempt.progress.begun
                and attempt.unwritten
                and now >= attempt.flushed + _FLUSH_EVERY
            ):
                why = study.append(attempt)
                self.active = True
                if why is not None:
                    slot.evict(why)
        self.active |= study.put_away()
        for slot in self._slots.testing(study):
            self._judge(slot, now)
        if study.health.has_left:
            self._leave(study)

    # -- executors -------------------------------------------------------------------------

    def _listen(self, now: float) -> None:
        """Take in what the executors say."""
        for slot, message in self._slots.listen(now):
            self.active = True
            result = slot.hear(message)
            if result is not None:
                self._ended(slot, result, killed=isinstance(message, Died))
        for slot in self._slots:
            result = slot.check_time(now)
            if result is not None:
                self._ended(slot, result)

    def _ended(self, slot: Slot, result: Result, *, killed: bool = False) -> None:
        if slot.self_test is not None:
            slot.self_test.answer, slot.busy = result, False
            return
        shortage = self._slots.ended(slot, result, killed=killed)
        attempt = slot.attempt
        if shortage is not None:
            result = self._share_memory(attempt, result, shortage)
        if attempt is None:
            return
        study = attempt.study
        if killed and result.outcome is Outcome.RELEASED:
            study.killed[attempt.name.trial] += 1
            if study.killed[attempt.name.trial] >= _MOST_KILLS:
                result = result.replace(outcome=Outcome.FAILED)
        if result.outcome in FAILURES:
            failure = result.failure
            if failure is not None and not failure.output:
                failure = failure.replace(output=slot.executor.tail())
            if failure is not None:
                attempt.printed(failure.output)
                failure = failure.replace(output=failure.output[-_FAILURE_OUTPUT:])
            # A process that died could not say how far it had come.
            seconds = result.seconds or attempt.progress.seconds
            steps = result.steps or attempt.reports
            result = result.replace(failure=failure, steps=steps, seconds=seconds)
        if result.outcome is not Outcome.RELEASED and study.health.ended(result):
            self._say(
                f"study {study.name}: trials fail here, one after the other: testing this host"
            )
            folder = self._path_of(study.name, protocol.ARTIFACTS)
            slot.start_self_test(attempt, result, folder, self._monotonic())
            return
        # Who wants a whole tree of processes to end may begin with those that an objective has
        # started, which it takes for a failure, and come to the worker last.
        unsure = result.outcome in FAILURES and not result.infeasible
        slot.put_down(result, self._monotonic() + _UNSURE_FOR if unsure else 0.0)

    def _share_memory(
        self, attempt: Attempt | None, result: Result, shortage: MemoryShortage
    ) -> Result:
        """Say it, and that the attempt is released, because it was not its fault alone."""
        where = shortage.memory if shortage.memory == HOST else f"device {shortage.memory}"
        until = "for one trial" if shortage.alone else "from now on"
        label = f"; trial {attempt.name.label} is given back" if attempt is not None else ""
        self._say(f"out of memory: at most {shortage.most} at a time on {where} {until}{label}")
        for study in self._open:
            study.next_beat = 0.0
        said = result.failure.message if result.failure is not None else "out of memory"
        failure = Failure(message=f"out of memory beside other trials on {where}: {said}")
        return Result(outcome=Outcome.RELEASED, failure=failure)

    def _judge(self, slot: Slot, now: float) -> None:
        """Decide what a self-test means, and let the withheld result go."""
        test = slot.self_test
        if test is None or test.answer is None:
            return
        study, result, problem = test.attempt.study, test.result, test.answer.failure
        study.look_at_peers()
        verdict = study.health.judge(problem.message if problem else None, study.peers)
        slot.self_test = None
        if verdict is None:
            self._say(f"study {study.name}: nothing is wrong with this host; going on")
        else:
            study.health.heed(verdict, now)
            if verdict.pause is None:
                self.studies.left[study.name] = verdict.reason
                how = f"giving up here: {verdict.reason}"
                if problem is not None:  # then it is not the trial's fault
                    failure = Failure(message=f"its worker gave up: {verdict.reason}")
                    result = Result(outcome=Outcome.RELEASED, failure=failure)
            else:
                how = f"{verdict.reason}; pausing for {format_duration(verdict.pause)}"
            self._say(f"study {study.name}: {how}")
        study.next_beat = now  # say so
        if slot.attempt is test.attempt:  # else it was taken back meanwhile
            slot.put_down(result)
            self.active |= study.put_away()

    def _stop(self, study: OpenStudy, now: float) -> None:
        """Give back what is trained of a study that goes on later, each with a last state if it
        saves any; also what is over, if a self-test has yet to tell what that means.
        """
        why = "the study was stopped"
        self._slots.end_self_tests(study)
        for slot, attempt in self._slots.holding(study):
            if slot.busy and attempt.saves:
                slot.save(by=now + _SAVE_WITHIN)
            else:
                slot.give_back(why)
        released = Result(outcome=Outcome.RELEASED, failure=Failure(message=why))
        for attempt in study.ended:
            attempt.release(released, now)

    def _leave(self, study: OpenStudy) -> None:
        """Leave a study to others; the worker's heartbeat stays and says why."""
        self._slots.end_self_tests(study)
        for slot, _ in self._slots.holding(study):
            slot.give_back(f"its worker gave up: {study.health.reason}")
        study.put_away(at_once=True)
        study.beat(self._slots.attempts, self._slots.jobs)
        self.studies.leave(study)
