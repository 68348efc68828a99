"""The loops around master, worker and viewer: signals, pauses, child processes, the screen."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from distune.doctor.diagnosis import Diagnosis
from distune.errors import BadRecord, NotAFolder, ShareError, StudyFailed, UserError
from distune.master.master import Identity, Master, only_master
from distune.share import access, protocol, records
from distune.share.folder import Folder, file_system_of, is_network
from distune.share.outages import Outage, Stall
from distune.share.protocol import worker_id
from distune.share.store import LOCAL_LEASE, NETWORK_LEASE, Store, find_studies
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.model import SpaceFile
from distune.space_file.preview import check_there_is_something
from distune.study.study import Study, differences
from distune.training.messages import OfferRecord, Prepare, Ready
from distune.training.objective import Offer
from distune.training.processes import Died, ExecutorProcess, end_all, executor_environment, spawn
from distune.training.turns import TrialsInTurn
from distune.watch.observer import Observer
from distune.watch.screen import Screen
from distune.watch.snapshot import Snapshot
from distune.watch.viewing import LONGEST_WAIT, Interrupt
from distune.worker import host
from distune.worker.context import WorkerIdentity
from distune.worker.guardian import Guardian
from distune.worker.worker import Worker
from distune.workloads import WORKLOADS, compiled
from distune.workloads.data import DATA_SETS
from distune.workloads.data.folders import DataFolders

EXIT_NOTHING_LEFT = 0
EXIT_DRAINED = 143
_SHORTEST_WAIT = 0.05  # seconds between looks at the share
_SHORTEST_REST = 0.01  # likewise, of a worker without rivals on a file system of one machine
_READY_WITHIN = 120.0  # seconds for importing torch and the user's objective
_DRAIN_SECONDS = 3.0
_IDLE_BEFORE_SAYING = 60.0  # seconds
_EXPECTED_WITHIN = 60.0  # seconds in which a master looks out for the first worker
_FIRST_LOOKS = 0.25  # seconds between looks meanwhile, at most, over a network
_COLLECT_AFTER = 20_000  # objects


# -- worker --------------------------------------------------------------------------------


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
        return _run_worker(options, guardian, say)
    finally:
        guardian.dismiss()


def _run_worker(options: WorkerOptions, guardian: Guardian, say: Callable[[str], None]) -> int:
    interrupt = Interrupt()
    wake = interrupt.event
    with Stall(say, "no work yet").watched():
        logs = options.logs.resolve()
        nowhere = not logs.exists() and not logs.parent.exists()
    if nowhere:
        raise UserError(f"{logs} does not exist, nor does the folder it is in; check --logs")
    offers = {offer.name: offer for offer in map(Offer.parse, options.objectives)}

    def make(device: str, threads: int) -> ExecutorProcess:
        return ExecutorProcess(
            Prepare(
                device=device,
                offers=[OfferRecord(name=o.name, path=o.path) for o in offers.values()],
                data_dir=str(options.data_dir.resolve()) if options.data_dir else None,
            ),
            threads=threads,
            wake=wake.set,
            on_start=guardian.training_started,
            on_end=guardian.training_ended,
            echo=say if options.verbose else partial(_say_our_own, say),
        )

    executors, device, plan = _make_ready(make, options, bool(offers))
    try:
        name = socket.gethostname()
        identity = WorkerIdentity(
            worker_id(name, os.getpid(), secrets.token_hex(3)), name, os.getpid(), device
        )
        guardian.protects(identity.worker)
        say(f"worker {identity.worker} on {device}: {_told(plan)}; logs in {logs}")
        worker = Worker(
            identity,
            lambda: find_studies(logs, options.study),
            [TrialsInTurn(one, wake.set) for one in executors],
            devices=[one.device for one in executors],
            ready=Admission(options, logs, guardian, say, device).ready,
            offers=offers,
            allow_commands=options.allow_commands,
            forever=options.forever,
            say=say,
            base=logs,
        )
        try:
            return _work(worker, options, interrupt, say)
        except BaseException as error:
            worker.drain(f"its worker failed: {error}", _DRAIN_SECONDS)
            raise
    finally:
        end_all(executors)


def _say_our_own(say: Callable[[str], None], line: str) -> None:
    """Of what a training process prints, what is distune's: why a first trial takes its time."""
    if line.startswith("distune: "):
        say(line.removeprefix("distune: "))


