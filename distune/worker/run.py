"""The run of a worker: `distune worker`, until nothing is left or the user stops it."""

import math
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from distune import streams
from distune.errors import DistuneError, UserError
from distune.share.file_system import is_network
from distune.share.find_studies import find_studies
from distune.share.protocol import worker_id
from distune.share.waiting import SHORTEST_WAIT, Interrupt, Stall, collect_seldom
from distune.signals import EXIT_DRAINED, leave_on_request
from distune.study.durations import format_duration
from distune.training import children
from distune.training.growth import Growth
from distune.training.messages import Died, Prepare, Ready
from distune.training.offer import Offer
from distune.training.process import ExecutorProcess
from distune.training.turns import TrialsInTurn
from distune.worker import host
from distune.worker.admission import Admission
from distune.worker.context import WorkerIdentity, WorkerOptions
from distune.worker.ending import DRAIN_SECONDS, MEANWHILE, NOTHING_LEFT, Ending
from distune.worker.guardian import Guardian
from distune.worker.host import DeviceSet, Parallelism
from distune.worker.limits import WorkerLimits, seconds_of_job
from distune.worker.worker import Worker

EXIT_NOTHING_LEFT = 0
_ALAS = "the lease will free what was held"
#: Seconds; what stops containers kills after ten. Training ends with the worker in any case.
_DRAINED_WITHIN = 8.0
#: Seconds between two looks of a worker without rivals on a file system of one machine.
_SHORTEST_REST = 0.01
_READY_WITHIN = 120.0  # seconds for importing torch and the user's objective
_REQUEST_WITHIN = 0.5  # seconds


