"""How a study stands: in words and numbers, as a view's first lines, as plain lines for logs."""

from enum import StrEnum

from rich.text import Text

from distune.share.protocol import LIVE, Halt, State
from distune.study.trial import FAILURES, Outcome, Purpose
from distune.watch.display.numbers import (
    clock,
    coarse_duration,
    duration,
    format_rate,
    format_value,
    plural,
    round_duration,
)
from distune.watch.display.text import clean, fitted, joined, line_of, padded, progress_bar
from distune.watch.display.workers import live_workers
from distune.watch.snapshot import Event, Snapshot


class Doing(StrEnum):
    RUNNING = "running"
    WAITING = "waiting for workers"
    CONFIRMING = "confirming the winner"
    TESTING = "testing the winner"
    PAUSED = "paused"
    STOPPING = "stopping"
    SILENT = "master silent"
    STOPPED = "master stopped"
    FINISHED = "finished"
    FAILED = "failed"


_GOING_ON = (Doing.RUNNING, Doing.CONFIRMING, Doing.TESTING, Doing.WAITING)


def doing_of(snapshot: Snapshot) -> Doing:
    if snapshot.finished is not None:
        return Doing.FAILED if snapshot.finished.failed else Doing.FINISHED
    master = snapshot.master
    if master is not None and master.state != "running":
        return Doing.STOPPED  # also where it has finished what is resumed now
    if snapshot.master_silence > max(10.0, 4 * snapshot.study.beat_interval):
        return Doing.SILENT
    if snapshot.halt is not None:
        return Doing.PAUSED if snapshot.halt is Halt.PAUSE else Doing.STOPPING
    live = [name for name in snapshot.attempts if name.state in LIVE]
    if live and all(name.purpose is Purpose.TEST for name in live):
        return Doing.TESTING
    if not snapshot.in_state(State.TAKEN, State.DONE) and not live_workers(snapshot):
        return Doing.WAITING
    return Doing.CONFIRMING if is_confirming(snapshot) else Doing.RUNNING


def is_confirming(snapshot: Snapshot) -> bool:
    """Whether the best are being trained again, as far as what is counted tells: the last that was
    has confirmed one of them, or all of the search is.
    """
    history, limit = snapshot.history, snapshot.limits.trials
    confirmation = history.confirmation()
    if confirmation is None or confirmation.is_over or not history.trials:
        return False
    searched = confirmation.searched.trainings
    over = limit is not None and searched >= limit
    return over or history.trials[-1].trial.confirms is not None


def describe_state(snapshot: Snapshot) -> str:
    """What the study does, in words: `running`, `finished: all 40 trials are counted`."""
    doing = doing_of(snapshot)
    if snapshot.finished is not None:
        return f"{doing.value}: {clean(snapshot.finished.reason)}"
    if doing in (Doing.SILENT, Doing.STOPPED):
        silence = coarse_duration(snapshot.master_silence)
        how = f"master silent for {silence}" if doing is Doing.SILENT else doing.value
        wanted = "paused" if snapshot.halt is Halt.PAUSE else "to be stopped"
        return how if snapshot.halt is None else f"{how}, {wanted}"
    unsure = doing in _GOING_ON and snapshot.master is not None and not snapshot.master_heard
    return f"{doing.value}, as its master said last" if unsure else doing.value


def doing_stage(snapshot: Snapshot) -> str:
    """`stage 2/5 dropout`; nothing where there are none, or all are over."""
    for number, view in enumerate(snapshot.stages, 1):
        if view.state == "running":
            return f"stage {number}/{len(snapshot.stages)} {clean(view.stage.name, 30)}"
    return ""


def is_over(snapshot: Snapshot) -> bool:
    return doing_of(snapshot) in (Doing.FINISHED, Doing.FAILED)


def confirming_words(snapshot: Snapshot) -> list[str]:
    """How confirming the best stands, in sentences; nothing before it begins."""
    confirmation = snapshot.history.confirmation()
    if confirmation is None:
        return []
    over = snapshot.finished is not None or snapshot.history.confirming > 0
    known = (over and confirmation.is_over) or is_confirming(snapshot)
    return confirmation.words() if known else []


