"""Section: which worker trained when, how busy it was, and what was lost and repeated. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distune.report.blocks import Block, Paragraph, Section, Table
from distune.report.study_data import StudyData, spent
from distune.share.records import AttemptFile
from distune.study.trial import FAILURES, Counted, Outcome, Purpose
from distune.watch.display.numbers import duration, plural
from distune.watch.display.text import clean

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
    if file.result.outcome is Outcome.PAUSED:
        return Outcome.PAUSED.value
    return AGAIN if file.result.outcome in FAILURES else GIVEN_BACK


def stretches(data: StudyData) -> list[Stretch]:
    """Every attempt of which it is known when it was made.

    A counted trial ended when it was counted, by the master's clock, and began as long before
    as its training took. No master counted an attempt that was given up: it stands where
    its worker's clock puts it, which is set by the master's with the trials of that worker
    whose files say when they were claimed.
    """
    found = []
    for one in [*data.trials, *data.history.tests]:
        if one.elapsed is not None and math.isfinite(one.elapsed):
            kind = TEST if one.trial.purpose is Purpose.TEST else one.result.outcome.value
            start, which = max(one.elapsed - spent(one), 0.0), f"trial {one.trial.number}"
            found.append(Stretch(one.worker, start, one.elapsed, kind, which))
    clocks = clock_offsets(data)
    for name, file in data.given_up.items():
        if file is not None and file.claim is not None and name.worker in clocks:
            start = max(file.claim.time + clocks[name.worker], 0.0)
            end, which = start + _spent(file), f"trial {name.label}"
            found.append(Stretch(name.worker, start, end, kind_of(file), which))
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


def busy(given: Iterable[Stretch], until: float | Sequence[float]) -> NDArray[np.float64]:
    """Seconds of the study before these moments in which at least one of these stretches lies."""
    moments, seconds = [0.0], [0.0]
    for one in sorted(given, key=lambda s: s.start):
        start = max(one.start, moments[-1])
        if one.end > start:
            moments += [start, one.end]
            seconds += [seconds[-1], seconds[-1] + one.end - start]
    found: NDArray[np.float64] = np.interp(np.asarray(until), moments, seconds)
    return found


def utilisation(given: Sequence[Stretch]) -> float | None:
    """The share of the time from a worker's first stretch to the end of its last in which it
    trained; None if there is no such time.
    """
    start, end = min(s.start for s in given), max(s.end for s in given)
    return float(busy(given, end)) / (end - start) if end > start else None


_MOST_ROWS = 60


def section(data: StudyData) -> Section | None:
    if not data.trials:
        return None
    known = stretches(data)
    by_worker: dict[str, list[Stretch]] = {}
    for one in known:
        by_worker.setdefault(one.worker, []).append(one)
    blocks: list[Block] = [Paragraph(_words(data, by_worker)), _clocks(known)]
    return Section("workers", "How busy the workers were", [*blocks, _table(data, by_worker)])


def _clocks(known: Sequence[Stretch]) -> Paragraph:
    if not known:
        return Paragraph(
            "When what was trained is not known: the history had to be made anew from the "
            "trials' files, which do not say it.",
            "quiet",
        )
    return Paragraph(
        "The clock is the master's, and stands still while no master runs: a trial ends "
        "where it was counted, which may be a moment after its end. Clocks of workers are never "
        "compared: attempts that were given up are placed by their worker's own clock, set by "
        "the trials of that worker that were counted.",
        "quiet",
    )


def besides(data: StudyData) -> list[dict[str, Any]]:
    """Stretches in which workers trained what is none of the trials counted: tests of the winner,
    and attempts that did not end their trial.
    """
    kinds = {TEST, LOST, GIVEN_BACK, AGAIN, Outcome.PAUSED.value}
    return [vars(one) for one in stretches(data) if one.kind in kinds]


def _words(data: StudyData, by_worker: dict[str, list[Stretch]]) -> str:
    shares = [share for own in by_worker.values() if (share := utilisation(own)) is not None]
    names = {one.worker for one in data.trials if one.worker}
    line = f"{plural(len(names), 'worker')} trained."
    if shares:
        line += (
            f" The median one trained for {statistics.median(shares):.0%} of the time from the "
            "beginning of its first trial to the end of its last; the rest was loading, "
            "validation and waiting."
        )
    if not data.given_up:
        return f"{line} No attempt was lost or repeated."
    kinds = sorted(Counter(map(kind_of, data.given_up.values())).items())
    words = ", ".join(f"{count:,} {kind}" for kind, count in kinds)
    return f"{line} {plural(len(data.given_up), 'attempt')} ended no trial: {words}."


def _table(data: StudyData, by_worker: dict[str, list[Stretch]]) -> Table:
    counted: dict[str, list[Counted]] = {}
    for one in data.trials:
        counted.setdefault(one.worker, []).append(one)
    kinds = Counter((name.worker, kind_of(file)) for name, file in data.given_up.items())
    given_up = (AGAIN, GIVEN_BACK, LOST)
    header = ["worker", "device", "trials", "failed", *given_up, "training", "busy"]
    workers = sorted({*counted, *(worker for worker, _ in kinds)} - {""})
    rows = []
    for worker in workers[:_MOST_ROWS]:
        own = counted.get(worker, [])
        share = utilisation(by_worker[worker]) if worker in by_worker else None
        failed = sum(one.result.outcome in FAILURES for one in own)
        counts = [len(own), failed, *(kinds[worker, kind] for kind in given_up)]
        row = [clean(worker), clean(own[-1].device, 40) if own else ""]
        row += [f"{count:,}" for count in counts]
        row += [duration(sum(map(spent, own))), "" if share is None else f"{share:.0%}"]
        rows.append(row)
    caption = "Trials: those that this worker brought to their end; failed: for good."
    if len(workers) > len(rows):
        caption += f" The first {len(rows)} of {len(workers):,} workers."
    return Table("", header, rows, list(range(2, 9)), caption)
