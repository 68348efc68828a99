"""A hostile share: what anyone who can write there can put there to have the memory, the time or
the disk of whoever looks. Each thing is measured with all that read it, each reader in a process
of its own, against the same look at the same study without it:

    python -m tests.fuzz --hostile                   # all of them: minutes
    python -m tests.fuzz --hostile history "1 TiB"     # those with one of these in their names
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import distune
from distune.cli.app import main as command_line
from distune.errors import DistuneError
from distune.report.reading import FIGURES_LIMIT
from distune.share import protocol, records
from distune.share.find_studies import open_study
from distune.share.folder import MOST_NAMES
from distune.share.heartbeat import Beat, Progress, padded
from distune.share.protocol import AttemptName, State
from distune.study.figures import FILE
from distune.study.trial import (
    Asked,
    Claim,
    Counted,
    Failure,
    Outcome,
    Purpose,
    Report,
    Result,
)
from distune.watch.display.live import render
from distune.watch.observer import Observer
from tests.garbage import GHOST, Bench, resealed

MIB = 2**20
#: What a thing may cost a reader. A file that is read whole has 64 MiB, and is copied once.
MEMORY = 192 * MIB
#: Files full of reports, 64 MiB as the protocol counts them: in memory, numbers are wider.
MEMORY_FOR_REPORTS = 768 * MIB
#: A history is kept: so many trials cost it if they are real, too.
MEMORY_FOR_HISTORY = 512 * MIB
#: Of a processor; five steps of a worker or a master, a fifth of which must not outlast a lease.
SECONDS = 60.0

TRIALS = 30
_SPARSE = 2**40  # bytes of a file that takes no room
#: The most that are not refused at once.
_MANY = MOST_NAMES - 100
_MOST_ADDRESSES = 6 * 2**30  # a reader that wants more fails, instead of the machine
_PATIENCE = 300.0  # seconds until a reader counts as one that never ends
_MEMORY_DISK = Path("/dev/shm")  # where a hundred thousand files are quickly made


# -- readers -----------------------------------------------------------------------------------

Reader = Callable[[Bench], None]


def _command(*arguments: str) -> Reader:
    def run(bench: Bench) -> None:
        sys.argv = ["distune", *arguments, "--logs", str(bench.logs)]
        command_line()

    return run


def _of_the_study(*arguments: str) -> Reader:
    return _command(*arguments, "--study", "s")


def _top(bench: Bench) -> None:
    """Two looks, and pictures of both."""
    observer = Observer(open_study(bench.logs, "s"))
    for _ in range(2):
        render(observer.look(curves=True), 200, 60)


def _load(bench: Bench) -> None:
    for trial in distune.load(bench.path).trials[:3]:
        assert isinstance(trial.curve, list)


def _running_master(bench: Bench) -> None:
    for _ in range(5):
        bench.now += 6.0  # seconds: on patrol, too
        bench.step_master()


def _starting_master(bench: Bench) -> None:
    bench.restart()
    _running_master(bench)


def _worker(bench: Bench) -> None:
    for _ in range(5):
        bench.now += 6.0
        bench.worker.step()


VIEWERS: dict[str, Reader] = {
    "status": _of_the_study("status"),
    "status --json": _of_the_study("status", "--json"),
    "top": _top,
    "show": _of_the_study("show", "0"),
    "show, running": _of_the_study("show", str(TRIALS - 1)),
    "best": _of_the_study("best"),
    "report": _of_the_study("report", "--out", os.devnull),
    "export": _of_the_study("export", "--format", "jsonl", "--out", os.devnull),
    "load": _load,
}
#: What writes, too, and so has a share of its own.
ACTORS: dict[str, Reader] = {
    "worker": _worker,
    "running master": _running_master,
    "starting master": _starting_master,
}
#: Who look into the logs directory itself.
OF_THE_LOGS: dict[str, Reader] = {
    "status": _command("status"),
    "worker": _worker,
    "doctor": _command("doctor"),
}
READERS = {**VIEWERS, **ACTORS}


@dataclass(frozen=True)
class Cost:
    """What a reader took: bytes at the most, seconds of a processor; and what it said of it, or
    what became of it.
    """

    memory: int
    seconds: float
    said: str = ""
    failed: bool = False


def cost_of(reader: Reader, bench: Bench) -> Cost:
    """Run a reader in a child process that measures itself."""
    with tempfile.TemporaryFile() as told:
        child = os.fork()
        if child == 0:
            _in_child(reader, bench, told.fileno())
        if not _ends(child, time.monotonic() + _PATIENCE):
            return Cost(0, _PATIENCE, f"no end within {_PATIENCE:g} s", failed=True)
        told.seek(0)
        said = told.read()
        return Cost(*json.loads(said)) if said else Cost(0, 0.0, "it was killed", failed=True)


def _in_child(reader: Reader, bench: Bench, told: int) -> None:
    said, failed = "", False
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
        with tempfile.TemporaryFile() as printed:
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
        Path("/proc/self/clear_refs").write_text("5")  # forgets the parent's peak
        try:
            reader(bench)
        except (DistuneError, FileNotFoundError) as error:
            said = str(error)
        except SystemExit as error:
            said = f"exit status {error.code}" if error.code else ""
            failed = error.code not in (0, 1, 2, None)
    except BaseException:
        said, failed = traceback.format_exc()[-2000:], True
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in usage)
    os.write(told, json.dumps([_peak(), seconds, said, failed]).encode())
    os._exit(0)


def _peak() -> int:
    """The most bytes that this process, or a child of it, has had in memory."""
    own = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert own is not None
    return 1024 * max(int(own[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def _ends(child: int, deadline: float) -> bool:
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


# -- things ------------------------------------------------------------------------------------

Make = Callable[[Bench], None]


@dataclass(frozen=True)
class Thing:
    """Something hostile, made in a study's folder; who meets it, and what it may cost them."""

    make: Make
    memory: int = MEMORY
    readers: Mapping[str, Reader] | None = None  # all of them
    one_share: bool = False  # for all readers, because it takes long to make


