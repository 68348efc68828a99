"""What people look at: a live leaderboard, tables, plain lines, JSON. Functions of a snapshot.

Nothing here reads a file or a clock. Whatever came from the share (parameters, hosts,
messages) goes through `clean` and into `rich.text.Text`, never into markup: it can neither
move the cursor nor pass for a style. Lines are laid out here rather than by rich's tables,
because a live view must never wrap: what does not fit is left out, least important first.
"""

from __future__ import annotations

import math
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from distune.durations import format_duration
from distune.export import TEST_METRIC
from distune.heartbeat import Beat
from distune.protocol import LIVE, AttemptName, State
from distune.ranking import Configuration, History, Tier
from distune.records import AttemptFile
from distune.snapshot import Event, Snapshot, WorkerView
from distune.space import CategoricalParameter, Parameter
from distune.study import Study
from distune.trial import Metrics, Outcome, Params, Purpose, Report, Scalar, better, summarize

_SPARKS = "▁▂▃▄▅▆▇█"
_BEST = "★"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: More of a text than this is on no screen; a hostile one may be a megabyte.
_LONGEST_TEXT = 400
_LONGEST_OUTPUT = 4000
#: How many explicit settings are looked at to see which parameters vary.
_SETTINGS_LOOKED_AT = 200
#: A worker that has been silent for so many leases is not coming back: no longer shown.
_LEASES_SHOWN = 10


# -- texts ---------------------------------------------------------------------------------


def clean(text: str, limit: int = _LONGEST_TEXT) -> str:
    """One line that is safe to print: control and formatting characters become �.

    Line breaks and tabs become spaces. Variation selectors go: terminals do not agree on
    how wide they make a character.
    """
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_safe, text))


def _safe(character: str) -> str:
    if character in "\n\t":
        return " "
    if "\ufe00" <= character <= "\ufe0f":
        return ""
    return _REPLACEMENT if unicodedata.category(character) in _UNSAFE else character


def _line(*parts: tuple[str, str] | str | Text) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis", end="\n")


def _fitted(text: Text, width: int) -> Text:
    """At most `width` cells of it."""
    text = text.copy()
    text.no_wrap = True
    text.truncate(max(width, 0), overflow="ellipsis")
    return text


def _padded(text: Text, width: int, right: bool = False) -> Text:
    text = _fitted(text, width)
    missing = width - text.cell_len
    if right:
        text.pad_left(missing)
    else:
        text.pad_right(missing)
    return text


def _indented(line: Text, width: int) -> Text:
    return _fitted(_line(" ", line), width)


# -- numbers -------------------------------------------------------------------------------


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def short_number(value: float) -> str:
    """`160362` is `160k`: three digits are enough to compare sizes by."""
    if not math.isfinite(value):
        return str(value)
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            decimals = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{decimals}f}{unit}" if abs(scaled) < 1e6 else f"{value:.3g}"
    return f"{value:.0f}"


def decimals_for(value: float | None) -> int:
    """So many decimals show what matters of numbers of this size: 0.9871, 12.345, 0.00381."""
    if value is None or not math.isfinite(value) or value == 0:
        return 4
    exponent = math.floor(math.log10(abs(value)))
    return max(0, 4 - exponent if exponent >= 0 else min(3 - exponent, 8))


def format_value(value: float | None, decimals: int | None = None) -> str:
    """A metric's value; all of one column with the same number of decimals."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if decimals is None:
        decimals = decimals_for(value)
    too_small = 0 < abs(value) < 0.5 * 10**-decimals
    return f"{value:.4g}" if abs(value) >= 1e7 or too_small else f"{value:.{decimals}f}"


def format_scalar(value: Scalar) -> str:
    """A parameter's value: floats with four significant digits."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:.4g}" if abs(value) >= 10**12 and abs(value) < 10**300 else str(value)
        case str():
            return clean(value) if value else '""'


def _duration(seconds: float) -> str:
    return format_duration(seconds) if math.isfinite(seconds) else "?"


def _round_duration(seconds: float) -> str:
    """`2h`, not `2h00m`: as people write what they have chosen themselves."""
    text = _duration(seconds)
    return text[:-3] if text.endswith(("h00m", "m00s", "d00h")) else text


