"""`distune launch slurm`: the file it writes, and a real cluster that runs it.

The cluster is that of the rig beside the repository, see `tests.rigs`.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from distune.errors import UserError
from distune.launch.slurm import SlurmArray, sbatch_file, slurm_time, time_for_work
from distune.share.folder import Folder
from distune.share.store import Store
from tests.conftest import DISTUNE, Lab, wait_until
from tests.rigs import SlurmCluster, why_no_slurm

OBJECTIVE = """\
import time

def train(params, trial):
    done = trial.load() or 0
    for step in range(done, params["steps"]):
        time.sleep(params["pause"])
        yield {"loss": (params["x"] - 0.3) ** 2 + 1 / (step + 1)}
        trial.save(step + 1)
"""
WORKER = ["/env of mine/python", "-P", "-m", "distune", "worker", "--logs", "/shared/it's logs"]


def directives(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line[:8] == "#SBATCH "]


def command_of(text: str) -> list[str]:
    """What the batch file runs, without the rest of the line."""
    joined = text.replace("\\\n", " ").splitlines()[-1]
    return shlex.split(joined)[: shlex.split(joined).index("||")]


# -- the file ------------------------------------------------------------------------------


def test_the_file_asks_for_what_was_given_and_for_nothing_else() -> None:
    text = sbatch_file(SlurmArray(name="distune", worker=WORKER, folder="/home/me", workers=1))
    assert directives(text) == [
        "--job-name=distune", "--chdir=/home/me", "--output=%x-%A_%a.out", "--open-mode=append",
        "--array=0-0", "--ntasks=1", "--signal=TERM@90", "--no-requeue",
    ]  # fmt: skip
    assert command_of(text) == ["srun", "--ntasks=1", *WORKER]


def test_cores_gpus_memory_and_lines_of_the_user_s_own_are_asked_for() -> None:
    text = sbatch_file(
        SlurmArray(
            name="distune", worker=WORKER, folder="/my home", workers=40, at_once=8, cpus=4,
            gpus="a100:2", memory="16G", time="02:00:00", partition="gpu", account="lab",
            extra=["#SBATCH --qos=low", " --signal=TERM@300 "],
        )
    )  # fmt: skip
    asked = directives(text)
    assert {
        "--array=0-39%8", "--cpus-per-task=4", "--gres=gpu:a100:2", "--mem=16G",
        "--time=02:00:00", "--partition=gpu", "--account=lab", "--chdir='/my home'",
    } < set(asked)  # fmt: skip
    assert asked[-2:] == ["--qos=low", "--signal=TERM@300"], (
        "the last of two is the one that counts"
    )
    assert command_of(text) == ["srun", "--ntasks=1", "--cpus-per-task=4", *WORKER]


@pytest.mark.parametrize("line", ["qos=low", "--qos=low\nrm -rf /", "", "#SBATCH"])
def test_a_line_that_is_no_option_of_sbatch_is_refused(line: str) -> None:
    with pytest.raises(UserError, match="--qos=low"):
        sbatch_file(SlurmArray("distune", WORKER, "/", 1, extra=[line]))


def test_a_value_of_several_lines_cannot_add_a_line() -> None:
    with pytest.raises(UserError, match="--partition"):
        sbatch_file(SlurmArray("distune", WORKER, "/", 1, partition="gpu\n#SBATCH --qos=high"))


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("2h", "02:00:00"),
        ("1h30m", "01:30:00"),
        ("36h", "1-12:00:00"),
        ("1-12:00:00", "1-12:00:00"),
        ("02:00:00", "02:00:00"),
        ("151s", "00:02:31"),
    ],
)
def test_a_time_is_written_as_slurm_reads_it(given: str, asked: str) -> None:
    assert slurm_time(given) == asked


@pytest.mark.parametrize(
    ("given", "said"),
    [("60", "60m"), ("150s", "no time"), ("02:30", "no time"), ("soon", "2h")],
)
def test_a_time_that_means_two_things_or_is_too_short_is_refused(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        slurm_time(given)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("02:00:00", 7200), ("30:00", 1800), ("1-12", 129600), ("1-12:30", 131400),
        ("1-12:30:05", 131405), ("2-0:0:0", 172800),
    ],
)  # fmt: skip
def test_a_worker_s_own_time_ends_before_the_signal_may_come(time: str, seconds: int) -> None:
    assert time_for_work(time) == seconds - 90 - 60


# -- the command ---------------------------------------------------------------------------


def test_a_dry_run_writes_a_file_with_absolute_paths_and_says_how_to_submit_it(lab: Lab) -> None:
    lab.logs.mkdir()
    options = "--study s1 --workers 20 --at-once 2 --jobs 1 --objective train.py:train --dry-run"
    options += " --time 2h"
    done = lab.run("launch", "slurm", *options.split(), "--objective", "train:quick")
    assert done.returncode == 0, done.stderr
    assert "sbatch distune-s1.sbatch" in done.stdout
    text = (lab.folder / "distune-s1.sbatch").read_text()
    assert f"--chdir={lab.folder}" in directives(text)
    assert command_of(text)[2:] == [
        *DISTUNE[:1], "-P", *DISTUNE[1:], "worker", "--logs", str(lab.logs), "--study", "s1",
        "--jobs", "1", "--objective", f"{lab.folder}/train.py:train", "--objective", "train:quick",
        "--time-limit", "7050s",
    ]  # fmt: skip
    assert "If you change --time, change that, too." in text


def test_a_file_that_was_edited_is_not_written_over(lab: Lab) -> None:
    lab.logs.mkdir()
    launch = ["launch", "slurm", "--dry-run"]
    assert lab.run(*launch).returncode == 0
    assert lab.run(*launch).returncode == 0, "the same text is no reason to complain"
    file = lab.folder / "distune.sbatch"
    file.write_text(edited := file.read_text() + "echo mine\n")
    done = lab.run(*launch)
    assert done.returncode == 2
    assert "distune.sbatch is there already" in done.stderr
    assert file.read_text() == edited


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--logs nowhere", "nowhere: there is no such folder"),
        ("--workers 0", "--workers"),
        ("--time 60", "write 60m"),
        ("--study a/b", "cannot name a study"),
        ("--objective nothing.py:train", "there is no file"),
        ("--sbatch qos=low --dry-run", "write an option of sbatch"),
        ("", "there is no sbatch on this machine's path"),
    ],
)
def test_what_cannot_work_is_one_clear_line_and_exit_status_2(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, options: str, said: str
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    lab.logs.mkdir()
    done = lab.run("launch", "slurm", *options.split())
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not list(lab.folder.glob("*.sbatch"))


# -- for real ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmCluster]:
    if why := why_no_slurm():
        pytest.skip(why)
    with SlurmCluster(nodes=3) as one:
        yield one


def use(cluster: SlurmCluster, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `lab` submit to the cluster; a file that is written if a worker asks Slurm anything."""
    cluster.heal()
    asked, tools = lab.folder / "asked", lab.folder / "tools"
    tools.mkdir()
    for name in ("squeue", "sacct", "scontrol", "sinfo"):
        (tools / name).write_text(f"#!/bin/sh\necho {name} >>{shlex.quote(str(asked))}\n")
        (tools / name).chmod(stat.S_IRWXU)
    for key in ("SLURM_CONF", "SLURM_DIR"):
        monkeypatch.setenv(key, cluster.environment[key])
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return asked