def planned_trials(snapshot: Snapshot) -> int | None:
    """How many trials there will be; None if only time or a target ends the study."""
    everything = None if snapshot.size is None else snapshot.size * snapshot.study.repeats
    known = [one for one in (snapshot.limits.trials, everything) if one is not None]
    # What was trained further, and what confirms the best, comes on top of what was searched.
    return min(known) + snapshot.history.on_top if known else None


def eta_seconds(snapshot: Snapshot) -> float | None:
    """Seconds until the first limit of the study is met, at the pace it has."""
    if doing_of(snapshot) not in _GOING_ON:
        return None
    estimates = []
    planned, rate = planned_trials(snapshot), snapshot.trials_per_second
    if planned is not None and rate is not None and rate > 0:
        estimates.append(max(planned - snapshot.history.over, 0) / rate)
    if snapshot.limits.time_limit is not None:
        estimates.append(max(snapshot.limits.time_limit - snapshot.elapsed, 0.0))
    return min(estimates, default=None)


def fraction_done(snapshot: Snapshot) -> float | None:
    """Of the study, by whichever limit is nearest; None if neither trials nor time end it."""
    fractions = []
    planned, time_limit = planned_trials(snapshot), snapshot.limits.time_limit
    if planned:
        fractions.append(snapshot.history.over / planned)
    if time_limit is not None:
        fractions.append(snapshot.elapsed / time_limit)
    if snapshot.limits.max_total_seconds is not None:
        fractions.append(snapshot.trained / snapshot.limits.max_total_seconds)
    return max(fractions, default=None)


def trials_counted(snapshot: Snapshot, bare: bool = False) -> str:
    """`12/40 trials`"""
    planned, count = planned_trials(snapshot), snapshot.history.over
    if planned is None:
        return plural(count, "trial")
    return f"{count}/{planned}" + ("" if bare else " trials")


_STATE_STYLES = {
    Doing.RUNNING: "green",
    Doing.CONFIRMING: "green",
    Doing.TESTING: "green",
    Doing.WAITING: "yellow",
    Doing.PAUSED: "yellow",
    Doing.STOPPING: "yellow",
    Doing.SILENT: "bold red",
    Doing.STOPPED: "yellow",
    Doing.FINISHED: "bold green",
    Doing.FAILED: "bold red",
}


def _chosen(snapshot: Snapshot) -> str:
    """Which sampler was chosen, and why, if distune has chosen it."""
    study = snapshot.study
    return clean(f"{study.sampler}: {study.sampler_why}", 100) if study.sampler_why else ""


