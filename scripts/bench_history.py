"""Measures what a long history costs: a master's memory, its restart, a viewer's first screen.

    python scripts/bench_history.py                      # 100,000 trials: minutes
    python scripts/bench_history.py --quick              # what can be counted, in seconds; for CI
    python scripts/bench_history.py --keep /tmp/long     # make the study there, or use it again

The study is a real folder in the protocol's format: `history.jsonl` and a file in `seen/` for each
trial, as if a master had counted them. It is measured with real processes, each started anew.
Times of a process are given as passed time and as the CPU time of the process; on a machine that
does other work only the second means much.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import os
import pty
import random
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distune.master.lock import Identity
from distune.master.master import Master
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import make_sampler
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.space_file.freeze import freeze
from distune.space_file.read import parse_space_file
from distune.study.study import Limits, Study
from distune.study.trial import (
    Asked,
    Claim,
    Counted,
    Outcome,
    Report,
    Result,
    Trial,
    trial_seed,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.benching import Checks, in_turn, machine, spread, table

NAME = "long"
WORKERS = [f"gpu{i}-{4000 + i}-{i:06x}" for i in range(8)]
SPACE = {
    "objective": "sphere:train",
    "metric": "val_accuracy",
    "direction": "maximize",
    "params": {
        "lr": {"type": "float", "low": 1e-5, "high": 1.0, "log": True},
        "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99},
        "n": {"type": "int", "low": 1, "high": 64},
    },
    "sampler": "random",
}
#: What must hold, whatever the machine.
MOST_BYTES = 1200  # of memory that the history takes for each trial
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")
_PATIENCE = 300.0  # seconds


# -- the study -----------------------------------------------------------------------------------


def the_study() -> Study:
    file = parse_space_file(json.dumps(SPACE), "space.json")
    return freeze(file, name=NAME, study_id="5f0c27d1a9e4", lease=20.0, created=1.7e9)


def counted_trials(study: Study, count: int) -> Iterator[Counted]:
    """What a master would have counted: the settings are those of the study's sampler."""
    sampler = make_sampler(study)
    rng = random.Random(0)
    for number in range(count):
        found = sampler.ask(Question(number, History(study)))
        assert isinstance(found, Suggestion)
        value = rng.random()
        trial = Trial(
            study=study.id,
            number=number,
            attempt=1,
            configuration=number,
            seed=trial_seed(study.seed, number, 0),
            params=found.params,
        )
        metrics = {"val_accuracy": value}
        result = Result(
            outcome=Outcome.COMPLETE,
            value=value,
            metrics=metrics,
            seconds=rng.uniform(1.0, 90.0),
            steps=1,
        )
        yield Counted(
            trial=trial,
            worker=rng.choice(WORKERS),
            device="cuda:0",
            result=result,
            elapsed=number * 0.5,
        )


def make_study(logs: Path, count: int) -> Path:
    """A study's folder with so many counted trials, and nothing else to do but to go on."""
    folder = logs / NAME
    folder.mkdir(parents=True)
    study = the_study()
    store = Store(Folder(folder))
    store.create(study)
    (logs / "space.json").write_text(json.dumps(SPACE))
    with (
        (folder / protocol.HISTORY).open("wb") as history,
        (folder / protocol.ASKED).open("wb") as asked,
    ):
        for one in counted_trials(study, count):
            asked.write(records.encode(asked_for(one.trial)))
            history.write(records.encode(one))
            path = folder / AttemptName.counted(one.key).seen_path
            if one.trial.number % protocol.SEEN_PER_FOLDER == 0:
                path.parent.mkdir(exist_ok=True)
            claim = Claim(worker=one.worker, host="gpu", device=one.device, time=1.7e9)
            report = Report(step=1, metrics=one.result.metrics, seconds=one.result.seconds)
            lines = (one.trial, claim, report, one.result)
            path.write_bytes(b"".join(map(records.encode, lines)))
    return folder


def asked_for(trial: Trial) -> Asked:
    """What the master remembered before it published the trial."""
    return Asked(
        study=trial.study,
        configuration=trial.configuration,
        trial=trial.number,
        repeats=1,
        params=trial.params,
    )


