"""An objective, driven from its params to its result.

An objective is a function from `params` to a number or a dict of numbers, or a generator
that yields one per step. It may take a second argument, the trial. A built-in one is
called in the same way; a command becomes a generator over the JSON lines it prints.
"""

import functools
import importlib
import inspect
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from types import FunctionType, GeneratorType
from typing import Any

from distune.errors import Infeasible, Mistake, UserError
from distune.share import records
from distune.study.study import Study
from distune.study.trial import (
    Failure,
    Outcome,
    Report,
    Result,
    Trial,
)
from distune.training import program
from distune.training.completion import completed
from distune.training.context import Paused, Stopped, TrialContext
from distune.training.offer import Objective
from distune.workloads import WORKLOADS

_LONGEST_NAME = 200  # characters of a metric's name


def find(study: Study, trial: Trial, objectives: Mapping[str, Objective]) -> Objective:
    """The function to call for a trial of this study; the user's own are objectives."""
    if study.command is not None:
        command, names = study.command, study.parameter_names
        return lambda params, context: program.run_command(
            command, params, context, names=names, metric=study.metric
        )
    assert study.objective is not None
    if study.objective not in WORKLOADS:
        return objectives[study.objective]
    workload = WORKLOADS[study.objective]
    trainer = importlib.import_module("distune.workloads.trainer.trainer")
    if trial.best is not None:
        return lambda params, context: trainer.test(workload, params, context, trial.best)
    return lambda params, context: trainer.train(workload, params, context)


def drive(
    objective: Objective,
    study: Study,
    trial: Trial,
    context: TrialContext,
    *,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Report | Result]:
    """Run an objective: its reports as they come, and always a result at the end. Reports of an
    attempt that it goes on from are in `context.reports`, and in the result.

    `max_seconds` ends a generator after the step in which it was reached; what a user's objective
    itself reports as `train_seconds`, and a built-in one as `seconds`, is believed, else the time
    inside it is taken.

    Raises:
        Stopped: `stopped()` came true between two steps.
    """
    reports = context.reports = []
    size = counted = 0
    begun = clock()
    believed = "seconds" if study.objective in WORKLOADS else "train_seconds"
    try:
        with closing(_steps(objective, study, trial, context, clock)) as steps:
            for metrics, inside in steps:
                size += sum(records.size_of_report(one.metrics) for one in reports[counted:])
                step = counted = len(reports) + 1
                reported = metrics.get(believed, inside)
                seconds = reported if 0 <= reported < math.inf else inside
                size += records.size_of_report(metrics)
                check_size(size, step)
                reports.append(Report(step=step, metrics=metrics, seconds=seconds))
                yield reports[-1]
                context.reported()
                if stopped():
                    raise Stopped
                if study.max_seconds is not None:
                    if believed not in metrics and "seconds" in metrics:
                        _say_that_seconds_are_a_metric()
                    if seconds >= study.max_seconds:
                        context.wait()
                        break
        yield completed(study, trial, reports)
    except Paused:
        yield completed(study, trial, reports, paused=True)
    except (Stopped, GeneratorExit):
        raise
    except BaseException as error:
        seconds = reports[-1].seconds if reports else clock() - begun
        yield failed(error, seconds, len(reports))


def check_size(size: int, steps: int) -> None:
    """See that what a trial has reported fits into its file: `size` bytes after so many steps.

    Raises:
        Mistake: it does not.
    """
    if size > records.REPORTS_LIMIT:
        raise Mistake(
            f"its reports fill more than {records.REPORTS_LIMIT >> 20} MB after {steps} steps: "
            "report less often, or less"
        )


def failed(error: BaseException, seconds: float, steps: int) -> Result:
    """Of a training that an exception has ended after so many steps."""
    return Result(
        outcome=Outcome.OUT_OF_MEMORY if _is_out_of_memory(error) else Outcome.FAILED,
        seconds=seconds,
        steps=steps,
        failure=Failure(
            message=_one_line(error),
            # Of a mistake the frames are distune's own.
            traceback="" if isinstance(error, Mistake) else _encodable(_traceback_of(error)),
            infeasible=isinstance(error, Infeasible | Mistake),
        ),
    )


