"""Faults below the program: real masters and workers on file systems that misbehave.

The master and the workers are on two hosts: two mounts of one folder, with caches, clocks and
faults of their own. What the folder really holds is looked at directly.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distune.errors import ShareError
from distune.share import protocol
from distune.share.folder import Folder
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.watch.observer import Observer
from tests.conftest import Lab, wait_until
from tests.histories import read_history
from tests.rigs import faultfs, why_no_faultfs

pytestmark = pytest.mark.skipif(why_no_faultfs() is not None, reason=str(why_no_faultfs()))

CHANGES = ["create", "mkdir", "unlink", "rename", "link", "write", "truncate", "fsync", "flush"]
LOOKS = ["lookup", "getattr", "open", "read", "opendir", "readdir"]

_OBJECTIVE = """\
import itertools, os, time

HERE = os.path.dirname(os.path.abspath(__file__))

def train(params):
    with open(os.path.join(HERE, "steps"), "a") as steps:
        for step in range(params["steps"]) if params["steps"] else until_it_is_enough():
            time.sleep(0.02)
            print(step, file=steps, flush=True)
            yield {"loss": (params["x"] - 0.3) ** 2}

def until_it_is_enough():
    for step in itertools.count():
        yield step
        if os.path.exists(os.path.join(HERE, "enough")):
            return
"""
#: Trials that last until the test says that it is enough.
_LASTING = 0


class Hosts(Lab):
    """A lab with two hosts: the master's mount is `a`, that of the workers `b`; `logs` is the
    folder itself, as the server has it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "train.py").write_text(_OBJECTIVE)
        self.a = faultfs(self.logs, folder / "a")
        self.b = faultfs(self.logs, folder / "b")
        self.both = (self.a, self.b)

    def begin(
        self, trials: int = 8, *, lease: str | None = "2.5s", steps: int = 2, workers: int = 1
    ) -> tuple[subprocess.Popen[bytes], list[subprocess.Popen[bytes]]]:
        """Start a study with workers, and come back when something is counted or running."""
        params = {"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": steps}
        self.write_space(trials=trials, lease=lease, params=params)
        processes = [self.worker() for _ in range(workers)]
        master = self.master("--plain")
        wait_until(lambda: all(map(self.taken_by, processes)) or self.seen(), what="it goes on")
        return master, processes

    def master(self, *arguments: str, space: str = "space.json") -> subprocess.Popen[bytes]:
        return super().master("--logs", "a", *arguments, space=space)

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        return super().worker("--logs", "b", *arguments)

    def set(self, **settings: Any) -> None:
        for mount in self.both:
            mount.set(**settings)

    def wait_for_training(self, processes: list[subprocess.Popen[bytes]]) -> None:
        """Each of the workers has a trial, and training has begun."""
        wait_until(lambda: all(map(self.taken_by, processes)) and self.steps(), what="they train")

    def steps(self) -> int:
        """Steps that have been trained, wherever their reports are."""
        path = self.folder / "steps"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def train_on(self, seconds: float) -> None:
        """Wait so long, and see that a worker trains all the while."""
        for _ in range(4):
            before = self.steps()
            time.sleep(seconds / 4)
            wait_until(lambda n=before: self.steps() > n, 30, "a worker trains")  # type: ignore[misc]

    @property
    def folder_of_study(self) -> Path:
        return self.logs / "space"

    def attempts(self) -> list[AttemptName]:
        return [AttemptName.parse(name) for name in self.seen()]

    def end_well(self, *processes: subprocess.Popen[bytes], seconds: float = 90.0) -> None:
        """Wait until all of them have left; with exit status 0."""
        for process in processes:
            assert process.wait(seconds) == 0, self.log_of(process)
            assert "Traceback" not in self.log_of(process)

    def check(self, trials: int, *, lost: bool = False) -> None:
        """Every trial is ranked once (P3); with `lost` false, each needed one attempt."""
        assert self.names() == []
        assert self.names(protocol.QUARANTINE) == []
        counted = sorted(n.trial for n in self.attempts() if n.state is State.SEEN)
        assert counted == list(range(trials))
        self.check_ranking(trials)
        if not lost:
            assert {n.attempt for n in self.attempts()} == {0}, self.seen()

    def check_ranking(self, trials: int) -> None:
        store = Store(Folder(self.folder_of_study, network=False))
        lines = read_history(store)
        by_trial = Counter((li.trial.number, li.trial.attempt, li.worker) for li in lines)
        assert sorted(trial for trial, _, _ in by_trial) == list(range(trials)), by_trial
        observer = Observer(store)
        assert observer.recovered == []
        ranked = sorted(counted.trial.number for counted in observer.history.trials)
        assert ranked == list(range(trials))

    def check_counted_alike(self, trials: int) -> None:
        """Every trial has its one name and is ranked, and all lines of the history that are about
        it say what that file does.
        """
        assert self.counted() == list(range(trials))
        store = Store(Folder(self.folder_of_study, network=False))
        for line in read_history(store):
            counted = store.read_ended(AttemptName.counted(line.key), seen=True)
            assert counted.claim is not None
            file = counted.trial, counted.claim.worker, counted.result
            assert (line.trial, line.worker, line.result) == file
        ranked = sorted(one.trial.number for one in Observer(store).history.trials)
        assert ranked == list(range(trials))

    def check_said_once(self, *processes: subprocess.Popen[bytes]) -> None:
        """One line when an outage began, with path, error and comfort, and one when it was over."""
        for process in processes:
            log = self.log_of(process)
            began = [line for line in log.splitlines() if "trying again" in line]
            over = [line for line in log.splitlines() if "share is back" in line]
            assert len(began) == 1, log
            assert len(over) == 1, log
            assert "nothing is lost" in began[0] or "results are kept" in began[0]
            assert str(self.folder) in began[0], "the path is named"
            assert log.index(began[0]) < log.index(over[0])

    def outage(self, seconds: float = 0.0, **settings: Any) -> None:
        """Both hosts have it for so long, while the workers train."""
        self.set(**settings)
        self.train_on(seconds or _OUTAGE)
        self.heal()

    def enough(self) -> None:
        """Let lasting trials end."""
        (self.folder / "enough").touch()

    def heal(self) -> None:
        self.set(freeze=False, down=None, rules=[])


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    one = Hosts(tmp_path)
    with one.a, one.b:
        yield one
        one.heal()
        one.end()
        for mount in one.both:
            mount.crash()  # at once: who has copied the mount meanwhile would keep it