def _told(plan: host.Plan, workers: int = 1) -> str:
    """In words what that many workers do by this plan; also what is wrong with it."""
    cores = host.usable_cores()
    # What the user has set himself stays (see `executor_environment`).
    threads = int(executor_environment(plan.threads)["OMP_NUM_THREADS"].split(",")[0])
    told = f"{plan.jobs} at a time ({plan.limit}), {threads} of {cores} cores each"
    if (needed := workers * plan.jobs * threads) > cores:
        told += f"; {needed} threads are more than the cores, and slow each other down"
    return told


def _devices(spec: str) -> list[str]:
    """What can be trained on here, if torch agrees."""
    if spec == "auto":
        return host.gpus_here() or (["auto"] if sys.platform == "darwin" else ["cpu"])
    if spec == "cuda":
        return host.gpus_here() or ["cuda"]
    return [spec]


def _make_ready(
    make: Callable[[str, int], ExecutorProcess], options: WorkerOptions, has_offers: bool
) -> tuple[list[ExecutorProcess], str, host.Plan]:
    """Executors, several GPUs dealt out among them in turn; the device of the first; the plan.

    Find out now, not with the first trial, whether device and objectives can be used.
    """
    devices = _devices(options.device)
    while True:
        gpus = 0 if devices == ["cpu"] else len(devices)
        plan = host.plan(
            options.jobs,
            options.threads,
            cores=host.usable_cores(),
            memory=host.free_memory(),
            gpus=gpus,
        )
        executors = [make(devices[i % len(devices)], plan.threads) for i in range(plan.jobs)]
        try:
            device = _first_device(executors[0], options, has_offers)
        except BaseException:
            end_all(executors)
            raise
        if device != "cpu" or not gpus:
            return executors, device, plan
        # A GPU without a torch that can use it: the CPU is what `auto` finds then.
        end_all(executors)
        devices = ["cpu"]


def _first_device(first: ExecutorProcess, options: WorkerOptions, has_offers: bool) -> str:
    if first.device == "cpu" and not has_offers:
        return "cpu"
    answer = first.prepare(_READY_WITHIN)
    match answer:
        case Ready(problem=None):
            return answer.device
        case Ready() if (
            first.device != "cpu" and options.device == "auto" and not answer.blames_offer
        ):
            return "cpu"
        case Ready():
            raise UserError(answer.problem)
        case Died():
            raise UserError(f"the training process {answer.reason}:\n{answer.output}")


class Admission:
    """What must be true of this host before a worker opens a study."""

    def __init__(
        self,
        options: WorkerOptions,
        logs: Path,
        guardian: Guardian,
        say: Callable[[str], None],
        device: str,
    ) -> None:
        self._logs = logs
        self._device = device
        self._say = say
        self._guardian = guardian
        self._any_owner = options.any_owner
        self._datasets = DataSets(options.data_dir, say)
        self._told: set[str] = set()

    def ready(self, name: str, study: Study) -> bool:
        """False while something is still being downloaded.

        Raises:
            UserError: the study is not to be trusted, its folder cannot be written to, or a
                data set cannot be had.
        """
        study.refuse_earlier()
        if not self._any_owner:
            access.check_owner(self._logs / name)
        access.check_writable(self._logs / name)
        self._guardian.study_opened(self._logs / name)
        ready = self._datasets.ready(study)
        if ready and self._device == "cpu":
            self._say_what_is_slow(study)
        return ready

    def _say_what_is_slow(self, study: Study) -> None:
        if may_be_bfloat16(study) and host.computes_bfloat16() is False:
            self._say_once(
                "this CPU has no instructions for bfloat16: training in it is correct, but "
                "takes longer than in float32, up to eight times as long without AVX-512"
            )
        workload = WORKLOADS.get(study.objective or "")
        if workload and workload.convolutions and not compiled.widths():
            self._say_once(
                "distune was installed without a C compiler: convolutional networks train to the "
                "same results, but take up to twice as long; install one (gcc or clang), then "
                "distune again"
            )

    def _say_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say(line)