def launch(lab: Lab, *options: str) -> str:
    """The job's number."""
    own = ["--objective", "train.py:train", "--jobs", "1"]
    done = lab.run("launch", "slurm", *own, *options)
    assert done.returncode == 0, done.stderr
    found = re.search(r"submitted: +job (\d+)", done.stdout)
    assert found, done.stdout
    return found[1]


def hosts_training(lab: Lab) -> set[str]:
    return {name.split(".")[3].split("-")[0] for name in lab.names() if name.endswith(".taken")}


@pytest.mark.slow
def test_an_array_outlives_a_cancelled_worker_and_a_dead_node_and_empties_after_the_study(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, cluster: SlurmCluster
) -> None:
    asked = use(cluster, lab, monkeypatch)
    lab.write_space(
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 10, "pause": 0.1},
        trials=40,
    )
    master = lab.master("--plain")
    wait_until(lab.names, what="it is published")
    job = launch(lab, "--study", "space", "--workers", "12", "--at-once", "3", "--cpus", "2")
    wait_until(lambda: len(hosts_training(lab)) == 3, what="three nodes train")
    running = {n: node for n, (state, node) in cluster.queue(job).items() if state == "RUNNING"}
    assert len(running) == 3, "three at once"

    number, node = next(iter(running.items()))
    held = [name for name in lab.names() if f".{node}-" in name and name.endswith(".taken")]
    began = time.monotonic()
    cluster.run("scancel", f"{job}_{number}")
    stems = [name.removesuffix(".taken") for name in held]
    wait_until(
        lambda: all(any(stem in name for name in lab.seen()) for stem in stems),
        what=f"{stems} are given back",
    )
    assert time.monotonic() - began < 5.0
    wait_until(lambda: hosts_training(lab) >= {node}, what="the next array task trains there")

    cluster.kill_node("n2")
    assert master.wait(180) == 0
    assert lab.counted() == list(range(40))
    assert lab.status()["trials"]["outcomes"]["complete"] == 40
    said = (lab.folder / f"distune-space-{job}_{number}.out").read_text()
    assert "SIGTERM: everything given back" in said
    wait_until(
        lambda: not [1 for state, at in cluster.queue(job).values() if at != "n2"],
        60,
        "the array is empty",
    )
    assert not asked.exists(), f"a worker asked Slurm: {asked.read_text()}"
    assert not [name for name in lab.seen() if f"{job}_" in name or f"-{job}-" in name]


