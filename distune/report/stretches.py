"""When each worker trained which attempt, and how busy it was. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from distune.report.study_data import StudyData, spent
from distune.share.records import AttemptFile
from distune.study.trial import FAILURES

LOST = "lost"
GIVEN_BACK = "given back"
AGAIN = "failed, tried again"
TEST = "test of the winner"


@dataclass(frozen=True)
class Stretch:
    """When a worker trained one attempt: seconds the study had run; how it ended; which."""

    worker: str
    start: float
    end: float
    kind: str
    which: str


def kind_of(file: AttemptFile | None) -> str:
    """How an attempt ended that did not end its trial."""
    if file is None or file.result is None:
        return LOST
    return AGAIN if file.result.outcome in FAILURES else GIVEN_BACK


def stretches(data: StudyData) -> list[Stretch]:
    """Every attempt of which it is known when it was made.

    A counted trial ended when it was counted, by the master's clock, and began as long before
    as its training took. An attempt that was given up was never counted: it stands where
    its worker's clock puts it, which is set by the master's with the trials of that worker
    whose files say when they were claimed.
    """
    found = [
        Stretch(
            worker=one.worker,
            start=max(one.elapsed - spent(one), 0.0),
            end=one.elapsed,
            kind=TEST if one in tests else one.result.outcome.value,
            which=f"trial {one.trial.number}",
        )
        for tests in [data.history.tests]
        for one in [*data.trials, *tests]
        if one.elapsed is not None and math.isfinite(one.elapsed)
    ]
    clocks = clock_offsets(data)
    for name, file in data.given_up.items():
        if file is not None and file.claim is not None and name.worker in clocks:
            start = max(file.claim.time + clocks[name.worker], 0.0)
            found.append(
                Stretch(name.worker, start, start + _spent(file), kind_of(file),
                        f"trial {name.label}")
            )  # fmt: skip
    return found


def _spent(file: AttemptFile) -> float:
    seconds = file.result.seconds if file.result else 0.0
    last = file.reports[-1].seconds if file.reports else 0.0
    return max(x if math.isfinite(x) else 0.0 for x in (seconds, last, 0.0))


def clock_offsets(data: StudyData) -> dict[str, float]:
    """What to add to the clock of a worker to have the time that the study had run."""
    found: dict[str, list[float]] = {}
    for one in data.trials:
        file = data.files.get(one.trial.number)
        if one.elapsed is not None and file is not None and file.claim is not None:
            ended = file.claim.time + spent(one)
            found.setdefault(one.worker, []).append(one.elapsed - ended)
    return {worker: statistics.median(offsets) for worker, offsets in found.items()}


def busy(given: Iterable[Stretch], start: float, end: float) -> float:
    """Seconds between `start` and `end` in which at least one of these stretches lies."""
    total, reached = 0.0, start
    for one in sorted(given, key=lambda s: s.start):
        low, high = max(one.start, reached), min(one.end, end)
        if high > low:
            total += high - low
        reached = max(reached, min(one.end, end))
    return total


def utilisation(given: Sequence[Stretch]) -> float | None:
    """The share of the time from a worker's first stretch to the end of its last in which it
    trained; None if there is no such time.
    """
    start, end = min(s.start for s in given), max(s.end for s in given)
    return busy(given, start, end) / (end - start) if end > start else None