def title_line(snapshot: Snapshot, width: int) -> Text:
    study = snapshot.study
    state = Text(f"● {describe_state(snapshot)}", _STATE_STYLES[doing_of(snapshot)])
    name = fitted(Text(clean(study.name), "bold"), width // 2)
    state = fitted(state, width - name.cell_len - 2)
    details = [
        (name, 0),
        (Text(doing_stage(snapshot), "cyan"), 1),
        (fitted(Text(clean(study.objective_name), "dim"), 40), 3),
        (fitted(Text(clean(study.aim), "dim"), 64 if study.objectives else 40), 2),
        (Text(_chosen(snapshot), "dim"), 4),
    ]
    left = joined(details, width - state.cell_len - 2, "  ")
    return line_of(padded(left, width - state.cell_len), state)


def _progress_line(snapshot: Snapshot, width: int) -> Text:
    eta, rate, target = eta_seconds(snapshot), snapshot.trials_per_second, snapshot.limits.target
    over = is_over(snapshot)
    limit = snapshot.limits.time_limit
    elapsed = duration(snapshot.elapsed) + (f" of {round_duration(limit)}" if limit else "")
    pieces = [
        (Text(trials_counted(snapshot, bare=width < 50), "bold"), 0),
        (Text("" if rate is None or over else format_rate(rate)), 3),
        (line_of(("ETA ", "dim"), coarse_duration(eta)) if eta is not None else Text(""), 1),
        (line_of(("elapsed " if width >= 90 else "", "dim"), elapsed), 2),
        (line_of(("target ", "dim"), f"{target:.5g}") if target is not None else Text(""), 4),
        *_used_up(snapshot),
    ]
    fraction = fraction_done(snapshot)
    least = 0 if fraction is None else min(max(width // 5, 6), 40) + 2
    text = joined(pieces, width - least, "  ·  " if width >= 70 else "  ")
    if fraction is None:
        return text
    bar_width = min(width - text.cell_len - 2, 60)
    return line_of(progress_bar(fraction, bar_width, "green" if over else "cyan"), "  ", text)


def _used_up(snapshot: Snapshot) -> list[tuple[Text, int]]:
    """How much there is of what its other limits allow."""
    limits, found = snapshot.limits, []
    if limits.max_total_seconds is not None:
        trained = duration(snapshot.trained)
        text = f"{trained} of {round_duration(limits.max_total_seconds)}"
        found.append((line_of(("trained ", "dim"), text), 5))
    if limits.plateau is not None:
        text = f"{snapshot.since_best} of {limits.plateau}"
        found.append((line_of(("no better in ", "dim"), text), 6))
    return found


def outcome_counts(snapshot: Snapshot) -> list[tuple[str, str]]:
    """How trials ended and where the others stand, each with its style; none that is 0."""
    history = snapshot.history
    versions = len(history.versions)
    running, waiting = snapshot.in_state(State.TAKEN), snapshot.in_state(State.WAITING)
    counts = [
        (history.outcomes[Outcome.COMPLETE], "complete", ""),
        (history.outcomes[Outcome.PRUNED], "pruned", ""),
        (history.outcomes[Outcome.DIVERGED], "diverged", "yellow"),
        (history.outcomes[Outcome.FAILED], "failed", "red"),
        (history.outcomes[Outcome.TIMEOUT], "timed out", "red"),
        (history.outcomes[Outcome.OUT_OF_MEMORY], "out of memory", "red"),
        (len(history.dropped), "dropped", "dim"),
        (history.taken_back, "lost or given back", "yellow"),
        (history.retried, "failed and tried again", "yellow"),
        (versions if versions > 1 else 0, "versions of its code", "yellow"),
        (len(running), "running", "dim"),
        (len(snapshot.in_state(State.PAUSED)), "paused", "dim"),
        (len(waiting), "waiting", "dim"),
        (len(snapshot.bad) + len(snapshot.strangers), "unreadable", "red"),
    ]
    return [(f"{count} {what}", style) for count, what, style in counts if count]


def study_lines(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    outcomes = [(Text(*one), i) for i, one in enumerate(outcome_counts(snapshot), 1)]
    outcomes[:0] = [(Text(words, "bold"), 0) for words in confirming_words(snapshot)[:1]]
    lines = [
        title_line(snapshot, width),
        _progress_line(snapshot, width),
        joined(outcomes, width, " · "),
    ]
    return lines[:rows]


def plain_progress(snapshot: Snapshot) -> str:
    """One line for a log: `12/40 trials, best val_accuracy 0.9871 (trial 7), 2 running`..."""
    history, eta = snapshot.history, eta_seconds(snapshot)
    winner, metric = history.winner(), clean(snapshot.study.metric)
    front = len(history.front())
    failed = sum(history.outcomes[outcome] for outcome in FAILURES)
    pace = None if is_over(snapshot) else snapshot.trials_per_second
    rate, _, unit = format_rate(pace or 0.0).partition("/")
    pieces = [
        trials_counted(snapshot),
        doing_stage(snapshot),
        winner and f"best {metric} {format_value(winner.mean)} (trial {winner.first})",
        front and f"front of {front}",
        failed and f"{failed} failed",
        len(history.versions) > 1 and f"{len(history.versions)} versions of its code",
        f"{len(snapshot.in_state(State.TAKEN))} running",
        plural(len(live_workers(snapshot)), "worker"),
        None if pace is None else f"{rate} trials/{unit}",
        None if eta is None else f"ETA {coarse_duration(eta)}",
        f"elapsed {duration(snapshot.elapsed)}",
        doing_of(snapshot) is not Doing.RUNNING and describe_state(snapshot),
        *(confirming_words(snapshot) if doing_of(snapshot) is Doing.CONFIRMING else []),
    ]
    return ", ".join(piece for piece in pieces if piece)


def plain_event(event: Event) -> str:
    """One line for a log: `12:04:31 lost     trial 17 lost: gpu7-812-4f2a9c fell silent`."""
    return f"{clock(event.at)} {clean(event.kind, 20):<8} {clean(event.text)}"