def run_worker(options: WorkerOptions, say: Callable[[str], None]) -> int:
    """Work until nothing is left, a signal comes, or the time is over.

    Returns:
        The exit status: 0 or 143.

    Raises:
        UserError: an objective, the device or the data cannot be had, or no study.
        StudyFailed: its trials failed, and it has given up.
    """
    guardian = Guardian(say)
    children.adopt_orphans()
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
        self._woken = threading.Event()
        self._limits = self._make_limits()
        self._offers: list[Offer] = []
        self._processes: list[ExecutorProcess] = []
        self._devices: list[str] = []  # of these

    def _make_limits(self) -> WorkerLimits:
        asked = self._options.time_limit or math.inf
        of_job = seconds_of_job(os.environ, time.time())
        if of_job < asked:
            self._say(f"Slurm ends this job: this worker ends before, in {format_duration(of_job)}")
        ends = time.monotonic() + min(asked, of_job)
        return WorkerLimits(ends, self._options.max_trials or math.inf)

    def run(self) -> int:
        options, say = self._options, self._say
        leave_on_request(may_hang=True)  # now that the guardian is forked
        with Stall(say, "no work yet").watched():
            logs = options.logs.resolve()
            self._offers = Offer.all_of(options.objectives, options.given, logs)
            if not logs.exists() and not logs.parent.exists():
                raise UserError(
                    f"{logs} does not exist, nor does the folder it is in; check --logs"
                )
            if not options.forever and _all_over(logs, options.study):
                say(NOTHING_LEFT)
                return EXIT_NOTHING_LEFT
        try:
            worker = self._make_worker(logs, *self._start_processes())
            try:
                return self._work(worker)
            except BaseException as error:
                worker.drain(f"its worker failed: {error}", DRAIN_SECONDS)
                raise
        finally:
            self._end_processes()

    def _start_processes(self) -> tuple[str, Parallelism]:
        """Start what can train: several GPUs are dealt out among the processes in turn.

        Returns:
            The first one's device, and how many trials are trained at a time.

        Raises:
            UserError: the device or an objective cannot be used.
        """
        options = self._options
        sets, each = self._device_sets(options.device), options.devices_per_trial or 1
        while True:
            gpus = 0 if sets[0].label == "cpu" else len(sets) * each
            parallelism = host.choose_parallelism(
                options.jobs,
                options.threads,
                cores=host.usable_cores(),
                memory=host.free_memory(),
                gpus=gpus,
                devices_per_trial=each,
            )
            dealt = [sets[i % len(sets)] for i in range(parallelism.jobs)]
            self._processes = [self._make_process(one, parallelism.threads) for one in dealt]
            found = self._device_of(self._processes[0])
            if found != "cpu" or not gpus:
                shown = found if dealt[0].visible is None else dealt[0].label
                self._devices = [found if one.label == "auto" else one.label for one in dealt]
                return shown, parallelism
            # A GPU without a torch that can use it: the CPU is what `auto` finds then.
            self._end_processes()
            sets = self._device_sets("cpu")

    def _device_sets(self, spec: str) -> list[DeviceSet]:
        return host.device_sets(spec, self._options.devices_per_trial)

    def _end_processes(self) -> None:
        for process in self._processes:
            process.end(grace=0.0)

    def _device_of(self, process: ExecutorProcess) -> str:
        on_cpu = process.device == "cpu"
        if on_cpu and not self._offers:
            return "cpu"
        match process.prepare(_READY_WITHIN):
            case Ready(problem=None, device=device):
                return device
            case Ready(blames_offer=False) if self._options.device == "auto" and not on_cpu:
                return "cpu"
            case Ready(problem=problem):
                raise UserError(problem)
            case Died(reason, output):
                # Who asks all processes of a job to end asks the worker too, maybe a moment later.
                time.sleep(_REQUEST_WITHIN)
                raise UserError(f"the training process {reason}:\n{output}")

    def _make_process(self, on: DeviceSet, threads: int) -> ExecutorProcess:
        data_dir = self._options.data_dir
        return ExecutorProcess(
            Prepare(
                device=on.devices[0],
                devices=list(on.devices),
                offers=self._offers,
                data_dir=str(data_dir.resolve()) if data_dir else None,
            ),
            threads=threads,
            wake=self._woken.set,
            on_start=partial(self._guardian.tell, "started"),
            on_end=self._process_ended,
            mark=self._guardian.mark,
            visible=on.visible,
            echo=self._say if self._options.verbose else partial(_say_our_own, self._say),
        )

    def _process_ended(self, pid: int) -> None:
        own = {process.pid for process in self._processes if process.pid is not None}
        children.end_adopted({self._guardian.pid, *own})
        self._guardian.tell("ended", pid)

    def _make_worker(self, logs: Path, device: str, parallelism: Parallelism) -> Worker:
        options, say = self._options, self._say
        name, pid = socket.gethostname(), os.getpid()
        identity = WorkerIdentity(worker_id(name, pid, secrets.token_hex(3)), name, pid, device)
        self._guardian.tell("worker", identity.worker)
        how = parallelism.describe()
        say(f"worker {identity.worker} on {device}: {how}; logs in {logs}")
        opened = partial(self._guardian.tell, "study")
        wake = self._woken.set
        return Worker(
            identity,
            lambda: find_studies(logs, options.study),
            [
                TrialsInTurn(process, wake, growth=Growth(host.free_memory, say))
                for process in self._processes
            ],
            devices=self._devices,
            may_open=Admission(options, logs, device, self._offers, opened, say).may_open,
            forever=options.forever,
            limits=self._limits,
            say=say,
            base=logs,
        )

    def _work(self, worker: Worker) -> int:
        # Before it claims anything.
        interrupt = Interrupt(self._woken, _DRAINED_WITHIN, self._share_hangs)
        pause = shortest = SHORTEST_WAIT if is_network(self._options.logs) else _SHORTEST_REST
        stall = Stall(self._say, MEANWHILE, lambda: worker.cut_off)
        ending = Ending(worker, self._options, self._limits, self._say)
        collect_seldom()
        while True:
            # Cleared before looking, so that what comes meanwhile wakes the wait below.
            if interrupt.signal is None:
                self._woken.clear()
            with stall.watched():
                worker.step()
            if interrupt.signal is not None:
                return self._drain(worker, signal.Signals(interrupt.signal).name)
            if ending.has_come():
                return EXIT_NOTHING_LEFT
            if worker.active:
                # A worker that rests for longer finds more with one look.
                pause = SHORTEST_WAIT if worker.claiming.has_rivals else shortest
            else:
                worker.rest()
            self._woken.wait(pause)
            pause = min(pause * 1.5, worker.longest_pause)

    def _share_hangs(self) -> None:
        self._say(f"not drained within {_DRAINED_WITHIN:g} s, because the share hangs: {_ALAS}")
        streams.last_words()

    def _drain(self, worker: Worker, name: str) -> int:
        released = worker.drain(f"its worker got {name}", DRAIN_SECONDS)
        alas = f"the share does not answer; {_ALAS}"
        self._say(f"{name}: {'everything given back' if released else alas}")
        return EXIT_DRAINED


def _all_over(logs: Path, study: str | None) -> bool:
    """Whether all studies are finished, as the rest of a batch array finds them: to know that, a
    worker need not import what it trains with.
    """
    try:
        found = find_studies(logs, study).values()
        return bool(found) and all(store.load() and store.is_finished() for store in found)
    except (DistuneError, FileNotFoundError):
        return False  # the worker will see


def _say_our_own(say: Callable[[str], None], line: str) -> None:
    """Of what a training process prints, what is distune's: why a first trial takes its time."""
    if line.startswith("distune: "):
        say(line.removeprefix("distune: "))
