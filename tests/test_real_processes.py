"""Master and workers as users run them: real processes, real files, real signals."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from distune.errors import StudyFailed
from distune.master.local_workers import LocalWorkers
from distune.master.opening import MasterOptions
from distune.share.folder import Folder
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.signals import REQUESTS
from distune.space_file.read import parse_space_file
from distune.study.trial import Outcome, Result, Trial
from distune.watch.observer import Observer
from distune.worker.guardian import Guardian
from tests.conftest import Lab, executors_of, wait_until
from tests.histories import make_study


def children_of(pid: int) -> list[int]:
    """Pids of the processes that `pid` started, by /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.long
def test_forty_trials_over_four_workers_two_killed_and_one_stopped_are_ranked_once(
    lab: Lab,
) -> None:
    lab.write_space(trials=40, lease="3s", params={
        "x": {"type": "float", "low": 0.0, "high": 1.0}, "pause": 0.15})  # fmt: skip
    workers = [lab.worker() for _ in range(4)]  # before there is a master
    master = lab.master("--plain")
    first, second, third, _ = workers
    for victim, kill in ((first, first.kill), (second, partial(lab.crash, second))):
        wait_until(lambda v=victim: lab.taken_by(v), what="a worker has a trial")  # type: ignore[misc]
        kill()
    wait_until(lambda: lab.taken_by(third), what="the third has a trial")
    third.send_signal(signal.SIGSTOP)
    held = lab.taken_by(third)
    wait_until(lambda: held and not lab.taken_by(third), what="the lease of the third ran out")
    third.send_signal(signal.SIGCONT)
    assert master.wait(120) == 0, lab.log_of(master)
    ranked = lab.status()["ranking"]
    assert sorted(t for row in ranked for t in row["trials"]) == list(range(40))
    assert lab.counted() == list(range(40))
    lost = [n for n in lab.seen() if n.endswith(".lost")]
    assert len(lost) >= 3
    for lost_name in lost:
        number, attempt = lost_name.split(".")[:2]
        counted = (lab.logs / "space" / "seen" / "000" / f"{number}.jsonl").read_text()
        assert json.loads(counted.splitlines()[0])["attempt"] > int(attempt)
    assert [w.wait(30) for w in workers] == [-9, -9, 0, 0]


_PERMITTED = """\
import os, time

def train(params, trial):
    time.sleep(0.1)  # so long that each is given to a training process alone
    while not (permits := os.listdir("permits")):
        time.sleep(0.01)
    os.unlink(f"permits/{permits[0]}")
    return params["x"]
"""


@pytest.mark.long
def test_a_killed_master_goes_on_where_it_stopped(lab: Lab) -> None:
    lab.write_space(trials=12)
    (lab.folder / "train.py").write_text(_PERMITTED)
    permits = lab.folder / "permits"
    permits.mkdir()

    def permit(turn: int) -> None:
        for number in range(3):
            (permits / f"{turn}-{number}").touch()

    worker = lab.worker()
    for turn in range(3):  # each has something to count, however fast the worker
        master = lab.master("--plain")
        before = len(lab.seen())
        permit(turn)
        wait_until(lambda n=before: len(lab.seen()) > n, what="something is counted")  # type: ignore[misc]
        master.kill()
        master.wait()
    permit(3)
    assert lab.master("--plain").wait(60) == 0
    assert worker.wait(60) == 0
    assert sorted(lab.seen()) == sorted(set(lab.seen()))
    assert lab.counted() == list(range(12))
    assert len(lab.seen()) == 12, "no attempt was lost"


@pytest.mark.parametrize("sig", REQUESTS)
@pytest.mark.long
def test_a_signalled_worker_gives_its_trial_back_and_is_gone_within_five_seconds(
    lab: Lab, sig: signal.Signals
) -> None:
    lab.write_space(objective="train:hang", trials=1, lease="60s")
    master = lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang")
    wait_until(lambda: list(lab.folder.glob("logs/space/artifacts/*/pid")), what="it trains")
    training = int(next(lab.folder.glob("logs/space/artifacts/*/pid")).read_text())
    began = time.monotonic()
    worker.send_signal(sig)
    assert worker.wait(10) == 143, lab.log_of(worker)
    assert time.monotonic() - began < 5
    assert not is_alive(training)
    wait_until(lambda: "000000.2.jsonl" in lab.names(), what="attempt 2 is published")
    lab.wait_for_words(master, "given back by")
    assert lab.names("workers") == []


