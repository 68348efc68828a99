"""One trial in the foreground, as a worker would train it, and nothing of it kept."""

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from distune.errors import UserError
from distune.study.study import Study
from distune.study.trial import Record, Report, Result, Trial
from distune.training.messages import Assignment, Died, Prepare, Ready
from distune.training.process import ExecutorProcess

_TERMINATE_WITHIN = 2.0  # seconds
_LOOK_EVERY = 1.0  # second, at least


def train_here(
    study: Study,
    trial: Trial,
    prepare: Prepare,
    threads: int,
    echo: Callable[[str], None],
    tell: Callable[[Report], None],
    visible: str | None = None,
) -> Result:
    """Train a trial in a process like a worker's; its `trial.dir` is gone afterwards.

    Args:
        prepare: what that process is told first.
        threads: for numerical libraries.
        echo: takes what the objective prints, line by line, as it comes.
        tell: takes its reports.
        visible: as of `ExecutorProcess`.

    Raises:
        UserError: the objective or the device cannot be had.
    """
    woken = threading.Event()
    process = ExecutorProcess(prepare, threads=threads, wake=woken.set, echo=echo, visible=visible)
    with tempfile.TemporaryDirectory(prefix="distune-try-") as folder:
        assignment = Assignment(study=study, trial=trial, folder=str(Path(folder) / "trial"))
        try:
            process.start(assignment)
            while True:
                woken.wait(_LOOK_EVERY)
                woken.clear()
                for _, message in process.poll():
                    result = _take_in(message, process, tell)
                    if result is not None:
                        return result
        finally:
            process.end(_TERMINATE_WITHIN)


def _take_in(
    message: Record | Died, process: ExecutorProcess, tell: Callable[[Report], None]
) -> Result | None:
    match message:
        case Ready(problem=str(problem)):
            raise UserError(problem)
        case Report():
            process.tail()  # what was printed before it is shown before it
            tell(message)
        case Result():
            process.tail()
            return message
        case Died():
            return message.as_result()
    return None
