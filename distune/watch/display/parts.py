"""The study, its running trials, its workers and its events as lines, for every view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from rich.text import Text

from distune.search.samplers.staged import StageView
from distune.share.heartbeat import Beat
from distune.share.protocol import State
from distune.study.study import Study
from distune.study.trial import Outcome
from distune.watch.display.cells import (
    Column,
    Part,
    chosen_columns,
    clean,
    clock,
    coarse_duration,
    decimals_for,
    duration,
    fitted,
    format_rate,
    format_scalar,
    format_value,
    joined,
    line_of,
    padded,
    plural,
    progress_bar,
    round_duration,
    short_number,
    sparkline,
    table_lines,
)
from distune.watch.display.facts import (
    Doing,
    Run,
    best_of,
    best_value,
    describe_state,
    doing_of,
    doing_stage,
    eta_seconds,
    fraction_done,
    is_over,
    live_workers,
    runs_of,
    throughput,
    trials_counted,
)
from distune.watch.snapshot import Event, Snapshot, WorkerView

#: A worker that has been silent for so many leases is not coming back: no longer shown.
_LEASES_SHOWN = 10


# -- the study -----------------------------------------------------------------------------

_STATE_STYLES = {
    Doing.RUNNING: "green",
    Doing.TESTING: "green",
    Doing.WAITING: "yellow",
    Doing.SILENT: "bold red",
    Doing.STOPPED: "yellow",
    Doing.FINISHED: "bold green",
    Doing.FAILED: "bold red",
}


def title_line(snapshot: Snapshot, width: int) -> Text:
    study = snapshot.study
    state = Text(f"● {describe_state(snapshot)}", _STATE_STYLES[doing_of(snapshot)])
    name = fitted(Text(clean(study.name), "bold"), width // 2)
    state = fitted(state, width - name.cell_len - 2)
    details = [
        Part(name, 0),
        Part(Text(doing_stage(snapshot), "cyan"), 1),
        Part(fitted(Text(clean(study.objective_name), "dim"), 40), 3),
        Part(fitted(Text(f"{study.direction} {clean(study.metric)}", "dim"), 40), 2),
    ]
    left = joined(details, width - state.cell_len - 2, "  ")
    return line_of(padded(left, width - state.cell_len), state)


def _elapsed(snapshot: Snapshot) -> str:
    time_limit = snapshot.limits.time_limit
    limit = f" of {round_duration(time_limit)}" if time_limit else ""
    return duration(snapshot.elapsed) + limit


def _progress_line(snapshot: Snapshot, width: int) -> Text:
    eta, rate, target = eta_seconds(snapshot), snapshot.trials_per_second, snapshot.limits.target
    over = is_over(snapshot)
    parts = [
        Part(Text(trials_counted(snapshot, bare=width < 50), "bold"), 0),
        Part(Text("" if rate is None or over else format_rate(rate)), 3),
        Part(line_of(("ETA ", "dim"), coarse_duration(eta)) if eta is not None else Text(""), 1),
        Part(line_of(("elapsed " if width >= 90 else "", "dim"), _elapsed(snapshot)), 2),
        Part(line_of(("target ", "dim"), f"{target:.5g}") if target is not None else Text(""), 4),
    ]
    fraction = fraction_done(snapshot)
    least = 0 if fraction is None else min(max(width // 5, 6), 40) + 2
    text = joined(parts, width - least, "  ·  " if width >= 70 else "  ")
    if fraction is None:
        return text
    bar_width = min(width - text.cell_len - 2, 60)
    return line_of(progress_bar(fraction, bar_width, "green" if over else "cyan"), "  ", text)


def outcome_parts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """How trials ended and where the others stand, each with its style; none that is 0."""
    history = snapshot.history
    running, waiting = snapshot.in_state(State.TAKEN), snapshot.in_state(State.WAITING)
    counts = [
        (history.outcomes[Outcome.COMPLETE], "complete", ""),
        (history.outcomes[Outcome.PRUNED], "pruned", ""),
        (history.outcomes[Outcome.DIVERGED], "diverged", "yellow"),
        (history.outcomes[Outcome.FAILED], "failed", "red"),
        (history.outcomes[Outcome.TIMEOUT], "timed out", "red"),
        (history.outcomes[Outcome.OUT_OF_MEMORY], "out of memory", "red"),
        (history.taken_back, "lost and tried again", "yellow"),
        (history.retried, "failed and tried again", "yellow"),
        (len(running), "running", "dim"),
        (len(waiting), "waiting", "dim"),
        (len(snapshot.bad) + len(snapshot.strangers), "unreadable", "red"),
    ]
    return [(f"{count} {what}", style) for count, what, style in counts if count]


def _outcome_line(snapshot: Snapshot, width: int) -> Text:
    parts = [Part(Text(*part), i) for i, part in enumerate(outcome_parts(snapshot))]
    return joined(parts, width, " · ")


def study_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    drawn = (title_line, _progress_line, _outcome_line)[:rows]
    return [draw(snapshot, width) for draw in drawn]


# -- stages --------------------------------------------------------------------------------

_STAGE_SIGNS = {"over": ("✓", "green"), "running": ("▸", "bold cyan"), "waiting": ("·", "dim")}


def stage_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """Each stage: how far it is, and what its winner has of the parameters that it tunes."""
    decimals = decimals_for(best_value(snapshot.history))
    views = snapshot.stages
    # What is under way goes first when there is no room for all.
    first = next((i for i, view in enumerate(views) if view.state != "over"), len(views))
    begin = max(0, min(first - 1, len(views) - rows))
    shown = views[begin : begin + rows]

    def found(view: StageView) -> Text:
        if view.state == "over" and view.winner is None:
            return Text("no result: nothing changes", "yellow")
        params = view.winner.params if view.winner else {}
        tuned = [name for name in view.stage.params if name in params]
        if not tuned:
            return Text(", ".join(clean(name) for name in view.stage.params), "dim")
        pieces = [line_of((f"{clean(n)} ", "dim"), format_scalar(params[n])) for n in tuned]
        return line_of((", ", "dim")).join(pieces)

    def value(view: StageView) -> str:
        return "" if view.winner is None else format_value(view.winner.mean, decimals)

    columns = [
        Column("", [Text(*_STAGE_SIGNS[view.state]) for view in shown], 1),
        Column("", [Text(clean(view.stage.name)) for view in shown], 0, widest=30),
        Column("", [Text(f"{view.counted}/{view.trials}") for view in shown], 2, True),
        Column("", [Text(value(view), "green") for view in shown], 3, True),
        Column("", [found(view) for view in shown], 4, widest=80),
    ]
    return table_lines(columns, width, header=False, rows=len(shown))


# -- running trials ------------------------------------------------------------------------


def _running_columns(snapshot: Snapshot, runs: Sequence[Run], bar: int, spark: int) -> list[Column]:
    study = snapshot.study
    decimals = decimals_for(best_value(snapshot.history))

    def percent(run: Run) -> str:
        return "" if run.fraction is None else f"{int(100 * run.fraction)}%"

    def latest(run: Run) -> str:
        return format_value(run.curve[-1], decimals) if run.curve else ""

    def best(run: Run) -> Text:
        value = best_of(run.curve, study)
        if value is None:
            return Text("")
        return line_of(("best ", "dim"), format_value(value, decimals))

    def column(cells: Iterable[Text | str], priority: int, right: bool = False) -> Column:
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        return Column("", texts, priority, right, widest=60)

    return [
        column((run.name.label for run in runs), 0, right=True),
        column((_worker_name(run.name.worker or "", run.beat) for run in runs), 6),
        column((progress_bar(run.fraction, bar) for run in runs), 1),
        column(map(percent, runs), 5, right=True),
        column((duration(run.seconds) if run.seconds is not None else "" for run in runs), 4, True),
        column(map(latest, runs), 2, right=True),
        column(map(best, runs), 7),
        column((padded(Text(sparkline(run.curve, spark), "cyan"), spark) for run in runs), 3),
    ]


def running_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    runs = runs_of(snapshot, rows)
    if not runs:
        return [Text("nothing at the moment", "dim")]
    # What is left by the other columns goes to the bars and the curves.
    bar, spark = 8, 8
    columns = _running_columns(snapshot, runs, bar, spark)
    shown = chosen_columns(columns, width, 2)
    left = width - sum(column.width for column in shown) - 3 * (len(shown) - 1)
    if left > 0 and len(shown) > 3:
        bar += min(left // 2, 22)
        spark += min(left - left // 2, 32)
    columns = [c for c in _running_columns(snapshot, runs, bar, spark) if _has_text(c)]
    return table_lines(columns, width, header=False, rows=len(runs))


def _has_text(column: Column) -> bool:
    return any(cell.plain for cell in column.cells)


# -- workers -------------------------------------------------------------------------------


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
    """Those worth a line: who is in trouble first, who is lost last, else by name."""
    longest = _LEASES_SHOWN * snapshot.study.lease

    def order(view: WorkerView) -> tuple[int, str]:
        match _hearing(view, snapshot.study):
            case _Hearing.GAVE_UP | _Hearing.NEARLY_LOST | _Hearing.LATE:
                return 0, view.worker
            case _Hearing.LOST:
                return 2, view.worker
            case _:
                return 1, view.worker

    views = [
        view
        for view in snapshot.workers
        if view.silence < longest or _hearing(view, snapshot.study) is _Hearing.GAVE_UP
    ]
    return sorted(views, key=order)


def _worker_name(worker: str, beat: Beat | None) -> Text:
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
        line_of(sign, " ", _worker_name(view.worker, beat)),
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


def workers_note(snapshot: Snapshot, workers: int) -> str:
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
        Column("", list(cells), order, right=i == 4, widest=60 if i == 3 else 24)
        for i, (cells, order) in enumerate(zip(table, priority, strict=True))
        if any(cell.plain for cell in cells)
    ]
    return table_lines(columns, width, header=False, rows=len(views))


# -- events --------------------------------------------------------------------------------

#: Sign, style of the sign, style of the text: trouble strikes the eye, routine does not.
_KINDS: dict[str, tuple[str, str, str]] = {
    "claimed": ("›", "blue", "dim"),
    "complete": ("✓", "green", ""),
    "diverged": ("~", "yellow", ""),
    "pruned": ("–", "cyan", ""),
    "failed": ("✗", "bold red", "red"),
    "timeout": ("✗", "bold red", "red"),
    "out-of-memory": ("✗", "bold red", "red"),
    "lost": ("?", "bold yellow", "yellow"),
    "released": ("‹", "yellow", ""),
    "retried": ("↻", "yellow", ""),
    "stage": ("▸", "bold cyan", ""),
    "trouble": ("!", "bold red", "red"),
}


def _event_line(event: Event) -> Text:
    sign, sign_style, style = _KINDS.get(event.kind, ("•", "dim", ""))
    return line_of(
        (clock(event.at), "dim"), "  ", (sign, sign_style), " ", (clean(event.text), style)
    )


def event_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    events = snapshot.events[-rows:] if rows > 0 else ()
    if not events:
        return [Text("nothing has happened since this view was opened", "dim")]
    return [fitted(_event_line(event), width) for event in events]