def _coarse_duration(seconds: float) -> str:
    """For estimates, which deserve no more digits than they have."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{max(round(seconds), 0)}s"
    return f"{round(seconds / 60)}m" if seconds < 3570 else format_duration(seconds)


def _rate(per_second: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        if per_second * seconds >= 1:
            rate = per_second * seconds
            return f"{rate:.1f}/{unit}" if rate < 100 else f"{rate:.0f}/{unit}"
    return f"{per_second * 86400:.1f}/day"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


# -- curves and bars -----------------------------------------------------------------------


def sparkline(values: Sequence[float], width: int) -> str:
    """A curve in one line, at most `width` cells; `×` where no value is a finite number.

    Scaled from its least to its greatest finite value. A longer curve is thinned to means.
    """
    if width <= 0 or not values:
        return ""
    points = _thinned(values, width)
    finite = [p for p in points if p is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    return "".join("×" if p is None else _spark(p, low, high) for p in points)


def _thinned(values: Sequence[float], width: int) -> list[float | None]:
    count = min(len(values), width)
    points: list[float | None] = []
    for i in range(count):
        bucket = values[i * len(values) // count : (i + 1) * len(values) // count]
        finite = [v for v in bucket if math.isfinite(v)]
        # Divided before the sum: two finite numbers may have an infinite one.
        points.append(sum(v / len(finite) for v in finite) if finite else None)
    return points


def _spark(value: float, low: float, high: float) -> str:
    if not low < high:
        return _SPARKS[3]
    # Halved, so that the distance of two finite numbers is finite.
    share = (value / 2 - low / 2) / (high / 2 - low / 2)
    return _SPARKS[min(int(share * len(_SPARKS)), len(_SPARKS) - 1)]


def progress_bar(fraction: float | None, width: int, style: str = "cyan") -> Text:
    """`width` cells; dashes, which say nothing, if the fraction is not known."""
    if width <= 0:
        return Text("")
    if fraction is None or math.isnan(fraction):
        return Text("╌" * width, style="dim")
    halves = int(min(max(fraction, 0.0), 1.0) * width * 2)
    bar = "━" * (halves // 2) + "╸" * (halves % 2)
    return _line((bar, style), ("─" * (width - len(bar)), "dim"))


# -- tables --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """`priority`: where space is short, columns of a greater one go first."""

    name: str
    cells: list[Text]
    priority: int
    right: bool = False
    widest: int = 24

    @property
    def width(self) -> int:
        # A parameter's long name must not take the room of three: it is cut.
        name = min(cell_len(self.name), 14)
        return min(max(name, *(c.cell_len for c in self.cells), 0), self.widest)


def _chosen(columns: Sequence[_Column], width: int, gap: int) -> list[_Column]:
    """The columns that fit beside each other, in their order; always the most important."""
    chosen: set[int] = set()
    left = width
    for i in sorted(range(len(columns)), key=lambda i: columns[i].priority):
        needed = columns[i].width + (gap if chosen else 0)
        if not chosen or needed <= left:
            chosen.add(i)
            left -= needed
    return [column for i, column in enumerate(columns) if i in chosen]


def _table(columns: Sequence[_Column], width: int, *, header: bool, rows: int) -> list[Text]:
    """Lines of at most `width` cells."""
    if not header:
        columns = [replace(column, name="") for column in columns]
    shown = _chosen(columns, width, 2)
    gap = "  "
    used = sum(column.width for column in shown) + 2 * (len(shown) - 1)
    if used + len(shown) - 1 <= width and width >= 100:
        gap = "   "
    lines = []
    if header:
        names = [_padded(Text(c.name, "dim"), c.width, c.right) for c in shown]
        lines.append(_fitted(Text(gap).join(names), width))
    for i in range(rows):
        cells = [_padded(c.cells[i], c.width, c.right) for c in shown]
        lines.append(_fitted(Text(gap).join(cells), width))
    return lines


@dataclass(frozen=True)
class _Part:
    """A piece of a line; those of a greater priority go first where space is short."""

    text: Text
    priority: int


def _joined(parts: Iterable[_Part], width: int, separator: str) -> Text:
    columns = [_Column("", [part.text], part.priority, widest=width) for part in parts]
    chosen = _chosen([c for c in columns if c.cells[0].plain], width, len(separator))
    return _fitted(_line((separator, "dim")).join(c.cells[0] for c in chosen), width)


# -- what a study does ---------------------------------------------------------------------


class _Doing(StrEnum):
    RUNNING = "running"
    WAITING = "waiting for workers"
    TESTING = "testing the winner"
    SILENT = "master silent"
    STOPPED = "master stopped"
    FINISHED = "finished"
    FAILED = "failed"


def _doing(snapshot: Snapshot) -> _Doing:
    if snapshot.finished is not None:
        return _Doing.FAILED if snapshot.finished.failed else _Doing.FINISHED
    master = snapshot.master
    if master is not None and master.state != "running":
        return _Doing.FINISHED if master.state == "finished" else _Doing.STOPPED
    if snapshot.master_silence > max(10.0, 4 * snapshot.study.beat_interval):
        return _Doing.SILENT
    live = [name for name in snapshot.attempts if name.state in LIVE]
    if live and all(name.purpose is Purpose.TEST for name in live):
        return _Doing.TESTING
    if not snapshot.in_state(State.TAKEN, State.DONE) and not _live_workers(snapshot):
        return _Doing.WAITING
    return _Doing.RUNNING


def describe_state(snapshot: Snapshot) -> str:
    """What the study does, in words: `running`, `finished: all 40 trials are counted`."""
    doing = _doing(snapshot)
    if snapshot.finished is not None:
        return f"{doing.value}: {clean(snapshot.finished.reason)}"
    if doing is _Doing.SILENT:
        return f"master silent for {_coarse_duration(snapshot.master_silence)}"
    return doing.value


def _is_over(snapshot: Snapshot) -> bool:
    return _doing(snapshot) in (_Doing.FINISHED, _Doing.FAILED)


def planned_trials(snapshot: Snapshot) -> int | None:
    """How many trials there will be; None if only time or a target ends the study."""
    study, limit = snapshot.study, snapshot.limits.trials
    settings: int | None = None
    if study.sampler == "list":
        settings = len(study.settings or [])
    elif study.sampler == "grid":
        settings = _grid_size(study, {}, list(study.params))
    sizes = [limit] if settings is None else [limit, settings * study.repeats]
    return min((size for size in sizes if size is not None), default=None)


def _grid_size(study: Study, chosen: dict[str, Scalar], names: list[str]) -> int | None:
    """The number of combinations. Only parameters that others ask about need a walk."""
    if not names:
        return 1
    name, rest = names[0], names[1:]
    spec = study.params[name]
    conditions = spec.when or {}
    if not all(other in chosen and chosen[other] in conditions[other] for other in conditions):
        return _grid_size(study, chosen, rest)
    values = spec.grid()
    if values is None:
        return None
    if not any(name in (study.params[other].when or {}) for other in rest):
        inner = _grid_size(study, chosen, rest)
        return None if inner is None else inner * len(values)
    total = 0
    for value in values:
        inner = _grid_size(study, {**chosen, name: value}, rest)
        if inner is None:
            return None
        total += inner
    return total


def eta_seconds(snapshot: Snapshot) -> float | None:
    """Seconds until the first limit of the study is met, at the pace it has."""
    if _doing(snapshot) not in (_Doing.RUNNING, _Doing.TESTING, _Doing.WAITING):
        return None
    estimates = []
    planned, rate = planned_trials(snapshot), snapshot.trials_per_second
    if planned is not None and rate is not None and rate > 0:
        estimates.append(max(planned - len(snapshot.history), 0) / rate)
    if snapshot.limits.time_limit is not None:
        estimates.append(max(snapshot.limits.time_limit - snapshot.elapsed, 0.0))
    return min(estimates, default=None)


def _setbacks(history: History) -> tuple[int, int]:
    """Attempts that were lost or given back, and failed ones that were tried again."""
    failed = sum(counted.trial.failures for counted in history.trials)
    all_of_them = sum(counted.trial.attempt - 1 for counted in history.trials)
    return max(all_of_them - failed, 0), failed


def _fraction_done(snapshot: Snapshot) -> float | None:
    """Of the study, by whichever limit is nearest; None if neither trials nor time end it."""
    fractions = []
    planned, time_limit = planned_trials(snapshot), snapshot.limits.time_limit
    if planned:
        fractions.append(len(snapshot.history) / planned)
    if time_limit is not None:
        fractions.append(snapshot.elapsed / time_limit)
    return max(fractions, default=None)


# -- workers -------------------------------------------------------------------------------


class _Hearing(Enum):
    """How well a worker is heard, worst last; the order in which troubled ones are shown."""

    WELL = "dim"
    LATE = "yellow"
    NEARLY_LOST = "bold red"
    LOST = "red"


def _hearing(view: WorkerView, study: Study) -> _Hearing:
    if view.silence >= study.lease:
        return _Hearing.LOST
    if view.silence >= 0.7 * study.lease:
        return _Hearing.NEARLY_LOST
    return _Hearing.LATE if view.silence > 3 * study.beat_interval else _Hearing.WELL


def _live_workers(snapshot: Snapshot) -> list[WorkerView]:
    return [
        view
        for view in snapshot.workers
        if view.beat is not None
        and view.beat.state != "leaving"
        and view.silence < snapshot.study.lease
    ]


def _shown_workers(snapshot: Snapshot) -> list[WorkerView]:
    """Those worth a line: who is in trouble first, who is lost last, else by name."""
    longest = _LEASES_SHOWN * snapshot.study.lease

    def order(view: WorkerView) -> tuple[int, str]:
        match _hearing(view, snapshot.study):
            case _Hearing.NEARLY_LOST | _Hearing.LATE:
                return 0, view.worker
            case _Hearing.LOST:
                return 2, view.worker
            case _:
                return 1, view.worker

    views = [
        view
        for view in snapshot.workers
        if (view.beat is None or view.beat.state != "leaving") and view.silence < longest
    ]
    return sorted(views, key=order)


def _worker_name(worker: str, beat: Beat | None) -> Text:
    """Its host, and the end of its id, because a host may have many."""
    host, _, token = worker.rpartition("-")
    if beat is not None:
        host = clean(beat.host.split(".")[0], 40)
    else:
        host = host.rpartition("-")[0] or host
    return _line(host or worker, (f" {token}", "dim"))


def _images_per_second(beat: Beat | None) -> float | None:
    rates = [p.images_per_second for p in beat.running] if beat else []
    known = [rate for rate in rates if rate is not None and math.isfinite(rate)]
    return sum(known) if known else None


def _worker_row(view: WorkerView, snapshot: Snapshot) -> tuple[Text, ...]:
    beat, hearing = view.beat, _hearing(view, snapshot.study)
    if hearing is _Hearing.LOST:
        sign, state = ("✗", "red"), "lost"
    elif beat is None:
        sign, state = ("?", "yellow"), "no beat"
    elif beat.running:
        sign, state = ("●", "green"), "working"
    else:
        sign, state = ("○", "dim"), beat.state
    rate = _images_per_second(beat)
    ago = _coarse_duration(view.silence)
    heard = f"seen {ago} ago" if hearing is _Hearing.WELL else f"silent {ago}"
    row = (
        _line(sign, " ", _worker_name(view.worker, beat)),
        Text(clean(beat.device, 40) if beat else ""),
        Text(_plural(beat.jobs, "job") if beat else "", "dim"),
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


def _workers_note(snapshot: Snapshot, workers: int) -> str:
    """`9  73.1k img/s`: how many, and what they do together."""
    rates = [_images_per_second(view.beat) for view in _live_workers(snapshot)]
    total = sum(rate for rate in rates if rate is not None)
    together = f"  {short_number(total)} img/s" if total > 0 else ""
    return f"{workers}{together}" if workers else ""


def _worker_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    views = _shown_workers(snapshot)[:rows]
    if not views:
        return [Text("none yet: start some with  distune worker --logs DIR", "dim")]
    table = list(zip(*(_worker_row(view, snapshot) for view in views), strict=True))
    #          name, device, jobs, state, images/s, silence, trials
    priority = (0, 3, 5, 1, 4, 2, 6)
    columns = [
        _Column("", list(cells), order, right=i == 4)
        for i, (cells, order) in enumerate(zip(table, priority, strict=True))
        if any(cell.plain for cell in cells)
    ]
    return _table(columns, width, header=False, rows=len(views))


# -- the study -----------------------------------------------------------------------------

_STATE_STYLES = {
    _Doing.RUNNING: "green",
    _Doing.TESTING: "green",
    _Doing.WAITING: "yellow",
    _Doing.SILENT: "bold red",
    _Doing.STOPPED: "yellow",
    _Doing.FINISHED: "bold green",
    _Doing.FAILED: "bold red",
}


def _title_line(snapshot: Snapshot, width: int) -> Text:
    study = snapshot.study
    state = Text(f"● {describe_state(snapshot)}", _STATE_STYLES[_doing(snapshot)])
    name = _fitted(Text(clean(study.name), "bold"), width // 2)
    state = _fitted(state, width - name.cell_len - 2)
    details = [
        _Part(name, 0),
        _Part(_fitted(Text(clean(study.objective_name), "dim"), 40), 2),
        _Part(_fitted(Text(f"{study.direction} {clean(study.metric)}", "dim"), 40), 1),
    ]
    left = _joined(details, width - state.cell_len - 2, "  ")
    return _line(_padded(left, width - state.cell_len), state)


def _counted(snapshot: Snapshot, bare: bool = False) -> str:
    """`12/40 trials`"""
    planned, count = planned_trials(snapshot), len(snapshot.history)
    if planned is None:
        return _plural(count, "trial")
    return f"{count}/{planned}" + ("" if bare else " trials")


def _elapsed(snapshot: Snapshot) -> str:
    time_limit = snapshot.limits.time_limit
    limit = f" of {_round_duration(time_limit)}" if time_limit else ""
    return _duration(snapshot.elapsed) + limit


def _progress_line(snapshot: Snapshot, width: int) -> Text:
    eta, rate, target = eta_seconds(snapshot), snapshot.trials_per_second, snapshot.limits.target
    over = _is_over(snapshot)
    parts = [
        _Part(Text(_counted(snapshot, bare=width < 50), "bold"), 0),
        _Part(Text("" if rate is None or over else _rate(rate)), 3),
        _Part(_line(("ETA ", "dim"), _coarse_duration(eta)) if eta is not None else Text(""), 1),
        _Part(_line(("elapsed " if width >= 90 else "", "dim"), _elapsed(snapshot)), 2),
        _Part(_line(("target ", "dim"), f"{target:.5g}") if target is not None else Text(""), 4),
    ]
    fraction = _fraction_done(snapshot)
    least = 0 if fraction is None else min(max(width // 5, 6), 40) + 2
    text = _joined(parts, width - least, "  ·  " if width >= 70 else "  ")
    if fraction is None:
        return text
    bar_width = min(width - text.cell_len - 2, 60)
    return _line(progress_bar(fraction, bar_width, "green" if over else "cyan"), "  ", text)


def _outcome_parts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """How trials ended and where the others stand, each with its style; none that is 0."""
    history = snapshot.history
    lost, retried = _setbacks(history)
    running, waiting = snapshot.in_state(State.TAKEN), snapshot.in_state(State.WAITING)
    counts = [
        (history.outcomes[Outcome.COMPLETE], "complete", ""),
        (history.outcomes[Outcome.PRUNED], "pruned", ""),
        (history.outcomes[Outcome.DIVERGED], "diverged", "yellow"),
        (history.outcomes[Outcome.FAILED], "failed", "red"),
        (lost, "lost and tried again", "yellow"),
        (retried, "failed and tried again", "yellow"),
        (len(running), "running", "dim"),
        (len(waiting), "waiting", "dim"),
        (len(snapshot.bad) + len(snapshot.strangers), "unreadable", "red"),
    ]
    return [(f"{count} {what}", style) for count, what, style in counts if count]


def _outcome_line(snapshot: Snapshot, width: int) -> Text:
    parts = [_Part(Text(*part), i) for i, part in enumerate(_outcome_parts(snapshot))]
    return _joined(parts, width, " · ")


def _study_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    drawn = (_title_line, _progress_line, _outcome_line)[:rows]
    return [draw(snapshot, width) for draw in drawn]


# -- ranking -------------------------------------------------------------------------------


def _is_constant(spec: Parameter) -> bool:
    if isinstance(spec, CategoricalParameter):
        return len(spec.choices) == 1
    return spec.low == spec.high


def varying_parameters(study: Study, seen: Iterable[Params] = ()) -> list[str]:
    """Names of the parameters that are not the same throughout, in the study's order.

    Args:
        study: says what may vary.
        seen: settings that were tried, for what it cannot say.
    """
    if study.sampler == "list":
        seen = [*(study.settings or [])[:_SETTINGS_LOOKED_AT], *seen]
        varying = {}
    else:
        varying = {n: None for n, spec in study.params.items() if not _is_constant(spec)}
    values: dict[str, set[str]] = {}
    for params in seen:
        for name, value in params.items():
            values.setdefault(name, set()).add(repr(value))
    order = [*study.params, *(name for name in values if name not in study.params)]
    return [name for name in order if name in varying or len(values.get(name, ())) > 1]


def _numbers(configuration: Configuration) -> str:
    """Of its trials: `7`, `6–8`, `6 9`, `6 +4`."""
    numbers = sorted(run.trial.number for run in configuration.runs)
    if len(numbers) == 1:
        return str(numbers[0])
    if numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return " ".join(map(str, numbers)) if len(numbers) == 2 else f"{numbers[0]} +{len(numbers) - 1}"


def _standing(tier: Tier) -> str:
    return {Tier.FULL: "complete", Tier.PARTIAL: "partial"}.get(tier, tier.name.lower())


def _value_cell(configuration: Configuration, tier: Tier, decimals: int, is_best: bool) -> Text:
    if tier > Tier.PARTIAL:
        return Text(_standing(tier), "red" if tier is Tier.FAILED else "yellow")
    return Text(format_value(configuration.mean, decimals), "bold green" if is_best else "")


def _repeats_cell(configuration: Configuration, study: Study) -> Text:
    complete = len(configuration.complete)
    # Why one with a better mean may stand lower: it has not all its repeats.
    return Text(f"{complete}/{study.repeats}", "yellow" if complete < study.repeats else "")


def _best_value(history: History) -> float | None:
    winner = history.winner()
    return winner.mean if winner else None


def _ranking_columns(snapshot: Snapshot, configurations: Sequence[Configuration]) -> list[_Column]:
    study = snapshot.study
    decimals = decimals_for(_best_value(snapshot.history))
    winner = snapshot.history.winner()
    tiers = [c.tier(study.repeats) for c in configurations]
    best = [c is winner for c in configurations]
    both = list(zip(configurations, tiers, strict=True))

    def column(name: str, cells: Iterable[str], priority: int, right: bool = True) -> _Column:
        return _Column(name, [Text(cell) for cell in cells], priority, right)

    def spread(c: Configuration, tier: Tier) -> str:
        shown = tier <= Tier.PARTIAL and _is_number(c.spread)
        return f"± {format_value(c.spread, decimals)}" if shown else ""

    digits = len(str(len(configurations)))
    ranks = [
        _line((_BEST if is_best else " ", "bold yellow"), f" {rank:>{digits}}")
        for rank, is_best in enumerate(best, 1)
    ]
    values = [
        _value_cell(c, tier, decimals, is_best)
        for (c, tier), is_best in zip(both, best, strict=True)
    ]
    tests = [c.test_mean(TEST_METRIC) for c in configurations]
    sizes = [c.parameters for c in configurations]
    columns = [
        _Column(f"  {'#':>{digits}}", ranks, 0),
        column("trial", map(_numbers, configurations), 4),
        _Column(clean(study.metric), values, 1, right=True),
    ]
    if study.repeats > 1:
        columns.append(column("spread", (spread(c, tier) for c, tier in both), 2, right=False))
        columns.append(_Column("runs", [_repeats_cell(c, study) for c in configurations], 3, True))
    if any(test is not None for test in tests):
        columns.append(
            column("test", (format_value(t, 4) if t is not None else "" for t in tests), 6)
        )
    times = (_duration(c.seconds) if c.seconds else "" for c in configurations)
    columns.append(column("time", times, 7))
    if any(size is not None for size in sizes):
        columns.append(
            column("weights", (short_number(s) if s is not None else "" for s in sizes), 9)
        )
    for i, name in enumerate(varying_parameters(study, (c.params for c in configurations))):
        cells = [format_scalar(c.params[name]) if name in c.params else "" for c in configurations]
        text = any(isinstance(c.params.get(name), str) for c in configurations)
        # The first two matter more than time and size; the others less.
        columns.append(column(clean(name), cells, (5, 8)[i] if i < 2 else 10 + i, right=not text))
    return [
        replace(
            col, cells=[_dimmed(cell, tier) for cell, tier in zip(col.cells, tiers, strict=True)]
        )
        for col in columns
    ]


def _dimmed(cell: Text, tier: Tier) -> Text:
    if tier > Tier.PARTIAL:
        cell.stylize("dim")
    return cell


def _self_named(column: _Column) -> _Column:
    """For a table without a header: `lr 0.05` in each cell."""
    cells = [
        _line((f"{column.name} ", "dim"), cell) if cell.plain else cell for cell in column.cells
    ]
    return replace(column, name="", cells=cells)


def _ranking_lines(snapshot: Snapshot, width: int, rows: int, header: bool = True) -> list[Text]:
    configurations = snapshot.history.ranking(rows)
    if not configurations:
        return [Text("nothing counted yet", "dim")]
    columns = _ranking_columns(snapshot, configurations)
    if not header:
        columns = [column if column.priority < 4 else _self_named(column) for column in columns]
    return _table(columns, width, header=header, rows=len(configurations))


# -- running trials ------------------------------------------------------------------------


def _running(snapshot: Snapshot) -> list[AttemptName]:
    """Attempts under way, the longest first, which are those of the lowest numbers."""
    return sorted(snapshot.in_state(State.TAKEN), key=lambda n: (n.trial, n.attempt, n.purpose))


def curve(reports: Iterable[Report], metric: str) -> list[float]:
    """What the reports say of one metric, in order."""
    return [report.metrics[metric] for report in reports if metric in report.metrics]


def _best_of(values: Iterable[float], study: Study) -> float | None:
    best: float | None = None
    for value in values:
        if math.isfinite(value) and (best is None or better(value, best, study.direction)):
            best = value
    return best


@dataclass(frozen=True)
class _Run:
    """A running attempt, and all that is known of how it goes."""

    name: AttemptName
    beat: Beat | None
    file: AttemptFile | None
    fraction: float | None
    seconds: float | None
    images_per_second: float | None
    curve: list[float]


def _run(snapshot: Snapshot, name: AttemptName, beats: Mapping[str, Beat | None]) -> _Run:
    progress, file = snapshot.progress(name), snapshot.files.get(name)
    reports = file.reports if file else ()
    seconds = progress.seconds if progress else reports[-1].seconds if reports else None
    fraction = progress.fraction if progress else None
    if fraction is not None:
        fraction = None if math.isnan(fraction) else min(max(fraction, 0.0), 1.0)
    return _Run(
        name=name,
        beat=beats.get(name.worker or ""),
        file=file,
        fraction=fraction,
        seconds=seconds,
        images_per_second=progress.images_per_second if progress else None,
        curve=curve(reports, snapshot.study.metric),
    )


def _runs(snapshot: Snapshot, rows: int | None) -> list[_Run]:
    beats = {view.worker: view.beat for view in snapshot.workers}
    return [_run(snapshot, name, beats) for name in _running(snapshot)[:rows]]


def _running_columns(
    snapshot: Snapshot, runs: Sequence[_Run], bar: int, spark: int
) -> list[_Column]:
    study = snapshot.study
    decimals = decimals_for(_best_value(snapshot.history))

    def percent(run: _Run) -> str:
        return "" if run.fraction is None else f"{int(100 * run.fraction)}%"

    def latest(run: _Run) -> str:
        return format_value(run.curve[-1], decimals) if run.curve else ""

    def best(run: _Run) -> Text:
        value = _best_of(run.curve, study)
        return Text("") if value is None else _line(("best ", "dim"), format_value(value, decimals))

    def column(cells: Iterable[Text | str], priority: int, right: bool = False) -> _Column:
        texts = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        return _Column("", texts, priority, right, widest=60)

    return [
        column((run.name.label for run in runs), 0, right=True),
        column((_worker_name(run.name.worker or "", run.beat) for run in runs), 6),
        column((progress_bar(run.fraction, bar) for run in runs), 1),
        column(map(percent, runs), 5, right=True),
        column(
            (_duration(run.seconds) if run.seconds is not None else "" for run in runs), 4, True
        ),
        column(map(latest, runs), 2, right=True),
        column(map(best, runs), 7),
        column((_padded(Text(sparkline(run.curve, spark), "cyan"), spark) for run in runs), 3),
    ]


def _running_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    runs = _runs(snapshot, rows)
    if not runs:
        return [Text("nothing at the moment", "dim")]
    # What is left by the other columns goes to the bars and the curves.
    bar, spark = 8, 8
    columns = _running_columns(snapshot, runs, bar, spark)
    shown = _chosen(columns, width, 2)
    left = width - sum(column.width for column in shown) - 3 * (len(shown) - 1)
    if left > 0 and len(shown) > 3:
        bar += min(left // 2, 22)
        spark += min(left - left // 2, 32)
    columns = [c for c in _running_columns(snapshot, runs, bar, spark) if _has_text(c)]
    return _table(columns, width, header=False, rows=len(runs))


def _has_text(column: _Column) -> bool:
    return any(cell.plain for cell in column.cells)


# -- events --------------------------------------------------------------------------------

#: Sign, style of the sign, style of the text: trouble strikes the eye, routine does not.
_KINDS: dict[str, tuple[str, str, str]] = {
    "claimed": ("›", "blue", "dim"),
    "done": ("✓", "green", ""),
    "complete": ("✓", "green", ""),
    "diverged": ("~", "yellow", ""),
    "pruned": ("–", "cyan", ""),
    "failed": ("✗", "bold red", "red"),
    "lost": ("?", "bold yellow", "yellow"),
    "released": ("‹", "yellow", ""),
    "retried": ("↻", "yellow", ""),
    "test": ("◆", "green", ""),
    "trouble": ("!", "bold red", "red"),
    "study": ("•", "bold", ""),
}


def _event_line(event: Event) -> Text:
    sign, sign_style, style = _KINDS.get(event.kind, ("•", "dim", ""))
    return _line(
        (_clock(event.at), "dim"), "  ", (sign, sign_style), " ", (clean(event.text), style)
    )


def _event_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    events = snapshot.events[-rows:] if rows > 0 else ()
    if not events:
        return [Text("nothing has happened yet", "dim")]
    return [_fitted(_event_line(event), width) for event in events]


# -- the live view -------------------------------------------------------------------------

_Draw = Callable[[Snapshot, int, int], list[Text]]


@dataclass(frozen=True)
class _Section:
    """A titled part of the screen.

    Attributes:
        total: of what it lists; what is not shown of it is said in the title.
        wanted: rows that it has a use for.
        weight: its share of rows where there are not enough.
        fixed: rows that its own heading takes.
    """

    title: str
    note: str
    total: int
    wanted: int
    weight: int
    draw: _Draw
    fixed: int = 0
    counts_hidden: bool = True


def _heading(section: _Section, shown: int, width: int) -> Text:
    hidden = section.total - shown if section.counts_hidden else 0
    more = f"and {hidden:,} more" if hidden > 0 else ""
    return _rule(section.title, section.note, more, width)


def _rule(title: str, note: str, more: str, width: int) -> Text:
    """`Title  note ────────── more ─`"""
    tail = f" {more} ─" if more else ""
    left = _line((title, "bold"), (f"  {note} " if note else " ", "dim"))
    left = _fitted(left, width - cell_len(tail))
    rule = "─" * max(width - left.cell_len - cell_len(tail), 0)
    return _line(left, (rule + tail, "dim"))


def _sections(snapshot: Snapshot, *, header: bool) -> list[_Section]:
    """What there is to show, the most important first."""
    history, over = snapshot.history, _is_over(snapshot)
    running = len(snapshot.in_state(State.TAKEN))
    workers = len(_shown_workers(snapshot))
    at_least = 0 if over else 1
    planned = planned_trials(snapshot)
    # Places that will be needed soon are kept, so that nothing jumps when they fill.
    coming = 10**9 if planned is None else -(-planned // snapshot.study.repeats)
    slots = sum(view.beat.jobs for view in _live_workers(snapshot) if view.beat is not None)

    def ranking(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
        return _ranking_lines(snapshot, width, rows, header)

    sections = [
        _Section(
            title="Ranking",
            note=_plural(history.configurations, "configuration") if len(history) else "",
            total=history.configurations,
            wanted=max(history.configurations, 1, 0 if over else coming),
            weight=6,
            draw=ranking,
            fixed=1 if header else 0,
        ),
        _Section(
            title="Running",
            note=_plural(running, "trial") if running else "",
            total=running,
            wanted=max(running, 0 if over else slots, at_least),
            weight=3,
            draw=_running_lines,
        ),
        _Section(
            title="Workers",
            note=_workers_note(snapshot, workers),
            total=workers,
            wanted=max(workers, at_least),
            weight=3,
            draw=_worker_lines,
        ),
        _Section(
            title="Events",
            note="",
            total=len(snapshot.events),
            wanted=max(len(snapshot.events), 1),
            weight=3,
            draw=_event_lines,
            counts_hidden=False,
        ),
    ]
    return [section for section in sections if section.wanted]


def _shared_out(sections: Sequence[_Section], available: int) -> list[int]:
    """Rows of each section's content; 0 for one that has to go.

    The most important open first. What is left goes, one row at a time, to whoever has
    least for its weight.
    """
    rows = [0] * len(sections)
    for i, section in enumerate(sections):
        if available >= 2 + section.fixed:
            rows[i] = 1
            available -= 2 + section.fixed
    while available > 0:
        hungry = [i for i, section in enumerate(sections) if 0 < rows[i] < section.wanted]
        if not hungry:
            break
        # The next row makes it `rows + 1`; ties go to the more important.
        rows[min(hungry, key=lambda i: (rows[i] + 1) / sections[i].weight)] += 1
        available -= 1
    return rows


def _section_lines(section: _Section, snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """A section of exactly `rows` rows, besides its heading and fixed rows."""
    drawn = section.draw(snapshot, width - 1, rows)
    lines = [_heading(section, min(rows, section.total), width)]
    lines += [_indented(line, width) for line in drawn]
    return lines + [Text("")] * (1 + section.fixed + rows - len(lines))


def render(snapshot: Snapshot, width: int, height: int) -> RenderableType:
    """The live leaderboard, never taller than `height` nor wider than `width`."""
    return Group(*_screen(snapshot, width, height))


def _screen(snapshot: Snapshot, width: int, height: int) -> list[Text]:
    study_rows = 3 if height >= 14 else 2 if height >= 6 else 1
    lines = [_indented(line, width) for line in _study_lines(snapshot, width - 2, study_rows)]
    sections = _sections(snapshot, header=height >= 13)
    gap = 1 if height >= 30 else 0
    available = height - len(lines) - gap * len(sections)
    for section, rows in zip(sections, _shared_out(sections, available), strict=True):
        if rows:
            lines += [Text("")] * gap
            lines += _section_lines(section, snapshot, width, rows)
    return [_fitted(line, width) for line in lines[:height]]


def status_text(snapshot: Snapshot, width: int) -> RenderableType:
    """One snapshot as text: the live view without a limit to its height."""
    lines = [_indented(line, width) for line in _study_lines(snapshot, width - 2, 3)]
    most = {"Ranking": 20, "Events": 10}
    for section in _sections(snapshot, header=True):
        rows = min(max(section.total, 1), most.get(section.title, 10**9))
        block = _section_lines(section, snapshot, width, rows)
        while block and not block[-1].plain:
            block.pop()
        lines += [Text(""), *block]
    return Group(*(_fitted(line, width) for line in lines))


# -- the end -------------------------------------------------------------------------------


def _wrapped(text: Text, width: int, indent: int = 0) -> RenderableType:
    """Text that may take several lines."""
    text = text.copy()
    text.no_wrap, text.overflow = False, "fold"
    return Constrain(Padding(text, (0, 0, 0, min(indent, width // 2))), width)


def _params_text(params: Params, varying: Sequence[str]) -> Text:
    """What varies first and bright, then the constants."""
    names = [n for n in varying if n in params] + [n for n in params if n not in varying]
    pieces = [
        _line(
            (f"{clean(n)} ", "dim"), (format_scalar(params[n]), "bold" if n in varying else "dim")
        )
        for n in names
    ]
    return _line((", ", "dim")).join(pieces)


def _winner_text(snapshot: Snapshot, winner: Configuration) -> Text:
    study = snapshot.study
    decimals = decimals_for(winner.mean)
    text = _line(
        (f"{_BEST} ", "bold yellow"),
        ("Best: ", "bold"),
        f"{clean(study.metric)} ",
        (format_value(winner.mean, decimals), "bold green"),
    )
    if _is_number(winner.spread):
        text.append(f" ± {format_value(winner.spread, decimals)}")
    count = len(winner.complete)
    if study.repeats > 1:
        of = "" if count == study.repeats else f"{count} of "
        text.append(f" over {of}{study.repeats} repeats")
    test = winner.test_mean(TEST_METRIC)
    if test is not None:
        text.append(f", test accuracy {format_value(test, 4)}")
    return text


def _trained_by(winner: Configuration) -> Text:
    runs = winner.complete or winner.runs
    places = dict.fromkeys(
        clean(run.worker) + (f" ({clean(run.device, 40)})" if run.device else "") for run in runs
    )
    trials = "trial" if len(winner.runs) == 1 else "trials"
    numbers = ", ".join(str(run.trial.number) for run in winner.runs[:10])
    each = " each" if len(runs) > 1 else ""
    return Text(
        f"{trials} {numbers}, trained by {', '.join(places)} in {_duration(winner.seconds)}{each}",
        "dim",
    )


def _last_failure(history: History) -> str | None:
    for counted in reversed(history.trials):
        if counted.result.failure is not None:
            return clean(counted.result.failure.message)
    return None


def best_text(snapshot: Snapshot, width: int) -> RenderableType:
    """The best configuration in words; where there is none, why."""
    history = snapshot.history
    winner = history.winner()
    if winner is not None:
        params = _params_text(winner.params, varying_parameters(snapshot.study))
        return Group(
            _wrapped(_winner_text(snapshot, winner), width, 1),
            _wrapped(params, width, 3),
            _wrapped(_trained_by(winner), width, 3),
        )
    failure = _last_failure(history)
    why = [Text(f"The last failure: {failure}")] if failure is not None else []
    nothing = Text("No configuration has a result.", "bold red")
    return Group(*(_wrapped(text, width, 1) for text in (nothing, *why)))


def final_table(snapshot: Snapshot, width: int) -> RenderableType:
    """What is printed once when a study ends: the best ten, the winner in words, the counts."""
    history = snapshot.history
    lines: list[RenderableType] = [_indented(_title_line(snapshot, width - 2), width), Text("")]
    if history.configurations:
        lines += [_indented(line, width) for line in _ranking_lines(snapshot, width - 1, 10)]
        hidden = history.configurations - 10
        if hidden > 0:
            lines.append(Text(f"   and {hidden:,} more", "dim"))
        lines.append(Text(""))
    lines.append(best_text(snapshot, width))
    counts = _line((" · ", "dim")).join(Text(*part) for part in _outcome_parts(snapshot))
    took = _line((f"{_counted(snapshot)} in {_duration(snapshot.elapsed)}: ", "bold"), counts)
    lines += [Text(""), _wrapped(took, width, 1)]
    if snapshot.finished is not None:
        lines.append(_wrapped(Text(describe_state(snapshot).capitalize(), "dim"), width, 1))
    return Group(*lines)


# -- one trial -----------------------------------------------------------------------------


def trial_detail(
    snapshot: Snapshot, attempts: Sequence[tuple[AttemptName, AttemptFile]], width: int
) -> RenderableType:
    """All that is known of one trial.

    Args:
        snapshot: of its study.
        attempts: its attempts' names and contents, in their order.
        width: of the screen.
    """
    if not attempts:
        return Text("There is no such trial.")
    study = snapshot.study
    trial = attempts[0][1].trial
    title = _line(
        (f"Trial {trial.number}", "bold"),
        f" of {clean(study.name)}",
        (f"  repeat {trial.repeat + 1} of {study.repeats}" if study.repeats > 1 else "", "dim"),
        (f"  seed {trial.seed}", "dim"),
    )
    parts: list[RenderableType] = [
        _wrapped(title, width, 1),
        _wrapped(_params_text(trial.params, varying_parameters(study)), width, 3),
    ]
    for name, file in attempts:
        parts.append(Text(""))
        parts += _attempt_parts(snapshot, name, file, width)
    return Group(*parts)


def _attempt_parts(
    snapshot: Snapshot, name: AttemptName, file: AttemptFile, width: int
) -> list[RenderableType]:
    test = "Test, attempt" if name.purpose is Purpose.TEST else "Attempt"
    where = f"{_where_it_stands(name, file)}{_by_whom(name, file)}"
    parts: list[RenderableType] = [
        _fitted(_rule(f"{test} {name.attempt}", where, "", width), width)
    ]
    run = _run_if_running(snapshot, name)
    if run is not None and run.fraction is not None:
        bar = progress_bar(run.fraction, min(30, width // 2))
        parts.append(_indented(_line(bar, f" {int(100 * run.fraction)}%"), width))
    parts += [_indented(line, width) for line in _report_lines(file.reports, snapshot, width - 1)]
    if file.result is not None:
        parts += _result_parts(file, snapshot, width)
    return parts


def _run_if_running(snapshot: Snapshot, name: AttemptName) -> _Run | None:
    if name.state is not State.TAKEN:
        return None
    return _run(snapshot, name, {view.worker: view.beat for view in snapshot.workers})


def _where_it_stands(name: AttemptName, file: AttemptFile) -> str:
    """Where its file stands, and how it ended if that is another thing."""
    if name.state is State.TAKEN:
        return "running"
    words = {State.SEEN: "counted", State.DONE: "done, not yet counted", State.LOST: "given up"}
    standing = words.get(name.state, name.state.value)
    return standing if file.result is None else f"{standing}, {file.result.outcome.value}"


def _by_whom(name: AttemptName, file: AttemptFile) -> str:
    if name.worker is None:
        return ""
    device = f" ({clean(file.claim.device, 40)})" if file.claim else ""
    return f", by {name.worker}{device}"


def _metric_names(reports: Iterable[Report], study: Study) -> list[str]:
    """The study's metric first."""
    names = dict.fromkeys([study.metric])
    for report in reports:
        names.update(dict.fromkeys(report.metrics))
    return list(names)