def _some(*names: str) -> dict[str, Reader]:
    return {name: READERS[name] for name in names}


def _grow(path: Path, size: int = _SPARSE) -> None:
    """A file that has so many bytes, and does not take them."""
    path.touch()
    os.truncate(path, size)


def _sparse(path: str) -> Thing:
    def make(bench: Bench) -> None:
        (bench.path / path).unlink(missing_ok=True)
        _grow(bench.path / path)

    return Thing(make)


def _sparse_attempt(state: State) -> Thing:
    def make(bench: Bench) -> None:
        path = bench.put(TRIALS - 1, state)
        path.unlink()
        _grow(path)

    return Thing(make)


def _sparse_counted(bench: Bench) -> None:
    first = min(name for name in bench.master.store.seen() if name.trial == 0)
    (bench.path / first.seen_path).unlink()
    _grow(bench.path / first.seen_path)


def _sparse_artifact(bench: Bench) -> None:
    trial = bench.trial(0)
    folder = bench.path / protocol.artifacts_folder(trial.number, trial.attempt)
    folder.mkdir(parents=True)
    _grow(folder / FILE)


def _artifact(bench: Bench) -> None:
    """As the report of a study whose winner has been tested."""
    bench.master.store.read_artifact(bench.trial(0), FILE, FIGURES_LIMIT)


def _flood(
    names: int,
    folder: str,
    name: Callable[[int], str],
    readers: Sequence[str] = ("status", "show", *ACTORS),
) -> Thing:
    """So many empty files."""

    def make(bench: Bench) -> None:
        path = bench.path / folder
        path.mkdir(parents=True, exist_ok=True)
        at = os.open(path, os.O_RDONLY)
        for i in range(names):
            os.close(os.open(name(i), os.O_WRONLY | os.O_CREAT, 0o666, dir_fd=at))
        os.close(at)

    return Thing(make, readers=_some(*readers), one_share=True)


def _stranger(i: int) -> str:
    return f"stranger-{i:x}"


def _folders_in_logs(bench: Bench) -> None:
    for i in range(9_900):  # ten thousand are refused
        (bench.logs / f"folder-{i}").mkdir()


def _studies_in_logs(bench: Bench) -> None:
    data = (bench.path / protocol.STUDY).read_bytes()
    for i in range(300):
        folder = bench.logs / f"study-{i}"
        for inner in protocol.FOLDERS:
            (folder / inner).mkdir(parents=True)
        (folder / protocol.STUDY).write_bytes(data)


def _lines(path: str, lines: Callable[[Bench], Iterable[bytes]], memory: int = MEMORY) -> Thing:
    """These at the end of a file."""

    def make(bench: Bench) -> None:
        with (bench.path / path).open("ab") as file:
            file.writelines(lines(bench))

    return Thing(make, memory)


