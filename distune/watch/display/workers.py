"""A study's workers as lines, and how well each is heard."""

from __future__ import annotations

import math
from enum import Enum

from rich.text import Text

from distune.share.heartbeat import Beat
from distune.study.study import Study
from distune.watch.display.numbers import coarse_duration, plural, short_number
from distune.watch.display.text import TextColumn, clean, line_of, table_lines
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
    longest = _LEASES_SHOWN * snapshot.study.lease

    def order(view: WorkerView) -> tuple[int, str]:
        places = {_Hearing.WELL: 1, _Hearing.LOST: 2}
        return places.get(_hearing(view, snapshot.study), 0), view.worker

    views = [
        view
        for view in snapshot.workers
        if view.silence < longest or _hearing(view, snapshot.study) is _Hearing.GAVE_UP
    ]
    return sorted(views, key=order)


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
    heard = f"seen {ago} ago" if hearing is _Hearing.WELL else f"silent {ago}"
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
    return f"{workers}{together}" if workers else ""


def worker_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    views = shown_workers(snapshot)[:rows]
    if not views:
        return [Text("none yet: start some with  distune worker --logs DIR", "dim")]
    table = list(zip(*(_worker_row(view, snapshot) for view in views), strict=True))
    #          name, device, jobs, state, images/s, silence, trials
    priority = (0, 3, 5, 1, 4, 2, 6)
    columns = [
        TextColumn("", list(cells), order, right=i == 4, widest=60 if i == 3 else 24)
        for i, (cells, order) in enumerate(zip(table, priority, strict=True))
        if any(cell.plain for cell in cells)
    ]
    return table_lines(columns, width, header=False, rows=len(views))
