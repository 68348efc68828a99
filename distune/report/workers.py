"""Section: which worker trained when, how busy it was, and what was lost and repeated. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distune.report.blocks import Paragraph, Plot, Section, Table
from distune.report.plotting import axis, dots, figure, label
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


_MOST_BARS = 1500
_MOST_ROWS = 60
_BINS = 150
_HUES = {
    Outcome.COMPLETE.value: "@0", Outcome.DIVERGED.value: "@4", Outcome.PRUNED.value: "@5",
    Outcome.PAUSED.value: "@0",
    TEST: "@2", AGAIN: "@3", GIVEN_BACK: "@6", LOST: "@bad",
    **{outcome.value: "@1" for outcome in FAILURES},
}  # fmt: skip


def section(data: StudyData) -> Section | None:
    if not data.trials:
        return None
    known = stretches(data)
    by_worker: dict[str, list[Stretch]] = {}
    for one in known:
        by_worker.setdefault(one.worker, []).append(one)
    unknown = Paragraph(
        "When what was trained is not known: the history had to be made anew from the "
        "trials' files, which do not say it.",
        "aside",
    )
    timeline = _timeline(data, by_worker) if by_worker else unknown
    blocks = [Paragraph(_words(data, by_worker)), timeline, _table(data, by_worker)]
    return Section("workers", "Workers", blocks)


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


def _timeline(data: StudyData, by_worker: dict[str, list[Stretch]]) -> Plot:
    shown = sorted(by_worker, key=lambda w: (min(s.start for s in by_worker[w]), w))[:_MOST_ROWS]
    rows = {worker: i for i, worker in enumerate(shown)}
    drawn = [s for worker in shown for s in by_worker[worker]]
    single = len(drawn) <= _MOST_BARS
    y = axis("", tickvals=list(range(len(rows))), ticktext=[label(w, 16) for w in shown],
             autorange="reversed", zeroline=False)  # fmt: skip
    x = axis("time the study had run, s", rangemode="tozero")
    traces = (_bars if single else _shares)(drawn, rows)
    how = (
        "A bar is an attempt."
        if single
        else "Colour: the share of the time in which a worker trained; the brighter, the more. "
        "Crosses: attempts that ended no trial."
    )
    more = len(by_worker) - len(shown)
    of = f" The first {len(shown)} of {len(by_worker):,} workers." if more > 0 else ""
    return Plot(
        "Who trained when",
        {"": figure(traces, x, y, barmode="overlay", bargap=0.25)},
        f"Timeline of {plural(len(by_worker), 'worker')}: "
        + "; ".join(
            f"{worker} trained for {duration(float(busy(own, math.inf)))}"
            for worker, own in list(by_worker.items())[:10]
        ),
        f"{how} The clock is the master's, and stands still while no master runs: a trial ends "
        "where it was counted, which may be a moment after its end. Clocks of workers are never "
        "compared: attempts that were given up are placed by their worker's own clock, set by "
        f"the trials of that worker that were counted.{of}",
        height=130 + 30 * len(rows),
    )


def _bars(drawn: Sequence[Stretch], rows: dict[str, int]) -> list[dict[str, Any]]:
    traces: list[dict[str, Any]] = []
    # A trial of a second in a study of hours is a line, not nothing.
    thinnest = max((s.end for s in drawn), default=0.0) / 500
    for kind, hue in _HUES.items():
        own = [s for s in drawn if s.kind == kind]
        if own:
            traces.append(
                {"type": "bar", "orientation": "h", "name": kind, "showlegend": True,
                 "y": [rows[s.worker] for s in own], "base": [s.start for s in own],
                 "x": [max(s.end - s.start, thinnest) for s in own],
                 "marker": {"color": hue, "line": {"width": 0}},
                 "text": [f"{s.which}: {duration(s.end - s.start)}" for s in own],
                 "textposition": "none",
                 "hovertemplate": "%{text}, from %{base:.5g} s<extra></extra>"}
            )  # fmt: skip
    return traces


def _shares(drawn: Sequence[Stretch], rows: dict[str, int]) -> list[dict[str, Any]]:
    length = max(s.end for s in drawn) / _BINS
    edges = [length * i for i in range(_BINS + 1)]
    trained = [busy((s for s in drawn if s.worker == worker), edges) for worker in rows]
    ended = [s for s in drawn if s.kind in (LOST, GIVEN_BACK, AGAIN)]
    marker = {"symbol": "x", "size": 8, "color": "@bad", "line": {"color": "@paper", "width": 1}}
    said = [f"{s.which}: {s.kind}" for s in ended]
    x, y = [s.end for s in ended], [rows[s.worker] for s in ended]
    return [
        {"type": "heatmap", "x0": length / 2, "dx": length, "y": list(rows.values()),
         "z": [(np.diff(row) / length).tolist() for row in trained],
         "zmin": 0, "zmax": 1, "colorscale": "@scale", "ygap": 3, "showscale": False,
         "hovertemplate": "%{z:.0%} at %{x:.5g} s<extra></extra>"},
        dots(x, y, "%{text}", text=said, marker=marker, showlegend=False),
    ]  # fmt: skip


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
    return Table("", header, rows, frozenset(range(2, 9)), caption)