def _report_lines(reports: Sequence[Report], snapshot: Snapshot, width: int) -> list[Text]:
    """A curve for each metric, then the last steps as a table, the best one marked."""
    if not reports:
        return []
    study, most = snapshot.study, 12
    names = _metric_names(reports, study)[:30]
    columns = _curve_columns(reports, names, min(40, max(width - 40, 8)))
    lines = _table(columns, width, header=False, rows=len(columns[0].cells))
    best = summarize(reports, study.metric, study.direction, study.summary)
    shown = list(reports[-most:])
    if best is not None and best not in shown:
        shown.insert(0, best)
    left_out = len(reports) - len(shown)
    lines += [Text(""), *_step_table(shown, names, best, width)]
    if left_out > 0:
        lines.append(Text(f"{_plural(left_out, 'earlier step')} left out", "dim"))
    return lines


def _curve_columns(reports: Sequence[Report], names: Sequence[str], spark: int) -> list[_Column]:
    curves = [(name, values) for name in names if (values := curve(reports, name))]
    if not curves:
        return [_Column("", [Text("no report has the study's metric", "dim")], 0, widest=60)]
    ends = [
        _line((format_value(values[0]), "dim"), (" → ", "dim"), format_value(values[-1]))
        for _, values in curves
    ]
    return [
        _Column("", [Text(clean(name)) for name, _ in curves], 0),
        _Column("", [Text(sparkline(values, spark), "cyan") for _, values in curves], 1, widest=60),
        _Column("", ends, 2, widest=60),
    ]