# -- faults of single operations -----------------------------------------------------------

#: What goes wrong, on both hosts, with a part of the operations.
FAULTS: dict[str, list[dict[str, Any]]] = {
    "lost replies to renames": [{"op": "rename", "resend": True, "prob": 0.5}],
    "lost replies": [{"op": ["link", "unlink", "create"], "resend": True, "prob": 0.3}],
    "EIO though done": [{"op": CHANGES, "errno": "EIO", "when": "after", "prob": 0.04}],
    "EIO": [{"op": CHANGES + LOOKS, "errno": "EIO", "prob": 0.01}],
    "ESTALE": [{"op": LOOKS, "errno": "ESTALE", "prob": 0.01}],
    "half-written lines": [
        {"op": "write", "path": "*history.jsonl", "keep": 0.5, "errno": "ENOSPC", "count": 1},
        {"op": "write", "path": "*.taken", "keep": 0.5, "errno": "ENOSPC", "prob": 0.3},
        {"op": "write", "path": "*history.jsonl", "keep": 0.5, "errno": "ENOSPC", "prob": 0.3},
    ],
    "short writes": [{"op": "write", "keep": 0.5, "prob": 0.5}],
    "slow answers": [{"op": "*", "delay": 0.3, "prob": 0.02}],
    "slow listings": [{"op": "readdir", "delay": 1.0, "prob": 0.3}],
}
#: How the clients differ from a local file system, all the while.
CLIENTS: dict[str, dict[str, Any]] = {
    "old listings": {"listing": 2, "listing_cto": False},
    "missing names stay missing": {"negative": 3},
    "old names and sizes": {"entry": 3, "attr": 3},
    "NFS": {
        "entry": 3,
        "negative": 3,
        "attr": 3,
        "listing": 3,
        "writeback": 3,
        "append": "nfs",
        "silly": True,
    },
    "whole seconds": {"granularity": 1, "attr": 2},
}
_BY_DEFAULT = {"lost replies to renames"}
_TRIALS = 16


