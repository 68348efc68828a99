"""When a worker has nothing more to do: whoever drives it asks after each step."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from distune.errors import ShareError, StudyFailed, UserError
from distune.share.find_studies import none_yet
from distune.worker.context import WorkerOptions
from distune.worker.limits import WorkerLimits
from distune.worker.worker import Worker

NOTHING_LEFT = "nothing left to do: every study here is finished (--forever waits for more)"
MEANWHILE = "training goes on, results are kept"  # while the share does not answer
DRAIN_SECONDS = 3.0
_IDLE_BEFORE_SAYING = 60.0  # seconds


@dataclass(eq=False)
class Ending:
    """`Ending(...).has_come()` after each step; says what it waits for, once a minute is over."""

    _worker: Worker
    _options: WorkerOptions
    _limits: WorkerLimits
    _say: Callable[[str], None]
    _last_busy: float = field(default_factory=time.monotonic)
    _said_idle: bool = False

    def has_come(self) -> bool:
        """False if the worker goes on; else it has released everything.

        Raises:
            UserError, StudyFailed: there are studies, but none that it can work on.
        """
        worker = self._worker
        if worker.finished:
            self._say(NOTHING_LEFT)
            return True
        if worker.stuck and not self._options.forever:
            studies = worker.studies
            whys = {**studies.refused, **studies.left}
            why = "; ".join(f"{study}: {reason}" for study, reason in whys.items())
            if studies.left:
                raise StudyFailed(f"this worker has given up ({why})")
            raise UserError(f"there is no study here that this worker can work on ({why})")
        limit = self._limit_reached()
        if limit is not None:
            worker.drain(f"its worker's own limit: {limit}", DRAIN_SECONDS)
            self._say(f"{limit}; everything given back")
            return True
        self._say_if_idle()
        return False

    def _limit_reached(self) -> str | None:
        """Which of the worker's own limits ends it now, if one does."""
        worker, limits = self._worker, self._limits
        if limits.are_over(time.monotonic()):
            return "the time limit is over"
        if limits.are_enough and worker.idle:
            return f"{limits.trained} trials are trained, as --max-trials says"
        if worker.claiming.is_over and worker.idle:
            return "no trial fits into the time that is left"
        return None

    def _say_if_idle(self) -> None:
        worker, now = self._worker, time.monotonic()
        no_study_yet = worker.studies.knows_nothing
        if worker.active or not worker.idle:
            self._last_busy = now
            self._said_idle = self._said_idle and no_study_yet
        elif not self._said_idle and no_study_yet:
            self._said_idle = True
            with suppress(ShareError):
                self._say(none_yet(self._options.logs, self._options.study))
        elif not self._said_idle and now - self._last_busy >= _IDLE_BEFORE_SAYING:
            self._said_idle = True
            self._say(f"nothing to claim for a minute: {worker.studies.why_nothing_waits}")