def test_a_child_never_outlives_its_killed_worker(lab: Lab) -> None:
    lab.write_space(objective="train:hang", trials=1)
    lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang")
    wait_until(lambda: list(lab.folder.glob("logs/space/artifacts/*/pid")), what="it trains")
    training = int(next(lab.folder.glob("logs/space/artifacts/*/pid")).read_text())
    assert is_alive(training)
    worker.kill()
    wait_until(lambda: not is_alive(training), 5, "the training process is gone")


def test_a_killed_workers_trial_is_given_back_at_once_and_not_when_its_lease_runs_out(
    lab: Lab,
) -> None:
    lab.write_space(objective="train:hang", trials=1, lease="10m")
    master = lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang")
    wait_until(lambda: list(lab.folder.glob("logs/space/artifacts/*/pid")), what="it trains")
    training = int(next(lab.folder.glob("logs/space/artifacts/*/pid")).read_text())
    worker.kill()
    wait_until(lambda: "000000.2.jsonl" in lab.names(), 30, "attempt 2 is published")
    assert not is_alive(training), "its training must end before another begins"
    lab.wait_for_words(master, "given back by")
    assert "its worker was killed" in lab.log_of(master)
    lab.wait_for_words(worker, "trial 0: given back, because worker")
    wait_until(lambda: lab.names("workers") == [], what="its heartbeat is removed")


@pytest.mark.long
def test_a_worker_that_dies_with_its_whole_host_is_lost_when_its_lease_runs_out(lab: Lab) -> None:
    lab.write_space(objective="train:hang", trials=1, lease="2s")
    master = lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang")
    wait_until(lambda: lab.taken_by(worker), what="it trains")
    lab.crash(worker)
    wait_until(lambda: "000000.2.jsonl" in lab.names(), 30, "attempt 2 is published")
    lab.wait_for_words(master, "fell silent")


@pytest.mark.parametrize(
    ("whose", "sig"),
    [("worker", signal.SIGKILL), ("worker", signal.SIGTERM), ("executor", signal.SIGSEGV)],
)
def test_what_an_objective_has_started_in_a_session_of_its_own_outlives_neither_it_nor_its_worker(
    lab: Lab, whose: str, sig: signal.Signals
) -> None:
    (lab.folder / "train.py").write_text(
        "import subprocess, time\n"
        "def stray(params, trial):\n"
        "    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "    (trial.dir / 'pid').write_text(str(child.pid))\n"
        "    time.sleep(1000)\n"
    )
    lab.write_space(objective="train:stray", trials=1, max_attempts=1)
    lab.master()
    worker = lab.start("worker", "--objective", "train:stray", "--jobs", "1")
    pid_files = lab.folder.glob("logs/space/artifacts/*/pid")
    wait_until(lambda: any(f.read_text() for f in lab.folder.glob("logs/space/artifacts/*/pid")))
    child = int(next(pid_files).read_text())
    (executor,) = executors_of(worker.pid)
    os.kill(worker.pid if whose == "worker" else executor.pid, sig)
    wait_until(lambda: not is_alive(child), 20, "the child is gone")


def test_a_result_whose_worker_was_killed_before_its_rename_counts(tmp_path: Path) -> None:
    """Only the guardian is asked; the moment itself is too short to be hit."""
    study, _ = make_study(trials=3)
    store = Store(Folder(tmp_path, network=False))
    store.create(study)
    held = []
    for number in (0, 1, 2):
        trial = Trial(study=study.id, number=number, attempt=1, params={"x": 0.5})
        store.publish(trial)
        name = store.claim(AttemptName.waiting(trial), "w-1-aaaaaa")
        assert name is not None
        held.append(name)
    store.append(held[1], [Result(outcome=Outcome.COMPLETE, value=1.0)])
    store.append(held[2], [Result(outcome=Outcome.PAUSED, value=0.5)])
    said: list[str] = []
    guardian = Guardian(said.append)
    guardian.tell("worker", "w-1-aaaaaa")
    guardian.tell("study", str(tmp_path))
    os.close(guardian._pipe)  # as the kernel does when the worker is killed
    os.waitpid(guardian.pid, 0)
    names = {name.trial: name for name in store.listing().attempts}
    states = [names[number].state for number in (0, 1, 2)]
    assert states == [State.LOST, State.DONE, State.PAUSED]
    file = store.read_attempt(names[0])
    assert file.result is not None
    assert file.result.outcome is Outcome.RELEASED
    file = store.read_attempt(names[1])
    assert file.result is not None
    assert file.result.value == 1.0