def may_be_bfloat16(study: Study) -> bool:
    """Whether some of its trials, by a workload, may be trained in bfloat16."""
    return study.objective in WORKLOADS and "bfloat16" in study.values_of("precision")


class DataSets:
    """Sees that the data sets a workload's study names are on this host before a trial of
    it is claimed; a download runs beside the work, in a process of its own.
    """

    def __init__(self, data_dir: Path | None, say: Callable[[str], None]) -> None:
        self._data_dir = data_dir
        self._folders = DataFolders.of(data_dir)
        self._say = say
        self._here: set[str] = set()
        self._downloads: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        self._failed: dict[str, str] = {}

    def ready(self, study: Study) -> bool:
        """False while something is still being downloaded.

        Raises:
            UserError: a data set cannot be had; says what to do.
        """
        # All of them are asked, so that all downloads begin.
        return sum(not self._has(name) for name in study.datasets) == 0

    def _has(self, name: str) -> bool:
        if name in self._here:
            return True
        if name not in self._downloads:
            data_set = DATA_SETS[name]
            if self._folders.locate(data_set) is not None:
                self._here.add(name)
                return True
            if name in self._failed:  # once is enough; should the files come, they are found
                raise UserError(self._failed[name])
            self._say(f"{name} is not on this host; {self._folders.announcement(data_set)}")
            command = [sys.executable, "-m", "distune", "data", name]
            command += ["--data-dir", str(self._data_dir)] if self._data_dir else []
            # Not a pipe: one that nobody reads would fill up.
            errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
            process = spawn(command, stdout=subprocess.DEVNULL, stderr=errors)
            self._downloads[name] = process, errors
        process, errors = self._downloads[name]
        if process.poll() is None:
            return False
        del self._downloads[name]
        with errors:
            errors.seek(0)
            said = _message(errors.read().decode(errors="replace"))
        if process.returncode:
            self._failed[name] = said or f"{name} could not be downloaded"
            raise UserError(self._failed[name])
        self._here.add(name)
        self._say(f"{name} is here")
        return True


def _message(output: str) -> str:
    """The last line of what a command of ours printed: its error message."""
    lines = output.strip().splitlines()
    return lines[-1].removeprefix("distune: ") if lines else ""