def _step_table(
    reports: Sequence[Report], names: Sequence[str], best: Report | None, width: int
) -> list[Text]:
    def cell(metrics: Metrics, name: str, is_best: bool) -> Text:
        style = "bold green" if is_best and name == names[0] else ""
        return Text(format_value(metrics.get(name)), style)

    marks = [
        _line((_BEST if report is best else " ", "bold yellow"), f" {report.step}")
        for report in reports
    ]
    columns = [
        _Column("  step", marks, 0),
        *(
            _Column(clean(name), [cell(r.metrics, name, r is best) for r in reports], 2 + i, True)
            for i, name in enumerate(names)
        ),
        _Column("time", [Text(_duration(r.seconds), "dim") for r in reports], 1, True),
    ]
    return _table(columns, width, header=True, rows=len(reports))


def _result_parts(file: AttemptFile, snapshot: Snapshot, width: int) -> list[RenderableType]:
    result = file.result
    if result is None:
        return []
    style = {Outcome.COMPLETE: "green", Outcome.FAILED: "red"}.get(result.outcome, "yellow")
    line = _line((result.outcome.value, f"bold {style}"))
    if result.value is not None:
        line.append(f", {clean(snapshot.study.metric)} {format_value(result.value)}")
    line.append(f", {_plural(result.steps, 'step')} in {_duration(result.seconds)}", "dim")
    parts: list[RenderableType] = [_wrapped(line, width, 1)]
    extra = {n: v for n, v in result.metrics.items() if n != snapshot.study.metric}
    if extra and not file.reports:
        parts.append(_wrapped(_params_text(extra, ()), width, 3))
    failure = result.failure
    if failure is not None:
        parts.append(_wrapped(Text(clean(failure.message, 2000), "red"), width, 1))
        parts += _output_parts("traceback", failure.traceback, width)
        parts += _output_parts("output", failure.output, width)
    return parts


