"""A trial that a loop of the user's own trains."""

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distune.errors import Mistake, UserError
from distune.share import records
from distune.study.study import Study
from distune.study.trial import Failure, Outcome, Record, Report, Result
from distune.training.assigned import context_of
from distune.training.completion import completed
from distune.training.context import Paused, Stopped
from distune.training.messages import Assignment, TrainingStarted
from distune.training.objective import as_metrics, check_size, failed
from distune.workloads.data.folders import DataFolders


class ClaimedTrial:
    """A trial to train, in a `with`, which ends with its result.

        with trial:
            for epoch in range(10):
                accuracy = train_an_epoch(**trial.params)
                trial.report(epoch, val_accuracy=accuracy)
                if trial.should_stop:
                    break

    What its body raises is the trial's failure: it is printed, and the loop goes on. Ctrl-C and
    `sys.exit()` give the trial back, to be trained by another worker, and go on their way.

    Attributes:
        number, attempt: of the trial in the study, from 0; of the try at it, from 1.
        params: the values to train with, by the names of the space file.
        seed: for everything random.
    """

    def __init__(
        self,
        assignment: Assignment,
        study: Study,
        device: str,
        tell: "Callable[[ClaimedTrial, Record], None]",
        say: Callable[[str], None],
    ) -> None:
        self._study = study
        self._trial = trial = assignment.trial
        self._tell = tell
        self._wanted = True  # by its worker
        self._saves_and_ends = False  # its worker wants it to end when it has saved a state
        self._saw_that = False  # the loop knows, and so it may have ended before its time
        self._is_over = self._is_enough = False
        self._began: float | None = None
        self._size = 0  # bytes, of its reports
        self._step: int | None = None  # of the last report, as the loop counts
        self._context = context_of(
            study,
            assignment,
            devices=(device,),
            data=DataFolders.of(),
            code="",
            tell=lambda message: tell(self, message),
            progress=lambda fraction, rate: None,
            ends_when_saved=lambda: self._saves_and_ends,
            say=say,
        )
        self._context.yields = True  # it reports as it goes
        self.number: int = trial.number
        self.attempt: int = trial.attempt
        self.params: dict[str, Any] = study.plain_params(trial.params)
        self.seed: int = trial.seed

    def __repr__(self) -> str:
        return f"<trial {self.number} of {self._study.name!r}: {self.params}>"

    # -- for the loop ------------------------------------------------------------------------

    def report(
        self, step: int, metrics: Mapping[str, float] | None = None, /, **more: float
    ) -> None:
        """Report the metrics of a step: an epoch, or as often as you like.

        Args:
            step: grows from one report to the next. distune counts the reports themselves.
            metrics, more: numbers by name; the study's metric is one of them.

        Raises:
            UserError: it is not in the trial's `with`, the step does not grow, or one of them is no
                number.
        """
        if self._began is None or self._is_over:
            raise UserError("trial.report() belongs into its `with trial:`")
        if self._step is not None and step <= self._step:
            raise Mistake(f"trial.report() was given step {step} after step {self._step}")
        self._step = step
        numbers = as_metrics({**(metrics or {}), **more}, self._study.metric)
        seconds = numbers.get("train_seconds", self._seconds)
        reports = self._context.reports
        self._size += records.size_of_report(numbers)
        check_size(self._size, len(reports) + 1)
        reports.append(Report(step=len(reports) + 1, metrics=numbers, seconds=seconds))
        self._tell(self, reports[-1])
        limit = self._study.max_seconds
        self._is_enough = limit is not None and seconds >= limit
        self._context.reported()

    @property
    def should_stop(self) -> bool:
        """Whether to leave the `with` now: the trial was pruned, its study was stopped, or its
        `max_seconds` are over.
        """
        self._saw_that |= not self._wanted or self._saves_and_ends
        return self._saw_that or self._is_enough

    @property
    def dir(self) -> Path:
        """A folder of this attempt's own, on the share, made when first asked for."""
        return self._context.dir

    def load(self) -> Any:
        """The state that an attempt before this one has saved last, or None: then begin anew. To be
        asked before the first report; what was reported up to that state is this attempt's, too.
        """
        return self._context.load()

    @property
    def steps(self) -> int:
        """How many reports it has, with those up to the state that `load` gave."""
        return len(self._context.reports)

    @property
    def save_due(self) -> bool:
        """Whether `save` would write a state now."""
        return self._context.save_due

    def save(self, state: Any, *, last: bool = False) -> None:
        """Save a state that a later attempt may go on from, unless the last one is younger than the
        study's `checkpoint_every`: call it after each report. It leaves the `with` where the study
        wants the trial to pause, or its worker wants it to end.

        Args:
            state: what `torch.save` takes and `weights_only` reads, bytes, or a path.
            last: no report comes after it.
        """
        self._context.save(state, last=last)

    def progress(self, fraction: float) -> None:
        """Tell how far it is, in [0, 1], between two reports."""
        self._context.progress(fraction)

    def __enter__(self) -> Self:
        if self._began is not None:
            raise UserError(f"trial {self.number} was begun before: each is trained in one `with`")
        self._began = time.monotonic()
        self._tell(self, TrainingStarted())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> bool:
        try:
            result = self._result(error)
        finally:
            self._context.close()
        self._is_over = True
        self._tell(self, result)
        if isinstance(error, Exception):
            print(f"trial {self.number} failed:", file=sys.stderr)
            traceback.print_exception(error)
        return error is None or isinstance(error, Exception | Paused | Stopped)

    @property
    def _seconds(self) -> float:
        """Of training, with the attempts that this one goes on from."""
        assert self._began is not None
        return time.monotonic() - self._began + self._context.seconds_before

    def _result(self, error: BaseException | None) -> Result:
        reports = self._context.reports
        if isinstance(error, Paused):
            return completed(self._study, self._trial, reports, paused=True)
        if isinstance(error, Exception):
            return failed(error, self._seconds, len(reports))
        if error is not None and not isinstance(error, Stopped):
            return _released(f"its loop was left by {type(error).__name__}")
        if error is not None or self._saw_that:
            return _released("stopped by the master")
        try:
            return completed(self._study, self._trial, reports)
        except Mistake as mistake:
            print(f"trial {self.number} failed: {mistake}", file=sys.stderr)
            return failed(mistake, self._seconds, len(reports))

    # -- for its worker ----------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        return self._is_over

    def stop(self, *, save: bool) -> None:
        """Its worker wants it to end: at once, or when it has saved a state."""
        if save:
            self._saves_and_ends = True
        else:
            self._wanted = False

    def forget(self) -> None:
        """It was never begun, and will not be."""
        self._is_over = True
        self._tell(self, _released("its loop did not train it"))


def _released(why: str) -> Result:
    return Result(outcome=Outcome.RELEASED, failure=Failure(message=why))
