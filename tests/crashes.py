"""A crash at every step: the real master and a real worker on a real file system, killed
before and after every single file operation, started again, and the study must end as if
nothing had been.

    python -m tests.crashes                        # every operation that changes something
    python -m tests.crashes --all                  # every operation, looking included
    python -m tests.crashes --power                # the power of a host fails instead
    python -m tests.crashes --study retry --who worker --when after --only 17   # one of them

The master and the worker each have a mount of their own (`faultfs`), so that operations are
counted for each of them alone. Processes are forked from this one, which has imported
everything already; apart from that they are what `distune master` and `distune worker` run.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from distune.master.opening import MasterOptions
from distune.master.run import run_master
from distune.share import protocol
from distune.share.folder import Folder
from distune.share.protocol import State
from distune.share.records import AttemptFile, decode_lines
from distune.share.store import Store
from distune.space_file.read import parse_space_file
from distune.study.trial import Counted, Outcome
from distune.training import children, executor
from distune.watch.display.json_data import snapshot_json
from distune.watch.observer import Observer
from distune.watch.screen import Mode, Screen
from distune.worker.context import WorkerOptions
from distune.worker.run import run_worker
from tests.rigs import faultfs, why_no_faultfs

#: Operations that change something: a crash between two others leaves what these left.
CHANGES = (
    *("create", "mkdir", "unlink", "rmdir", "rename", "link", "symlink", "write", "truncate"),
    *("fsync", "fsyncdir", "flush", "chmod", "chown", "utime"),
)
_LOOKS = ("lookup", "getattr", "readlink", "open", "read", "opendir", "readdir", "statfs")
_LEASE = "1.5s"
_DEADLINE = 90.0  # seconds for one study, generous: it takes about two
_BOOKED = 30.0  # seconds that unsynced bytes stay on a host whose power may fail

_OBJECTIVE = """\
def train(params, trial):
    if trial.number == 1 and trial.attempt == 1:
        raise ValueError("the first attempt at trial 1 fails")
    for step in range(2):
        yield {"loss": (params["x"] - 0.3) ** 2 * (2 - step)}

def quick(params):
    return params["x"]