def _output_parts(title: str, output: str, width: int) -> list[RenderableType]:
    """The tail of what a program said, line by line."""
    lines = output.strip("\n")[-_LONGEST_OUTPUT:].split("\n") if output.strip() else []
    if not lines:
        return []
    body = "\n".join(clean(line.expandtabs(4), _LONGEST_OUTPUT) for line in lines)
    return [Text(f"   {title}", "bold dim"), _wrapped(Text(body), width, 3)]


# -- for logs and programs -----------------------------------------------------------------


def plain_progress(snapshot: Snapshot) -> str:
    """One line for a log: `12/40 trials, best val_accuracy 0.9871 (trial 7), 2 running`..."""
    winner = snapshot.history.winner()
    outcomes = snapshot.history.outcomes
    parts = [_counted(snapshot)]
    if winner is not None:
        metric = clean(snapshot.study.metric)
        parts.append(f"best {metric} {format_value(winner.mean)} (trial {winner.first})")
    if outcomes[Outcome.FAILED]:
        parts.append(f"{outcomes[Outcome.FAILED]} failed")
    parts.append(f"{len(snapshot.in_state(State.TAKEN))} running")
    parts.append(_plural(len(_live_workers(snapshot)), "worker"))
    if snapshot.trials_per_second is not None and not _is_over(snapshot):
        rate, _, unit = _rate(snapshot.trials_per_second).partition("/")
        parts.append(f"{rate} trials/{unit}")
    eta = eta_seconds(snapshot)
    if eta is not None:
        parts.append(f"ETA {_coarse_duration(eta)}")
    parts.append(f"elapsed {_duration(snapshot.elapsed)}")
    if _doing(snapshot) is not _Doing.RUNNING:
        parts.append(describe_state(snapshot))
    return ", ".join(parts)


