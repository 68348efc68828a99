"""What is read at leisure: how a study ended, its best configuration, one trial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from distune.search.ranking import Configuration, History
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.study import Study
from distune.study.trial import FAILURES, Metrics, Outcome, Params, Purpose, Report, summarize
from distune.watch.display.cells import (
    BEST_MARK,
    Column,
    clean,
    decimals_for,
    duration,
    fitted,
    format_scalar,
    format_spread,
    format_value,
    indented,
    is_number,
    line_of,
    plural,
    progress_bar,
    rule_line,
    sparkline,
    table_lines,
)
from distune.watch.display.facts import (
    Run,
    curve,
    describe_state,
    run_of,
    trials_counted,
    varying_parameters,
)
from distune.watch.display.leaderboard import ranking_lines
from distune.watch.display.parts import outcome_parts, title_line
from distune.watch.snapshot import Snapshot

_LONGEST_OUTPUT = 4000


def _wrapped(text: Text, width: int, indent: int = 0) -> RenderableType:
    """Text that may take several lines."""
    text = text.copy()
    text.no_wrap, text.overflow = False, "fold"
    return Constrain(Padding(text, (0, 0, 0, min(indent, width // 2))), width)


def _params_text(params: Params, varying: Sequence[str]) -> Text:
    """What varies first and bright, then the constants."""
    names = [n for n in varying if n in params] + [n for n in params if n not in varying]
    pieces = [
        line_of(
            (f"{clean(n)} ", "dim"), (format_scalar(params[n]), "bold" if n in varying else "dim")
        )
        for n in names
    ]
    return line_of((", ", "dim")).join(pieces)


# -- the end -------------------------------------------------------------------------------


def final_table(snapshot: Snapshot, width: int) -> RenderableType:
    """What is printed once when a study ends: the best ten, the winner in words, the counts."""
    history = snapshot.history
    lines: list[RenderableType] = [indented(title_line(snapshot, width - 2), width), Text("")]
    if history.configurations:
        lines += [indented(line, width) for line in ranking_lines(snapshot, width - 1, 10)]
        hidden = history.configurations - 10
        if hidden > 0:
            lines.append(Text(f"   and {hidden:,} more", "dim"))
        lines.append(Text(""))
    lines.append(best_text(snapshot, width))
    counts = line_of((" · ", "dim")).join(Text(*part) for part in outcome_parts(snapshot))
    so_many = f"{trials_counted(snapshot)} in {duration(snapshot.elapsed)}: "
    took = line_of((so_many, "bold"), counts)
    lines += [Text(""), _wrapped(took, width, 1)]
    if snapshot.finished is not None:
        lines.append(_wrapped(Text(describe_state(snapshot).capitalize(), "dim"), width, 1))
    return Group(*lines)


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


def _winner_text(snapshot: Snapshot, winner: Configuration) -> Text:
    study = snapshot.study
    decimals = decimals_for(winner.mean)
    text = line_of(
        (f"{BEST_MARK} ", "bold yellow"),
        ("Best: ", "bold"),
        f"{clean(study.metric)} ",
        (format_value(winner.mean, decimals), "bold green"),
    )
    if is_number(winner.spread):
        text.append(f" ± {format_spread(winner.spread, decimals)}")
    count = len(winner.complete)
    if study.repeats > 1:
        of = "" if count == study.repeats else f"{count} of "
        text.append(f" over {of}{study.repeats} repeats")
    test = winner.test_mean(study.test_metric)
    if test is not None:
        text.append(f", {study.test_metric.replace('_', ' ')} {format_value(test, 4)}")
    return text


def _trained_by(winner: Configuration) -> Text:
    runs = winner.complete or winner.trials
    places = dict.fromkeys(
        clean(run.worker) + (f" ({clean(run.device, 40)})" if run.device else "") for run in runs
    )
    trials = "trial" if len(winner.trials) == 1 else "trials"
    numbers = ", ".join(str(run.trial.number) for run in winner.trials[:10])
    each = " each" if len(runs) > 1 else ""
    return Text(
        f"{trials} {numbers}, trained by {', '.join(places)} in {duration(winner.seconds)}{each}",
        "dim",
    )


def _last_failure(history: History) -> str | None:
    for counted in reversed(history.trials):
        if counted.result.failure is not None:
            return clean(counted.result.failure.message)
    return None


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
    title = line_of(
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
        fitted(rule_line(f"{test} {name.attempt}", where, "", width), width)
    ]
    run = _run_if_running(snapshot, name)
    if run is not None and run.fraction is not None:
        bar = progress_bar(run.fraction, min(30, width // 2))
        parts.append(indented(line_of(bar, f" {int(100 * run.fraction)}%"), width))
    parts += [indented(line, width) for line in _report_lines(file.reports, snapshot, width - 1)]
    if file.result is not None:
        parts += _result_parts(file, snapshot, width)
    return parts


def _run_if_running(snapshot: Snapshot, name: AttemptName) -> Run | None:
    if name.state is not State.TAKEN:
        return None
    return run_of(snapshot, name, {view.worker: view.beat for view in snapshot.workers})


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
    lines = table_lines(columns, width, header=False, rows=len(columns[0].cells))
    best = summarize(reports, study.metric, study.direction, study.summary)
    shown = list(reports[-most:])
    if best is not None and best not in shown:
        shown.insert(0, best)
    left_out = len(reports) - len(shown)
    lines += [Text(""), *_step_table(shown, names, best, width)]
    if left_out > 0:
        lines.append(Text(f"{plural(left_out, 'earlier step')} left out", "dim"))
    return lines


def _curve_columns(reports: Sequence[Report], names: Sequence[str], spark: int) -> list[Column]:
    curves = [(name, values) for name in names if (values := curve(reports, name))]
    if not curves:
        return [Column("", [Text("no report has the study's metric", "dim")], 0, widest=60)]
    ends = [
        line_of((format_value(values[0]), "dim"), (" → ", "dim"), format_value(values[-1]))
        for _, values in curves
    ]
    return [
        Column("", [Text(clean(name)) for name, _ in curves], 0),
        Column("", [Text(sparkline(values, spark), "cyan") for _, values in curves], 1, widest=60),
        Column("", ends, 2, widest=60),
    ]


def _step_table(
    reports: Sequence[Report], names: Sequence[str], best: Report | None, width: int
) -> list[Text]:
    def cell(metrics: Metrics, name: str, is_best: bool) -> Text:
        style = "bold green" if is_best and name == names[0] else ""
        return Text(format_value(metrics.get(name)), style)

    marks = [
        line_of((BEST_MARK if report is best else " ", "bold yellow"), f" {report.step}")
        for report in reports
    ]
    columns = [
        Column("  step", marks, 0),
        *(
            Column(clean(name), [cell(r.metrics, name, r is best) for r in reports], 2 + i, True)
            for i, name in enumerate(names)
        ),
        Column("time", [Text(duration(r.seconds), "dim") for r in reports], 1, True),
    ]
    return table_lines(columns, width, header=True, rows=len(reports))


def _result_parts(file: AttemptFile, snapshot: Snapshot, width: int) -> list[RenderableType]:
    result = file.result
    if result is None:
        return []
    style = {Outcome.COMPLETE: "green", **dict.fromkeys(FAILURES, "red")}.get(
        result.outcome, "yellow"
    )
    line = line_of((result.outcome.value, f"bold {style}"))
    if result.value is not None:
        line.append(f", {clean(snapshot.study.metric)} {format_value(result.value)}")
    line.append(f", {plural(result.steps, 'step')} in {duration(result.seconds)}", "dim")
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