def forget_master(folder: Path) -> None:
    """As it was before a master looked at it."""
    for path in (folder / protocol.TRIALS).iterdir():
        path.unlink()
    for name in (protocol.MASTER, protocol.LOCK):
        (folder / name).unlink(missing_ok=True)


# -- processes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Took:
    """Seconds that passed until a process had done what was waited for, and of CPU until then."""

    passed: float
    cpu: float

    def __format__(self, spec: str) -> str:
        return f"{self.passed:{spec}} s, {self.cpu:{spec}} s of CPU"


def distune(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "distune", *arguments]


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a running process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def restart(logs: Path, count: int) -> Took:
    """A master from its start to the first trial that it publishes."""
    folder = logs / NAME
    trials = folder / protocol.TRIALS
    forget_master(folder)
    arguments = ["--space", "space.json", "--logs", str(logs), "--study", NAME]
    command = distune("master", *arguments, "--trials", str(2 * count), "--plain")
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=logs, stdout=subprocess.DEVNULL) as process:
        try:
            while not os.listdir(trials):
                if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                    raise SystemExit(f"the master published nothing: exit {process.returncode}")
                time.sleep(0.002)
            return Took(time.perf_counter() - began, cpu_of(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
            forget_master(folder)


def first_screen(logs: Path, count: int) -> Took:
    """`distune top` from its start to a screen that has the ranking, in a pseudo-terminal."""
    master, slave = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    wanted = f"{count:,} configurations".encode()
    began = time.perf_counter()
    with subprocess.Popen(
        distune("top", "--logs", str(logs)),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        start_new_session=True,
    ) as process:
        os.close(slave)
        try:
            seen = b""
            while wanted not in _ESCAPES.sub(b"", seen):
                if not select.select([master], [], [], _PATIENCE)[0]:
                    raise SystemExit("distune top shows no ranking")
                seen += os.read(master, 65536)
            return Took(time.perf_counter() - began, cpu_of(process.pid))
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # what it paints last
                while os.read(master, 65536):
                    pass
            process.wait(60)
            os.close(master)


def whole_run(logs: Path, *arguments: str) -> Took:
    """A command from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(distune(*arguments, "--logs", str(logs)), stdout=subprocess.DEVNULL, check=True)
    passed = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(passed, cpu)


# -- memory and cost -----------------------------------------------------------------------------

_PROBE = """
import sys
from pathlib import Path
from distune.share.folder import Folder
from distune.master.lock import Identity
from distune.master.master import Master
from distune.share.store import Store
from distune.study.study import Limits
store = Store(Folder(Path(sys.argv[1])))
store.load()
master = Master(store, Limits(trials=10**9), Identity("h", 1))
master.step()
pages = int(Path("/proc/self/statm").read_text().split()[1])
print(len(master.observer.history), pages)
"""


def resident(folder: Path) -> int:
    """Bytes of memory that a master has which has read this study and looked at it once."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(folder)], capture_output=True, text=True, check=True
    )
    forget_master(folder)
    return int(done.stdout.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def traced(count: int) -> float:
    """Bytes that a history allocates for each trial that is added to it."""
    study = the_study()
    trials = counted_trials(study, count)
    history = History(study)
    half, taken = count // 2, []
    tracemalloc.start()
    try:
        for _ in range(2):
            for one in itertools.islice(trials, half):
                history.add(one)
                history.ranking(20)
            gc.collect()
            taken.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    return (taken[1] - taken[0]) / half


@dataclass(frozen=True)
class Cost:
    """Of counting a trial: seconds of CPU."""

    first: float  # in the first tenth
    last: float  # in the last tenth

    @property
    def rate(self) -> float:
        """Of the last tenth, against the first."""
        return self.first / self.last if self.last else 1.0


def adding(count: int) -> Cost:
    """CPU that it takes to count a trial and to ask for the ranking, as a master does."""
    study = the_study()
    trials = list(counted_trials(study, count))
    history = History(study)
    tenth = count // 10
    times = []
    for start in range(0, 10 * tenth, tenth):
        gc.collect()
        began = time.process_time()
        for one in trials[start : start + tenth]:
            history.add(one, records.encode(one))
            history.ranking(20)
        times.append((time.process_time() - began) / tenth)
    return Cost(times[0], times[-1])


# -- what is printed -----------------------------------------------------------------------------


def commands(logs: Path, count: int, repetitions: int) -> None:
    """How long they take."""
    measures: dict[str, Callable[[], Took]] = {
        "`distune master` started again, to its first new trial": lambda: restart(logs, count),
        "`distune top`, to the first screen": lambda: first_screen(logs, count),
        "`distune status`": lambda: whole_run(logs, "status"),
        "`distune best`": lambda: whole_run(logs, "best"),
    }
    rows = [
        [what, spread([one.passed for one in those], 2), spread([one.cpu for one in those], 2)]
        for what, those in in_turn(repetitions, measures).items()
    ]
    table(["seconds", "passed", "CPU"], rows)


def measure_all(logs: Path, count: int, repetitions: int) -> None:
    folder = logs / NAME
    commands(logs, count, repetitions)
    with tempfile.TemporaryDirectory() as small:
        grown = (resident(folder) - resident(make_study(Path(small), 0))) / count
    cost = adding(count)
    size = (folder / protocol.HISTORY).stat().st_size
    table(
        [f"for each of {count:,} trials", ""],
        [
            ["memory of the master (RSS)", f"{grown:.0f} bytes"],
            ["of these allocated for the history", f"{traced(count):.0f} bytes"],
            ["counting it, in the first tenth", f"{cost.first * 1e6:.0f} µs of CPU"],
            ["in the last tenth", f"{cost.last * 1e6:.0f} µs: {cost.rate:.2f} of the first's rate"],
            ["`history.jsonl`", f"{size / count:.0f} bytes"],
        ],
    )


# -- for CI --------------------------------------------------------------------------------------


def quick(logs: Path, count: int) -> int:
    """What must hold on every machine. Exit status 1 if something does not."""
    checks = Checks()
    store = Store(Folder(logs / NAME))
    store.load()
    read = Counter[str]()
    with counted_calls(read):
        master = Master(Store(store.folder), Limits(trials=10**9), Identity("h", 1))
        checks.true(
            f"a start decodes each of 2 x {count:,} lines once and encodes none: {dict(read)}",
            read["decode"] == 2 * count and not read["encode"],
        )
        master.step()
    forget_master(logs / NAME)
    history, costs = History(the_study()), []
    with counted_calls(read):
        for one in counted_trials(the_study(), count):
            read.clear()
            history.add(one)
            history.ranking(20)
            costs.append(read.total())
    tenth = count // 10
    checks.at_most(
        f"lines encoded and decoded to count the last tenth, {max(costs)} at most at a time",
        sum(costs[-tenth:]),
        sum(costs[:tenth]) + tenth,
    )
    found = traced(count)
    checks.true(
        f"bytes of memory for a counted trial: {found:.0f}, less than {MOST_BYTES}",
        found < MOST_BYTES,
    )
    return checks.status


@contextlib.contextmanager
def counted_calls(calls: Counter[str]) -> Iterator[None]:
    """Count how often lines are encoded, decoded, and decoded again."""
    real = {name: getattr(records, name) for name in ("encode", "decode", "decode_again")}

    def counting(name: str) -> Callable[[Any], Any]:
        def call(what: Any) -> Any:
            calls[name] += 1
            return real[name](what)

        return call

    try:
        for name in real:
            setattr(records, name, counting(name))
        yield
    finally:
        for name, one in real.items():
            setattr(records, name, one)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="where the study is, or shall stay")
    parser.add_argument("--quick", action="store_true", help="what can be counted, no times")
    options = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        if options.quick:
            make_study(Path(scratch), 4000)
            return quick(Path(scratch), 4000)
        logs = options.keep or Path(scratch) / "logs"
        if not (logs / NAME).exists():
            make_study(logs, options.trials)
        measure_all(logs, options.trials, options.repetitions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