def test_a_commands_grandchildren_do_not_outlive_a_killed_worker(lab: Lab) -> None:
    script = lab.folder / "train.sh"
    script.write_text("#!/bin/sh\necho $$ > command.pid\nexec tail -f /dev/null\n")
    script.chmod(0o755)
    lab.write_space(objective=None, command=["./train.sh", "{x}"], trials=1)
    lab.master("--plain")
    worker = lab.start("worker", "--allow-commands")
    wait_until(lambda: (lab.folder / "command.pid").exists(), what="the command runs")
    wait_until(lambda: (lab.folder / "command.pid").read_text().strip(), what="its pid")
    command = int((lab.folder / "command.pid").read_text())
    worker.kill()
    wait_until(lambda: not is_alive(command), 5, "the command is gone")


def test_a_killed_master_takes_its_local_workers_with_it(lab: Lab) -> None:
    lab.write_space(trials=1000)
    master = lab.master("--plain", "--workers", "2", "--objective", "train:train")
    wait_until(lambda: len(lab.seen()) > 2, what="they work")
    local = children_of(master.pid)
    assert len(local) == 2
    master.kill()
    wait_until(lambda: not any(map(is_alive, local)), 10, "the local workers are gone")
    # One that was killed before it could give back what it held has a guardian for that.
    wait_until(
        lambda: not [n for n in lab.names() if n.endswith(".taken")], 10, "all is given back"
    )