def _history(bench: Bench, count: int, leap: int = 1, why: str = "") -> Iterator[bytes]:
    failure = Failure(message=why) if why else None
    for i in range(count):
        number = TRIALS + leap * i
        trial = bench.trial(0).replace(number=number, configuration=number)
        outcome = Outcome.FAILED if why else Outcome.COMPLETE
        result = Result(outcome=outcome, value=0.5, metrics={"y": 0.5}, failure=failure)
        yield records.encode(Counted(trial=trial, worker=GHOST, device="cpu", result=result))


def _torn(bench: Bench, count: int) -> Iterator[bytes]:
    (line,) = _history(bench, 1)
    return (line[:-8] + b"\n" for _ in range(count))


def _asked(bench: Bench, count: int, leap: int) -> Iterator[bytes]:
    for i in range(count):
        number = TRIALS + leap * i
        yield records.encode(
            Asked(
                study=bench.study.id, configuration=number, trial=number, repeats=1,
                params={"x": 0.5},
            )
        )  # fmt: skip


def _attempts(
    state: State,
    lines: Callable[[], Iterable[bytes]],
    count: int = 1,
    memory: int = MEMORY,
) -> Thing:
    """Files of attempts whose lines are these, after a claim from the year 10^18."""

    def make(bench: Bench) -> None:
        claim = Claim(worker=GHOST, host="h", device="cpu", time=1e18)
        ends = b"".join(lines())
        for number in range(TRIALS - count, TRIALS):
            path = bench.put(number, state)
            begins = records.encode(bench.trial(number)) + records.encode(claim)
            path.write_bytes(begins + ends)

    return Thing(make, memory, _some("status", "top", "running master") if count > 1 else None)


def _reports(count: int, metrics: Mapping[str, float], first: int = 0) -> Iterator[bytes]:
    for step in range(first, first + count):
        yield records.encode(Report(step=step, metrics=dict(metrics), seconds=1e300))
    yield _result()


def _result() -> bytes:
    return records.encode(Result(outcome=Outcome.COMPLETE, value=0.5, metrics={"y": 0.5}))


def _field(value: bytes) -> Thing:
    """A result with one more field, which nobody knows, in a line that is right otherwise."""
    return _attempts(State.DONE, lambda: [resealed(_result(), lambda b: b + b',"x":' + value)])


def _beats(count: int, size: int = 0, **fields: Any) -> Thing:
    def make(bench: Bench) -> None:
        for i in range(count):
            worker = f"hostile-{i}-0000ff"
            usual = {"worker": worker, "host": "h", "pid": i, "device": "cpu", "jobs": 1,
                     "counter": 1, "state": "idle"}  # fmt: skip
            data = padded(Beat(**{**usual, **fields})).ljust(size)
            (bench.path / protocol.beat_path(worker)).write_bytes(data)

    return Thing(make)


def _study(change: Callable[[dict[str, Any]], None]) -> Thing:
    """Another `study.json`, its checksum right."""

    def make(bench: Bench) -> None:
        fields = bench.study.model_dump(mode="json")
        change(fields)
        body = json.dumps(fields, indent=2).encode().removesuffix(b"\n}")
        data = b'%s,\n  "crc": "%08x"\n}\n' % (body, zlib.crc32(body))
        (bench.path / protocol.STUDY).write_bytes(data)

    return Thing(make)


def _wide(count: int, **spec: Any) -> Callable[[dict[str, Any]], None]:
    """So many more parameters."""
    return lambda fields: fields["params"].update({f"p{i}": spec for i in range(count)})


_FEW = {"y": 0.5, "loss": 1.5}
_TINY = {f"{i:x}": 0.0 for i in range(1000)}
_LOST = (Purpose.TRAIN, GHOST, State.LOST)
_PROGRESS = Progress(file="000017.1.jsonl", study="s-1", fraction=1e308)


