"""Measures what distune adds around a trial, with an objective that costs nothing.

    python scripts/bench_coordination.py speed        # trials a second, beside others
    python scripts/bench_coordination.py operations   # metadata operations, of a trial and idle
    python scripts/bench_coordination.py gaps         # between two trainings of a worker
    python scripts/bench_coordination.py busy         # eight workers, trials of unlike lengths
    python scripts/bench_coordination.py flat         # whether 100,000 trials slow it down
    python scripts/bench_coordination.py crowd        # 200 workers; 20 studies in one directory
    python scripts/bench_coordination.py start        # commands and imports
    python scripts/bench_coordination.py against --checkout FOLDER   # `speed` of another commit
    python scripts/bench_coordination.py --quick      # what can be counted, in a minute; for CI

Everything is measured with real processes of the real command line. Beside distune, in the same
rounds, runs the floor (the renames, the append and the fsync of a trial, in plain Python) and, if
Optuna is installed, Optuna's journal file. Operations are counted by strace, if that is installed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from distune.share.find_studies import find_studies
from distune.study.study import Study
from distune.study.trial import Outcome, Record, Report, Result
from distune.training.messages import Assignment, Died
from distune.worker.context import WorkerIdentity
from distune.worker.worker import Worker

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.benching import Checks, in_turn, machine, ratio, spread, table, tell

OBJECTIVE = """\
import os, time
_file = os.open("{records}/" + str(os.getpid()), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
def train(params):
    began = time.monotonic()
    y = params["lr"] ** 2
    {work}
    os.write(_file, b"%.6f %.6f\\n" % (began, time.monotonic()))
    return y
"""
SPACE = {
    "objective": "square:train",
    "metric": "y",
    "direction": "minimize",
    "params": {
        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
        "batch": [16, 32, 64, 128, 256],
        "momentum": {"type": "float", "low": 0.0, "high": 0.99},
        "filters": {"type": "int", "low": 8, "high": 128},
    },
    "sampler": "random",  # which costs nothing, and has as many trials wait as workers want
}
#: What must hold, whatever the machine.
MOST_OPERATIONS = 12.0  # of metadata, a trial, all processes together
MOST_IDLE_OPERATIONS = 14.0  # a second: of a worker, and of a master, with nothing to do
MOST_RESIDENT = 60.0  # MB, of a worker without its executors
#: Calls that a file system's server would be asked for. Reading and writing an open file are
#: not among them, nor is asking about a descriptor.
_CALLS = (
    "openat,open,creat,stat,newfstatat,lstat,access,faccessat,faccessat2,rename,renameat,"
    "renameat2,unlink,unlinkat,link,linkat,symlink,symlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,"
    "getdents64,fcntl,flock,utimensat,ftruncate,readlink,statx"
)
_DISTUNE = [sys.executable, "-m", "distune"]
_PATIENCE = 900.0  # seconds


# -- a study with real processes -------------------------------------------------------------------


@dataclass
class Ran:
    """What a study left behind.

    Attributes:
        began, ended: of each training, by worker, on one clock of this host, in seconds.
        operations: as strace has counted them; empty without it.
        seconds: from the master's start to its end.
    """

    began: list[list[float]]
    ended: list[list[float]]
    operations: Counter[str]
    seconds: float

    @property
    def rate(self) -> float:
        """Trials a second, from the first result to the last."""
        return self.rate_between(0.0, 1.0)

    def rate_between(self, low: float, high: float) -> float:
        """Likewise, of a share of the trials in the order in which they ended."""
        times = sorted(time for worker in self.ended for time in worker)
        some = times[int(low * (len(times) - 1)) : int(high * (len(times) - 1)) + 1]
        return (len(some) - 1) / (some[-1] - some[0])

    def busy_between(self, begin: float, end: float) -> float:
        """What part of the time the workers trained."""
        spans = (
            (max(begin, b), min(end, e))
            for worker in zip(self.began, self.ended, strict=True)
            for b, e in zip(*worker, strict=True)
        )
        trained = sum(max(0.0, e - b) for b, e in spans)
        return trained / (end - begin) / len(self.began)

    @property
    def gaps(self) -> list[float]:
        """Seconds between the end of a training and the beginning of the next, by any worker."""
        return [
            after - before
            for began, ended in zip(self.began, self.ended, strict=True)
            for before, after in zip(ended, began[1:], strict=False)
        ]


class Bench:
    """`with Bench(folder) as bench: bench.run(workers=8, trials=1000)`.

    Args:
        folder: the logs directory, on the file system to be measured.
        work: a line of Python that the objective runs.
    """

    def __init__(self, folder: Path, work: str = "pass") -> None:
        self.logs = new_folder(folder)
        self._rest = tempfile.TemporaryDirectory(
            dir="/dev/shm" if os.path.isdir("/dev/shm") else None
        )
        self.rest = Path(self._rest.name)
        self.records = self.rest / "records"
        self.records.mkdir()
        self.objective = self.rest / "square.py"
        self.objective.write_text(OBJECTIVE.format(records=self.records, work=work))
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            family = psutil.Process(process.pid).children(
                recursive=True
            )  # strace's are not its own
            for one in family:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.kill()
            process.wait()
        self._rest.cleanup()

    def start(self, name: str, *arguments: str, counted: bool = False) -> subprocess.Popen[bytes]:
        """A process of distune's; with `counted`, strace writes down what it asks for."""
        command = [*_DISTUNE, *arguments]
        if counted:
            output = str(self.rest / f"{name}.strace")
            filters = ["--seccomp-bpf", "-f", "-y", "-qq", "-e", f"trace={_CALLS}"]
            command = ["strace", *filters, "-o", output, *command]
        with (self.rest / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._running.append(process)
        return process

    def start_workers(
        self, count: int, *arguments: str, counted: bool = False
    ) -> list[subprocess.Popen[bytes]]:
        """Workers that have imported everything and wait for a study."""
        workers = [
            self.start(
                f"worker-{i}",
                *("worker", "--logs", str(self.logs), "--objective", f"{self.objective}:train"),
                *("--jobs", "1", *arguments),
                counted=counted,
            )
            for i in range(count)
        ]
        for i in range(count):
            self.wait_for(f"worker-{i}", "waiting for a master")
        return workers

    def start_master(
        self, trials: int, study: str = "study", counted: bool = False
    ) -> subprocess.Popen[bytes]:
        space = self.rest / f"{study}.json"
        space.write_text(json.dumps({**SPACE, "trials": trials}))
        return self.start(
            study,
            *("master", "--space", str(space), "--logs", str(self.logs), "--study", study),
            counted=counted,
        )

    def said(self, name: str) -> str:
        return (self.rest / f"{name}.log").read_text(errors="replace")

    def wait_for(self, name: str, words: str) -> None:
        until = time.monotonic() + _PATIENCE
        while words not in self.said(name):
            if time.monotonic() > until:
                raise SystemExit(f"{name} did not say {words!r}:\n{self.said(name)[-2000:]}")
            time.sleep(0.02)

    def finish(self, name: str, process: subprocess.Popen[bytes]) -> None:
        status = process.wait(_PATIENCE)
        self._running.remove(process)
        if status:
            raise SystemExit(f"{name} ended with {status}:\n{self.said(name)[-2000:]}")

    def run(self, workers: int, trials: int, *, counted: bool = False) -> Ran:
        """One study from its first trial to its end."""
        processes = self.start_workers(workers, counted=counted)
        began = time.monotonic()
        master = self.start_master(trials, counted=counted)
        self.finish("study", master)
        seconds = time.monotonic() - began
        for i, worker in enumerate(processes):
            self.finish(f"worker-{i}", worker)
        counted_trials = self.counted("study")
        if len(counted_trials) != trials or len(set(counted_trials)) != trials:
            raise SystemExit(f"{len(counted_trials)} trials were counted, not {trials}")
        return self.collect(seconds)

    def rate_of(self, study: str, trials: int) -> float:
        """Trials a second of a study that goes on to so many, when the workers have noticed it."""
        began = time.monotonic()
        self.finish(study, self.start_master(trials, study))
        ran = self.collect(time.monotonic() - began)
        ran.ended = [[time for time in worker if time > began] for worker in ran.ended]
        return ran.rate_between(0.4, 1.0)

    def counted(self, study: str) -> list[int]:
        lines = (self.logs / study / "history.jsonl").read_bytes().split(b"\n")
        return [json.loads(line)["trial"]["number"] for line in lines if line]

    def claimed(self, study: str) -> list[float]:
        """When each trial was, by the workers' clock."""
        times = []
        for path in (self.logs / study / "seen").rglob("*.jsonl*"):
            lines = map(json.loads, path.read_bytes().splitlines())
            times += [line["time"] for line in lines if line["kind"] == "claim"]
        return times

    def collect(self, seconds: float) -> Ran:
        began, ended = [], []
        for path in sorted(self.records.iterdir()):
            rows = [tuple(map(float, line.split())) for line in path.read_text().splitlines()]
            began.append([row[0] for row in rows])
            ended.append([row[1] for row in rows])
        operations: Counter[str] = Counter()
        for path in self.rest.glob("*.strace"):
            operations += operations_on(self.logs, path)
        return Ran(began, ended, operations, seconds)


def operations_on(folder: Path, trace: Path) -> Counter[str]:
    """The calls in strace's output that were about something in a folder."""
    found: Counter[str] = Counter()
    inside = (f"{folder}/", f'{folder}"', f"{folder}>")
    with trace.open(errors="replace") as lines:
        for line in lines:
            call = re.match(r"\d+\s+(\w+)\(", line)
            if call is None or not any(part in line for part in inside):
                continue
            about_descriptor = "AT_EMPTY_PATH" in line or ', "",' in line
            if call[1] == "newfstatat" and about_descriptor:
                continue
            if call[1] == "fcntl" and "F_SETLK" not in line:
                continue
            found[call[1]] += 1
    return found


def new_folder(place: Path) -> Path:
    """One for each measurement, and none is removed before the end: for minutes after many files
    were deleted, ext4 makes new ones several times more slowly.
    """
    return Path(tempfile.mkdtemp(dir=place))


@contextmanager
def folders(wanted: Sequence[Path]) -> Iterator[list[Path]]:
    """Places to measure: those asked for, or one on disk and one in memory."""
    with (
        tempfile.TemporaryDirectory(dir=".", prefix="bench-") as disk,
        tempfile.TemporaryDirectory(
            dir="/dev/shm" if os.path.isdir("/dev/shm") else None
        ) as memory,
    ):
        yield list(wanted) or [Path(disk).resolve(), Path(memory)]


def kind_of(folder: Path) -> str:
    found = subprocess.run(
        ["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=False
    )
    return found.stdout.strip().replace("ext2/ext3", "ext4") or str(folder)


# -- the others --------------------------------------------------------------------------------


def floor(folder: Path, workers: int, trials: int) -> float:
    """Trials a second of processes that rename, append, fsync and rename, and do nothing else."""
    place = new_folder(folder)
    for i in range(trials):
        (place / f"{i}.json").write_bytes(b"x" * 200)
    go = multiprocessing.Event()
    processes = [
        multiprocessing.Process(target=_floor_worker, args=(place, trials, w, workers, go))
        for w in range(workers)
    ]
    for one in processes:
        one.start()
    time.sleep(0.5)  # until all of them wait; who does not is only slower
    began = time.perf_counter()
    go.set()
    for one in processes:
        one.join()
    return trials / (time.perf_counter() - began)


def _floor_worker(place: Path, trials: int, own: int, workers: int, go: object) -> None:
    go.wait()  # type: ignore[attr-defined]
    for k in range(trials):
        i = (k + own * trials // workers) % trials
        taken = f"{place}/{i}.taken"
        try:
            os.rename(f"{place}/{i}.json", taken)
        except FileNotFoundError:
            continue
        fd = os.open(taken, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"x" * 200 + b"\n")
        os.fsync(fd)
        os.close(fd)
        os.rename(taken, f"{place}/{i}.done")


def optuna_journal(folder: Path, workers: int, trials: int) -> float:
    """Trials a second of Optuna's random search over a journal file, each worker a process."""
    place = new_folder(folder)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers + 1)
    times = context.Queue()
    processes = [
        context.Process(
            target=_optuna_worker,
            args=(place, trials // workers + (w < trials % workers), barrier, times),
        )
        for w in range(workers)
    ]
    _optuna_study(place, create=True)
    for one in processes:
        one.start()
    barrier.wait()
    found: list[float] = sorted(time for _ in processes for time in times.get())
    for one in processes:
        one.join()
    return (len(found) - 1) / (found[-1] - found[0])


def _optuna_study(place: Path, create: bool = False) -> object:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(place / "journal.log")))
    sampler = optuna.samplers.RandomSampler()
    if create:
        return optuna.create_study(storage=storage, study_name="s")
    return optuna.load_study(storage=storage, study_name="s", sampler=sampler)


def _optuna_worker(place: Path, trials: int, barrier: object, times: object) -> None:
    study = _optuna_study(place)
    ended: list[float] = []

    def objective(trial: object) -> float:
        lr = trial.suggest_float("lr", 1e-5, 1e-1, log=True)  # type: ignore[attr-defined]
        trial.suggest_categorical("batch", [16, 32, 64, 128, 256])  # type: ignore[attr-defined]
        trial.suggest_float("momentum", 0.0, 0.99)  # type: ignore[attr-defined]
        trial.suggest_int("filters", 8, 128)  # type: ignore[attr-defined]
        ended.append(time.monotonic())
        return float(lr**2)

    barrier.wait()  # type: ignore[attr-defined]
    study.optimize(objective, n_trials=trials)  # type: ignore[attr-defined]
    times.put(ended)  # type: ignore[attr-defined]


def _has_optuna() -> bool:
    try:
        import optuna  # noqa: F401
    except ImportError:
        return False
    return True


# -- what is measured --------------------------------------------------------------------------


def ours(folder: Path, workers: int, trials: int) -> float:
    with Bench(folder) as bench:
        return bench.run(workers, trials).rate


def speed(places: Sequence[Path], rounds: int, trials: int) -> None:
    """Trials a second, beside the floor and Optuna's journal."""
    rows = []
    for place in places:
        for workers in (1, 8):
            measures: dict[str, Callable[[], float]] = {
                "floor": partial(floor, place, workers, trials),
                "distune": partial(ours, place, workers, trials),
            }
            if _has_optuna():
                few = max(200, trials // 4)
                measures["optuna"] = partial(optuna_journal, place, workers, few)
            else:
                tell("Optuna is not installed: not measured")
            found = in_turn(rounds, measures)
            rows.append(
                [
                    f"{kind_of(place)}, {workers} worker{'s' if workers > 1 else ''}",
                    spread(found["distune"]),
                    spread(found.get("optuna", [])),
                    ratio(found["distune"], found.get("optuna", [])),
                    spread(found["floor"]),
                ]
            )
    table(["trials a second", "distune", "Optuna's journal", "ratio", "plain renames"], rows)


def against(checkout: Path, places: Sequence[Path], rounds: int, trials: int) -> None:
    """Trials a second of this checkout and of another one, in turns."""
    here = Path(__file__).resolve().parents[1]

    def rate_of(checkout: Path, place: Path, workers: int) -> float:
        code = "import pathlib, sys; from scripts.bench_coordination import ours as rate; "
        code += "print(rate(pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])))"
        done = subprocess.run(
            [sys.executable, "-c", code, str(place), str(workers), str(trials)],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            check=True,
        )
        return float(done.stdout.split()[-1])

    rows = []
    for place in places:
        for workers in (1, 8):
            found = in_turn(
                rounds,
                {
                    "there": partial(rate_of, checkout.resolve(), place, workers),
                    "here": partial(rate_of, here, place, workers),
                },
            )
            rows.append(
                [
                    f"{kind_of(place)}, {workers} worker{'s' if workers > 1 else ''}",
                    spread(found["there"]),
                    spread(found["here"]),
                    ratio(found["here"], found["there"], 2),
                ]
            )
    table(["trials a second", "the other", "this one", "ratio"], rows)


def operations_per_trial(folder: Path, workers: int, few: int, many: int) -> dict[str, float]:
    """Of the trials beyond the first few: starting and ending is not counted."""
    counts = []
    for trials in (few, many):
        with Bench(folder) as bench:
            counts.append(bench.run(workers, trials, counted=True).operations)
    return {
        call: (counts[1][call] - counts[0][call]) / (many - few) for call in counts[0] | counts[1]
    }


def idle_operations(folder: Path, seconds: float) -> dict[str, float]:
    """Operations a second of a master whose trials are all taken, of a worker that trains,
    and of one that finds nothing to do.
    """
    with Bench(folder, work="time.sleep(3600)") as bench:
        processes = bench.start_workers(2, counted=True)
        master = bench.start_master(1, counted=True)
        until = time.monotonic() + 60.0
        taken = bench.logs / "study" / "trials"
        while not any(path.name.endswith(".taken") for path in taken.glob("*")):
            if time.monotonic() > until:
                raise SystemExit("no worker has claimed the only trial")
            time.sleep(0.05)
        time.sleep(5.0)  # pauses grow to their longest
        traces = {name: bench.rest / f"{name}.strace" for name in ("study", "worker-0", "worker-1")}
        before = {name: operations_on(bench.logs, path) for name, path in traces.items()}
        time.sleep(seconds)
        after = {name: operations_on(bench.logs, path) for name, path in traces.items()}
        made = {name: after[name] - before[name] for name in traces}
        for name, calls in made.items():
            tell(f"{name}: {dict(calls)} in {seconds:g} s")
        holder = next(taken.glob("*.taken")).name
        rates = {name: calls.total() / seconds for name, calls in made.items()}
        pids = {
            name: _own_pid(process)
            for name, process in zip(traces, [master, *processes], strict=True)
        }
        trains = "worker-0" if f"-{pids['worker-0']}-" in holder else "worker-1"
        rests = "worker-1" if trains == "worker-0" else "worker-0"
        return {
            "master": rates["study"],
            "worker that trains": rates[trains],
            "idle worker": rates[rests],
        }


def _own_pid(process: subprocess.Popen[bytes]) -> int:
    """Of what strace runs."""
    children = psutil.Process(process.pid).children()
    return children[0].pid if children else process.pid


def operations(places: Sequence[Path], trials: int, seconds: float) -> None:
    rows = []
    for workers in (1, 8):
        found = operations_per_trial(places[0], workers, trials // 5, trials)
        calls = ", ".join(
            f"{call} {count:.2f}" for call, count in sorted(found.items()) if count >= 0.05
        )
        rows.append(
            [
                f"a trial, {workers} worker{'s' if workers > 1 else ''}",
                f"{sum(found.values()):.1f}",
                calls,
            ]
        )
    for who, rate in idle_operations(places[0], seconds).items():
        rows.append([f"a second, {who}", f"{rate:.1f}", ""])
    table(["metadata operations on the share", "in sum", "of them"], rows)


def gaps(places: Sequence[Path], rounds: int, trials: int, training: float) -> None:
    """How long a worker's executor waits for its next trial, after a training of so many seconds;
    beside it, what the file system takes for a rename.
    """
    rows = []
    for place in places:
        medians, long, renames = [], [], []
        for i in range(rounds):
            with Bench(place, work=f"time.sleep({training})") as bench:
                renames.append(1000 * seconds_of_a_rename(bench.logs))
                found = sorted(1000 * gap for gap in bench.run(1, trials).gaps)
            medians.append(statistics.median(found))
            long.append(found[int(0.95 * len(found))])
            tell(f"round {i + 1} of {rounds}: {medians[-1]:.2f} ms, a rename {renames[-1]:.2f} ms")
        rows.append([kind_of(place), spread(medians, 2), spread(long, 2), spread(renames, 2)])
    table(["idle between two trainings, ms", "median", "95 % are shorter than", "a rename"], rows)


def seconds_of_a_rename(folder: Path) -> float:
    """Median of twenty in a folder, which takes one round trip on NFS."""
    one, other = folder / ".renamed", folder / ".renamed.again"
    one.touch()
    found = []
    for _ in range(20):
        began = time.perf_counter()
        one.rename(other)
        found.append(time.perf_counter() - began)
        one, other = other, one
    one.unlink()
    return statistics.median(found)


def busy(places: Sequence[Path], rounds: int, trials: int, shortest: float) -> None:
    """What part of the time eight workers train, whose trials take one to eight times so many
    seconds: from when all of them do to when the first finds nothing more, and of all of it.
    """
    rows = []
    for place in places:
        middle, whole = [], []
        for i in range(rounds):
            # lr is drawn evenly on a log scale, and so the lengths are.
            work = f"time.sleep({shortest} * 8 ** ((__import__('math').log10(y) / 2 + 5) / 4))"
            with Bench(place, work=work) as bench:
                ran = bench.run(8, trials)
            if len(ran.began) != 8:
                raise SystemExit(f"{len(ran.began)} workers trained, not 8")
            begins, ends = [one[0] for one in ran.began], [one[-1] for one in ran.ended]
            middle.append(100 * ran.busy_between(max(begins), min(ends)))
            whole.append(100 * ran.busy_between(min(begins), max(ends)))
            tell(f"round {i + 1} of {rounds}: {middle[-1]:.1f} %, of all {whole[-1]:.1f} %")
        rows.append([kind_of(place), spread(middle, 1), spread(whole, 1)])
    what = f"eight workers train, % of the time, {trials} trials of {shortest} to {8 * shortest} s"
    table([what, "while there is work for all", "from the first to the last"], rows)


def flat(places: Sequence[Path], rounds: int, trials: int) -> None:
    """Whether the last of many trials are as fast as the first: in turn, a new study of some, and
    as many more of one that ends at `trials`. The same workers, as they are when they have begun.
    """
    rows = []
    piece = trials // 20
    for place in places:
        with Bench(place) as bench:
            bench.start_workers(8, "--forever")
            until = trials - rounds * piece
            tell(f"{until:,} trials: {bench.rate_of('long', until):,.0f} a second")
            first, last = [], []
            for i in range(rounds):
                first.append(bench.rate_of(f"new-{i}", piece))
                until += piece
                last.append(bench.rate_of("long", until))
                tell(f"round {i + 1} of {rounds}: {first[-1]:,.0f} and {last[-1]:,.0f} a second")
        rows.append([kind_of(place), spread(first), spread(last), ratio(last, first, 2)])
    header = [f"trials a second, {piece:,} of them", "the first of a study"]
    table([*header, f"up to the last of {trials:,}", "ratio"], rows)


# -- many of them ------------------------------------------------------------------------------


class Instant:
    """An executor that has its result at once: nothing is trained, everything else is real."""

    slots = 1

    def __init__(self) -> None:
        self._says: list[tuple[int, Record | Died]] = []

    def takes(self, slot: int, study: Study) -> bool:
        return True

    def start(self, slot: int, assignment: Assignment) -> None:
        y = float(assignment.trial.params["lr"]) ** 2  # type: ignore[arg-type]
        metrics = {"y": y}
        self._says = [
            (0, Report(step=1, metrics=metrics, seconds=0.0)),
            (0, Result(outcome=Outcome.COMPLETE, value=y, metrics=metrics, steps=1)),
        ]

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        said, self._says = self._says, []
        return said

    def stop(self, slot: int, *, save: bool = False) -> None: ...
    def terminate(self) -> None: ...
    def end(self, slot: int, grace: float) -> None: ...
    def abort(self, slot: int) -> str:
        return ""

    def tail(self) -> str:
        return ""


def many_workers(place: Path, workers: int, trials: int) -> tuple[float, list[int]]:
    """One study with a real master and so many workers, all in this process: trials a second,
    and how many each worker has had.
    """
    with Bench(place) as bench:
        logs = bench.logs
        processes = [
            Worker(
                WorkerIdentity(f"w-{i:03d}", "host", 1, "cpu"),
                lambda: find_studies(logs),
                [Instant()],
                base=logs,
                rng=random.Random(i),
            )
            for i in range(workers)
        ]
        master = bench.start_master(trials)
        began = time.monotonic()
        while master.poll() is None:
            for worker in processes:
                worker.step()
        bench.finish("study", master)
        seconds = time.monotonic() - began
        counted = Counter(
            json.loads(line)["worker"]
            for line in (logs / "study" / "history.jsonl").read_bytes().split(b"\n")
            if line
        )
        if counted.total() != trials or sorted(bench.counted("study")) != list(range(trials)):
            raise SystemExit(f"{counted.total()} trials were counted, not each of {trials} once")
        return trials / seconds, sorted(counted[f"w-{i:03d}"] for i in range(workers))


def many_studies(place: Path, studies: int, workers: int, trials: int) -> list[int]:
    """So many studies at once in one directory: how many trials of each had been claimed when
    the first one had nothing left.

    A training takes a while here, so that no study waits for its master, which is not what this
    is about: the workers are asked whom they serve.
    """
    names = [f"study-{i:02d}" for i in range(studies)]
    with Bench(place, "time.sleep(0.05)") as bench:
        masters = {name: bench.start_master(trials, name) for name in names}
        for name in names:
            trials_of = bench.logs / name / "trials"
            wait_until(lambda where=trials_of: any(where.glob("*.jsonl")), name)  # type: ignore[misc]
        arguments = ("worker", "--logs", str(bench.logs), "--jobs", "1")
        processes = [
            bench.start(f"worker-{i}", *arguments, "--objective", f"{bench.objective}:train")
            for i in range(workers)
        ]
        for name, process in masters.items():
            bench.finish(name, process)
            if sorted(bench.counted(name)) != list(range(trials)):
                raise SystemExit(f"{name} has not counted each of its {trials} trials once")
        for i, worker in enumerate(processes):
            bench.finish(f"worker-{i}", worker)
        claimed = [bench.claimed(name) for name in names]
        first = min(max(times) for times in claimed)
        return sorted(sum(time <= first for time in times) for times in claimed)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.02)


def crowd(place: Path) -> None:
    rate, each = many_workers(place, 200, 10_000)
    rows = [
        [
            f"200 workers on one study of 10,000 trials, {rate:,.0f} a second: trials of each",
            *(f"{n:,.0f}" for n in (each[0], statistics.median(each), each[-1])),
        ]
    ]
    claimed = many_studies(place, 20, 4, 200)
    rows.append(
        [
            "20 studies of 200 trials and 4 workers: claimed of each when the first has no more",
            *(f"{n:,.0f}" for n in (claimed[0], statistics.median(claimed), claimed[-1])),
        ]
    )
    table(["fairness", "fewest", "median", "most"], rows)


# -- commands ----------------------------------------------------------------------------------


def seconds_of(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def imported(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement."""
    code = f"{statement}\nimport sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def resident(place: Path) -> float:
    """MB of a worker that waits for a study, without its executor and guardian."""
    with Bench(place) as bench:
        (worker,) = bench.start_workers(1)
        resident: int = psutil.Process(worker.pid).memory_info().rss
        return resident / 1e6


def start(places: Sequence[Path], rounds: int) -> None:
    found = in_turn(
        rounds,
        {
            "typer, rich": lambda: 1000 * seconds_of([sys.executable, "-c", "import typer, rich"]),
            "help": lambda: 1000 * seconds_of([*_DISTUNE, "--help"]),
            "import": lambda: 1000 * seconds_of([sys.executable, "-c", "import distune"]),
        },
    )
    rows = [
        ['python -c "import typer, rich"', spread(found["typer, rich"]), "1.0 x"],
        ["distune --help", spread(found["help"]), ratio(found["help"], found["typer, rich"], 2)],
        [
            'python -c "import distune"',
            spread(found["import"]),
            ratio(found["import"], found["typer, rich"], 2),
        ],
    ]
    table(["start, ms", "time", "ratio"], rows)
    table(["resident, MB", ""], [["a waiting worker", f"{resident(places[-1]):.0f}"]])


# -- for CI ------------------------------------------------------------------------------------


def quick() -> int:
    """Counts that hold on a machine of any speed."""
    checks = Checks()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        if shutil.which("strace") is None:
            tell("strace is not installed: operations are not counted")
        else:
            for workers in (1, 4):
                found = operations_per_trial(place, workers, 200, 1000)
                tell(json.dumps({call: round(n, 2) for call, n in found.items() if n >= 0.05}))
                what = f"metadata operations a trial, {workers} workers"
                checks.at_most(what, sum(found.values()), MOST_OPERATIONS)
            for who, rate in idle_operations(place, 10.0).items():
                checks.at_most(f"operations a second, {who}", rate, MOST_IDLE_OPERATIONS)
        checks.at_most("MB resident of a waiting worker", resident(place), MOST_RESIDENT)
        claimed = many_studies(place, 5, 2, 60)
        what = f"five studies are served alike: {claimed} of 60 claimed when one has no more"
        checks.true(what, claimed[0] >= 60 / 3)
    heavy = {"torch", "numpy", "optuna", "rich"}
    imported_too = imported("import distune") & heavy
    checks.true(f"import distune loads none of {', '.join(sorted(heavy))}", not imported_too)
    imported_too = imported("import distune.cli") & (heavy - {"rich"})
    checks.true("the command line loads neither torch, numpy nor optuna", not imported_too)
    return checks.status


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ["speed", "against", "operations", "gaps", "busy", "flat", "crowd", "start"]
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}")
    parser.add_argument("--dir", type=Path, action="append", default=[], help="where to measure")
    parser.add_argument("--checkout", type=Path, help="of another commit, for against")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, help="of each study")
    parser.add_argument("--training", type=float, default=0.05, help="seconds of a trial, for gaps")
    parser.add_argument("--shortest", type=float, default=0.25, help="seconds, for busy")
    parser.add_argument("--quick", action="store_true", help="count only, and check")
    options = parser.parse_args()
    unknown = set(options.parts) - set(parts)
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}")
    if "against" in options.parts and options.checkout is None:
        parser.error("against needs a --checkout")
    print(f"{machine()}\n", flush=True)
    if options.quick:
        return quick()
    wanted = options.parts or ["speed", "operations", "gaps", "start"]
    with folders(options.dir) as places:
        if "speed" in wanted:
            speed(places, options.rounds, options.trials or 4000)
        if "against" in wanted:
            against(options.checkout, places, options.rounds, options.trials or 4000)
        if "operations" in wanted:
            operations(places, options.trials or 2500, 20.0)
        if "gaps" in wanted:
            gaps(places, options.rounds, options.trials or 300, options.training)
        if "busy" in wanted:
            busy(places, options.rounds, options.trials or 240, options.shortest)
        if "flat" in wanted:
            flat(places, options.rounds, options.trials or 100_000)
        if "crowd" in wanted:
            crowd(places[-1])
        if "start" in wanted:
            start(places, 4 * options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
