"""A study's workers and the attempts that they run: what is known of each, and their lines."""

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.text import Text

from distune.share.heartbeat import Beat
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import Purpose, Report
from distune.watch.display.configurations import best_decimals
from distune.watch.display.numbers import (
    coarse_duration,
    duration,
    format_value,
    plural,
    short_number,
)
from distune.watch.display.text import (
    Column,
    chosen_columns,
    clean,
    filled,
    line_of,
    padded,
    progress_bar,
    row_spark,
    table_lines,
)
from distune.watch.snapshot import Snapshot, WorkerView

#: A worker that has been silent for so many leases is not coming back: no longer shown.
_LEASES_SHOWN = 10


def live_workers(snapshot: Snapshot) -> list[WorkerView]:
    """Those that are heard and stay."""
    return [
        view
        for view in snapshot.workers
        if view.beat is not None
        and view.beat.state != "gave up"
        and view.silence < snapshot.study.lease
    ]


def throughput(beat: Beat | None) -> float | None:
    """Images per second of all that a worker runs; None if it says nothing of it."""
    rates = [p.images_per_second for p in beat.running] if beat else []
    known = [rate for rate in rates if rate is not None and math.isfinite(rate)]
    return sum(known) if known else None


class _Hearing(Enum):
    """How well a worker is heard, worst last; the order in which troubled ones are shown."""

    WELL = "dim"
    LATE = "yellow"
    NEARLY_LOST = "bold red"
    GAVE_UP = "red bold"
    LOST = "red"


def _hearing(view: WorkerView, study: Study) -> _Hearing:
    if view.beat is not None and view.beat.state == "gave up":
        return _Hearing.GAVE_UP
    if view.silence >= study.lease:
        return _Hearing.LOST
    if view.silence >= 0.7 * study.lease:
        return _Hearing.NEARLY_LOST
    return _Hearing.LATE if view.silence > 3 * study.beat_interval else _Hearing.WELL


def shown_workers(snapshot: Snapshot) -> list[WorkerView]:
    """Those worth a line: the troubled first, the lost last, else by name."""
    study, places = snapshot.study, {_Hearing.WELL: 1, _Hearing.LOST: 2}
    views = [
        view
        for view in snapshot.workers
        if view.silence < _LEASES_SHOWN * study.lease or _hearing(view, study) is _Hearing.GAVE_UP
    ]
    return sorted(views, key=lambda view: (places.get(_hearing(view, study), 0), view.worker))


def worker_name(worker: str, beat: Beat | None) -> Text:
    """Its host, and the end of its id, because a host may have many."""
    host, _, token = worker.rpartition("-")
    if beat is not None:
        host = clean(beat.host.split(".")[0], 40)
    else:
        host = host.rpartition("-")[0] or host
    return line_of(host or worker, (f" {token}", "dim"))


def _worker_row(view: WorkerView, snapshot: Snapshot) -> tuple[Text, ...]:
    beat, hearing = view.beat, _hearing(view, snapshot.study)
    if hearing is _Hearing.LOST:
        sign, state = ("✗", "red"), "lost"
    elif beat is None:
        sign, state = ("?", "yellow"), "no beat"
    elif beat.trouble:
        sign, state = ("!", "bold red"), f"{beat.state}: {clean(beat.trouble)}"
    elif beat.running:
        sign, state = ("●", "green"), "working"
    else:
        sign, state = ("○", "dim"), beat.state
    rate = throughput(beat)
    ago = coarse_duration(view.silence)
    heard = f"silent {ago}"
    if hearing is _Hearing.WELL:
        heard = f"seen {ago} ago" if view.heard else ""
    row = (
        line_of(sign, " ", worker_name(view.worker, beat)),
        Text(clean(beat.device, 40) if beat else ""),
        Text(plural(beat.jobs, "job") if beat else "", "dim"),
        Text(state, "" if state == "working" else "dim"),
        Text(f"{short_number(rate)} img/s" if rate is not None else ""),
        Text(heard, hearing.value),
        Text(_trials_of(beat, snapshot.study), "dim"),
    )
    if hearing is _Hearing.LOST:
        for cell in row[:-2]:
            cell.stylize("dim")
    return row


def _trials_of(beat: Beat | None, study: Study) -> str:
    files = [p.file for p in beat.running if p.study == study.id] if beat else []
    # A file's name starts with the number; it is checked, because it comes from the share.
    heads = [file.partition(".")[0] for file in files[:8]]
    numbers = [str(int(head)) for head in heads if head.isascii() and head.isdigit()]
    return f"trial{'' if len(numbers) == 1 else 's'} {', '.join(numbers)}" if numbers else ""


def workers_summary(snapshot: Snapshot, workers: int) -> str:
    """`9  73.1k img/s`: how many, and what they do together."""
    rates = [throughput(view.beat) for view in live_workers(snapshot)]
    total = sum(rate for rate in rates if rate is not None)
    together = f"  {short_number(total)} img/s" if total > 0 else ""
    unheard = any(not view.heard for view in shown_workers(snapshot))
    return f"{workers}{together}{'  as they said last' * unheard}" if workers else ""


#: Name, device, jobs, state, images/s, silence, trials.
_LAYOUT = [Column(0), Column(3), Column(5), Column(1, widest=60), Column(4, right=True), Column(2),
           Column(6)]  # fmt: skip