def _some_slow(names: dict[str, Any]) -> list[Any]:
    return [
        pytest.param(name, marks=[] if name in _BY_DEFAULT else [pytest.mark.slow])
        for name in names
    ]


@pytest.mark.parametrize("fault", _some_slow(FAULTS))
@pytest.mark.long
def test_after_faults_of_single_operations_every_trial_is_ranked_once(
    hosts: Hosts, fault: str
) -> None:
    master, processes = hosts.begin(_TRIALS, workers=2)
    hosts.set(rules=FAULTS[fault])
    wait_until(lambda: master.poll() is not None, 120, "the study ends in spite of it")
    hosts.set(rules=[])
    hosts.end_well(master, *processes)
    injected = sum(len(mount.log()) for mount in hosts.both)
    assert injected > 3, "hardly anything went wrong"
    hosts.check(_TRIALS, lost=True)


def test_two_bad_answers_are_bad_luck_and_three_are_an_outage(hosts: Hosts) -> None:
    (hosts.logs / "notes").write_text("all is well")
    folder = Folder(hosts.folder / "a", network=True)
    looks: list[tuple[str, Callable[[], object]]] = [
        ("opendir", lambda: folder.names("")),
        ("open", lambda: folder.read("notes")),
        ("write", lambda: folder.rewrite("notes", b"all is very well")),
    ]
    for operation, look in looks:
        hosts.a.set(rules=[{"op": operation, "errno": "EIO", "count": 2}])
        look()
        hosts.a.set(rules=[{"op": operation, "errno": "EIO", "count": 3}])
        with pytest.raises(ShareError, match="Input/output error"):
            look()
    assert folder.read("notes") == b"all is very well"


@pytest.mark.parametrize("client", _some_slow(CLIENTS))
def test_what_clients_remember_too_long_costs_no_trial(hosts: Hosts, client: str) -> None:
    hosts.set(**CLIENTS[client])
    master, processes = hosts.begin(_TRIALS, lease="15s", workers=2)
    hosts.end_well(master, *processes, seconds=180)
    hosts.check(_TRIALS)


@pytest.mark.slow
def test_a_client_that_remembers_old_listings_beside_one_that_does_not(hosts: Hosts) -> None:
    hosts.a.set(**CLIENTS["old listings"])
    master, processes = hosts.begin(_TRIALS, lease="15s", workers=2)
    hosts.end_well(master, *processes, seconds=180)
    hosts.check(_TRIALS)


