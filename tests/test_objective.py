"""Objectives: found, called, driven to their result, whatever they do."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Generator, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import UserError
from distune.share import records
from distune.space_file.read import parse_space_file
from distune.study.command import fill_in
from distune.study.study import Study
from distune.study.trial import Outcome, Report, Result, Trial
from distune.training.context import Stopped, TrialContext
from distune.training.objective import drive, find
from distune.training.offer import Offer
from distune.training.program import run_command
from tests.conftest import wait_until

STUDY = Study(
    id="s",
    name="n",
    objective="train:train",
    params={},
    metric="value",
    direction="maximize",
    lease=20.0,
)
TRIAL = Trial(study="s", number=17, attempt=2, seed=7, params={"lr": 0.5, "epochs": 3})
NOT_SHARED = Path("/nonexistent/logs")
NOWHERE = TrialContext(number=17, attempt=2, seed=7, device="cpu", folder="/nonexistent/17.2")


def driven(objective: Callable[..., Any], trial: Trial = TRIAL, **study: Any) -> list[Any]:
    context = study.pop("context", NOWHERE)
    options = {key: study.pop(key) for key in ("stopped", "clock") if key in study}
    return list(drive(objective, STUDY.model_copy(update=study), trial, context, **options))


def result(objective: Callable[..., Any], **study: Any) -> Result:
    *reports, last = driven(objective, **study)
    assert isinstance(last, Result)
    assert all(isinstance(report, Report) for report in reports)
    assert last.steps == len(reports)
    return last


def failure(objective: Callable[..., Any], **study: Any) -> str:
    last = result(objective, **study)
    assert last.outcome is Outcome.FAILED
    assert last.failure is not None
    assert last.value is None
    return last.failure.message


def yielding(*values: Any) -> Callable[[dict[str, Any]], Iterator[Any]]:
    def objective(params: dict[str, Any]) -> Iterator[Any]:
        yield from values

    return objective


def ticking(seconds: float = 1.0) -> Callable[[], float]:
    """A clock on which every look takes so long."""
    return itertools.count(100.0, seconds).__next__


# -- functions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        *(0.25, Decimal("0.25"), Fraction(1, 4)),
        *(numpy.float64(0.25), numpy.float32(0.25), numpy.array(0.25), numpy.array([[0.25]])),
        *(torch.tensor(0.25, requires_grad=True), torch.tensor([0.25], dtype=torch.bfloat16)),
    ],
)
def test_a_number_is_the_metric_of_the_study(value: Any) -> None:
    report, last = driven(lambda params: value, metric="score", clock=ticking())
    assert report == Report(step=1, metrics={"score": 0.25}, seconds=1.0)
    assert last == Result(
        outcome=Outcome.COMPLETE, value=0.25, metrics={"score": 0.25}, seconds=1.0, steps=1
    )


def test_a_dict_of_numbers_is_kept_and_its_metric_ranked() -> None:
    metrics = {"loss": numpy.float32(0.5), "value": 3, "n": numpy.int64(4), "ok": numpy.bool_(True)}
    last = result(lambda params: metrics)
    assert last.metrics == {"loss": 0.5, "value": 3.0, "n": 4.0, "ok": 1.0}
    assert last.value == 3.0


def test_an_objective_gets_params_of_its_own() -> None:
    def greedy(params: dict[str, Any]) -> float:
        return float(params.pop("lr"))

    assert result(greedy).value == 0.5
    assert TRIAL.params["lr"] == 0.5


def test_a_second_argument_is_the_trial() -> None:
    def with_trial(params: Any, trial: TrialContext) -> dict[str, float]:
        return {"value": trial.number, "attempt": trial.attempt, "seed": trial.seed}

    def with_any(*arguments: Any) -> float:
        return float(arguments[1].number)

    assert result(with_trial).metrics == {"value": 17.0, "attempt": 2.0, "seed": 7.0}
    assert result(with_any).value == 17.0


def test_an_objective_of_one_argument_gets_the_params_alone() -> None:
    def with_option(params: Any, *, verbose: bool = False) -> float:
        return float(verbose)

    assert result(lambda params: len(params)).value == 2.0
    assert result(with_option).value == 0.0


def test_an_object_with_a_call_is_an_objective() -> None:
    class Model:
        def __call__(self, params: Any, trial: Any) -> float:
            return float(trial.seed)

    assert result(Model()).value == 7.0


def test_the_folder_of_a_trial_is_made_when_it_is_first_asked_for(tmp_path: Path) -> None:
    context = TrialContext(1, 1, 0, "cpu", str(tmp_path / "artifacts" / "000001.1"))
    assert result(lambda params, trial: trial.number, context=context).value == 1.0
    assert list(tmp_path.iterdir()) == []

    def saving(params: Any, trial: TrialContext) -> int:
        return (trial.dir / "model").write_text("x")

    assert result(saving, context=context).value == 1.0
    assert (tmp_path / "artifacts" / "000001.1" / "model").read_text() == "x"


def test_progress_is_told_as_it_comes() -> None:
    reported: list[tuple[float, float | None]] = []
    context = TrialContext(
        1, 1, 0, "cpu", "/nonexistent", report_progress=lambda f, rate: reported.append((f, rate))
    )

    def objective(params: Any, trial: TrialContext) -> float:
        trial.progress(0.5)
        trial.progress(1.0, 320.0)
        return 1.0

    result(objective, context=context)
    assert reported == [(0.5, None), (1.0, 320.0)]


# -- generators ------------------------------------------------------------------------------------


def test_each_thing_a_generator_yields_is_a_step() -> None:
    *reports, last = driven(yielding({"value": 0.1, "loss": 9}, {"value": 0.3}, 0.2))
    assert [(r.step, r.metrics) for r in reports] == [
        (1, {"value": 0.1, "loss": 9.0}),
        (2, {"value": 0.3}),
        (3, {"value": 0.2}),
    ]
    assert (last.steps, last.outcome) == (3, Outcome.COMPLETE)


@pytest.mark.parametrize(
    ("direction", "summary", "value"),
    [
        ("maximize", "best", 0.9),
        ("minimize", "best", 0.1),
        ("maximize", "last", 0.5),
        ("minimize", "last", 0.5),
    ],
)
def test_a_training_stands_for_its_best_or_its_last_step(
    direction: str, summary: str, value: float
) -> None:
    steps = [{"value": v, "step": i} for i, v in enumerate([0.5, 0.1, 0.9, 0.5])]
    last = result(yielding(*steps), direction=direction, summary=summary)
    assert last.value == last.metrics["value"] == value
    assert last.metrics in steps


def test_of_equally_good_steps_the_first_stands() -> None:
    steps = [{"value": 0.5, "step": 1}, {"value": 0.5, "step": 2}]
    assert result(yielding(*steps)).metrics["step"] == 1


def test_a_step_without_the_metric_is_a_step_but_stands_for_nothing() -> None:
    steps = [{"loss": 1}, {"value": 0.5}, {"loss": 0}]
    for summary in ("best", "last"):
        last = result(yielding(*steps), summary=summary)
        assert (last.value, last.metrics, last.steps) == (0.5, {"value": 0.5}, 3)


def test_time_is_what_passes_inside_the_objective() -> None:
    *reports, last = driven(yielding(0.1, 0.2, 0.3), clock=ticking())
    # One second for the call, one for each step; what the driver does in between is not training.
    assert [report.seconds for report in reports] == [2.0, 3.0, 4.0]
    assert last.seconds == 4.0


def test_the_seconds_that_an_objective_reports_are_believed() -> None:
    *reports, last = driven(yielding(*({"value": 1, "train_seconds": s} for s in (0.5, 0.75))))
    assert [report.seconds for report in reports] == [0.5, 0.75]
    assert last.seconds == 0.75


def test_after_max_seconds_a_training_ends_with_its_step_complete() -> None:
    closed = []

    def endless(params: Any) -> Iterator[float]:
        try:
            yield from itertools.count(1.0)
        finally:
            closed.append(True)

    steps = endless({})  # held here, too: it shall not be left to the garbage collector
    *reports, last = driven(lambda params: steps, max_seconds=4.0, clock=ticking())
    assert [report.seconds for report in reports] == [2.0, 3.0, 4.0]
    assert (last.outcome, last.value, last.seconds) == (Outcome.COMPLETE, 3.0, 4.0)
    assert closed == [True]


def test_max_seconds_goes_by_the_seconds_that_an_objective_reports() -> None:
    steps = ({"value": i, "train_seconds": 10.0 * i} for i in itertools.count(1))
    last = result(lambda params: steps, max_seconds=25.0)
    assert (last.value, last.seconds, last.outcome) == (3.0, 30.0, Outcome.COMPLETE)


def test_seconds_are_a_metric_like_any_other_and_it_is_said_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    steps = [{"value": i, "seconds": 1000.0 * i} for i in range(1, 6)]
    last = result(yielding(*steps), max_seconds=100.0, clock=ticking())
    assert (last.value, last.steps, last.metrics["seconds"]) == (5.0, 5, 5000.0)
    result(yielding(*steps), max_seconds=100.0, clock=ticking())
    result(yielding(*({"train_seconds": 1.0, **step} for step in steps)), max_seconds=100.0)
    said = capfd.readouterr().out.splitlines()
    assert said == [
        "distune: 'seconds' is a metric like any other, and max_seconds goes by the time that "
        "distune measures; to have it go by yours, report that as 'train_seconds'"
    ]


def test_a_built_in_objective_measures_its_own_seconds() -> None:
    steps = [{"value": 1, "seconds": 0.5}, {"value": 1, "seconds": 0.75}]
    study = STUDY.model_copy(update={"objective": "spirals"})
    *reports, _ = drive(yielding(*steps), study, TRIAL, NOWHERE)
    assert [report.seconds for report in reports if isinstance(report, Report)] == [0.5, 0.75]


def test_reports_come_as_they_are_made_and_not_at_the_end() -> None:
    made = []

    def objective(params: Any) -> Iterator[float]:
        for i in range(3):
            made.append(i)
            yield i

    messages = drive(objective, STUDY, TRIAL, NOWHERE)
    for i in range(3):
        assert isinstance(next(messages), Report)
        assert made == list(range(i + 1))


def test_a_stop_comes_between_two_steps_and_closes_the_objective() -> None:
    made: list[Any] = []

    def objective(params: Any) -> Iterator[float]:
        try:
            for i in itertools.count():
                made.append(i)
                yield i
        finally:
            made.append("closed")

    messages = drive(objective, STUDY, TRIAL, NOWHERE, stopped=lambda: 1 in made)
    assert [type(next(messages)), type(next(messages))] == [Report, Report]
    with pytest.raises(Stopped):
        next(messages)
    assert made == [0, 1, "closed"]


# -- results that are no number --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "metric"),
    [
        *((value, value) for value in (math.nan, math.inf, -math.inf)),
        *((numpy.float32("nan"), math.nan), (Decimal("1e400"), math.inf), (-(10**400), -math.inf)),
    ],
)
def test_a_metric_that_is_not_finite_is_a_divergence_and_a_result(
    value: Any, metric: float
) -> None:
    last = result(lambda params: {"value": value, "loss": 1.0})
    assert last.outcome is Outcome.DIVERGED
    assert repr(last.value) == repr(metric)
    assert last.failure is None


def test_a_training_that_diverged_in_the_end_is_judged_by_its_summary() -> None:
    assert result(yielding(0.1, 0.3, math.nan)).value == 0.3
    assert result(yielding(math.nan, 0.3, math.inf)).value == 0.3
    assert result(yielding(0.1, 0.3, math.nan), summary="last").outcome is Outcome.DIVERGED


def test_another_metric_may_be_anything() -> None:
    last = result(lambda params: {"value": 0.5, "loss": math.nan})
    assert (last.outcome, last.value) == (Outcome.COMPLETE, 0.5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the objective gave None for 'value', which is not a number"),
        ("0.5", "the objective gave '0.5' for 'value', which is not a number"),
        (b"1", "the objective gave b'1' for 'value', which is not a number"),
        ([1, 2], "the objective gave [1, 2] for 'value', which is not a number"),
        (1j, "the objective gave 1j for 'value', which is not a number"),
        (numpy.zeros(2), "the objective gave array([0., 0.]) for 'value', which is not a"),
        (numpy.complex64(1j), "the objective gave np.complex64(1j) for 'value', which is not a"),
        (numpy.array(["1"]), "for 'value', which is not a number"),
        ({"value": 1, "name": "x"}, "the objective gave 'x' for 'name', which is not a number"),
        ({"loss": 1}, "did not report 'value', which the study ranks; it reported loss"),
        ({}, "did not report 'value', which the study ranks; it reported nothing"),
    ],
)
def test_what_is_no_number_fails_the_trial_and_is_shown(value: Any, message: str) -> None:
    assert message in failure(lambda params: value)


def test_a_mistake_in_what_an_objective_gives_is_none_that_another_attempt_would_mend() -> None:
    given: list[Any] = [None, (1.0, 2.0), {"loss": 1}, {}, dict.fromkeys(map(str, range(1001)), 1)]
    for objective in (*(lambda params, v=v: v for v in given), yielding()):
        assert result(objective).infeasible

    def broken(params: Any) -> float:
        raise TypeError("a matter of luck")

    assert not result(broken).infeasible


@pytest.mark.parametrize("value", [{"value": 1.0}, 0.5, numpy.float32(0.5)])
@pytest.mark.parametrize("steps", [0, 2])
def test_what_a_generator_returns_is_not_lost_in_silence(value: Any, steps: int) -> None:
    def objective(params: Any) -> Generator[float, None, Any]:
        yield from range(steps)
        return value

    last = result(objective)
    assert last.infeasible
    assert last.failure is not None
    assert last.failure.message.startswith(
        f"the objective ended with return {value!r}; it is a gen"
    )
    assert last.failure.message.endswith("what one returns is lost: yield it instead")


@pytest.mark.parametrize("value", [None, True, "done", object()])
def test_a_generator_may_return_what_is_no_result(value: Any) -> None:
    def objective(params: Any) -> Generator[float, None, Any]:
        yield 0.5
        return value

    assert result(objective).value == 0.5


def test_a_generator_that_yields_nothing_fails_the_trial() -> None:
    assert "it reported nothing" in failure(yielding())


def test_all_metrics_that_were_reported_instead_are_named() -> None:
    assert "it reported acc, loss" in failure(yielding({"loss": 1}, {"loss": 1, "acc": 2}))


def test_a_long_value_that_is_no_number_is_cut_short() -> None:
    assert len(failure(lambda params: "x" * 10_000)) < 300


# -- exceptions ------------------------------------------------------------------------------------


def test_an_exception_fails_the_trial_with_its_line_and_traceback() -> None:
    def broken(params: dict[str, Any]) -> float:
        return float(1 / (params["epochs"] - 3))

    last = result(broken)
    assert last.outcome is Outcome.FAILED
    assert last.failure is not None
    assert last.failure.message == "ZeroDivisionError: division by zero"
    assert 'return float(1 / (params["epochs"] - 3))' in last.failure.traceback
    assert last.failure.traceback.endswith("ZeroDivisionError: division by zero\n")
    assert "distune/training" not in last.failure.traceback, "it begins with the objective's own"


def test_an_exception_in_a_later_step_keeps_the_steps_before() -> None:
    def broken(params: Any) -> Iterator[dict[str, float]]:
        yield {"value": 0.5, "train_seconds": 3.0}
        raise RuntimeError("out of\n  luck")

    report, last = driven(broken)
    assert report == Report(step=1, metrics={"value": 0.5, "train_seconds": 3.0}, seconds=3.0)
    assert (last.outcome, last.steps, last.seconds) == (Outcome.FAILED, 1, 3.0)
    assert last.failure.message == "RuntimeError: out of luck"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SystemExit(3), "the objective called sys.exit(3)"),
        (SystemExit(), "the objective called sys.exit(None)"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (ValueError("x" * 10_000), "ValueError: " + "x" * 488),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
def test_whatever_an_objective_raises_only_its_trial_fails(
    error: BaseException, message: str
) -> None:
    def broken(params: Any) -> float:
        raise error

    def later(params: Any) -> Iterator[float]:
        yield 0.5
        raise error

    for objective in (broken, later):
        assert failure(objective) == message


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_running_out_of_memory_is_an_outcome_of_its_own(error: Exception) -> None:
    def greedy(params: Any) -> float:
        raise error

    last = result(greedy)
    assert last.outcome is Outcome.OUT_OF_MEMORY
    assert last.failure is not None
    assert type(error).__name__ in last.failure.message


def test_an_objective_that_reports_without_end_is_stopped_before_its_file_is_unreadable() -> None:
    names = [f"metric number {i}" for i in range(1000)]

    def floods(params: Any) -> Iterator[dict[str, float]]:
        while True:
            yield {"value": 0.5, **dict.fromkeys(names[1:], 0.123456789012345678)}

    last = result(floods)
    assert last.outcome is Outcome.FAILED
    assert last.failure is not None
    assert "report less often, or less" in last.failure.message
    line = len(records.encode(Report(step=1, metrics=dict.fromkeys(names, 0.1234), seconds=1.0)))
    assert line * last.steps < records.SIZE_LIMIT / 2


def test_an_objective_that_raises_what_ends_a_loop_has_failed_too() -> None:
    def broken(params: Any) -> Iterator[float]:
        yield 0.5
        raise StopIteration

    assert "StopIteration" in failure(broken)
    assert "StopIteration" in failure(lambda params: next(iter([])))


def test_a_function_that_cannot_be_called_with_params_fails_the_trial() -> None:
    def keyword_only(*, params: Any) -> float:
        return 1.0

    assert "TypeError" in failure(keyword_only)
    assert "TypeError" in failure(lambda a, b, c: 1.0)


def test_a_failure_can_be_written_to_a_file() -> None:
    def broken(params: Any) -> float:
        raise ValueError("naïve 日本 \x00\x1b[31m")

    last = result(broken)
    assert records.load(Result, records.dump(last)) == last


# -- a test of the winner --------------------------------------------------------------------------


def test_a_test_reports_metrics_of_its_own_and_has_no_value() -> None:
    test = TRIAL.replace(best={"value": 0.9})
    report, last = driven(lambda params: {"test_accuracy": 0.8}, test)
    assert report.metrics == last.metrics == {"test_accuracy": 0.8}
    assert (last.outcome, last.value) == (Outcome.COMPLETE, None)


# -- offers ----------------------------------------------------------------------------------------


@pytest.fixture
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    argv = sys.argv
    yield
    sys.argv = argv
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_and_a_function_are_offered_under_that_name() -> None:
    assert Offer.parse("pack.age:train", NOT_SHARED) == Offer("pack.age:train", None, os.getcwd())


def test_a_file_is_offered_under_its_modules_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my dir: x").mkdir()
    path = tmp_path / "my dir: x" / "plain.py"
    path.touch()
    assert Offer.parse(f"{path}:train", NOT_SHARED) == Offer(
        "plain:train", str(path), str(path.parent)
    )
    monkeypatch.chdir(path.parent)
    assert Offer.parse("plain.py:train", NOT_SHARED) == Offer(
        "plain:train", str(path), str(path.parent)
    )


@pytest.mark.parametrize(
    "text",
    ["", "train", "train.py", "train:", "train:a b", "train:1a", "train:a.b", "train.py:f()"],
)
def test_what_is_no_objective_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UserError) as caught:
        Offer.parse(text, NOT_SHARED)
    assert str(caught.value).startswith(
        f"--objective {text}: write module:function or path/to/file.py:function"
    )


@pytest.mark.usefixtures("clean_imports")
def test_code_that_reads_arguments_finds_none(tmp_path: Path) -> None:
    path = tmp_path / "dt-args-2.py"
    path.write_text(
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--lr', type=float, default=0.5)\n"
        "ARGUMENTS = parser.parse_args()\n"
        "def train(params):\n    return ARGUMENTS.lr\n"
    )
    offer = Offer.parse(f"{path}:train", NOT_SHARED)
    assert offer.name == "dt-args-2:train"
    assert result(offer.load()).value == 0.5
    assert sys.argv == [str(path)]
    own = {"objective": offer.name, "direction": "maximize", "params": {}}
    assert parse_space_file(json.dumps(own), "space.json").objective == offer.name


@pytest.mark.usefixtures("clean_imports")
def test_a_file_with_the_name_of_a_library_hides_it_from_nobody(tmp_path: Path) -> None:
    import colorsys
    import queue

    for library in ("queue", "colorsys"):
        path = tmp_path / f"{library}.py"
        path.write_text(
            f"import {library}\ndef train(params):\n    return {library}.__file__ != __file__\n"
        )
        assert result(Offer.parse(f"{path}:train", NOT_SHARED).load()).value == 1.0
    assert (sys.modules["queue"], sys.modules["colorsys"]) == (queue, colorsys)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*/missing\.py$"):
        Offer.parse(f"{tmp_path}/missing.py:train", NOT_SHARED)


@pytest.mark.usefixtures("clean_imports")
def test_a_file_is_loaded_with_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "dt_helper.py").write_text("def half(x):\n    return x / 2\n")
    path = tmp_path / "dt_plain.py"
    path.write_text("from dt_helper import half\ndef train(params):\n    return half(params['lr'])")
    objective = Offer.parse(f"{path}:train", NOT_SHARED).load()
    assert result(objective).value == 0.25


@pytest.mark.usefixtures("clean_imports")
def test_a_module_is_imported_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dt_package").mkdir()
    (tmp_path / "dt_package" / "dt_module.py").write_text("def train(params):\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert result(Offer.parse("dt_package.dt_module:train", NOT_SHARED).load()).value == 3.0


@pytest.mark.usefixtures("clean_imports")
@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def other(params): pass", AttributeError),
        ("train = 3", AttributeError),
        ("def train(", SyntaxError),
        ("import dt_not_there", ImportError),
        ("raise SystemExit(3)", SystemExit),
    ],
)
def test_code_that_cannot_be_loaded_raises(
    tmp_path: Path, code: str, error: type[BaseException]
) -> None:
    path = tmp_path / "dt_broken.py"
    path.write_text(code)
    with pytest.raises(error):
        Offer.parse(f"{path}:train", NOT_SHARED).load()


@pytest.mark.usefixtures("clean_imports")
def test_a_study_finds_the_offer_of_its_name_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "dt_mine.py"
    path.write_text("def train(params):\n    return 4\n")
    offer = Offer.parse(f"{path}:train", NOT_SHARED)
    study = STUDY.model_copy(update={"objective": "dt_mine:train"})
    assert result(find(study, TRIAL, {offer.name: offer.load()})).value == 4.0
    with pytest.raises(KeyError):
        find(study.model_copy(update={"objective": "os:getcwd"}), TRIAL, {offer.name: offer.load()})


# -- commands --------------------------------------------------------------------------------------


def script(folder: Path, body: str) -> str:
    path = folder / "train me.sh"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def command(*arguments: str) -> Callable[[Any, TrialContext], Iterator[Any]]:
    return lambda params, context: run_command(arguments, params, context)


def test_the_lines_of_json_that_a_command_prints_are_its_steps(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """
        echo loading...
        echo '{"value": 0.5, "loss": 1}'
        echo '[1]'; echo 7; echo '{"value": '; echo
        echo oops >&2
        echo '{"value": 0.75}'
        printf '{"value": 0.25}'  # and no end of the line
    """
    *reports, last = driven(command(script(tmp_path, body)))
    assert [r.metrics for r in reports] == [
        {"value": 0.5, "loss": 1},
        {"value": 0.75},
        {"value": 0.25},
    ]
    assert (last.outcome, last.value) == (Outcome.COMPLETE, 0.75)
    printed = capfd.readouterr()
    assert printed.out == 'loading...\n[1]\n7\n{"value": \n\n'
    assert printed.err == "oops\n"


def test_output_that_is_not_text_is_passed_on(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    body = r"""printf '\377\376{\n'; echo '{"value": 1}'"""
    assert result(command(script(tmp_path, body))).value == 1.0
    assert capfdbinary.readouterr().out == b"\xff\xfe{\n"


@pytest.mark.parametrize(
    ("ending", "message"),
    [
        ("exit 3", "ended with exit status 3"),
        ("kill -SEGV $$", "was killed by SIGSEGV"),
        ("kill -KILL $$", "was killed by SIGKILL"),
    ],
)
def test_a_command_that_does_not_end_well_fails_its_trial(
    tmp_path: Path, ending: str, message: str
) -> None:
    program = script(tmp_path, f"""echo '{{"value": 1}}'; {ending}""")
    assert failure(command(program)) == f"RuntimeError: {program} {message}"


def test_a_command_that_reports_nothing_fails_its_trial(tmp_path: Path) -> None:
    assert "it reported nothing" in failure(command(script(tmp_path, "true")))


def test_a_command_that_is_not_there_fails_its_trial(tmp_path: Path) -> None:
    assert f"{tmp_path}/missing" in failure(command(f"{tmp_path}/missing"))


@pytest.fixture
def typed_input() -> Iterator[None]:
    """As if a user had typed a line at the terminal."""
    kept, (reading, writing) = os.dup(0), os.pipe()
    os.write(writing, b"secret\n")
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    yield
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.usefixtures("typed_input")
def test_a_command_gets_nothing_to_read(tmp_path: Path) -> None:
    body = """read line && echo '{"value": 0}' || echo '{"value": 1}'"""
    assert result(command(script(tmp_path, body))).value == 1.0


NASTY = """two words 'single' "double" $HOME `id` ; * \\ \n{lr} -x"""


def test_an_argument_stays_one_argument_whatever_is_in_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = script(tmp_path, r"""printf '<%s>\n' "$@"; echo '{"value": 1}'""")
    trial = TRIAL.replace(params={"name": NASTY, "lr": 1e-05})
    driven(command(program, "{name}", "--lr={lr}", "a b"), trial)
    assert capfd.readouterr().out == f"<{NASTY}>\n<--lr=1e-05>\n<a b>\n"


def test_a_command_is_told_what_its_trial_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    context = TrialContext(17, 2, 7, "cuda:1", str(tmp_path / "own"))
    words = ("trial_number", "trial_attempt", "trial_seed", "trial_device")
    program = script(tmp_path, """echo "$@"; test -d "$5" && echo '{"value": 1}'""")
    asked = command(program, *(f"{{{word}}}" for word in words), "{trial_dir}")
    assert result(asked, context=context).value == 1.0
    assert capfd.readouterr().out == f"17 2 7 cuda:1 {tmp_path}/own\n"


def test_the_folder_of_a_command_is_made_only_if_it_is_asked_for(tmp_path: Path) -> None:
    context = TrialContext(17, 2, 7, "cpu", str(tmp_path / "own"))
    program = script(tmp_path, """echo '{"value": 1}'""")
    assert result(command(program, "{trial_seed}"), context=context).value == 1.0
    assert not (tmp_path / "own").exists()


def test_after_max_seconds_the_program_of_a_command_is_ended(tmp_path: Path) -> None:
    body = f"""
        echo $$ > '{tmp_path}/pid'
        echo '{{"value": 1, "train_seconds": 5}}'
        exec tail -f /dev/null
    """
    last = result(command(script(tmp_path, body)), max_seconds=5.0)
    assert (last.outcome, last.value, last.steps) == (Outcome.COMPLETE, 1.0, 1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_stop_ends_the_program_of_a_command(tmp_path: Path) -> None:
    body = f"""
        echo $$ > '{tmp_path}/pid'
        echo '{{"value": 1}}'
        exec tail -f /dev/null
    """
    with pytest.raises(Stopped):
        driven(command(script(tmp_path, body)), stopped=lambda: True)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_study_with_a_command_runs_it(tmp_path: Path) -> None:
    program = script(tmp_path, """echo "{\\"value\\": $1}" """)
    study = STUDY.model_copy(update={"objective": None, "command": [program, "{lr}"]})
    assert result(find(study, TRIAL, {})).value == 0.5


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1e-05, "1e-05"), (7, "7"), (True, "true"), (False, "false"), ("", "")],
)
def test_values_are_written_as_other_languages_read_them(value: Any, text: str) -> None:
    assert fill_in(["--x={x}", "{x}{x}"], {"x": value}) == [f"--x={text}", text * 2]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_value_is_never_filled_in_itself(a: str, b: str) -> None:
    values = {"a": a + "{b}", "b": b + "{a}"}
    assert fill_in(["{a}", "x{b}"], values) == [values["a"], "x" + values["b"]]


def test_after_max_seconds_nothing_that_a_command_started_lives_on(tmp_path: Path) -> None:
    body = f"""tail -f /dev/null & echo $! > '{tmp_path}/pid'
               echo '{{"value": 1, "train_seconds": 5}}'; wait"""
    assert result(command(script(tmp_path, body)), max_seconds=5.0).value == 1.0
    # A kill takes effect a moment after it was sent.
    wait_until(lambda: not_running(int((tmp_path / "pid").read_text())), 5)


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    body = f"""tail -f /dev/null >&2 & echo $! > '{tmp_path}/pid'; echo '{{"value": 1}}'"""
    assert result(command(script(tmp_path, body))).value == 1.0
    # A kill takes effect a moment after it was sent.
    wait_until(lambda: not_running(int((tmp_path / "pid").read_text())), 5)


def not_running(pid: int) -> bool:
    """Gone, or dead and not yet collected by the process that inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_line_nested_too_deeply_is_only_output() -> None:
    shell = "head -c 60000 /dev/zero | tr '\\0' '['; echo; echo '{\"value\": 1}'"
    assert result(command("sh", "-c", shell)).value == 1.0


def test_names_that_are_no_unicode_do_not_hide_the_error() -> None:
    def broken(params: Any) -> float:
        raise ValueError("no file \udcff.png")

    failed = result(broken)
    assert failed.failure is not None
    assert "no file ?.png" in failed.failure.message
    assert records.dump(failed)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0])
def test_seconds_that_cannot_be_are_not_believed(seconds: float) -> None:
    assert result(lambda params: {"value": 1.0, "seconds": seconds}).seconds >= 0


@pytest.mark.parametrize("text", [":f", "a b:f", "1x:f", "m:f:g", "examples/plain:train", "m.:f"])
def test_what_python_cannot_import_is_no_offer(text: str) -> None:
    with pytest.raises(UserError, match="module:function"):
        Offer.parse(text, NOT_SHARED)