def _work(
    worker: Worker, options: WorkerOptions, interrupt: Interrupt, say: Callable[[str], None]
) -> int:
    started = last_busy = time.monotonic()
    told = False
    pause = shortest = _SHORTEST_WAIT if is_network(options.logs) else _SHORTEST_REST
    stall = Stall(say, "training goes on, results are kept", lambda: worker.cut_off)
    _collect_seldom()
    while True:
        # Cleared before looking, so that what comes meanwhile wakes the wait below.
        if interrupt.signal is None:
            interrupt.event.clear()
        with stall.watched():
            worker.step()
        now = time.monotonic()
        if interrupt.signal is not None:
            name = signal.Signals(interrupt.signal).name
            given_back = worker.drain(f"its worker got {name}", _DRAIN_SECONDS)
            alas = "the share does not answer; the lease will free what was held"
            say(f"{name}: {'everything given back' if given_back else alas}")
            return EXIT_DRAINED
        if worker.finished:
            say("nothing left to do: every study here is finished (--forever waits for more)")
            return EXIT_NOTHING_LEFT
        if worker.stuck and not options.forever:
            left = {**worker.studies.refused, **worker.studies.left}
            why = "; ".join(f"{study}: {reason}" for study, reason in left.items())
            if worker.studies.left:
                raise StudyFailed(f"this worker has given up ({why})")
            raise UserError(f"there is no study here that this worker can work on ({why})")
        if options.time_limit is not None and now - started >= options.time_limit:
            worker.drain("its worker's time is over", _DRAIN_SECONDS)
            say("the time limit is over; everything given back")
            return EXIT_NOTHING_LEFT
        if worker.active or not worker.idle:
            last_busy, told = now, told and worker.studies.knows_nothing
        elif not told and worker.studies.knows_nothing:
            told = True
            say(f"no study in {options.logs} yet; waiting for a master")
        elif not told and now - last_busy >= _IDLE_BEFORE_SAYING:
            told = True
            say("nothing to claim for a minute; does the master still run? (distune status)")
        if worker.active:
            # Who rests for longer finds more with one look.
            pause = _SHORTEST_WAIT if worker.has_rivals else shortest
        else:
            worker.rest()
        interrupt.event.wait(pause)
        pause = min(pause * 1.5, worker.longest_pause)


