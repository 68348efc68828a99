"""The running attempts: what is known of each, and their lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.text import Text

from distune.share.heartbeat import Beat
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import Report, better
from distune.watch.display.configurations import best_value
from distune.watch.display.numbers import decimals_for, duration, format_value
from distune.watch.display.text import (
    TextColumn,
    chosen_columns,
    line_of,
    padded,
    progress_bar,
    sparkline,
    table_lines,
)
from distune.watch.display.workers import worker_name
from distune.watch.snapshot import Snapshot


def curve(reports: Iterable[Report], metric: str) -> list[float]:
    """What the reports say of one metric, in order."""
    return [report.metrics[metric] for report in reports if metric in report.metrics]


def best_of(values: Iterable[float], study: Study) -> float | None:
    """The best of the finite ones."""
    best: float | None = None
    for value in values:
        if math.isfinite(value) and (best is None or better(value, best, study.direction)):
            best = value
    return best


@dataclass(frozen=True)
class RunningAttempt:
    """A running attempt, and all that is known of how it goes."""

    name: AttemptName
    beat: Beat | None
    file: AttemptFile | None
    fraction: float | None
    seconds: float | None
    images_per_second: float | None
    curve: list[float]


def running_attempt(snapshot: Snapshot, name: AttemptName) -> RunningAttempt:
    beats = {view.worker: view.beat for view in snapshot.workers}
    progress, file = snapshot.progress(name), snapshot.files.get(name)
    reports = file.reports if file else ()
    seconds = progress.seconds if progress else reports[-1].seconds if reports else None
    fraction = progress.fraction if progress else None
    if fraction is not None:
        fraction = None if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    return RunningAttempt(
        name=name,
        beat=beats.get(name.worker or ""),
        file=file,
        fraction=fraction,
        seconds=seconds,
        images_per_second=progress.images_per_second if progress else None,
        curve=curve(reports, snapshot.study.metric),
    )


def running_attempts(snapshot: Snapshot, rows: int | None) -> list[RunningAttempt]:
    """Those under way, the longest first, which are those of the lowest numbers."""
    names = sorted(snapshot.in_state(State.TAKEN), key=lambda n: (n.trial, n.attempt, n.purpose))
    return [running_attempt(snapshot, name) for name in names[:rows]]


def _running_columns(
    snapshot: Snapshot, running: Sequence[RunningAttempt], bar: int, spark: int
) -> list[TextColumn]:
    study = snapshot.study
    decimals = decimals_for(best_value(snapshot.history))

    def percent(one: RunningAttempt) -> str:
        return "" if one.fraction is None else f"{int(100 * one.fraction)}%"

    def latest(one: RunningAttempt) -> str:
        return format_value(one.curve[-1], decimals) if one.curve else ""

    def best(one: RunningAttempt) -> Text:
        value = best_of(one.curve, study)
        if value is None:
            return Text("")
        return line_of(("best ", "dim"), format_value(value, decimals))

    def column(cells: Iterable[Text | str], priority: int, right: bool = False) -> TextColumn:
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        return TextColumn("", texts, priority, right, widest=60)

    seconds = [one.seconds for one in running]
    return [
        column((one.name.label for one in running), 0, right=True),
        column((worker_name(one.name.worker or "", one.beat) for one in running), 6),
        column((progress_bar(one.fraction, bar) for one in running), 1),
        column(map(percent, running), 5, right=True),
        column(("" if s is None else duration(s) for s in seconds), 4, right=True),
        column(map(latest, running), 2, right=True),
        column(map(best, running), 7),
        column((padded(Text(sparkline(one.curve, spark), "cyan"), spark) for one in running), 3),
    ]


def running_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    running = running_attempts(snapshot, rows)
    if not running:
        return [Text("nothing at the moment", "dim")]
    # What is left by the other columns goes to the bars and the curves.
    bar, spark = 8, 8
    columns = _running_columns(snapshot, running, bar, spark)
    shown = chosen_columns(columns, width, 2)
    left = width - sum(column.width for column in shown) - 3 * (len(shown) - 1)
    if left > 0 and len(shown) > 3:
        bar += min(left // 2, 22)
        spark += min(left - left // 2, 32)
    columns = _running_columns(snapshot, running, bar, spark)
    columns = [column for column in columns if any(cell.plain for cell in column.cells)]
    return table_lines(columns, width, header=False, rows=len(running))