@pytest.mark.slow
def test_a_worker_gives_its_trial_back_before_its_time_is_over_and_the_next_one_goes_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, cluster: SlurmCluster
) -> None:
    use(cluster, lab, monkeypatch)
    lab.write_space(
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 40, "pause": 0.5},
        trials=5,
    )
    master = lab.master("--plain")
    wait_until(lab.names, what="it is published")
    short = ["--sbatch=--time=1", "--sbatch=--signal=TERM@30"]
    job = launch(lab, "--workers", "20", "--at-once", "1", *short)
    assert master.wait(400) == 0
    assert lab.counted() == list(range(5))
    released = [name for name in lab.seen() if name.endswith(".lost")]
    assert released, "at least one was stopped by its time limit"
    said = "".join(path.read_text() for path in lab.folder.glob(f"distune-{job}_*.out"))
    assert "SIGTERM: everything given back" in said
    assert "DUE TO TIME LIMIT" not in said, "none was still there when its time was over"


@pytest.mark.slow
def test_what_a_cluster_does_to_an_array_costs_no_trial_and_little_training(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, cluster: SlurmCluster
) -> None:
    """Time limits, a cancelled task, a node that is powered off, no controller for a minute."""
    use(cluster, lab, monkeypatch)
    (lab.folder / "train.py").write_text(OBJECTIVE)
    every, steps, pause = 2.0, 60, 0.15
    lab.write_space(
        params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": steps, "pause": pause},
        trials=24, checkpoint_every=every,
    )  # fmt: skip
    master = lab.master("--plain")
    wait_until(lab.names, what="it is published")
    short = ["--sbatch=--time=1", "--sbatch=--signal=TERM@30"]
    job = launch(
        lab, "--study", "space", "--workers", "20", "--at-once", "2", "--cpus", "2", *short
    )
    wait_until(lambda: len(hosts_training(lab)) == 2, what="two nodes train")
    wait_until(lambda: len(lab.counted()) >= 2, what="each has trained one")

    running = {n: node for n, (state, node) in cluster.queue(job).items() if state == "RUNNING"}
    assert len(running) == 2, "two at once"
    (first, its_node), (_, other_node) = running.items()
    wait_until(lambda: has_reported(lab, its_node), what="it is in the midst of a trial")
    began = time.monotonic()
    cluster.run("scancel", f"{job}_{first}")
    log = lab.folder / f"distune-space-{job}_{first}.out"
    wait_until(lambda: "SIGTERM: everything given back" in log.read_text(), what="it drains")
    assert time.monotonic() - began < 5.0
    wait_until(lambda: its_node in hosts_training(lab), what="the next task trains there")
    cluster.kill_node(other_node)
    with cluster.explaining():
        wait_until(
            lambda: len(hosts_training(lab) - {other_node}) == 2,
            180.0, "on another node, too, once Slurm has noticed",
        )  # fmt: skip
    cluster.stop_controller()
    down_until = time.monotonic() + 60.0
    counted = len(lab.counted())
    wait_until(lambda: time.monotonic() > down_until, 90, "a minute without a controller")
    assert len(lab.counted()) > counted, "what ran then went on"
    cluster.start_controller()

    assert master.wait(400) == 0
    over = time.monotonic()
    assert lab.counted() == list(range(24)), "each is ranked once"
    assert lab.status()["trials"]["outcomes"]["complete"] == 24
    left = {n: at for n, (_, at) in cluster.queue(job).items() if at != other_node}
    wait_until(
        lambda: not [1 for _, at in cluster.queue(job).values() if at != other_node],
        10.0 * len(left), "the array is empty",
    )  # fmt: skip
    print(f"{len(left)} tasks were left, and gone after {time.monotonic() - over:.0f} s")
    said = "".join(path.read_text() for path in lab.folder.glob(f"distune-space-{job}_*.out"))
    assert "SIGTERM: everything given back" in said.replace(log.read_text(), ""), "a time limit"

    losses = [*lost_training(lab)]
    print("seconds of training lost by each that was given back:", losses)
    assert losses, "of the task that was cancelled, maybe of others at their time limits"
    assert max(losses) <= every + 2 * pause


def has_reported(lab: Lab, node: str) -> bool:
    """Whether a trial that a node trains has made some of its steps."""
    names = [name for name in lab.names() if f".{node}-" in name and name.endswith(".taken")]
    with suppress(FileNotFoundError):
        return any(
            (lab.logs / "space" / "trials" / name).read_text().count('"report"') >= 10
            for name in names
        )
    return False


def lost_training(lab: Lab) -> Iterator[float]:
    """Of each attempt that a worker gave back: seconds of it that the next one trains again."""
    store = Store(Folder(lab.logs / "space"))
    for trial in lab.counted():
        attempts = store.attempts_of(trial)
        for (_, before), (_, after) in itertools.pairwise(attempts):
            if before.result is None or not before.reports:
                continue  # its node is dead; or it had not begun
            kept = after.resumed.step if after.resumed is not None else 0
            of_kept = before.reports[kept - 1].seconds if kept else 0.0
            yield round(before.reports[-1].seconds - of_kept, 2)