def _collect_seldom() -> None:
    """What is there stays: no collection need look at it. Of what comes, hardly anything is in a
    circle, and looking for that took a twentieth of the time.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


# -- master --------------------------------------------------------------------------------


@dataclass(frozen=True)
class MasterOptions:
    """What `distune master` was asked for."""

    space: SpaceFile
    source: str
    name: str
    logs: Path
    workers: int = 0
    device: str = "auto"
    worker_arguments: Sequence[str] = ()
    any_owner: bool = False
    ignore_doctor: bool = False


def run_master(options: MasterOptions, screen: Screen) -> int:
    """Run a study to its end.

    Returns:
        The exit status: 0, or 128 + the signal that stopped it.

    Raises:
        UserError: the study cannot be started like this.
        StudyFailed: it ended without a result.
    """
    interrupt = Interrupt()
    with Stall(screen.say, "nothing is lost").watched():
        folder = options.logs.resolve() / options.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}; check --logs") from None
        if not options.any_owner:
            access.check_owner(folder)
        store, study = _open_or_create(folder, options, screen.say)
    identity = Identity(socket.gethostname(), os.getpid())
    with only_master(folder, store, identity):
        try:
            master = Master(store, limits_of(options.space), identity)
            crew = LocalWorkers(options, folder, study)
            if options.workers:
                some = f"{options.workers} local worker{'s' * (options.workers > 1)}"
                screen.say(f"{some}: {_told(crew.plan, options.workers)}")
        except NotAFolder as error:
            raise UserError(str(error)) from None
        try:
            with screen:
                snapshot = _rule(master, crew, interrupt, screen)
        finally:
            crew.end(patience=0.0 if master.finished is None else 2 * LONGEST_WAIT)
            master.leave()
    if interrupt.signal is not None and master.finished is None:
        screen.say("stopped; the same command goes on from here")
        return 128 + interrupt.signal
    assert master.finished is not None
    assert snapshot is not None
    # No other look: the study is over, and the share may choose this moment to go.
    screen.final(replace(snapshot, elapsed=master.elapsed, finished=master.finished), folder)
    if master.finished.failed:
        raise StudyFailed(
            f"study {study.name}: {master.finished.reason}; "
            f"look at: distune show 0 --logs {options.logs} --study {study.name}"
        )
    return 0


def _open_or_create(
    folder: Path, options: MasterOptions, say: Callable[[str], None]
) -> tuple[Store, Study]:
    store = Store(Folder(folder))
    store.tell = say
    _refuse_earlier(store)
    note = None if options.ignore_doctor else _doctors_note(folder.parent, say)
    default = NETWORK_LEASE if store.folder.network else LOCAL_LEASE
    lease = options.space.lease or (note.lease if note else default)
    wanted = freeze(
        options.space,
        name=options.name,
        study_id=f"{options.name}-{secrets.token_hex(4)}",
        lease=lease,
        beat=note.heartbeat if note else None,
        poll=note.poll if note else None,
        created=time.time(),
    )
    check_there_is_something(wanted)
    try:
        study = store.create(wanted)
    except NotAFolder as error:
        raise UserError(str(error)) from None
    except BadRecord as error:
        raise UserError(
            f"{folder / protocol.STUDY} cannot be used: {error}; put the file back, "
            "choose another name with --study, or delete that folder"
        ) from None
    except ShareError as error:
        raise UserError(f"{error}; the master must be able to write there") from None
    different = differences(wanted, study)
    if different:
        raise UserError(
            f"{folder} holds another study (it differs in {', '.join(different)}): "
            "choose another name with --study, or another --logs, or delete that folder"
        )
    if note is not None and study.id == wanted.id:
        whose = f" ({options.source} says so)" if options.space.lease else ""
        say(
            f"lease {study.lease:g} s{whose}, heartbeat every {study.beat_interval:g} s, a look "
            f"every {study.longest_pause:g} s, as {folder.parent / protocol.DOCTOR} advises"
        )
    return store, study


def _refuse_earlier(store: Store) -> None:
    """See that a study which is there already can go on.

    Raises:
        UserError: it was begun by an earlier release.
    """
    try:
        store.load().refuse_earlier()
    except (FileNotFoundError, BadRecord, NotAFolder, ShareError):
        return  # there is none, or `create` says what is wrong with it


def _doctors_note(logs: Path, say: Callable[[str], None]) -> Diagnosis | None:
    """What `distune doctor` has found in this directory; None if that is nothing, or of no use.

    Raises:
        UserError: it says that a study would go wrong here.
    """
    path = logs / protocol.DOCTOR
    try:
        data = Folder(logs).read(protocol.DOCTOR, limit=records.LINE_LIMIT)
        note = records.decode_document(Diagnosis, data)
    except FileNotFoundError:
        return None
    except (BadRecord, ShareError) as error:
        say(f"{path} is ignored: {error}; write it anew with: distune doctor --logs {logs}")
        return None
    # A note that was made on the server's own disk says nothing about its clients.
    here = file_system_of(logs)
    if is_network(logs) and here not in note.file_systems:
        found = ", ".join(note.file_systems)
        say(f"{path} is ignored: it is about {found}, and this is {here}; run distune doctor here")
        return None
    if note.grade == "fail":
        raise UserError(
            f"{path} says: {note.summary}; run distune doctor --logs {logs} again, use another "
            "directory, or start with --ignore-doctor"
        )
    return note


def _rule(
    master: Master, crew: LocalWorkers, interrupt: Interrupt, screen: Screen
) -> Snapshot | None:
    """Step until the study is over or a signal comes; what was seen last."""
    pause = _SHORTEST_WAIT
    began = time.monotonic()
    outage = Outage()
    snapshot: Snapshot | None = None

    def say(text: str) -> None:
        # Not as an event: nothing shows those while there is no snapshot.
        screen.say(f"{time.strftime('%H:%M:%S')} {text}")

    stall = Stall(say, "nothing is lost")
    first_looks = _FIRST_LOOKS if master.store.folder.network else _SHORTEST_WAIT
    _collect_seldom()
    while interrupt.signal is None:
        looked = time.monotonic()
        try:
            with stall.watched():
                snapshot = master.step(curves=screen.wants_curves())
        except (ShareError, FileNotFoundError) as error:
            master.observer.blind()
            if outage.began is None:
                what = error if isinstance(error, ShareError) else f"{error.filename} is not there"
                text = f"{what}; nothing is lost, trying again"
                if snapshot is None:
                    say(text)
                else:
                    master.observer.add_event("trouble", text)
                    screen.show(replace(snapshot, events=master.observer.events))
            interrupt.event.wait(outage.pause(since=looked))
            continue
        lasted = outage.over()
        if lasted is not None:
            master.observer.add_event("trouble", f"the share is back after {lasted:.0f} s")
            snapshot = replace(snapshot, events=master.observer.events)
        screen.show(snapshot)
        if master.finished is not None:
            break
        crew.look_after(master.observer)
        if not master.active:
            master.store.rest()
        longest = master.study.longest_pause
        if not snapshot.workers and looked < began + _EXPECTED_WITHIN:
            longest = min(longest, first_looks)
        pause = _SHORTEST_WAIT if master.active else min(pause * 1.5, longest)
        # Sooner if workers will have nothing left by then.
        interrupt.event.wait(min(pause, master.lasts / 2))
    return snapshot


@dataclass
class _LocalWorker:
    number: int
    process: subprocess.Popen[bytes] | None = None
    log: str = ""
    failures: int = 0
    next_start: float = 0.0


class LocalWorkers:
    """`--workers N`: workers of this master's own, which live no longer than it."""

    def __init__(self, options: MasterOptions, folder: Path, study: Study) -> None:
        self._options = options
        self._study = study
        self._folder = Folder(folder)
        gpus = [] if options.device == "cpu" else host.visible_gpus()
        self._gpus = gpus if options.device in ("auto", "cuda") else []
        self.plan = host.plan(
            None,
            None,
            cores=host.usable_cores(),
            memory=host.free_memory(),
            gpus=len(self._gpus) or (options.device not in ("auto", "cpu")),
            share=max(1, options.workers),
        )
        self._crew = [_LocalWorker(i + 1) for i in range(options.workers)]
        if self._crew:
            self._folder.make_folder(protocol.LOCAL_LOGS)
        for one in self._crew:
            self._start(one)

    def _start(self, one: _LocalWorker) -> None:
        one.log = f"{protocol.LOCAL_LOGS}/worker-{one.number}.log"
        command = [sys.executable, "-m", "distune", "worker", "--logs", str(self._options.logs)]
        command += ["--study", self._study.name]
        command += ["--jobs", str(self.plan.jobs), "--threads", str(self.plan.threads)]
        environment = dict(os.environ)
        if self._gpus:  # each its own, or else all of them would begin with the first
            mine = self._gpus[one.number - 1 :: len(self._crew)]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(
                mine or [self._gpus[(one.number - 1) % len(self._gpus)]]
            )
        with self._folder.open_log(one.log) as log:
            one.process = spawn(
                [*command, *self._options.worker_arguments],
                sig=signal.SIGTERM,  # it gives back what it has when we are killed
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def look_after(self, observer: Observer) -> None:
        """Start those anew that died.

        Raises:
            UserError: one of them says that the user has to do something.
        """
        for one in self._crew:
            if one.process is None:
                if time.monotonic() >= one.next_start:
                    self._start(one)
                continue
            status = one.process.poll()
            if status is None:
                continue
            one.process = None
            if status == 2:
                raise UserError(_message(self._folder.read(one.log).decode(errors="replace")))
            one.failures += 1
            one.next_start = time.monotonic() + min(60.0, 0.5 * 2**one.failures)
            if status != 0:
                observer.add_event(
                    "trouble",
                    f"local worker {one.number} ended ({status}), "
                    f"see {self._folder.root / one.log}; starting another",
                )

    def end(self, patience: float) -> None:
        """Wait `patience` seconds for them to leave by themselves; then have them give back
        what they hold.
        """
        running = [one.process for one in self._crew if one.process is not None]
        until = time.monotonic() + patience
        while time.monotonic() < until and any(process.poll() is None for process in running):
            time.sleep(0.02)
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + _DRAIN_SECONDS + 1.0
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# -- viewer --------------------------------------------------------------------------------