def plain_event(event: Event) -> str:
    """One line for a log: `12:04:31 lost     trial 17 lost: gpu7-812-4f2a9c fell silent`."""
    return f"{_clock(event.at)} {clean(event.kind, 20):<8} {clean(event.text)}"


def as_json(snapshot: Snapshot, top: int | None = 20) -> dict[str, Any]:
    """The snapshot as plain data for strict JSON: a number that is not finite is None.

    Args:
        snapshot: what to tell.
        top: how many configurations at most; None for all.
    """
    study, history, doing = snapshot.study, snapshot.history, _doing(snapshot)
    tree = {
        "study": study.name,
        "id": study.id,
        "objective": study.objective_name,
        "metric": study.metric,
        "direction": study.direction,
        "repeats": study.repeats,
        "state": doing.value,
        "reason": snapshot.finished.reason if snapshot.finished else None,
        "elapsed": snapshot.elapsed,
        "limits": snapshot.limits.model_dump(),
        "trials": {
            "counted": len(history),
            "planned": planned_trials(snapshot),
            "waiting": len(snapshot.in_state(State.WAITING)),
            "running": len(snapshot.in_state(State.TAKEN)),
            "outcomes": {
                outcome.value: history.outcomes[outcome]
                for outcome in Outcome
                if outcome not in (Outcome.RELEASED, Outcome.LOST)
            },
        },
        "rate_per_second": snapshot.trials_per_second,
        "eta_seconds": eta_seconds(snapshot),
        "configurations": history.configurations,
        "ranking": [
            _ranked_json(rank, configuration, study)
            for rank, configuration in enumerate(history.ranking(top), 1)
        ],
        "running": [_run_json(run, study) for run in _runs(snapshot, None)],
        "workers": [_worker_json(view) for view in snapshot.workers],
        "events": [{"at": e.at, "kind": e.kind, "text": e.text} for e in snapshot.events],
    }
    plain: dict[str, Any] = _strict(tree)
    return plain


