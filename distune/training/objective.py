"""An objective: load it, and drive it from its params to its result.

An objective is a function from `params` to a number or a dict of numbers, or a generator
that yields one per step. It may take a second argument, the trial. A built-in one is
called in the same way; a command becomes a generator over the JSON lines it prints.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from types import FunctionType, GeneratorType
from typing import Any

from distune.errors import Infeasible, UserError
from distune.study.study import Study
from distune.study.trial import Failure, Outcome, Report, Result, Trial, summarize
from distune.training.command import run_command
from distune.training.offer import Objective, Offer
from distune.training.trial_context import Stopped, TrialContext
from distune.workloads import WORKLOADS

_MOST_METRICS = 1000
_LONGEST_NAME = 200  # characters of a metric's name
_MOST_REPORTED = 32 * 2**20  # bytes of one trial's reports, about; half of what is ever read
_REPORTED_LINE, _REPORTED_NUMBER = 100, 28  # bytes, at most, besides the names


def find(study: Study, trial: Trial, offers: Mapping[str, Offer]) -> Objective:
    """The function to call for a trial of this study."""
    if study.command is not None:
        command = study.command
        return lambda params, context: run_command(command, params, context)
    assert study.objective is not None
    if study.objective in WORKLOADS:
        module = importlib.import_module(WORKLOADS[study.objective].module)
        if trial.best is not None:
            return lambda params, context: module.test(params, context, trial.best)
        return module.train  # type: ignore[no-any-return]
    return offers[study.objective].load()


def drive(
    objective: Objective,
    study: Study,
    trial: Trial,
    context: TrialContext,
    *,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Report | Result]:
    """Run an objective: its reports as they come, and always a result at the end.

    `max_seconds` ends a generator after the step in which it was reached; what the
    objective itself reports as `seconds` is believed, else the time inside it is taken.

    Raises:
        Stopped: `stopped()` came true between two steps.
    """
    reports: list[Report] = []
    size = 0
    begun = clock()
    try:
        with closing(_steps(objective, study, trial, context, clock)) as steps:
            for step, (metrics, seconds) in enumerate(steps, 1):
                size += sum(len(name) + _REPORTED_NUMBER for name in metrics) + _REPORTED_LINE
                if size > _MOST_REPORTED:
                    raise ValueError(
                        f"its reports fill more than {_MOST_REPORTED >> 20} MB after {step} "
                        "steps: report less often, or less"
                    )
                reports.append(Report(step=step, metrics=metrics, seconds=seconds))
                yield reports[-1]
                if stopped():
                    raise Stopped
                if study.max_seconds is not None and seconds >= study.max_seconds:
                    break
        yield _complete(study, trial, reports)
    except (Stopped, GeneratorExit):
        raise
    except BaseException as error:
        seconds = reports[-1].seconds if reports else clock() - begun
        yield Result(
            outcome=Outcome.OUT_OF_MEMORY if _is_out_of_memory(error) else Outcome.FAILED,
            seconds=seconds,
            steps=len(reports),
            failure=Failure(
                message=_one_line(error),
                traceback=_traceback_of(error),
                infeasible=isinstance(error, Infeasible),
            ),
        )


def _steps(
    objective: Objective,
    study: Study,
    trial: Trial,
    context: TrialContext,
    clock: Callable[[], float],
) -> Generator[tuple[dict[str, float], float], None, None]:
    """(metrics, seconds of training so far), step by step."""
    arguments = (dict(trial.params), context)[: 2 if _wants_trial(objective) else 1]
    began = clock()
    given = objective(*arguments)
    inside = clock() - began
    if not isinstance(given, Iterator):
        yield _timed(_numbers(given, study.metric), inside)
        return
    try:
        while True:
            began = clock()
            try:
                value = next(given)
            except StopIteration:
                return
            inside += clock() - began
            yield _timed(_numbers(value, study.metric), inside)
    finally:
        if isinstance(given, GeneratorType):
            given.close()


def _timed(metrics: dict[str, float], inside: float) -> tuple[dict[str, float], float]:
    reported = metrics.get("seconds", inside)
    return metrics, reported if 0 <= reported < math.inf else inside


def _complete(study: Study, trial: Trial, reports: Sequence[Report]) -> Result:
    if trial.best is not None:  # a test has metrics of its own
        best = reports[-1] if reports else None
        value = None
    else:
        best = summarize(reports, study.metric, study.direction, study.summary)
        value = best.metrics[study.metric] if best else None
    if best is None:
        seen = sorted({name for report in reports for name in report.metrics})
        raise ValueError(
            f"the objective did not report {study.metric!r}, which the study ranks; "
            + (f"it reported {', '.join(seen)}" if seen else "it reported nothing")
        )
    finite = value is None or math.isfinite(value)
    return Result(
        outcome=Outcome.COMPLETE if finite else Outcome.DIVERGED,
        value=value,
        metrics=best.metrics,
        seconds=reports[-1].seconds,
        steps=len(reports),
    )


def _wants_trial(objective: Objective) -> bool:
    # A signature takes as long as a short trial, and any other callable may not be hashable.
    look = _asks_for_two if isinstance(objective, FunctionType) else _asks_for_two.__wrapped__
    return look(objective)


@functools.lru_cache(maxsize=16)
def _asks_for_two(objective: Objective) -> bool:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(objective).parameters.values()
    return sum(p.kind in positional for p in parameters) > 1 or any(
        p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters
    )


def _numbers(value: object, metric: str) -> dict[str, float]:
    """A number, or a dict of numbers, as metrics. NumPy's and torch's scalars are numbers."""
    items: list[tuple[Any, Any]] = (
        list(value.items()) if isinstance(value, Mapping) else [(metric, value)]
    )
    if len(items) > _MOST_METRICS:
        raise ValueError(f"the objective gave {len(items)} metrics; {_MOST_METRICS} are the most")
    metrics: dict[str, float] = {}
    for name, number in items:
        try:
            if isinstance(number, str | bytes):
                raise TypeError
            metrics[_encodable(str(name))[:_LONGEST_NAME]] = float(number)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(
                f"the objective gave {number!r:.80} for {name!r}, which is not a number"
            ) from None
    return metrics


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own, or torch's: `torch.OutOfMemoryError`, or a bare RuntimeError of the CPU's
    or Apple's allocator. By name, because nothing here imports torch.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said
    )


def _one_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the objective called sys.exit({error.code!r})"
    text = _encodable(" ".join(str(error).split()))
    if isinstance(error, UserError):  # written for people, as it is
        return text[:500]
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__)[:500]


def _traceback_of(error: BaseException) -> str:
    """Without distune's own frames at its beginning: the user's code is what matters."""
    lines = traceback.format_exception(error)
    return _encodable("".join(lines)[-20_000:])


def _encodable(text: str) -> str:
    """Without lone surrogates, which file names may have and JSON may not."""
    return text.encode(errors="replace").decode()
