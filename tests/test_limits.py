"""A worker that ends by itself: its time is up, it has trained enough, or nothing is left to do."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from distune.share import protocol, records
from distune.share.protocol import State
from distune.study.trial import Counted, Outcome, Result, Trial
from distune.worker.limits import WorkerLimits, seconds_of_job
from tests.conftest import DISTUNE, Lab, wait_until
from tests.test_worker import FAILED, Bench

COMPLETE = Result(outcome=Outcome.COMPLETE, value=1.0)
RELEASED = Result(outcome=Outcome.RELEASED)


class Limited(Bench):
    """A bench whose worker has limits."""

    def __init__(self, jobs: int = 1, ends: float = math.inf, trials: float = math.inf) -> None:
        super().__init__(jobs, limits=WorkerLimits(ends, trials))
        for number in range(9):
            self.publish(number)

    @property
    def started(self) -> int:
        return sum(len(executor.trials) for executor in self.executors)


def test_a_worker_claims_no_more_trials_than_it_may_train() -> None:
    bench = Limited(jobs=2, trials=3)
    bench.step()
    assert bench.started == 2
    bench.answer(COMPLETE)
    assert bench.started == 3
    bench.answer(COMPLETE)
    bench.executors[1].says.append(COMPLETE)
    bench.step(1.0)
    assert bench.started == 3
    assert len(bench.names(State.DONE)) == 3
    assert bench.worker.claiming.is_over
    assert bench.worker.idle


def test_a_trial_that_was_given_back_does_not_count_and_one_that_failed_does() -> None:
    bench = Limited(trials=2)
    for answer, started in ((RELEASED, 2), (FAILED, 3), (COMPLETE, 3)):
        bench.step()
        bench.answer(answer)
        bench.step(1.0)
        assert bench.started == started


def test_a_worker_claims_nothing_that_takes_longer_than_its_time_lasts() -> None:
    bench = Limited(ends=35.0)
    for _ in range(3):
        bench.step(10.0)
        bench.answer(COMPLETE)
    bench.step()
    assert bench.started == 3, "the fourth would have ended five seconds too late"
    assert bench.worker.claiming.is_over
    assert bench.worker.idle
    why = "study s: no more is claimed: its trials take 10s, 11s are wanted, and 10s are left"
    bench.step(3.0)
    assert [line for line in bench.said if "no more" in line] == [why]


def test_a_worker_with_a_time_limit_that_knows_no_duration_tries_one() -> None:
    bench = Limited(ends=0.1)
    bench.step()
    assert bench.started == 1


def test_how_long_a_studys_trials_take_is_known_from_its_history() -> None:
    bench = Limited(ends=5.0)
    trial = Trial(study=bench.study.id, number=9, attempt=1, params={"x": 0.5})
    result = COMPLETE.replace(seconds=6.0)
    line = records.encode(Counted(trial=trial, worker="w-2", result=result))
    bench.store.append_lines(protocol.HISTORY, [line])
    bench.step()
    assert bench.started == 0
    assert bench.worker.claiming.is_over


def test_its_own_durations_count_more_than_the_historys() -> None:
    limits = WorkerLimits(ends=100.0)
    limits.learn("s", [1.0] * 20)
    assert not limits.why_none("s", 0, now=95.0)
    limits.ended("s", 10.0)
    limits.learn("s", [1.0] * 20)
    assert limits.why_none("s", 0, now=95.0)
    assert not limits.why_none("another", 0, now=95.0)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_a_history_with_impossible_durations_is_as_good_as_none(seconds: float) -> None:
    limits = WorkerLimits(ends=10.0)
    limits.learn("s", [seconds])
    assert not limits.why_none("s", 0, now=9.9)


def test_trials_of_very_different_length_fit_if_all_but_the_longest_tenth_do() -> None:
    limits = WorkerLimits(ends=10.0)
    for seconds in range(1, 11):
        limits.ended("s", float(seconds))
    assert not limits.why_none("s", 0, now=1.0)
    assert limits.why_none("s", 0, now=1.1)


def test_what_leaves_checkpoints_is_claimed_as_long_as_it_will_leave_two() -> None:
    limits = WorkerLimits(ends=1000.0)
    limits.learn("s", [5000.0])
    assert limits.why_none("s", 0, now=0.0)
    limits.can_resume("s", every=60.0)
    assert not limits.why_none("s", 0, now=880.0)
    assert limits.why_none("s", 0, now=881.0)


@pytest.mark.parametrize("folder_has_one", [False, True])
def test_that_a_studys_trials_can_go_on_shows_in_its_folder(folder_has_one: bool) -> None:
    bench = Limited(ends=200.0)
    trial = Trial(study=bench.study.id, number=9, attempt=1, params={"x": 0.5})
    counted = Counted(trial=trial, worker="w-2", result=COMPLETE.replace(seconds=5000.0))
    bench.store.append_lines(protocol.HISTORY, [records.encode(counted)])
    if folder_has_one:
        bench.folder.make_folder(protocol.CHECKPOINTS)
        bench.folder.publish(f"{protocol.CHECKPOINTS}/000003.1.1.checkpoint", b"state")
    bench.step()
    assert bench.started == folder_has_one


def test_a_trial_that_went_on_takes_as_long_as_all_of_its_training() -> None:
    bench = Limited(ends=100.0)
    bench.step(10.0)
    bench.answer(COMPLETE.replace(seconds=95.0))
    assert bench.started == 1
    assert bench.worker.claiming.is_over


@pytest.mark.parametrize(
    ("end", "seconds"),
    [
        ("1000", math.inf),  # it is over, and not this job
        ("1010", 0.0),
        ("1100", 85.0),
        ("2000", 950.0),
        ("11000", 9850.0),
        ("soon", math.inf),
        ("nan", math.inf),
        (None, math.inf),
    ],
)
def test_a_batch_jobs_end_leaves_a_margin(end: str | None, seconds: float) -> None:
    environment = {"SLURM_JOB_END_TIME": end} if end is not None else {}
    assert seconds_of_job(environment, wall=1000.0) == pytest.approx(seconds)


# -- real processes ------------------------------------------------------------------------


@pytest.fixture
def study(lab: Lab) -> Lab:
    """One of many trials of half a second, with its master."""
    lab.write_space(trials=500, params={"x": {"low": 0.0, "high": 1.0, "type": "float"},
                                        "pause": 0.5, "steps": 1})  # fmt: skip
    lab.master("--plain")
    wait_until(lambda: lab.names(), what="trials are published")
    return lab


def test_a_worker_that_has_trained_enough_says_so_and_exits_with_0(study: Lab) -> None:
    done = study.run("worker", "--objective", "train:train", "--jobs", "2", "--max-trials", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": complete, ") == 3
    assert "3 trials are trained, as --max-trials says; everything given back" in done.stdout
    assert "released" not in done.stdout
    assert study.names("workers") == []


@pytest.mark.long
def test_a_worker_ends_before_its_batch_job_does_and_gives_nothing_back(
    study: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + 21))
    began = time.monotonic()
    done = study.run("worker", "--objective", "train:train", "--jobs", "1", "--time-limit", "1h")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 10
    assert "Slurm ends this job: this worker ends before" in done.stdout
    assert "no trial fits into the time that is left; everything given back" in done.stdout
    assert ": complete, " in done.stdout
    assert "released" not in done.stdout


def test_a_worker_of_a_batch_array_that_comes_too_late_ends_before_it_imports_anything(
    lab: Lab,
) -> None:
    lab.write_space(trials=1)
    master = lab.master("--plain", "--workers", "1", "--objective", "train:train")
    assert master.wait(60) == 0
    (lab.folder / "train.py").write_text("import time\ntime.sleep(600)\n")
    done = lab.run("worker", "--objective", "train:train", timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing left to do" in done.stdout


def test_a_mistake_in_a_batch_array_lasts_until_somebody_may_have_seen_it(tmp_path: Path) -> None:
    wrong = [*DISTUNE, "worker", "--logs", str(tmp_path / "no" / "logs")]
    array = {**os.environ, "SLURM_ARRAY_TASK_ID": "3"}
    with subprocess.Popen(wrong, env=array, stderr=subprocess.PIPE, text=True) as worker:
        assert worker.stderr is not None
        assert "one of a batch array: it ends in 30 s" in worker.stderr.readline()
        assert "does not exist" in worker.stderr.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(2.0)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 143