@pytest.mark.slow
def test_two_masters_whose_locks_lie_and_whose_caches_are_old_count_alike(hosts: Hosts) -> None:
    """Each host grants its own master the lock; who ends, and a worker, are started again."""
    hosts.set(**CLIENTS["NFS"])
    trials, rng = 200, random.Random(7)
    params = {"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 2}
    hosts.write_space(trials=trials, lease="2.5s", params=params)

    def start_master(mount: str) -> subprocess.Popen[bytes]:
        return Lab.master(hosts, "--logs", mount, "--plain")

    masters = {mount: start_master(mount) for mount in ("a", "b")}
    workers = [hosts.worker() for _ in range(3)]
    yielded = 0
    deadline, kill_at = time.monotonic() + 300.0, time.monotonic() + 5.0
    while all(master.poll() != 0 for master in masters.values()):
        assert time.monotonic() < deadline
        for mount, master in masters.items():
            if master.poll() == 2:
                assert "has a master already" in hosts.log_of(master)
                yielded += 1
                masters[mount] = start_master(mount)
        if time.monotonic() > kill_at:
            kill_at = time.monotonic() + rng.uniform(1.0, 3.0)
            victim = rng.randrange(3)
            workers[victim].kill()
            workers[victim] = hosts.worker()
        time.sleep(0.05)
    assert yielded, "the two have met"
    for master in masters.values():
        assert master.wait(60) in (0, 2), hosts.log_of(master)
    hosts.heal()
    hosts.check_counted_alike(trials)


# -- outages -------------------------------------------------------------------------------

_OUTAGE = 3.5  # seconds, and longer than the lease


#: What a share that is not there answers; and one that is read-only.
OUTAGES: dict[str, dict[str, Any]] = {
    "host down": {"op": "*", "errno": "EHOSTDOWN"},
    "not connected": {"op": "*", "errno": "ENOTCONN"},
    "stale": {"op": "*", "errno": "ESTALE"},
    "read-only": {"op": CHANGES, "errno": "EROFS"},
    "full": {"op": "write", "keep": 0.5, "errno": "ENOSPC"},
    "over quota": {"op": ["write", "create"], "errno": "EDQUOT"},
}


@pytest.mark.parametrize(
    "outage",
    [
        pytest.param(name, marks=[] if name == "host down" else [pytest.mark.slow])
        for name in OUTAGES
    ],
)
@pytest.mark.long
def test_an_outage_longer_than_the_lease_is_said_once_and_costs_no_attempt(
    hosts: Hosts, outage: str
) -> None:
    master, processes = hosts.begin(2, steps=_LASTING, workers=2)
    hosts.wait_for_training(processes)
    hosts.outage(rules=[OUTAGES[outage]])
    hosts.enough()
    hosts.end_well(master, *processes)
    hosts.check(2)
    hosts.check_said_once(master, *processes)


@pytest.mark.slow
def test_the_longer_an_outage_the_rarer_is_the_share_asked(hosts: Hosts) -> None:
    master, (worker,) = hosts.begin(1, steps=_LASTING, lease="24s")
    hosts.wait_for_training([worker])
    hosts.outage(7.0, rules=[{"op": "opendir", "path": "space/trials", "errno": "EHOSTDOWN"}])
    end = time.time()
    hosts.enough()
    faults = [fault for mount in hosts.both for fault in mount.log()]
    for process in (master, worker):
        asked = [fault["t"] for fault in faults if fault["pid"] == process.pid]
        early = [moment for moment in asked if moment < (asked[0] + end) / 2]
        assert len(early) >= 3, asked
        assert 2 * len(asked) <= 3 * len(early), asked
    hosts.end_well(master, worker)
    hosts.check(1)
    hosts.check_said_once(master, worker)


@pytest.mark.long
def test_a_frozen_share_costs_no_attempt(hosts: Hosts) -> None:
    """As a hard mount whose server is away: every operation hangs."""
    master, processes = hosts.begin(2, steps=_LASTING, workers=2)
    hosts.wait_for_training(processes)
    hosts.outage(freeze=True)
    hosts.enough()
    hosts.end_well(master, *processes)
    hosts.check(2)


@pytest.mark.slow
def test_a_command_on_a_frozen_share_says_that_it_does_not_answer(hosts: Hosts) -> None:
    master, (worker,) = hosts.begin(2)
    hosts.end_well(master, worker)
    hosts.b.set(freeze=True)
    for command in (["status"], ["best"], ["show", "0"], ["top", "--plain"], ["worker"]):
        asking = hosts.start(*command, "--logs", "b")
        wait_until(
            lambda p=asking: "the share has not answered for 10 s" in hosts.log_of(p),  # type: ignore[misc]
            what=f"distune {command[0]} says so",
        )
    hosts.b.set(freeze=False)
    for asking in hosts.started[2:]:
        assert asking.wait(30) in (0, 2), hosts.log_of(asking)  # a worker finds nothing to do
        assert "the share is back after" in hosts.log_of(asking)


@pytest.mark.slow
def test_a_share_frozen_for_five_minutes_costs_no_attempt_with_the_default_lease(
    hosts: Hosts,
) -> None:
    master, processes = hosts.begin(3, lease=None, steps=_LASTING, workers=2)
    hosts.wait_for_training(processes)
    hosts.outage(300, freeze=True)
    hosts.enough()
    hosts.end_well(master, *processes, seconds=900)
    hosts.check(3)


@pytest.mark.parametrize(
    "how", [{"freeze": True}, pytest.param({"down": "EIO"}, marks=pytest.mark.slow)]
)
@pytest.mark.long
def test_a_master_that_was_cut_off_declares_no_worker_lost(
    hosts: Hosts, how: dict[str, Any]
) -> None:
    """P6: the lease does not run while the watcher cannot see."""
    master, processes = hosts.begin(2, steps=_LASTING, workers=2)
    hosts.wait_for_training(processes)
    hosts.a.set(**how)
    hosts.train_on(_OUTAGE)
    hosts.a.set(freeze=False, down=None)
    hosts.enough()
    hosts.end_well(master, *processes)
    hosts.check(2)


@pytest.mark.long
def test_a_worker_that_was_cut_off_is_replaced_and_does_no_harm(hosts: Hosts) -> None:
    master, (cut_off,) = hosts.begin(2, steps=_LASTING)
    hosts.wait_for_training([cut_off])
    hosts.b.set(down="EHOSTDOWN")
    other = hosts.start("worker", "--objective", "train:train", "--logs", "a", "--verbose")
    wait_until(lambda: any(".lost" in n for n in hosts.seen()), what="its lease runs out")
    wait_until(lambda: any(n.attempt == 2 for n in _live(hosts)), what="attempt 2")
    hosts.b.set(down=None)
    hosts.enough()
    hosts.end_well(master, cut_off, other)
    hosts.check(2, lost=True)
    assert "taken back" in hosts.log_of(cut_off)
    hosts.check_said_once(cut_off)


def _live(hosts: Hosts) -> list[AttemptName]:
    return [AttemptName.parse(name) for name in hosts.names()]


@pytest.mark.long
def test_an_unmounted_share_is_waited_for_and_nothing_is_written_under_it(hosts: Hosts) -> None:
    master, processes = hosts.begin(2, steps=_LASTING, workers=2)
    hosts.wait_for_training(processes)
    for mount in hosts.both:
        mount.crash()
    hosts.train_on(_OUTAGE)
    for mount in hosts.both:
        assert os.listdir(mount.mnt) == [], "something was written under the mount point"
        mount.__enter__()
    hosts.enough()
    hosts.end_well(master, *processes)
    hosts.check(2)
    hosts.check_said_once(master, *processes)


def test_clocks_that_jump_by_hours_change_nothing(hosts: Hosts) -> None:
    master, processes = hosts.begin(40, workers=2)
    jumps = [(7200, -86400), (-7200, 0), (0, 7200), (86400, -7200)]
    for n, (a, b) in enumerate(jumps, 1):
        wait_until(lambda n=n: len(hosts.seen()) >= 7 * n or master.poll() == 0)  # type: ignore[misc]
        hosts.a.set(skew=a)
        hosts.b.set(skew=b, utime_skew=-a)
    hosts.end_well(master, *processes)
    hosts.check(40)


@pytest.mark.long
def test_a_share_that_comes_back_in_an_older_state_loses_no_counted_trial(hosts: Hosts) -> None:
    trials = 60
    master, processes = hosts.begin(trials, workers=2)
    old = hosts.folder / "old"
    wait_until(lambda: len(hosts.seen()) >= 5, what="some are counted")
    _while_frozen(hosts, lambda: shutil.copytree(hosts.folder_of_study, old))
    counted = len(hosts.seen())
    wait_until(lambda: len(hosts.seen()) >= counted + 10, what="more are counted")

    def restore() -> None:
        shutil.rmtree(hosts.folder_of_study)
        old.rename(hosts.folder_of_study)

    _while_frozen(hosts, restore)
    assert len(hosts.seen()) <= counted
    hosts.end_well(master, *processes)
    hosts.check_ranking(trials)
    files = Counter(n.trial for n in hosts.attempts() if n.state is State.SEEN)
    assert set(files.values()) == {1}
    assert hosts.names() == []
    assert "history.jsonl had lost lines" in hosts.log_of(master)


def _while_frozen(hosts: Hosts, act: Callable[[], object]) -> None:
    hosts.set(freeze=True)
    time.sleep(0.3)  # what has begun comes to its end
    act()
    hosts.set(freeze=False)


# -- crashes and power failures ------------------------------------------------------------


def _crashes(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.crashes", *arguments]
    folder = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_a_crash_before_or_after_any_file_operation_loses_nothing() -> None:
    """A sample; python -m tests.crashes tries all of them."""
    assert "every study ended with every trial counted once" in _crashes("--sample", "6")


@pytest.mark.long
def test_a_power_failure_at_any_file_operation_loses_nothing_counted() -> None:
    said = _crashes("--power", "--sample", "4")
    assert "every study ended with every trial counted once" in said