def _steps(
    objective: Objective,
    study: Study,
    trial: Trial,
    context: TrialContext,
    clock: Callable[[], float],
) -> Generator[tuple[dict[str, float], float], None, None]:
    """(metrics, seconds inside the objective so far), step by step."""
    arguments = (study.plain_params(trial.params), context)[: 2 if _wants_trial(objective) else 1]
    began = clock()
    given = objective(*arguments)
    inside = clock() - began
    if not isinstance(given, Iterator):
        yield as_metrics(given, study.metric), inside + context.seconds_before
        return
    context.yields = True  # what its body does comes only now
    try:
        while True:
            began = clock()
            try:
                value = next(given)
            except StopIteration as end:
                _check_nothing_is_lost(end.value)
                return
            inside += clock() - began
            yield as_metrics(value, study.metric), inside + context.seconds_before
    finally:
        if isinstance(given, GeneratorType):
            given.close()


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


def as_metrics(value: object, metric: str) -> dict[str, float]:
    """A number, or a dict of numbers, as metrics."""
    given: Mapping[Any, Any] = value if isinstance(value, Mapping) else {metric: value}
    if len(given) > records.MOST_METRICS:
        most = records.MOST_METRICS
        raise Mistake(f"the objective gave {len(given)} metrics; {most} are the most")
    metrics: dict[str, float] = {}
    for name, number in given.items():
        try:
            metrics[_encodable(str(name))[:_LONGEST_NAME]] = _number(number)
        except (TypeError, ValueError, RuntimeError):
            raise Mistake(
                f"the objective gave {number!r:.80} for {name!r}, which is not a number: return "
                f'one number, or a dict of them: {{"{metric}": 0.5}}'
            ) from None
    return metrics


def _number(given: Any) -> float:
    """A number, or the only element of an array: NumPy takes that for a number no more, PyTorch
    still does.

    Raises:
        TypeError, ValueError, RuntimeError: it is none.
    """
    if hasattr(given, "item"):
        given = given.item()
    # float() reads text, and of NumPy's complex numbers it forgets a half.
    if isinstance(given, str | bytes | complex):
        raise TypeError
    try:
        return float(given)
    except OverflowError:  # an integer or a fraction; a Decimal becomes infinite by itself
        return math.inf if given > 0 else -math.inf


def _check_nothing_is_lost(returned: object) -> None:
    """See that a generator did not end with a result that nobody would look at.

    Raises:
        Mistake: it did.
    """
    is_number = hasattr(type(returned), "__float__") and not isinstance(returned, bool)
    if is_number or isinstance(returned, Mapping):
        raise Mistake(
            f"the objective ended with return {returned!r:.80}; it is a generator, because it has "
            "a yield, and what one returns is lost: yield it instead"
        )


@functools.cache
def _say_that_seconds_are_a_metric() -> None:
    print(
        "distune: 'seconds' is a metric like any other, and max_seconds goes by the time that "
        "distune measures; to have it go by yours, report that as 'train_seconds'",
        flush=True,
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own, or torch's, by name; of some allocators it is a bare RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in said or "can't allocate memory" in said
    )


def _traceback_of(error: BaseException) -> str:
    """From the first frame of the objective's own on: it does not begin with distune's."""
    frames, ours = error.__traceback__, (__file__, program.__file__)
    while frames is not None and frames.tb_frame.f_code.co_filename in ours:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))[-20_000:]


def _one_line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the objective called sys.exit({error.code!r})"
    text = _encodable(" ".join(str(error).split()))
    if isinstance(error, UserError):  # written for people, as it is
        return text[:500]
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__)[:500]


def _encodable(text: str) -> str:
    """Without lone surrogates, which file names may have and JSON may not."""
    return text.encode(errors="replace").decode()
