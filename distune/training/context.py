"""What an objective sees of its trial."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distune.errors import Mistake
from distune.study.trial import Report, Rungs
from distune.training.checkpoint_folder import refuse_links
from distune.training.checkpoints import Checkpoints, Loaded
from distune.workloads.data.folders import DataFolders

_WRITTEN_WITHIN = 5.0  # seconds; the worker, which wants the training to end, kills it before that
LAST_WITHIN = 15.0  # seconds that the end of a training waits for its last state to be written
#: Of the last step's time: so long before `max_seconds` a state is due, since that step may be the
#: last one, after which nobody is asked for a state.
_BEFORE_THE_END = 1.5
_LEAST_BETWEEN = 1.0  # seconds between two states, then
_SHORT = 1.0  # seconds of training: what `max_seconds` ends so soon is not worth a state


class Stopped(BaseException):
    """The master, or the worker, does not want this attempt to go on."""


class Paused(BaseException):
    """The training has reached its rung, and its state is saved."""


@dataclass
class TrialContext:
    """What an objective sees of its trial, if it asks for a second argument.

    Attributes:
        number, attempt: of the trial in the study, from 0; of the try at it, from 1.
        seed: for everything random.
        device: `cpu`, `cuda:0`, `mps`: the first of its `devices`.
        devices: all that it has; `--devices-per-trial` says how many.
        max_seconds: of training, after which it should end; the driver sees to it too.
        data: where this host's data sets are.
        checkpoints: of this attempt; None if there are none.
        checkpoint_every: seconds between two of them.
        last_step: after which the training is over, if that is known.
        last_within: seconds that its end may wait for the last state to be written; 0 to save none.
        rungs: where it pauses, if it does.
        pause_within: seconds that it may wait then for its state to be written.
        on_saving: called once, when the objective first asks for a state or gives one.
        ends_when_saved: asked whether the training is to end as soon as it has saved a state.
        reports: made so far, also by the attempts that this one goes on from; the driver's.
        yields: the objective is a generator; until the driver knows that, it is a function.
    """

    number: int
    attempt: int
    seed: int
    device: str
    folder: str
    devices: tuple[str, ...] = ()
    max_seconds: float | None = None
    data: DataFolders = field(default_factory=DataFolders.of)
    report_progress: Callable[[float, float | None], None] = field(
        default=lambda fraction, rate: None
    )
    checkpoints: Checkpoints | None = None
    checkpoint_every: float = 60.0
    last_step: int | None = None
    last_within: float = 0.0
    rungs: Rungs | None = None
    pause_within: float = LAST_WITHIN
    on_saving: Callable[[], None] = field(default=lambda: None)
    ends_when_saved: Callable[[], bool] = field(default=lambda: False)
    on_resumed: Callable[[Loaded], None] = field(default=lambda loaded: None)
    say: Callable[[str], None] = field(default=lambda line: None)
    monotonic: Callable[[], float] = time.monotonic
    reports: list[Report] = field(default_factory=list)
    yields: bool = False

    def __post_init__(self) -> None:
        self.devices = self.devices or (self.device,)
        self._saved_at = self._reported_at = self.monotonic()
        self._seconds_reported = self._lasted = 0.0  # seconds of training, then; of its last step
        self._due_at = self._saved_at + self.checkpoint_every
        self._loaded: Loaded | None = None
        self._saves = False
        self._awaited: int | None = None  # the report that makes a checkpoint complete
        self._saved: int | None = None  # step of the state that was saved last
        self._ends = False  # no step comes after that
        self._pauses_from = -math.inf  # when it may try to, after it could not

    @property
    def dir(self) -> Path:
        """A folder of this attempt's own, on the share, made when first asked for."""
        path = Path(self.folder)
        refuse_links(path)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, fraction: float, images_per_second: float | None = None) -> None:
        """Tell how far it is, in [0, 1], and how fast. Cheap; call it as often as you like."""
        self.report_progress(fraction, images_per_second)

    # -- going on where another attempt was --------------------------------------------------

    def load(self) -> Any:
        """The state that an attempt before this one has saved last, or None: then begin anew.

        To be asked before the first step. What that attempt had reported up to that state is this
        attempt's, too.

        Raises:
            Mistake: there are steps already.
        """
        self._tell_that_it_saves()
        if self._loaded is None and self.reports:
            raise Mistake("trial.load() comes before the first step that is yielded")
        if self._loaded is None and self.checkpoints is not None:
            self._loaded = self.checkpoints.load()
            if self._loaded is not None:
                self.reports += self._loaded.described.reports
                self._seconds_reported, self._reported_at = self.seconds_before, self.monotonic()
                self.on_resumed(self._loaded)
                if self._pauses(len(self.reports)):
                    raise Paused  # its worker died when nothing but that was left to do
        return self._loaded.state if self._loaded is not None else None

    @property
    def save_due(self) -> bool:
        """Whether `save` would write a state now."""
        if self.checkpoints is None or self.checkpoint_every <= 0:
            return False
        due = self.monotonic() >= self._due_at or self.ends_when_saved()
        return due or self._pauses(len(self.reports))

    @property
    def saves_last(self) -> bool:
        """Whether `save` would write the state of the last step, too, however young the one before
        is: if there is one, because whoever is trained further has to be worth a file; or if it is
        `max_seconds` that ends the training, and not at once.
        """
        worth = self._saved is not None or self._loaded is not None or self._is_at_limit
        return self.checkpoints is not None and self.last_within > 0 and worth

    @property
    def _is_at_limit(self) -> bool:
        seconds = self._seconds_reported + self.monotonic() - self._reported_at
        return self.max_seconds is not None and seconds >= self.max_seconds >= _SHORT

    def save(self, state: Any, step: int | None = None, *, last: bool = False) -> None:
        """Save a state that a later attempt may go on from, unless the last one is younger than the
        study's `checkpoint_every` and `max_seconds` is not near: call it after each step. That of
        the last step is saved in any case, if there is one before it.

        A share that does not take it is said, and costs the training nothing.

        Args:
            state: what `torch.save` takes and `weights_only` reads, bytes, or a path.
            step: how many steps are in it, if not those that have been yielded: that of the next
                one can be given before it is yielded.
            last: no step comes after it; needs not be said where the params have `epochs`, and each
                of them is a step.

        Raises:
            Mistake: it cannot be read again, or no such step comes next.
            Stopped: it is saved, and the training is to end.
        """
        self._tell_that_it_saves()
        made = len(self.reports)
        of_step = made if step is None else step
        ends = last or of_step == self.last_step
        wants_last = ends and self.saves_last
        due = self.save_due or (self.checkpoint_every > 0 and self._pauses(of_step))
        if self.checkpoints is None or not (due or wants_last):
            return
        if wants_last and step is not None and step == self._saved:
            self.checkpoints.wait(self.last_within)  # it may still be on its way
            return
        if self.yields and of_step > made + 1:
            raise Mistake(f"trial.save was given the state of step {step} after {made} steps")
        self._saved_at, self._saved, self._ends = self.monotonic(), of_step, ends
        self._foresee()
        try:
            self.checkpoints.take(state, of_step)
        except OSError as error:
            raise Mistake(f"trial.save: {error}") from None
        if self.yields and of_step > made:
            self._awaited = of_step
        else:
            self._complete(of_step)

    def _tell_that_it_saves(self) -> None:
        if not self._saves and self.checkpoints is not None:
            self._saves = True
            self.on_saving()

    def _foresee(self) -> None:
        """When the next state is due."""
        self._due_at = self._saved_at + self.checkpoint_every
        if self.yields and self.max_seconds is not None and self.last_within > 0:
            near = (
                self._reported_at
                + self.max_seconds
                - self._seconds_reported
                - _BEFORE_THE_END * self._lasted
            )
            between = max(_LEAST_BETWEEN, self._lasted / 2)
            self._due_at = min(self._due_at, max(near, self._saved_at + between))

    def _complete(self, step: int) -> None:
        assert self.checkpoints is not None
        reports = self.reports[:step] if self.yields else []
        seconds = self._seconds_reported + self.monotonic() - self._reported_at
        self.checkpoints.write(reports, seconds)
        if step == len(self.reports) and not self._ends and self._pauses(step):
            self._pause(step)
        if self.ends_when_saved():
            self.checkpoints.wait(_WRITTEN_WITHIN)
            raise Stopped
        if self._ends:  # nobody hears of what is written when the training is over
            self.checkpoints.wait(self.last_within)

    def _pauses(self, step: int) -> bool:
        """Whether it is to pause when it has made so many steps, unless it has no more to make."""
        if self.rungs is None or not self.yields or step == self.last_step:
            return False
        seconds = self.reports[step - 1].seconds if 0 < step <= len(self.reports) else 0.0
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return False
        return self.rungs.reached_by(step, seconds) and self.monotonic() >= self._pauses_from

    def _pause(self, step: int) -> None:
        """Pause, if the state is on the share: without, all that was trained would be lost."""
        assert self.checkpoints is not None
        self.checkpoints.wait(self.pause_within)
        if self.checkpoints.last_kept == step:
            raise Paused
        self._pauses_from = self.monotonic() + self.checkpoint_every

    # -- for the driver ----------------------------------------------------------------------

    @property
    def seconds_before(self) -> float:
        """Of training, in the attempts that this one has gone on from."""
        return self._loaded.described.seconds if self._loaded is not None else 0.0

    def reported(self) -> None:
        """A report has been made: a state that was saved for it is complete.

        Raises:
            Stopped: as `save`.
        """
        seconds = self.reports[-1].seconds
        self._lasted, self._seconds_reported, self._reported_at = (
            seconds - self._seconds_reported,
            seconds,
            self.monotonic(),
        )
        self._foresee()
        if self._awaited is not None and self._awaited <= len(self.reports):
            step, self._awaited = self._awaited, None
            self._complete(step)

    def wait(self) -> None:
        """Until what was saved is written, but not for long."""
        if self.checkpoints is not None:
            self.checkpoints.wait(_WRITTEN_WITHIN)

    def close(self) -> None:
        """The training is over: of what is being written nobody is told, and a copy is removed."""
        if self.checkpoints is not None:
            self.checkpoints.close()
        if self._loaded is not None and self._loaded.described.form == "file":
            self._loaded.state.unlink(missing_ok=True)