def trial_json(attempts: Sequence[tuple[AttemptName, AttemptFile]]) -> dict[str, Any]:
    """One trial, all its attempts with all they say, as plain data for strict JSON."""
    trial = attempts[0][1].trial if attempts else None
    tree = {
        "trial": trial.number if trial else None,
        "repeat": trial.repeat if trial else None,
        "seed": trial.seed if trial else None,
        "params": trial.params if trial else None,
        "attempts": [_attempt_json(name, file) for name, file in attempts],
    }
    plain: dict[str, Any] = _strict(tree)
    return plain


def _attempt_json(name: AttemptName, file: AttemptFile) -> dict[str, Any]:
    return {
        "attempt": name.attempt,
        "purpose": name.purpose.value,
        "state": name.state.value,
        "worker": name.worker,
        "claim": file.claim.model_dump() if file.claim else None,
        "reports": [report.model_dump() for report in file.reports],
        "result": file.result.model_dump() if file.result else None,
    }


def _ranked_json(rank: int, configuration: Configuration, study: Study) -> dict[str, Any]:
    return {
        "rank": rank,
        "params": configuration.params,
        "value": configuration.mean,
        "spread": configuration.spread,
        "repeats": len(configuration.complete),
        "standing": _standing(configuration.tier(study.repeats)),
        "test_accuracy": configuration.test_mean(TEST_METRIC),
        "seconds": configuration.seconds,
        "parameters": configuration.parameters,
        "trials": [run.trial.number for run in configuration.runs],
    }


