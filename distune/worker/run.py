"""The run of a worker: `distune worker`, until nothing is left or the user stops it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distune.errors import StudyFailed, UserError
from distune.share.file_system import is_network
from distune.share.find_studies import find_studies
from distune.share.protocol import worker_id
from distune.share.waiting import SHORTEST_WAIT, Interrupt, Stall, collect_seldom
from distune.training.messages import OfferRecord, Prepare
from distune.training.offer import Offer
from distune.training.process import ExecutorProcess, end_all
from distune.training.turns import TrialsInTurn
from distune.worker.admission import Admission, DataSets
from distune.worker.context import WorkerIdentity
from distune.worker.executors import Executors, make_executors
from distune.worker.guardian import Guardian
from distune.worker.worker import Worker

EXIT_NOTHING_LEFT = 0
EXIT_DRAINED = 143
DRAIN_SECONDS = 3.0
#: Seconds between two looks of a worker without rivals on a file system of one machine.
_SHORTEST_REST = 0.01
_IDLE_BEFORE_SAYING = 60.0  # seconds


@dataclass(frozen=True)
class WorkerOptions:
    """What `distune worker` was asked for; `time_limit` in seconds, None for `jobs` and `threads`
    to choose them.
    """

    logs: Path
    study: str | None = None
    jobs: int | None = None
    threads: int | None = None
    device: str = "auto"
    objectives: Sequence[str] = ()
    allow_commands: bool = False
    data_dir: Path | None = None
    time_limit: float | None = None
    forever: bool = False
    verbose: bool = False
    any_owner: bool = False


def run_worker(options: WorkerOptions, say: Callable[[str], None]) -> int:
    """Work until nothing is left, a signal comes, or the time is over.

    Returns:
        The exit status: 0 or 143.

    Raises:
        UserError: an objective, the device or the data cannot be had, or no study.
        StudyFailed: its trials failed, and it has given up.
    """
    guardian = Guardian(say)
    try:
        return _WorkerRun(options, guardian, say).run()
    finally:
        guardian.dismiss()


class _WorkerRun:
    def __init__(
        self, options: WorkerOptions, guardian: Guardian, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._guardian = guardian
        self._say = say
        self._interrupt = Interrupt()
        self._offers = [Offer.parse(text) for text in options.objectives]
        self._started = self._last_busy = time.monotonic()
        self._said_idle = False

    def run(self) -> int:
        options = self._options
        with Stall(self._say, "no work yet").watched():
            logs = options.logs.resolve()
            if not logs.exists() and not logs.parent.exists():
                raise UserError(
                    f"{logs} does not exist, nor does the folder it is in; check --logs"
                )
        executors = make_executors(
            self._make_process,
            options.device,
            options.jobs,
            options.threads,
            has_offers=bool(self._offers),
        )
        try:
            worker = self._make_worker(logs, executors)
            try:
                return self._work(worker)
            except BaseException as error:
                worker.drain(f"its worker failed: {error}", DRAIN_SECONDS)
                raise
        finally:
            end_all(executors.processes)

    def _make_process(self, device: str, threads: int) -> ExecutorProcess:
        data_dir = self._options.data_dir
        return ExecutorProcess(
            Prepare(
                device=device,
                offers=[OfferRecord(name=offer.name, path=offer.path) for offer in self._offers],
                data_dir=str(data_dir.resolve()) if data_dir else None,
            ),
            threads=threads,
            wake=self._interrupt.event.set,
            on_start=self._guardian.training_started,
            on_end=self._guardian.training_ended,
            echo=self._say if self._options.verbose else partial(_say_our_own, self._say),
        )

    def _make_worker(self, logs: Path, executors: Executors) -> Worker:
        options, say = self._options, self._say
        name = socket.gethostname()
        identity = WorkerIdentity(
            worker_id(name, os.getpid(), secrets.token_hex(3)), name, os.getpid(), executors.device
        )
        self._guardian.protects(identity.worker)
        how = executors.parallelism.describe()
        say(f"worker {identity.worker} on {executors.device}: {how}; logs in {logs}")
        admission = Admission(
            logs,
            executors.device,
            DataSets(options.data_dir, say),
            any_owner=options.any_owner,
            opened=self._guardian.study_opened,
            say=say,
        )
        wake = self._interrupt.event.set
        return Worker(
            identity,
            lambda: find_studies(logs, options.study),
            [TrialsInTurn(process, wake) for process in executors.processes],
            devices=[process.device for process in executors.processes],
            ready=admission.ready,
            offers=[offer.name for offer in self._offers],
            allow_commands=options.allow_commands,
            forever=options.forever,
            say=say,
            base=logs,
        )

    def _work(self, worker: Worker) -> int:
        event = self._interrupt.event
        pause = shortest = SHORTEST_WAIT if is_network(self._options.logs) else _SHORTEST_REST
        stall = Stall(self._say, "training goes on, results are kept", lambda: worker.cut_off)
        collect_seldom()
        while True:
            # Cleared before looking, so that what comes meanwhile wakes the wait below.
            if self._interrupt.signal is None:
                event.clear()
            with stall.watched():
                worker.step()
            status = self._exit_status(worker)
            if status is not None:
                return status
            self._say_if_idle(worker)
            if worker.active:
                # A worker that rests for longer finds more with one look.
                pause = SHORTEST_WAIT if worker.has_rivals else shortest
            else:
                worker.rest()
            event.wait(pause)
            pause = min(pause * 1.5, worker.longest_pause)

    def _exit_status(self, worker: Worker) -> int | None:
        """None if the worker goes on; else it has released everything.

        Raises:
            UserError, StudyFailed: there are studies, but none that it can work on.
        """
        options, say = self._options, self._say
        if self._interrupt.signal is not None:
            name = signal.Signals(self._interrupt.signal).name
            released = worker.drain(f"its worker got {name}", DRAIN_SECONDS)
            alas = "the share does not answer; the lease will free what was held"
            say(f"{name}: {'everything given back' if released else alas}")
            return EXIT_DRAINED
        if worker.finished:
            say("nothing left to do: every study here is finished (--forever waits for more)")
            return EXIT_NOTHING_LEFT
        if worker.stuck and not options.forever:
            studies = worker.studies
            whys = {**studies.refused, **studies.left}
            why = "; ".join(f"{study}: {reason}" for study, reason in whys.items())
            if studies.left:
                raise StudyFailed(f"this worker has given up ({why})")
            raise UserError(f"there is no study here that this worker can work on ({why})")
        over = options.time_limit is not None and (
            time.monotonic() - self._started >= options.time_limit
        )
        if over:
            worker.drain("its worker's time is over", DRAIN_SECONDS)
            say("the time limit is over; everything given back")
            return EXIT_NOTHING_LEFT
        return None

    def _say_if_idle(self, worker: Worker) -> None:
        now = time.monotonic()
        no_study_yet = worker.studies.knows_nothing
        if worker.active or not worker.idle:
            self._last_busy = now
            self._said_idle = self._said_idle and no_study_yet
        elif not self._said_idle and no_study_yet:
            self._said_idle = True
            self._say(f"no study in {self._options.logs} yet; waiting for a master")
        elif not self._said_idle and now - self._last_busy >= _IDLE_BEFORE_SAYING:
            self._said_idle = True
            self._say("nothing to claim for a minute; does the master still run? (distune status)")


def _say_our_own(say: Callable[[str], None], line: str) -> None:
    """Of what a training process prints, what is distune's: why a first trial takes its time."""
    if line.startswith("distune: "):
        say(line.removeprefix("distune: "))