"""
_SPACE: dict[str, Any] = {
    "metric": "loss",
    "direction": "minimize",
    "lease": _LEASE,
    "params": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
    "sampler": "random",
}
#: Studies that together go through every move: trials that succeed, one that fails and is
#: tried again; and an end by target, at which waiting trials are withdrawn.
STUDIES: dict[str, dict[str, Any]] = {
    "retry": {**_SPACE, "objective": "train:train", "trials": 3},
    "target": {**_SPACE, "objective": "train:quick", "target": 1.0},
}


@dataclass(frozen=True)
class Point:
    """Where it happens: at the `index`-th operation of one process in one study."""

    study: str
    who: str
    when: str
    index: int
    power: bool = False
    every: bool = False  # operations that only look are counted, too
    same_host: bool = False  # those of both processes are counted

    @property
    def arguments(self) -> str:
        """The command line that tries it again."""
        flags = " --power" * self.power + " --all" * self.every + " --same-host" * self.same_host
        return (
            f"python -m tests.crashes --study {self.study} --who {self.who} "
            f"--when {self.when}{flags} --only {self.index}"
        )


@dataclass
class Found:
    """What became of one point."""

    point: Point
    reached: str | None = None  # the operation, if the process came that far
    wrong: str | None = None
    operations: list[str] = field(default_factory=list)


class ForkedExecutor:
    """Stands for `subprocess.Popen` of `python -m distune.training.executor`: the same process, but
    forked, so that nothing has to be imported again.
    """

    def __init__(self, command: Sequence[str], *, pass_fds: Sequence[int], **_: Any) -> None:
        arguments = list(command[list(command).index("distune.training.executor") + 1 :])
        requests, to_child = os.pipe()
        from_child, output = os.pipe()
        self.args = command
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            # What this process has of its parent's is never collected: a directory that is
            # forgotten would close a number which is something else's here.
            gc.freeze()
            for sig in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sig, signal.SIG_DFL)
            for fd, source in ((0, requests), (1, output), (2, output)):
                os.dup2(source, fd)
            for fd in map(int, os.listdir("/proc/self/fd")):
                if fd > 2 and fd not in pass_fds:
                    try:
                        os.close(fd)
                    except OSError:
                        pass  # the descriptor of the listing itself
            # Those that it has are of what it was; a pipe has no position.
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            try:
                executor.main(*map(int, arguments))
            finally:
                os._exit(1)
        os.close(requests)
        os.close(output)
        self.stdin = os.fdopen(to_child, "wb")
        self.stdout = os.fdopen(from_child, "rb")

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            time.sleep(0.005)
        assert self.returncode is not None
        return self.returncode


class Process:
    """A forked process; its output goes to a file."""

    def __init__(self, log: Path, act: Callable[[], int]) -> None:
        self.status: int | None = None
        parent = os.getpid()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        status = 70
        try:
            children.die_with_parent(parent)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(fd, 1)
            os.dup2(fd, 2)
            status = act()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    @property
    def ended(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def kill(self) -> None:
        if not self.ended:
            os.kill(self.pid, signal.SIGKILL)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _say(line: str) -> None:
    print(line, flush=True)


class Lane:
    """A place where one study runs at a time: two mounts of one folder.

    Args:
        folder: empty.
        same_host: master and worker share one mount, as on one host.
    """

    def __init__(self, folder: Path, *, same_host: bool = False, **settings: Any) -> None:
        self.folder = folder
        self.backing = folder / "share"
        (folder / "train.py").write_text(_OBJECTIVE)
        self.mounts = {"master": faultfs(self.backing, folder / "A", **settings)}
        self.mounts["worker"] = (
            self.mounts["master"] if same_host else faultfs(self.backing, folder / "B", **settings)
        )

    def __enter__(self) -> Lane:
        for mount in dict.fromkeys(self.mounts.values()):
            mount.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for mount in dict.fromkeys(self.mounts.values()):
            mount.crash()

    # -- one study -----------------------------------------------------------------------

    def watch(self, point: Point) -> list[str]:
        """The operations of an undisturbed study, of one process."""
        rule = {"op": _operations(point.every), "delay": 0}
        found = self.run(replace(point, index=-1), rule)
        if found.wrong:
            raise AssertionError(found.wrong)
        return found.operations

    def try_point(self, point: Point) -> Found:
        """One study with one crash in it, checked."""
        rule: dict[str, Any] = {
            "op": _operations(point.every),
            "skip": point.index,
            "count": 1,
            "when": point.when,
        }
        return self.run(point, rule | ({"delay": 3600} if point.power else {"kill": True}))

    def run(self, point: Point, rule: dict[str, Any]) -> Found:
        name = f"{point.who}-{point.when}-{point.index}"
        shutil.rmtree(self.backing / name, ignore_errors=True)
        (self.backing / name).mkdir()
        logs = {who: self.folder / f"{name}.{who}.log" for who in self.mounts}
        mount = self.mounts[point.who]
        Path(mount.logfile).write_text("")
        for each in self.mounts.values():
            each.set(rules=[])
        mount.rule(**rule)
        found = Found(point)
        running: dict[str, Process] = {}
        try:
            deadline = time.monotonic() + _DEADLINE
            while True:
                over = len(running) == 2 and all(process.ended for process in running.values())
                failed = any(p.ended and p.status not in (0, -9) for p in running.values())
                crashed = (
                    found.reached is None and point.index >= 0 and self._crashed(found, running)
                )
                if (over or failed) and not crashed:
                    break
                assert time.monotonic() < deadline, "the study did not end"
                for who in ("master", "worker"):
                    # No worker before there is a study: it would not look again for a while.
                    if who in running and not (crashed and running[who].status == -signal.SIGKILL):
                        continue
                    if who == "master" or (self.backing / name / "s" / protocol.STUDY).exists():
                        running[who] = self._start(who, name, point.study, logs[who])
                time.sleep(0.01)
            for who, process in running.items():
                assert process.status == 0, f"the {who} ended with {process.status}"
            check(self.backing / name / "s", STUDIES[point.study])
            found.operations = [_shown(fault, name) for fault in _faults(mount)]
        except AssertionError as error:
            said = "".join(f"--- {who}\n{_text(logs[who])}" for who in logs)
            found.wrong = f"{error}\n{said}--- {self._tree(name)}"
        finally:
            if point.power and not all(process.ended for process in running.values()):
                self._cut_power(mount, running)  # one that hangs in an operation cannot be killed
            for process in running.values():
                process.kill()
            shutil.rmtree(self.backing / name, ignore_errors=True)
            for log in logs.values():
                log.unlink(missing_ok=True)
        return found

    def _start(self, who: str, name: str, study: str, log: Path) -> Process:
        logs = Path(self.mounts[who].mnt) / name

        def master() -> int:
            space = parse_space_file(json.dumps(STUDIES[study]), "space.json")
            screen = Screen(Console(no_color=True, width=100), Mode.PLAIN)
            return run_master(MasterOptions(space, "space.json", "s", logs), screen)

        def worker() -> int:
            os.chdir(self.folder)
            sys.path.insert(0, str(self.folder))
            real: Any = subprocess.Popen

            def popen(command: Sequence[str], **options: Any) -> Any:
                forked = "distune.training.executor" in command
                return (ForkedExecutor if forked else real)(command, **options)

            subprocess.Popen = popen  # type: ignore[assignment, misc]
            objective = STUDIES[study]["objective"]
            return run_worker(WorkerOptions(logs, objectives=[objective]), _say)

        return Process(log, master if who == "master" else worker)

    def _crashed(self, found: Found, running: dict[str, Process]) -> bool:
        """See whether the process has come to its point, and if so make an end of it."""
        point = found.point
        mount = self.mounts[point.who]
        faults = _faults(mount)
        if not faults:
            return False
        found.reached = _shown(faults[0], f"{point.who}-{point.when}-{point.index}")
        if point.power:
            if point.when == "after":
                time.sleep(0.01)  # it is logged just before it is done
            self._cut_power(mount, running)
        else:
            deadline = time.monotonic() + 10.0
            while not running[point.who].ended:  # the file system sends the signal itself
                assert time.monotonic() < deadline, "the process survived being killed"
                time.sleep(0.002)
            mount.set(rules=[])
        return True

    def _cut_power(self, mount: Any, running: dict[str, Process]) -> None:
        """A process hangs in an operation. Its host loses power: the processes there are gone, and
        the file system with all that was not sent.
        """
        here = [running[who] for who in running if self.mounts[who] is mount]
        victims = [process for process in here if not process.ended]
        for process in victims:  # first of all, or they would hear of it
            os.kill(process.pid, signal.SIGSTOP)
        mount.crash()
        for process in victims:
            process.kill()
        mount.set(rules=[])
        mount.__enter__()

    def _tree(self, name: str) -> str:
        top = self.backing / name
        return "\n".join(str(path.relative_to(top)) for path in sorted(top.rglob("*")))


def _faults(mount: Any) -> list[dict[str, Any]]:
    """What the file system has logged; its last line may be half written."""
    *lines, _rest = Path(mount.logfile).read_text().split("\n")
    return [json.loads(line) for line in lines]


def _operations(every: bool) -> list[str]:
    return list(CHANGES + _LOOKS if every else CHANGES)


def _shown(fault: dict[str, Any], name: str) -> str:
    """`rename trials/000000.1.jsonl -> ...`, without what differs from run to run."""
    paths = [fault["path"], *([fault["to"]] if fault.get("to") else [])]
    return f"{fault['op']} " + " -> ".join(p.removeprefix(f"{name}/") for p in paths)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


# -- what must hold afterwards -------------------------------------------------------------


def _was_stopped(file: AttemptFile) -> bool:
    return file.result is not None and file.result.outcome is Outcome.PRUNED


def check(folder: Path, space: dict[str, Any]) -> None:
    """The study is over, and every trial is ranked exactly once (P3).

    Raises:
        AssertionError: says what is wrong.
    """
    store = Store(Folder(folder, network=False))
    study = store.load()
    assert store.is_finished(), "no finished.json"
    left = store.folder.names(protocol.TRIALS)
    assert not left, f"left in trials/: {left}"
    assert store.folder.names(protocol.QUARANTINE) == [], "something was quarantined"
    seen = list(store.seen())
    files = {name: store.read_attempt(name, seen=True) for name in seen}  # every one is readable
    counted = [name for name in seen if name.state is State.SEEN]
    numbers = Counter(name.trial for name in counted)
    twice = {number for number, times in numbers.items() if times > 1}
    assert not twice, f"counted twice in seen/: {twice}"
    # What was stopped is counted in a file of the master's own.
    stopped = {name.key for name in counted if _was_stopped(files[name])}
    attempts = Counter(
        (file.trial.key, file.trial.attempt)
        for name, file in files.items()
        if name.state is State.SEEN or name.key not in stopped
    )
    assert set(attempts.values()) <= {1}, f"an attempt has two files: {attempts}"
    lines = [
        line
        for line in decode_lines((folder / protocol.HISTORY).read_bytes())
        if isinstance(line, Counted)
    ]
    ended = [files[name] for name in counted]
    assert {(li.trial.number, li.trial.attempt, li.worker) for li in lines} == {
        (file.trial.number, file.trial.attempt, file.claim.worker) for file in ended if file.claim
    }, f"history.jsonl and seen/ disagree: {lines} {counted}"
    observer = Observer(store)
    assert not observer.recovered
    ranked = sorted(line.trial.number for line in observer.history.trials)
    assert ranked == sorted(numbers), "the ranking differs from seen/"
    if "trials" in space:
        assert ranked == list(range(space["trials"])), f"ranked: {ranked}"
    for name in counted:
        file = files[name]
        if name.key not in stopped:
            assert file.result is not None, f"{name.filename} has no result"
            assert file.result.outcome is Outcome.COMPLETE, f"{name.filename}: {file.result}"
            x = file.trial.params["x"]
            assert isinstance(x, float)
            expected = x if "target" in space else (x - 0.3) ** 2
            assert file.result.value == expected, f"{name.filename} has another's result"
    if "target" in space:
        assert any(line.result.outcome is Outcome.COMPLETE for line in observer.history.trials)
    shown = snapshot_json(observer.look())  # what `distune status --json` prints
    assert shown["trials"]["counted"] == len(ranked)
    assert study.name == "s"


# -- all of them ---------------------------------------------------------------------------


def sweep(
    points: Sequence[Point],
    lanes: int,
    say: Callable[[str], None],
    *,
    same_host: bool = False,
    seconds: float = math.inf,
) -> Iterator[Found]:
    """Try points, several at a time; what became of each, as it comes. After so many seconds
    no more are begun.
    """
    until = time.monotonic() + seconds
    context = multiprocessing.get_context("fork")
    todo: Any = context.Queue()
    done: Any = context.Queue()
    for point in points:
        todo.put(point)

    def work() -> None:
        settings = {"writeback": _BOOKED} if points[0].power else {}
        with (
            tempfile.TemporaryDirectory(prefix="distune-crashes-") as folder,
            Lane(Path(folder), same_host=same_host, **settings) as lane,
        ):
            while (point := todo.get()) is not None:
                try:
                    late = time.monotonic() >= until
                    found = Found(point) if late else lane.try_point(point)
                except Exception:
                    found = Found(point, wrong=traceback.format_exc())
                done.put(found)

    for _ in range(lanes):
        todo.put(None)
    working = [context.Process(target=work) for _ in range(lanes)]
    for process in working:
        process.start()
    try:
        for _ in points:
            found = done.get(timeout=4 * _DEADLINE)
            if found.wrong:
                say(f"WRONG at {found.reached}: {found.wrong}\n{found.point.arguments}")
            yield found
    finally:
        for process in working:
            process.join(10)
            if process.is_alive():
                process.terminate()


def enumerate_points(
    studies: Sequence[str],
    whose: Sequence[str],
    whens: Sequence[str],
    *,
    power: bool,
    every: bool,
    same_host: bool,
) -> list[Point]:
    """Every operation of an undisturbed study, before and after."""
    points = []
    with (
        tempfile.TemporaryDirectory(prefix="distune-crashes-") as folder,
        Lane(Path(folder), same_host=same_host) as lane,
    ):
        for study in studies:
            for who in whose:
                example = Point(study, who, whens[0], 0, power, every, same_host)
                operations = lane.watch(example)
                points += [
                    replace(example, when=when, index=i)
                    for i in range(len(operations))
                    for when in whens
                ]
    return points


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--study", choices=STUDIES, help="one of the studies; default: each")
    parser.add_argument("--who", choices=["master", "worker"], help="default: each")
    parser.add_argument("--when", choices=["before", "after"], help="default: both")
    parser.add_argument("--all", action="store_true", help="also operations that change nothing")
    parser.add_argument("--power", action="store_true", help="power fails; unsynced bytes go")
    parser.add_argument("--same-host", action="store_true", help="of both at once, with --power")
    parser.add_argument("--only", type=int, help="the number of one operation, from 0")
    parser.add_argument("--sample", type=int, help="so many of the points, spread evenly")
    parser.add_argument("--lanes", type=int, default=3, help="studies at a time")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no more after that")
    parser.add_argument("--list", action="store_true", help="print each operation")
    options = parser.parse_args()
    if options.same_host and not options.power:
        parser.error("--same-host needs --power: a process that is killed is one of them")
    why_not = why_no_faultfs()
    if why_not:
        print(f"cannot run: {why_not}", file=sys.stderr)
        return 3
    began = time.monotonic()
    studies = [options.study] if options.study else list(STUDIES)
    whose = [options.who] if options.who else ["master", "worker"]
    if options.same_host:
        whose = ["master"]  # operations are counted for both together
    whens = [options.when] if options.when else ["before", "after"]
    if options.only is not None:
        points = [
            Point(study, who, when, options.only, options.power, options.all, options.same_host)
            for study in studies
            for who in whose
            for when in whens
        ]
    else:
        points = enumerate_points(
            studies,
            whose,
            whens,
            power=options.power,
            every=options.all,
            same_host=options.same_host,
        )
    if options.sample is not None and options.sample < len(points):
        step = len(points) / options.sample
        # Before one and after the next in turn, which lie side by side.
        points = [points[int(i * step) // 2 * 2 + i % 2] for i in range(options.sample)]
    if options.minutes < math.inf:  # those that there is time for are of all kinds
        random.Random(len(points)).shuffle(points)
    reached: Counter[tuple[str, str]] = Counter()
    wrong = 0
    for found in sweep(
        points,
        options.lanes,
        _say,
        same_host=options.same_host,
        seconds=60 * options.minutes,
    ):
        if found.reached:
            reached[found.point.who, found.reached.split()[0]] += 1
        if options.list:
            _say(f"{found.point.arguments.partition('--study ')[2]}: {found.reached}")
        wrong += found.wrong is not None
    kinds = Counter[str]()
    for (_, operation), times in reached.items():
        kinds[operation] += times
    how = "power failures" if options.power else "crashes"
    of_each = ", ".join(
        f"{sum(n for (w, _), n in reached.items() if w == who)} of the {who}" for who in whose
    )
    print(
        f"{kinds.total()} {how} ({of_each}; {len(points) - kinds.total()} points not reached): "
        f"{', '.join(f'{n} {op}' for op, n in kinds.most_common())}; "
        f"{time.monotonic() - began:.0f} s"
    )
    print(f"{wrong} went wrong" if wrong else "every study ended with every trial counted once")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
