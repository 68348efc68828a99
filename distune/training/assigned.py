"""What an objective sees of the trial that it was assigned, wherever it is trained."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from distune.study.study import Study
from distune.study.trial import Purpose, Record, Resumed, Trial
from distune.training.checkpoints import Checkpoints, Loaded
from distune.training.context import LAST_WITHIN, TrialContext
from distune.training.messages import Assignment, Saves
from distune.workloads.data.folders import DataFolders


def context_of(
    study: Study,
    assignment: Assignment,
    *,
    devices: Sequence[str],
    data: DataFolders,
    code: str,
    tell: Callable[[Record], None],
    progress: Callable[[float, float | None], None],
    ends_when_saved: Callable[[], bool],
    say: Callable[[str], None],
) -> TrialContext:
    """The context of an attempt.

    Args:
        code: digest of the user's code that trains it.
        tell: takes what its worker has to know; also from another thread.
        progress, ends_when_saved: as of `TrialContext`.
        say: takes a line for people.
    """
    trial = assignment.trial
    context = TrialContext(
        number=trial.number,
        attempt=trial.attempt,
        seed=trial.seed,
        device=devices[0],
        devices=tuple(devices),
        folder=assignment.folder,
        max_seconds=study.max_seconds,
        data=data,
        report_progress=progress,
        checkpoint_every=study.checkpoint_every,
        last_step=trial.epochs,
        last_within=_last_within(study, trial),
        rungs=trial.pauses_at,
        pause_within=_patience(study),
        on_resumed=partial(_resumed, tell),
        on_saving=lambda: tell(Saves()),
        ends_when_saved=ends_when_saved,
        say=say,
    )
    if assignment.checkpoints and study.checkpoint_every:
        context.checkpoints = Checkpoints(
            assignment.checkpoints,
            trial,
            code=code,
            limit=study.checkpoint_limit,
            keep=tell,
            say=say,
        )
    return context


def _resumed(tell: Callable[[Record], None], loaded: Loaded) -> None:
    tell(Resumed(attempt=loaded.attempt, step=loaded.step, trial=loaded.trial))
    for report in loaded.described.reports:
        tell(report)


def _last_within(study: Study, trial: Trial) -> float:
    """Seconds that a training may wait for its last state to be written; 0 to save none."""
    if not study.checkpoint_keep or trial.purpose is Purpose.TEST:
        return 0.0
    return _patience(study)


def _patience(study: Study) -> float:
    """Seconds that a training may be silent while its state is written."""
    return min(LAST_WITHIN, (study.trial_timeout or math.inf) / 2)