def _run_json(run: _Run, study: Study) -> dict[str, Any]:
    return {
        "trial": run.name.trial,
        "attempt": run.name.attempt,
        "purpose": run.name.purpose.value,
        "worker": run.name.worker,
        "host": run.beat.host if run.beat else None,
        "device": run.beat.device if run.beat else None,
        "params": run.file.trial.params if run.file else None,
        "fraction": run.fraction,
        "value": run.curve[-1] if run.curve else None,
        "best": _best_of(run.curve, study),
        "curve": run.curve,
        "seconds": run.seconds,
        "images_per_second": run.images_per_second,
    }


def _worker_json(view: WorkerView) -> dict[str, Any]:
    beat = view.beat
    return {
        "worker": view.worker,
        "host": beat.host if beat else None,
        "pid": beat.pid if beat else None,
        "device": beat.device if beat else None,
        "jobs": beat.jobs if beat else None,
        "state": beat.state if beat else None,
        "running": [progress.file for progress in beat.running] if beat else [],
        "images_per_second": _images_per_second(beat),
        "silence": view.silence,
    }


def _strict(tree: Any) -> Any:
    """The same without NaN and infinity, which JSON does not have."""
    match tree:
        case float():
            return tree if math.isfinite(tree) else None
        case Mapping():
            return {key: _strict(value) for key, value in tree.items()}
        case list() | tuple():
            return [_strict(value) for value in tree]
        case _:
            return tree