@pytest.mark.parametrize("alone", [True, False])
def test_workers_that_end_as_soon_as_they_are_started_end_their_master_unless_there_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    """What they cannot import is broken, or does not fit this machine: it does not pass."""
    (tmp_path / "broken" / "psutil").mkdir(parents=True)
    (tmp_path / "broken" / "psutil" / "__init__.py").write_text("raise RuntimeError('broken')")
    path = [str(tmp_path / "broken"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setattr("distune.master.local_workers._TOO_OFTEN", 2)
    study, _ = make_study()
    (tmp_path / "s").mkdir()
    store = Store(Folder(tmp_path / "s"))
    store.create(study)
    space = parse_space_file('{"params": {}}', "space.json")
    options = MasterOptions(space, "space.json", "s", tmp_path, workers=2, device="cpu")
    workers, events = LocalWorkers(options, tmp_path / "s"), Observer(store)

    def look() -> bool:
        workers.look_after(events, alone)
        return all(one.failures >= 2 for one in workers._workers)

    try:
        if alone:
            with pytest.raises(StudyFailed, match="as soon as they are started: RuntimeError: "):
                wait_until(look, 60, "both have ended twice")
        else:
            wait_until(look, 60, "both have ended twice")
    finally:
        workers.end(patience=0.0)


@pytest.mark.long
def test_an_interrupted_master_stops_its_workers_and_goes_on_later(lab: Lab) -> None:
    lab.write_space(trials=20)
    arguments = ("--plain", "--workers", "1", "--objective", "train:train")
    master = lab.master(*arguments)
    wait_until(lambda: len(lab.seen()) > 2, what="something is counted")
    began = time.monotonic()
    master.send_signal(signal.SIGINT)
    assert master.wait(10) == 130
    assert time.monotonic() - began < 5
    assert not [n for n in lab.names() if n.endswith(".taken")]
    assert lab.master(*arguments).wait(60) == 0
    assert sorted(t for r in lab.status()["ranking"] for t in r["trials"]) == list(range(20))


def test_a_second_master_is_refused_with_the_firsts_host_and_pid(lab: Lab) -> None:
    lab.write_space()
    first = lab.master("--plain")
    wait_until(lambda: (lab.logs / "space" / "master.beat").exists(), what="it beats")
    second = lab.run("master", "--space", "space.json", "--plain")
    assert second.returncode == 2
    assert f"pid {first.pid}" in second.stderr
    assert os.uname().nodename in second.stderr


def test_of_two_masters_that_are_started_together_one_has_the_new_study(lab: Lab) -> None:
    lab.write_space(objective="train:quick")
    masters = [lab.master("--workers", "1", "--objective", "train:quick") for _ in range(2)]
    statuses = sorted(master.wait(60) for master in masters)
    said = [lab.log_of(master) for master in masters]
    assert statuses == [0, 2], said
    assert sum("'space' has a master already" in one for one in said) == 1
    assert lab.counted() == list(range(6))


UNPICKLABLE = """\
import threading

class Unpicklable:
    def __init__(self):
        self.lock = threading.Lock()
        self.square = lambda x: x * x

    def __call__(self, params):
        with self.lock:
            yield {"loss": self.square(params["x"])}

    def __reduce__(self):
        raise TypeError("cannot pickle this")

train = Unpicklable()
"""


def test_an_objective_that_cannot_be_pickled_is_trained(lab: Lab) -> None:
    (lab.folder / "mine.py").write_text(UNPICKLABLE)
    lab.write_space(objective="mine:train", trials=3)
    arguments = ["--workers", "1", "--objective", "mine.py:train"]
    done = lab.run("master", "--space", "space.json", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 complete" in done.stdout


@pytest.mark.slow
def test_the_training_process_may_die_and_the_worker_lives_on(lab: Lab) -> None:
    (lab.folder / "train.py").write_text(
        "import os, sys\n"
        "def train(params):\n"
        "    print('the last words')\n"
        "    sys.stdout.flush()\n"
        "    if params['x'] < 0.5: os.kill(os.getpid(), 11)\n"
        "    return params['x']\n"
    )
    lab.write_space(trials=8, max_attempts=1)
    worker = lab.worker()
    assert lab.master("--plain").wait(60) == 0
    assert worker.wait(30) == 0
    outcomes = lab.status()["trials"]["outcomes"]
    assert outcomes["failed"] > 0
    assert outcomes["failed"] + outcomes["complete"] == 8
    failed = next(r for r in lab.status()["ranking"] if r["standing"] == "failed")
    shown = lab.run("show", str(failed["trials"][0])).stdout
    assert "SIGSEGV" in shown
    assert "the last words" in shown


def test_a_time_limit_ends_the_study_and_keeps_what_was_reached(lab: Lab) -> None:
    lab.write_space(trials=None, time_limit="1h", params={
        "x": {"type": "float", "low": 0, "high": 1}, "steps": 10_000, "pause": 0.05})  # fmt: skip
    master, worker = lab.master("--plain"), lab.worker()
    wait_until(lambda: any(
        '"kind":"report"' in path.read_text() for path in lab.logs.glob("space/trials/*.taken")
    ), what="a report is there")  # fmt: skip
    master.kill()
    master.wait()
    assert lab.master("--plain", "--time-limit", "1s").wait(60) == 0
    assert worker.wait(30) == 0
    status = lab.status()
    assert "time limit" in status["reason"]
    assert status["trials"]["outcomes"]["pruned"] == 1
    assert status["ranking"][0]["value"] is not None
    assert lab.names() == []


def test_a_target_ends_the_study(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=None, target=0.01)
    lab.start("worker", "--objective", "train:quick")
    assert lab.master("--plain").wait(60) == 0
    status = lab.status()
    assert "target" in status["reason"]
    assert status["ranking"][0]["value"] <= 0.01


@pytest.mark.long
def test_a_finished_study_goes_on_when_more_trials_are_asked_for(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=3)
    arguments = ("--plain", "--workers", "1", "--objective", "train:quick")
    assert lab.master(*arguments).wait(60) == 0
    assert lab.master(*arguments, "--trials", "7").wait(60) == 0
    assert sorted(t for r in lab.status()["ranking"] for t in r["trials"]) == list(range(7))


@pytest.mark.long
def test_several_studies_in_one_folder_are_all_worked_on(lab: Lab) -> None:
    lab.write_space("one.json", trials=4)
    lab.write_space("two.json", trials=4)
    worker = lab.worker("--jobs", "2")
    masters = [lab.master("--plain", space=name) for name in ("one.json", "two.json")]
    assert [m.wait(60) for m in masters] == [0, 0]
    assert worker.wait(30) == 0
    assert len(lab.seen("one")) == len(lab.seen("two")) == 4


def test_workers_without_permission_run_neither_commands_nor_objectives(lab: Lab) -> None:
    lab.write_space(objective=None, command=["touch", "owned"], trials=1)
    lab.write_space("mine.json")
    for space in ("space.json", "mine.json"):
        lab.master("--plain", space=space)
    wait_until(lambda: lab.names() and lab.names(study="mine"), what="both are published")
    refused = lab.run("worker")
    assert refused.returncode == 2
    assert "--allow-commands" in refused.stderr
    assert "--objective train:train" in refused.stderr
    assert not (lab.folder / "owned").exists()


def test_one_device_or_objective_that_cannot_be_had_is_said_at_once(lab: Lab) -> None:
    lab.logs.mkdir()
    for arguments, said in (
        (("--device", "cuda:7"), "cuda:7"),
        (("--objective", "train:nothing"), "nothing"),
        (("--objective", "nowhere.py:train"), "nowhere.py"),
        (("--objective", "train"), "module:function"),
        (("--logs", "no/such/folder"), "no/such/folder"),
    ):
        done = lab.run("worker", *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_more_than_one_trial_at_a_time(lab: Lab) -> None:
    lab.write_space(objective="train:hang", trials=3)
    lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang", "--jobs", "3")
    wait_until(lambda: len(lab.taken_by(worker)) == 3, what="it holds three")
    wait_until(lambda: len(executors_of(worker.pid)) == 3, what="three training processes")


def test_the_study_folder_explains_itself(lab: Lab) -> None:
    lab.write_space(objective="train:quick", trials=3)
    assert lab.master("--plain", "--workers", "1", "--objective", "train:quick").wait(60) == 0
    top = sorted(p.name for p in (lab.logs / "space").iterdir())
    assert {"README.txt", "study.json", "best.json", "leaderboard.csv", "finished.json"} <= set(top)
    assert lab.seen() == [f"{number:06d}.jsonl" for number in range(3)]


@pytest.mark.long
def test_winners_are_trained_again_with_their_seeds_and_give_their_values(lab: Lab) -> None:
    """Two of one study: each in a study that is named after it."""
    (lab.folder / "train.py").write_text(
        "import random\n"
        "def noisy(params, trial):\n    return params['x'] + random.Random(trial.seed).random()\n"
    )
    options = ["--workers", "1", "--objective", "train:noisy"]
    lab.write_space(
        objective="train:noisy", params={"x": [2, 1, 3]}, sampler="grid", repeats=2, trials=None
    )
    assert lab.run("master", "--space", "space.json", *options).returncode == 0
    for name in ("space-best-2", "space-best-0"):
        best = lab.logs / "space" / "best.json"
        again = lab.run("master", "--space", str(best), *options)
        assert again.returncode == 0, again.stderr
        reached = json.loads(best.read_text())["result"]
        assert lab.status(name)["ranking"][0]["value"] == reached["value"]
        assert lab.run("drop", "space", *map(str, reached["trials"])).returncode == 0


@pytest.mark.long
def test_a_vanished_share_is_waited_for_and_nothing_is_lost(lab: Lab) -> None:
    """P9, the blunt way: the study's folder is renamed away for a while."""
    lab.write_space(trials=8, lease="4s")
    worker = lab.worker()
    master = lab.master("--plain")
    wait_until(lambda: len(lab.seen()) >= 2, what="something is counted")
    (lab.logs / "space").rename(lab.folder / "away")
    lab.wait_for_words(worker, "trying again")
    lab.wait_for_words(master, "trying again")
    (lab.folder / "away").rename(lab.logs / "space")
    assert master.wait(60) == 0, lab.log_of(master)
    assert worker.wait(60) == 0
    assert lab.counted() == list(range(8))
    assert len(lab.seen()) == 8, "no attempt was lost"


def test_what_a_command_has_started_does_not_outlive_a_killed_worker(lab: Lab) -> None:
    """A shell script that calls the real training: neither survives."""
    script = lab.folder / "train.sh"
    script.write_text("#!/bin/sh\ntail -f /dev/null & echo $! > child.pid; wait\n")
    script.chmod(0o755)
    lab.write_space(objective=None, command=["./train.sh", "{x}"], trials=1)
    lab.master("--plain")
    worker = lab.start("worker", "--allow-commands")
    pid_file = lab.folder / "child.pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), what="it runs")
    worker.kill()
    wait_until(lambda: not is_alive(int(pid_file.read_text())), 5, "the child is gone")


def test_many_trials_at_a_time_are_given_back_within_five_seconds_too(lab: Lab) -> None:
    """Each of the training processes ignores SIGTERM."""
    (lab.folder / "train.py").write_text(
        "import signal, time\n"
        "def deaf(params, trial):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    (trial.dir / 'here').touch()\n"
        "    while True: time.sleep(0.1)\n"
    )
    lab.write_space(objective="train:deaf", trials=8, lease="60s")
    lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:deaf", "--jobs", "8")
    wait_until(lambda: len(list(lab.folder.glob("logs/*/artifacts/*/here"))) == 8, what="eight")
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 143
    assert time.monotonic() - began < 5
    wait_until(lambda: len([n for n in lab.names() if ".2.jsonl" in n]) == 8, what="attempt 2")


@pytest.mark.slow
def test_a_deleted_study_does_not_keep_a_worker_from_the_others(lab: Lab) -> None:
    lab.write_space("one.json", objective="train:hang", trials=1)
    lab.write_space("two.json", trials=3)
    first = lab.master("--plain", space="one.json")
    wait_until(lambda: lab.names(study="one"), what="the first study is there")
    worker = lab.worker("--objective", "train:hang", "--jobs", "2")
    wait_until(lambda: lab.taken_by(worker, "one"), what="it has a trial of the first")
    first.kill()
    (lab.logs / "one").rename(lab.folder / "deleted")
    assert lab.master("--plain", space="two.json").wait(60) == 0
    assert worker.wait(60) == 0, lab.log_of(worker)
    assert len(lab.seen("two")) == 3


@pytest.mark.slow
def test_random_kills_of_workers_and_masters_lose_nothing(lab: Lab) -> None:
    """A process that is killed is started again; the moments are random, and printed on failure."""
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    lab.write_space(trials=50, lease="2s", params={
        "x": {"type": "float", "low": 0, "high": 1}, "pause": 0.02})  # fmt: skip
    running = [lab.master("--plain"), *(lab.worker() for _ in range(3))]
    for round_ in range(14):
        deadline = time.monotonic() + rng.uniform(0.05, 1.0)
        wait_until(lambda d=deadline: time.monotonic() > d)  # type: ignore[misc]
        victim = rng.randrange(4)
        running[victim].kill()
        running[victim].wait()
        running[victim] = lab.worker() if victim else lab.master("--plain")
        print(f"seed {seed}, round {round_}: killed {'worker' if victim else 'master'}")
    assert running[0].wait(90) == 0, lab.log_of(running[0])
    assert lab.counted() == list(range(50)), f"seed {seed}"
    assert sorted(t for r in lab.status()["ranking"] for t in r["trials"]) == list(range(50))


@pytest.mark.long
def test_a_second_master_that_a_lying_lock_lets_in_goes_and_the_first_ends_the_study(
    lab: Lab,
) -> None:
    lab.write_space(trials=12, lease="2s")
    first = lab.master("--plain")
    wait_until(lambda: "master.beat" in lab.names(""), what="the first master runs")
    (lab.logs / "space" / "master.lock").unlink()  # the next one locks another file
    second = lab.master("--plain")
    assert second.wait(60) == 2, lab.log_of(second)
    assert "'space' has a master already (on " in lab.log_of(second)
    worker = lab.worker()
    assert first.wait(90) == 0, lab.log_of(first)
    assert worker.wait(30) == 0
    assert lab.counted() == list(range(12))
    history = (lab.logs / "space" / "history.jsonl").read_text()
    assert history.count('"kind":"counted"') == 12
