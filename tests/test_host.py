"""What a process may use of its host, and how many trainings that is enough for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from distune import cli
from distune.training.process import executor_environment
from distune.worker import host
from distune.worker.admission import may_be_bfloat16
from tests.conftest import Lab, executors_of, wait_until
from tests.histories import study

GB = 2**30


# How many, and on how many threads


@pytest.mark.parametrize("cores", [1, 2, 3, 7, 64, 384])
@pytest.mark.parametrize("share", [1, 2, 3, 8])
@pytest.mark.parametrize("memory", [0, 3 * GB, 2_000 * GB])
@pytest.mark.parametrize("gpus", [0, 1, 8])
def test_there_are_never_more_threads_than_cores_unless_there_are_more_workers(
    cores: int, share: int, memory: int, gpus: int
) -> None:
    plan = host.choose_parallelism(None, None, cores=cores, memory=memory, gpus=gpus, workers=share)
    if gpus <= cores:
        assert share * plan.jobs * plan.threads <= max(cores, share * plan.jobs)
    if share <= cores and not gpus:
        assert share * plan.jobs * plan.threads <= cores


@pytest.mark.parametrize(
    ("asked", "having", "jobs", "threads"),
    [
        ((None, None), {"cores": 16}, 16, 1),
        ((None, None), {"cores": 1}, 1, 1),
        ((None, None), {"cores": 16, "memory": int(4.5 * GB)}, 4, 4),  # a gigabyte for each
        ((None, None), {"cores": 16, "memory": GB // 2}, 1, 16),
        ((None, 4), {"cores": 16}, 4, 4),
        ((None, 32), {"cores": 16}, 1, 32),
        ((3, None), {"cores": 16}, 3, 1),
        ((32, None), {"cores": 16, "memory": GB}, 32, 1),  # the user gets what he asks for
        ((3, 2), {"cores": 16}, 3, 2),
        ((None, None), {"cores": 16, "gpus": 1}, 1, 16),
        ((None, None), {"cores": 16, "gpus": 4}, 4, 4),
        ((None, None), {"cores": 2, "gpus": 4}, 4, 1),
        ((None, None), {"cores": 16, "workers": 2}, 8, 1),
        ((None, None), {"cores": 16, "workers": 2, "memory": 5 * GB}, 2, 4),
        ((None, None), {"cores": 2, "workers": 8}, 1, 1),
        ((None, None), {"cores": 16, "gpus": 4, "workers": 2}, 2, 4),
        ((None, None), {"cores": 16, "gpus": 1, "workers": 4}, 1, 4),
    ],
)
def test_processes_are_preferred_to_threads_and_what_is_asked_for_is_done(
    asked: tuple[int | None, int | None], having: dict[str, int], jobs: int, threads: int
) -> None:
    plan = host.choose_parallelism(*asked, **{"cores": 1, "memory": 1_000 * GB, **having})
    assert (plan.jobs, plan.threads) == (jobs, threads)


# Cores and memory, from cgroups of both versions


def own(tmp_path: Path, lines: str) -> Path:
    path = tmp_path / "self-cgroup"
    path.write_text(lines)
    return path


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


@pytest.mark.parametrize(
    ("groups", "files"),
    [
        ("0::/\n", {"cpu.max": "100000 100000\n"}),
        ("0::/a/b\n", {"cpu.max": "max 100000\n", "a/b/cpu.max": "150000 100000\n"}),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "max 100000\n"}),
        ("0::/gone\n", {"cpu.max": "50000 100000\n"}),
        (
            "4:cpu,cpuacct:/a\n0::/\n",
            {"cpu/a/cpu.cfs_quota_us": "100000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
        ),
        ("4:cpu:/x\n", {"cpu/cpu.cfs_quota_us": "5\n", "cpu/cpu.cfs_period_us": "10\n"}),
    ],
)
def test_a_quota_anywhere_above_the_process_limits_its_cores(
    groups: str, files: dict[str, str], tmp_path: Path
) -> None:
    root = write(tmp_path / "cgroup", files)
    assert host.usable_cores(root, own(tmp_path, groups)) == 1


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"cpu.max": "max 100000\n", "a/cpu.max": "400000000 100000\n"},
        {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
        {"a/cpu.max": "nonsense"},
        {"b/cpu.max": "100000 100000\n"},  # another process's
    ],
)
def test_without_a_quota_the_cores_are_those_of_the_affinity(
    files: dict[str, str], tmp_path: Path
) -> None:
    root = write(tmp_path / "cgroup", files)
    groups = own(tmp_path, "4:cpu,cpuacct:/a\n0::/a\n")
    assert host.usable_cores(root, groups) == AFFINITY
    assert host.usable_cores(root, tmp_path / "no-such-file") == AFFINITY


@pytest.mark.skipif(AFFINITY < 2, reason="needs two cores")
def test_cores_that_the_process_is_bound_to_are_all_it_may_use() -> None:
    code = "from distune.worker import host; print(host.usable_cores())"
    command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("groups", "files", "free"),
    [
        ("0::/a\n", {"a/memory.max": "5000\n", "a/memory.current": "2000\n"}, 3000),
        (
            "0::/a/b\n",
            {
                "a/memory.max": "5000\n",
                "a/memory.current": "4000\n",
                "a/memory.stat": "anon 9\ninactive_file 700\n",
                "a/b/memory.max": "max\n",
                "a/b/memory.current": "1\n",
            },
            1700,
        ),
        ("0::/\n", {"memory.max": "5000\n", "memory.current": "9000\n"}, 0),
        (
            "4:memory:/a\n",
            {"memory/a/memory.limit_in_bytes": "7\n", "memory/a/memory.usage_in_bytes": "3\n"},
            4,
        ),
    ],
)
def test_a_limit_of_memory_counts_but_what_can_be_reclaimed_is_free(
    groups: str, files: dict[str, str], free: int, tmp_path: Path
) -> None:
    root = write(tmp_path / "cgroup", files)
    assert host.free_memory(root, own(tmp_path, groups)) == free


def test_without_a_limit_the_memory_is_the_machines(tmp_path: Path) -> None:
    free = host.free_memory(tmp_path, own(tmp_path, "0::/a\n"))
    assert 0 < free <= psutil.virtual_memory().total


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags\t\t: fpu avx512_bf16 sse", True),
        ("flags\t\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2", False),
        ("Features\t: fp asimd", False),
        ("something else", None),
    ],
)
def test_instructions_for_bfloat16_are_read_from_what_the_kernel_says(
    line: str, found: bool | None, tmp_path: Path
) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text(f"processor\t: 0\n{line}\n")
    assert host.computes_bfloat16(information) is found
    assert host.computes_bfloat16(tmp_path / "none") is None


# Real workers


def environment_of(process: psutil.Process) -> dict[str, str]:
    found: dict[str, str] = process.environ()
    return found


def test_a_worker_that_is_told_nothing_uses_each_core_once(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = host.usable_cores()
    lab.write_space(objective="train:hang", trials=4 * cores)
    lab.master("--plain")
    worker = lab.start("worker", "--objective", "train:hang")
    plan = host.choose_parallelism(None, None, cores=cores, memory=host.free_memory())
    wait_until(lambda: len(lab.taken_by(worker)) == plan.jobs, what="it is busy")
    wait_until(lambda: len(executors_of(worker.pid)) == plan.jobs, what="all are there")
    threads = [int(environment_of(one)["OMP_NUM_THREADS"]) for one in executors_of(worker.pid)]
    assert sum(threads) <= cores
    lab.wait_for_words(worker, f"{plan.jobs} at a time")
    assert f"{plan.threads} of {cores} cores each" in lab.log_of(worker)
    assert "slow each other down" not in lab.log_of(worker)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_of_a_master_divide_the_cores_among_them(
    workers: int, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cores = host.usable_cores()
    lab.write_space(objective="train:hang", trials=30)
    master = lab.master("--plain", "--workers", str(workers), "--objective", "train:hang")
    each = max(1, cores // workers)

    def executors() -> list[psutil.Process]:
        return [e for w in psutil.Process(master.pid).children() for e in executors_of(w.pid)]

    wait_until(lambda: len(executors()) == workers * each, what="all of them train")
    threads = [int(environment_of(one)["OMP_NUM_THREADS"]) for one in executors()]
    assert threads == [1] * workers * each
    said = lab.log_of(master)
    assert f"{workers} local worker" in said
    assert ("slow each other down" in said) == (workers * each > cores)


def test_more_jobs_than_cores_get_a_thread_each_and_are_told_in_the_first_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    lab.logs.mkdir()
    cores = host.usable_cores()
    worker = lab.start("worker", "--jobs", str(cores + 1), "--time-limit", "1s")
    assert worker.wait(60) == 0
    first = lab.log_of(worker).splitlines()[0]
    assert f"{cores + 1} at a time (as asked for), 1 of {cores} cores each" in first
    assert f"{cores + 1} threads are more than the cores" in first


def test_threads_that_the_user_has_set_stay_and_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "17")
    given = executor_environment(1)
    assert (given["OMP_NUM_THREADS"], given["MKL_NUM_THREADS"]) == ("4096", "1")
    assert given["MALLOC_TRIM_THRESHOLD_"] == "17"
    assert "4096 threads are more than the cores" in host.Parallelism(1, 1, "so").describe()


@pytest.mark.parametrize(
    ("said", "given"),
    [("", "3"), ("auto", "3"), ("0", "3"), ("2,", "3"), ("2,4", "2,4"), (" 5", " 5")],
)
def test_threads_that_are_no_number_are_chosen_as_if_nothing_was_said(
    monkeypatch: pytest.MonkeyPatch, said: str, given: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert executor_environment(3)["OMP_NUM_THREADS"] == given
    assert f", {int(given.split(',')[0])} of " in host.Parallelism(1, 3, "so").describe()


@pytest.mark.parametrize("name", ["PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"])
def test_a_gpus_memory_is_handed_out_in_segments_that_grow_unless_the_user_has_set_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        monkeypatch.delenv(one, raising=False)
    assert executor_environment(1)["PYTORCH_CUDA_ALLOC_CONF"] == "expandable_segments:True"
    monkeypatch.setenv(name, "max_split_size_mb:64")
    given = executor_environment(1)
    assert given[name] == "max_split_size_mb:64"
    assert "expandable_segments:True" not in given.values()


@pytest.mark.parametrize("jobs", ["0", "1025", "many", "-3", "2.5"])
def test_jobs_that_are_no_number_are_refused(
    jobs: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["distune", "worker", "--jobs", jobs])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "neither auto nor a number from 1 to 1024" in capsys.readouterr().err


def test_auto_can_also_be_said(lab: Lab) -> None:
    lab.logs.mkdir()
    done = lab.run("worker", "--jobs", "auto", "--time-limit", "1s")
    assert done.returncode == 0
    assert "at a time" in done.stdout


@pytest.mark.parametrize(
    ("value", "may_be"),
    [("bfloat16", True), (["float32", "bfloat16"], True), ("float32", False), (None, False)],
)
def test_a_study_wants_bfloat16_if_one_of_its_trials_may(value: object, may_be: bool) -> None:
    params = {"dataset": "digits", **({} if value is None else {"precision": value})}
    assert may_be_bfloat16(study(objective="mnist-cnn", params=params)) == may_be
    own = study(objective="train:train", params=params, metric="loss", direction="minimize")
    assert not may_be_bfloat16(own)


def test_a_worker_says_once_what_makes_it_slow_at_what_a_study_wants(lab: Lab) -> None:
    """Where the kernel says that there are no such instructions, and nothing is compiled."""
    code = (
        "import sys; from distune import cli; from distune.worker import host; "
        "host.computes_bfloat16 = lambda: False; "
        "from distune.workloads.kernels import compiled; compiled.widths = list; "
        "sys.argv = ['distune', 'worker', '--time-limit', '4s', '--jobs', '1']; cli.main()"
    )
    for name, value in {"one": ["float32", "bfloat16"], "two": "bfloat16"}.items():
        params = {"precision": value, "dataset": "digits"}
        space = {"objective": "mnist-cnn", "params": params, "trials": 1}
        (lab.folder / f"{name}.json").write_text(json.dumps(space))
        lab.master("--plain", space=f"{name}.json")
    for name in ("one", "two"):
        wait_until(lambda n=name: lab.names(study=n), what="published")  # type: ignore[misc]
    worker = lab.start_program([sys.executable, "-c", code])
    assert worker.wait(60) == 0
    assert lab.log_of(worker).count("no instructions for bfloat16") == 1
    assert lab.log_of(worker).count("installed without a C compiler") == 1