def worker_lines(snapshot: Snapshot, width: int, shown: range) -> list[Text]:
    views = shown_workers(snapshot)[shown.start : shown.stop]
    if not views:
        command = shlex.join(["distune", "worker", "--logs", snapshot.logs, *snapshot.study.offer])
        return [Text(f"none yet: start some with  {clean(command)}", "dim")]
    return table_lines(filled(_LAYOUT, [_worker_row(view, snapshot) for view in views]), width)


def curve(reports: Iterable[Report], metric: str) -> list[float]:
    """What the reports say of one metric, in order."""
    return [report.metrics[metric] for report in reports if metric in report.metrics]


def best_of(values: Iterable[float], study: Study) -> float | None:
    """The best of the finite ones."""
    choose = max if study.direction == "maximize" else min
    return choose(filter(math.isfinite, values), default=None)


@dataclass(frozen=True)
class RunningAttempt:
    """A running attempt, and all that is known of how it goes."""

    name: AttemptName
    beat: Beat | None
    file: AttemptFile | None
    begun: bool  # or it waits for its turn, behind others of its worker
    fraction: float | None
    seconds: float | None
    images_per_second: float | None
    curve: list[float]


def running_attempt(snapshot: Snapshot, name: AttemptName) -> RunningAttempt:
    beat = snapshot.beats.get(name.worker)
    mine = (name.filename, snapshot.study.id)
    said = (one for one in beat.running if (one.file, one.study) == mine) if beat else iter(())
    progress, file = next(said, None), snapshot.files.get(name)
    reports = file.reports if file else ()
    seconds = progress.seconds if progress else reports[-1].seconds if reports else None
    fraction = progress.fraction if progress else None
    if fraction is not None:
        fraction = None if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    return RunningAttempt(
        name=name,
        beat=beat,
        file=file,
        begun=progress.begun if progress else True,
        fraction=fraction,
        seconds=seconds,
        images_per_second=progress.images_per_second if progress else None,
        curve=curve(reports, snapshot.study.metric),
    )


def running_names(snapshot: Snapshot) -> list[AttemptName]:
    """Those under way, the longest first, which are those of the lowest numbers; those that wait
    for their turn last.
    """
    queued = _queued(snapshot)

    def order(name: AttemptName) -> tuple[bool, int, int, Purpose]:
        waits = (name.worker, name.filename) in queued
        return waits, name.trial, name.attempt, name.purpose

    return sorted(snapshot.in_state(State.TAKEN), key=order)


def _queued(snapshot: Snapshot) -> set[tuple[str | None, str]]:
    """Which files wait for their turn with which workers."""
    return {
        (worker, one.file)
        for worker, beat in snapshot.beats.items()
        for one in (beat.running if beat else ())
        if not one.begun
    }


def running_aside(snapshot: Snapshot) -> str:
    """`6 trials, 2 queued`: how many are trained, and how many wait with their workers."""
    names = snapshot.in_state(State.TAKEN)
    queued = len(_queued(snapshot).intersection((name.worker, name.filename) for name in names))
    said = [
        plural(len(names) - queued, "trial") if names else "",
        f"{queued} queued" * bool(queued),
    ]
    return ", ".join(filter(None, said))


def running_attempts(snapshot: Snapshot, shown: range | None = None) -> list[RunningAttempt]:
    """These of them, or all."""
    names = running_names(snapshot)
    if shown is not None:
        names = names[shown.start : shown.stop]
    return [running_attempt(snapshot, name) for name in names]


def _running_columns(
    snapshot: Snapshot, running: Sequence[RunningAttempt], bar: int, spark: int
) -> list[Column]:
    study = snapshot.study
    decimals = best_decimals(snapshot)

    def row(one: RunningAttempt) -> Sequence[Text | str]:
        best = best_of(one.curve, study)
        return (
            one.name.label,
            worker_name(one.name.worker or "", one.beat),
            progress_bar(one.fraction, bar) if one.begun else padded(Text("queued", "dim"), bar),
            "" if one.fraction is None or not one.begun else f"{int(100 * one.fraction)}%",
            duration(one.seconds) if one.begun and one.seconds is not None else "",
            format_value(one.curve[-1], decimals) if one.curve else "",
            "" if best is None else line_of(("best ", "dim"), format_value(best, decimals)),
            padded(Text(row_spark(one.curve, spark), "cyan"), spark),
        )

    layout = [
        Column(priority, right=right, widest=60)
        for priority, right in [(0, True), (6, False), (1, False), (5, True), (4, True),
                                (2, True), (7, False), (3, False)]
    ]  # fmt: skip
    return filled(layout, map(row, running))


def running_lines(snapshot: Snapshot, width: int, shown: range) -> list[Text]:
    running = running_attempts(snapshot, shown)
    if not running:
        return [Text("nothing at the moment", "dim")]
    # What is left by the other columns goes to the bars and the curves.
    bar, spark = 8, 8
    columns = chosen_columns(_running_columns(snapshot, running, bar, spark), width, 2)
    left = width - sum(column.width for column in columns) - 3 * (len(columns) - 1)
    if left > 0 and len(columns) > 3:
        bar += min(left // 2, 22)
        spark += min(left - left // 2, 32)
    return table_lines(_running_columns(snapshot, running, bar, spark), width)