def things(names: int) -> dict[str, Thing]:
    """All of them, by what the table calls them. `names`: in a flood of them."""
    flood = partial(_flood, names)
    return {
        **{f"1 TiB as {path}": _sparse(path) for path in
           (protocol.STUDY, protocol.HISTORY, protocol.ASKED, protocol.FINISHED, protocol.MASTER,
            protocol.LOCK, protocol.beat_path("w-1-aaaaaa"))},
        **{f"1 TiB as a trial, {state}": _sparse_attempt(state) for state in
           (State.WAITING, State.TAKEN, State.DONE, State.LOST)},
        "1 TiB as a counted trial": Thing(_sparse_counted),
        "1 TiB as an artifact": Thing(_sparse_artifact, readers={"report": _artifact}),
        "1 TiB as doctor.json": Thing(
            lambda bench: _grow(bench.logs / protocol.DOCTOR), readers=OF_THE_LOGS
        ),
        "history.jsonl, grown to 1 TiB": Thing(lambda bench: _grow(bench.path / protocol.HISTORY)),
        "history.jsonl, grown to 3 GiB": Thing(
            lambda bench: _grow(bench.path / protocol.HISTORY, 3 * 2**30)
        ),
        "asked.jsonl, grown to 3 GiB": Thing(
            lambda bench: _grow(bench.path / protocol.ASKED, 3 * 2**30)
        ),
        "a flood in trials/": flood("trials", _stranger),
        "a flood of trials": flood("trials", lambda i: AttemptName(TRIALS + i, 1).filename),
        "a flood of trials, far apart": flood(
            "trials", lambda i: AttemptName(99_990 * (i + 1), 1).filename
        ),
        "a flood of second attempts": flood(
            "trials", lambda i: AttemptName(i % TRIALS, 2 + i // TRIALS).filename
        ),
        "a flood of the longest names": flood("trials", lambda i: f"{i:x}".rjust(255, "x")),
        "a flood in seen/": flood("seen", _stranger),
        "a flood in a folder of seen/": flood("seen/000", _stranger),
        "a flood of attempts in seen/": flood(
            "seen/000",
            lambda i: AttemptName(i % 1000, 1 + i // 1000, *_LOST).filename,
            [*READERS],
        ),
        "a flood in workers/": flood("workers", _stranger),
        "a flood of empty heartbeats": flood("workers", lambda i: f"hostile-{i}-0000ff.beat"),
        "a flood in quarantine/": flood("quarantine", _stranger),
        "a flood in the logs directory": replace(flood("..", _stranger), readers=OF_THE_LOGS),
        "9,900 folders there": Thing(_folders_in_logs, readers=OF_THE_LOGS, one_share=True),
        "300 studies there": Thing(_studies_in_logs, readers=OF_THE_LOGS, one_share=True),
        "JSON 100,000 deep": _field(b"[" * 100_000 + b"]" * 100_000),
        "a million digits": _field(b"9" * 10**6),
        "a million decimals": _field(b"0." + b"9" * 10**6),
        "an exponent of 10^9": _field(b"1e1000000000"),
        "a line of escapes": _field(b'"' + b"\\u00e9" * 170_000 + b'"'),
        "a key 100,000 times": _field(b"{" + b'"a":1,' * 100_000 + b'"b":1}'),
        "100,000 keys": _field(b"{" + b",".join(b'"%x":1' % i for i in range(100_000)) + b"}"),
        "60 MiB without a line's end": _attempts(State.DONE, lambda: [b"x" * MIB] * 60),
        "a million torn lines": _lines(protocol.HISTORY, partial(_torn, count=10**6)),
        "100,000 trials counted": _lines(
            protocol.HISTORY, partial(_history, count=100_000), MEMORY_FOR_HISTORY
        ),
        "counted trials, far apart": _lines(
            protocol.HISTORY, partial(_history, count=3000, leap=99_990)
        ),
        "failures of a megabyte": _lines(
            protocol.HISTORY, partial(_history, count=100, why="x" * 10**6), MEMORY_FOR_HISTORY
        ),
        "trials asked for, far apart": _lines(
            protocol.ASKED, partial(_asked, count=3000, leap=99_990)
        ),
        "a trillion trials asked for": _lines(
            protocol.ASKED, partial(_asked, count=2, leap=9 * 10**11)
        ),
        "100,000 reports, running": _attempts(
            State.TAKEN, partial(_reports, 100_000, _FEW), memory=MEMORY_FOR_REPORTS
        ),
        "100,000 reports, done": _attempts(
            State.DONE, partial(_reports, 100_000, _FEW), memory=MEMORY_FOR_REPORTS
        ),
        "300,000 reports, running, 4 times": _attempts(
            State.TAKEN, partial(_reports, 300_000, {}), 4, MEMORY_FOR_REPORTS
        ),
        "300,000 reports, done, 4 times": _attempts(
            State.DONE, partial(_reports, 300_000, {}), 4, MEMORY_FOR_REPORTS
        ),
        "a million numbers, running, 4 times": _attempts(
            State.TAKEN, partial(_reports, 1000, _TINY), 4, MEMORY_FOR_REPORTS
        ),
        "a million numbers, done, 4 times": _attempts(
            State.DONE, partial(_reports, 1000, _TINY), 4, MEMORY_FOR_REPORTS
        ),
        "100,000 metrics": _attempts(
            State.TAKEN, lambda: _reports(50, {f"{i:x}": 0.0 for i in range(90_000)})
        ),
        "steps of 10^12": _attempts(State.TAKEN, lambda: _reports(5, _FEW, first=10**12 - 5)),
        "10^12 jobs": _beats(1, jobs=10**12),
        "1,500 trials in a heartbeat": _beats(1, running=[_PROGRESS] * 1500),
        "heartbeats of 64 MiB": _beats(250, size=2**18),
        "heartbeats of 250 MiB": _beats(1000, size=2**18),
        "repeats of 10^18": _study(lambda fields: fields.update(repeats=10**18)),
        "ranges of 2^63": _study(_wide(5, type="int", low=-(2**62), high=2**62)),
        "a million steps, 1,000 times": _study(_wide(1000, type="float", low=0, high=1, step=1e-6)),
        "5,000 parameters": _study(_wide(5000, type="int", low=0, high=9)),
        "a grid of 10^100": _study(
            lambda fields: fields.update(
                sampler="grid",
                params={f"p{i}": {"type": "int", "low": 0, "high": 9} for i in range(100)},
            )
        ),
    }  # fmt: skip


# -- measuring ---------------------------------------------------------------------------------


def measure(thing: Thing) -> dict[str, Cost]:
    """What each of its readers takes."""
    readers = dict(thing.readers or READERS)
    if thing.one_share:
        return _measure_on_one_share(thing.make, readers)
    found: dict[str, Cost] = {}
    lookers = {name: one for name, one in readers.items() if name not in ACTORS}
    actors = [{name: one} for name, one in readers.items() if name in ACTORS]
    for some in (lookers, *actors):
        found |= _measure_on_one_share(thing.make, some)
    return found


def _measure_on_one_share(make: Make, readers: Mapping[str, Reader]) -> dict[str, Cost]:
    where = _MEMORY_DISK if _MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="distune-hostile-", dir=where) as root:
        bench = Bench(Path(root), trials=TRIALS)
        while len(bench.master.observer.history) < 10:
            bench.step()
        bench.publish_all()
        make(bench)
        found = {name: cost_of(reader, bench) for name, reader in readers.items()}
        bench.rest()
    return found


def check(thing: Thing, clean: Mapping[str, Cost]) -> tuple[str, list[str]]:
    """The worst of what it takes, as cells of a table; and each bound that it passes."""
    found = measure(thing)
    above = {
        name: (max(cost.memory - clean[name].memory, 0), max(cost.seconds - clean[name].seconds, 0))
        for name, cost in found.items()
    }
    largest = max(above, key=lambda name: above[name][0])
    slowest = max(above, key=lambda name: above[name][1])
    memory, seconds = above[largest][0], above[slowest][1]
    problems = [f"{name}: {cost.said}" for name, cost in found.items() if cost.failed]
    if memory > thing.memory:
        problems.append(f"{largest} takes more than {thing.memory / MIB:g} MiB")
    if seconds > SECONDS:
        problems.append(f"{slowest} takes more than {SECONDS:g} s")
    return f"{memory / MIB:.0f} MiB ({largest}) | {seconds:.1f} s ({slowest})", problems


def run(words: Sequence[str], names: int | None = None) -> int:
    """Print a table of those whose names have one of these words in them; the exit status."""
    importlib.import_module("distune.report.writing")  # once, not in each child
    nothing = Thing(lambda bench: None)
    clean = measure(nothing) | {"doctor": measure(replace(nothing, readers=OF_THE_LOGS))["doctor"]}
    print("| what lies there | memory more than without it | processor time more |")
    print("|---|---|---|")
    failed = False
    for name, thing in things(names or _MANY).items():
        if words and not any(word in name for word in words):
            continue
        row, problems = check(thing, clean)
        print(f"| {name} | {row} |", flush=True)
        for problem in problems:
            failed = True
            print(f"BEYOND A BOUND: {name}: {problem}", file=sys.stderr, flush=True)
    return int(failed)
