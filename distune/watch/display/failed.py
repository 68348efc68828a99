"""The trials that failed, with where in the user's code, and why."""

from rich.text import Text

from distune.search.ranking import History
from distune.study.trial import FAILURES, Counted, Outcome
from distune.watch.display.configurations import varying_parameters
from distune.watch.display.numbers import duration, format_scalar
from distune.watch.display.text import Column, clean, filled, table_lines
from distune.watch.places import failure_place
from distune.watch.snapshot import Snapshot


def failures_counted(history: History) -> int:
    return sum(history.outcomes[outcome] for outcome in FAILURES)


def failed_trials(history: History, count: int) -> list[Counted]:
    """The last that failed, the newest first; only as many are decoded as it takes."""
    found: list[Counted] = []
    count = min(count, failures_counted(history))
    for i in range(len(history.trials) - 1, -1, -1):
        if len(found) >= count:
            break
        one = history.trials[i]
        if one.result.outcome in FAILURES and history.stands(one):
            found.append(one)
    return found


def failure_words(one: Counted) -> tuple[str, str]:
    """Where it failed, `train.py:41`, and what was said."""
    failure = one.result.failure
    return (failure_place(failure), failure.message) if failure else ("", "no reason given")


def failed_lines(snapshot: Snapshot, width: int, shown: range) -> list[Text]:
    """A table of them, without a heading."""
    failed = failed_trials(snapshot.history, shown.stop)[shown.start :]
    if not failed:
        return [Text("no trial has failed for good", "dim")]
    names = varying_parameters(snapshot.study, (one.trial.params for one in failed))
    layout = [
        Column(0, right=True),
        Column(4 + len(names)),
        Column(1, widest=30),
        Column(2, widest=max(width - 30, 24)),
        *(Column(3 + i) for i in range(len(names))),
        Column(5 + len(names), widest=30),
        Column(6 + len(names)),
    ]
    return table_lines(filled(layout, [_row(one, names) for one in failed]), width)


def _row(one: Counted, names: list[str]) -> list[Text]:
    (place, message), params, outcome = failure_words(one), one.trial.params, one.result.outcome
    return [
        Text(f"✗ {one.trial.number}", "red"),
        Text("" if outcome is Outcome.FAILED else outcome.value, "dim"),
        Text(clean(place, 60), "bold"),
        Text(clean(message), "red"),
        *(Text(f"{clean(n, 14)} {format_scalar(params[n])}" if n in params else "") for n in names),
        Text(clean(one.worker), "dim"),
        Text(duration(one.result.seconds), "dim"),
    ]
