"""What is said of a training that does not report what its study judges it by."""

from typing import Any

import pytest

from distune.study.reporting import lacking
from distune.study.trial import Outcome, Report, Result
from distune.watch.beats import Heartbeats
from tests.histories import make_study
from tests.test_worker import Bench

NO_Y = Report(step=1, seconds=1.0, metrics={"loss": 0.5})
Y = Report(step=2, seconds=2.0, metrics={"loss": 0.5, "y": 0.5})


@pytest.mark.parametrize(
    ("fields", "names", "said"),
    [
        ({}, ["y"], "reports have no 'y' so far, which the study ranks: a training that ends "
         'without has failed; yield {"y": 0.5}, or name in the space file\'s "metric" what is '
         "reported"),
        ({"pruner": "asha"}, ["y"], "until they do, the pruner asha can stop nothing"),
        ({"command": ["train"]}, ["y"], 'print a line {"y": 0.5}, or'),
        ({"constraints": {"size": {"max": 1}, "flops": {"max": 1}}}, ["flops", "size"],
         "no 'size' so far, which is one of the study's constraints (nor flops): a training that "
         'ends without has failed; report it, or take it out of the space file\'s "constraints"'),
        ({"constraints": {"size": {"max": 1}}, "pruner": "asha"}, ["size"], "constraints: a train"),
        ({"objectives": {"y": "maximize", "size": "minimize"}}, ["y"],
         'report it, or take it out of the space file\'s "objectives"'),
    ],
)  # fmt: skip
def test_it_is_said_what_lacks_and_what_to_do(
    fields: dict[str, Any], names: list[str], said: str
) -> None:
    study, _ = make_study(20, **fields)
    assert said in (lacking(study, names) or "")


def test_a_metric_of_no_study_of_its_own_is_nothing_to_speak_of() -> None:
    study, _ = make_study(20)
    assert lacking(study, ["seconds", "\x1b[2J"]) is None


def test_a_report_without_the_metric_is_said_at_the_next_heartbeat_by_worker_and_watcher() -> None:
    bench = Bench(jobs=2)
    heard: list[str] = []
    watcher = Heartbeats(bench.store, bench.study, lambda: bench.now, heard.append)
    bench.publish(0)
    bench.publish(1)
    bench.step(3.0)
    watcher.workers(set())
    assert (bench.beat().unreported, heard) == ([], [])
    for executor in bench.executors:
        executor.says.append(NO_Y)
    for _ in range(3):
        bench.step(3.0)
        watcher.workers(set())
    assert bench.beat().unreported == ["y"]
    said = "reports have no 'y' so far"
    assert [line.startswith(said) for line in heard] == [True]
    assert len([line for line in bench.said if said in line]) == 1


def test_a_metric_that_comes_in_the_end_is_asked_for_no_more() -> None:
    bench = Bench()
    bench.publish(0)
    bench.step(3.0)
    bench.answer(NO_Y)
    bench.step(3.0)
    assert bench.beat().unreported == ["y"]
    bench.answer(Y)
    bench.step(3.0)
    assert bench.beat().unreported == []
    bench.answer(Result(outcome=Outcome.COMPLETE, value=0.5, metrics={"y": 0.5}, steps=2))
    bench.publish(1)
    bench.step(3.0)
    bench.answer(NO_Y)
    bench.step(3.0)
    assert bench.beat().unreported == []


def test_the_winners_test_has_metrics_of_its_own() -> None:
    bench = Bench()
    bench.publish(0, best={"y": 0.5})
    bench.step(3.0)
    bench.answer(NO_Y.replace(metrics={"test_y": 0.5}))
    bench.step(3.0)
    assert bench.beat().unreported == []
