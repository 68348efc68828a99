"""All that is known of one trial."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from distune.search.goals import is_plain
from distune.share.protocol import AttemptName, State
from distune.share.records import OUTPUT_LIMIT, AttemptFile
from distune.study.trial import FAILURES, Outcome, Purpose, Report, summarize
from distune.watch.display.configurations import params_text, varying_parameters, wrapped
from distune.watch.display.goals import standing_text
from distune.watch.display.numbers import duration, format_value, plural
from distune.watch.display.text import (
    BEST_MARK,
    Column,
    clean,
    filled,
    fitted,
    indented,
    line_of,
    progress_bar,
    rule_line,
    sparkline,
    table_lines,
)
from distune.watch.display.workers import curve, running_attempt
from distune.watch.snapshot import Snapshot

_LONGEST_OUTPUT = OUTPUT_LIMIT


def trial_detail(
    snapshot: Snapshot, attempts: Sequence[tuple[AttemptName, AttemptFile]], width: int
) -> RenderableType:
    """All that is known of one trial, from the names and files of its attempts, in their order."""
    study = snapshot.study
    trial = attempts[0][1].trial
    is_repeat = trial.confirms is None and trial.adds_to is None and study.repeats > 1
    title = line_of(
        (f"Trial {trial.number}", "bold"),
        f" of {clean(study.name)}",
        (f"  repeat {trial.repeat + 1} of {study.repeats}" if is_repeat else "", "dim"),
        (
            ""
            if trial.adds_to is None
            else f"  repeat {trial.repeat + 1} of trial {trial.adds_to}, suggested again",
            "dim",
        ),
        (f"  seed {trial.seed}", "dim"),
        ("" if trial.confirms is None else f"  confirms trial {trial.confirms}", "dim"),
        ("" if trial.extends is None else f"  trains trial {trial.extends} further", "dim"),
        ("" if trial.wish is None else "  asked for by hand", "dim"),
    )
    blocks: list[RenderableType] = [
        wrapped(title, width, 1),
        wrapped(params_text(trial.params, varying_parameters(study)), width, 3),
    ]
    if not is_plain(study):
        blocks.append(wrapped(standing_text(snapshot, trial.params), width, 3))
    for name, file in attempts:
        blocks.append(Text(""))
        blocks += _attempt_blocks(snapshot, name, file, width)
    return Group(*blocks)


def _attempt_blocks(
    snapshot: Snapshot, name: AttemptName, file: AttemptFile, width: int
) -> list[RenderableType]:
    test = "Test, attempt" if name.purpose is Purpose.TEST else "Attempt"
    standing = _where_it_stands(name, file)
    if name.worker is not None:
        standing += f", by {name.worker}"
        standing += f" ({clean(file.claim.device, 40)})" if file.claim else ""
        standing += f", code {clean(file.claim.code, 30)}" if file.claim and file.claim.code else ""
    blocks: list[RenderableType] = [
        fitted(rule_line(f"{test} {name.attempt}", standing, "", width), width)
    ]
    if file.resumed is not None:
        before = file.resumed  # it may have been saved in the midst of the next step
        of = f"attempt {before.attempt}"
        if before.trial is not None:
            of += f" at trial {before.trial}"
        where = f"went on from the checkpoint of {of} after step {before.step}"
        blocks.append(indented(Text(where), width))
    fraction = running_attempt(snapshot, name).fraction
    if name.state is State.TAKEN and fraction is not None:
        bar = progress_bar(fraction, min(30, width // 2))
        blocks.append(indented(line_of(bar, f" {int(100 * fraction)}%"), width))
    blocks += [indented(line, width) for line in _report_lines(file.reports, snapshot, width - 1)]
    return blocks + _result_blocks(file, snapshot, width)


def _where_it_stands(name: AttemptName, file: AttemptFile) -> str:
    """Where its file stands, and how it ended if that is another thing."""
    if name.state is State.TAKEN:
        return "running"
    words = {State.SEEN: "counted", State.DONE: "done, not yet counted", State.LOST: "given up"}
    standing = words.get(name.state, name.state.value)
    if name.state is State.PAUSED:
        return standing
    return standing if file.result is None else f"{standing}, {file.result.outcome.value}"


def _report_lines(reports: Sequence[Report], snapshot: Snapshot, width: int) -> list[Text]:
    """A curve for each metric, then the last steps as a table, the best one marked."""
    if not reports:
        return []
    study, most = snapshot.study, 12
    # The study's metric first.
    names = list(dict.fromkeys([study.metric, *(n for r in reports for n in r.metrics)]))[:30]
    lines = _curve_lines(reports, names, width)
    best = summarize(reports, study.metric, study.direction, study.summary)
    shown = list(reports[-most:])
    if best is not None and best not in shown:
        shown.insert(0, best)
    left_out = len(reports) - len(shown)
    lines += [Text(""), *_step_table(shown, names, best, width)]
    if left_out > 0:
        lines.append(Text(f"{plural(left_out, 'earlier step')} left out", "dim"))
    return lines


def _curve_lines(reports: Sequence[Report], names: Sequence[str], width: int) -> list[Text]:
    spark = min(40, max(width - 40, 8))
    rows = [
        (
            clean(name),
            Text(sparkline(values, spark), "cyan"),
            line_of((format_value(values[0]), "dim"), (" → ", "dim"), format_value(values[-1])),
        )
        for name in names
        if (values := curve(reports, name))
    ]
    if not rows:
        return [fitted(Text("no report has the study's metric", "dim"), width)]
    return table_lines(filled([Column(0), Column(1, widest=60), Column(2, widest=60)], rows), width)


def _step_table(
    reports: Sequence[Report], names: Sequence[str], best: Report | None, width: int
) -> list[Text]:
    def row(report: Report) -> list[Text]:
        mark = BEST_MARK if report is best else " "
        values = [Text(format_value(report.metrics.get(name))) for name in names]
        if report is best:
            values[0].stylize("bold green")
        step = line_of((mark, "bold yellow"), f" {report.step}")
        return [step, *values, Text(duration(report.seconds), "dim")]

    metrics = [Column(2 + i, clean(name), right=True) for i, name in enumerate(names)]
    layout = [Column(0, "  step"), *metrics, Column(1, "time", right=True)]
    return table_lines(filled(layout, map(row, reports)), width)


def _result_blocks(file: AttemptFile, snapshot: Snapshot, width: int) -> list[RenderableType]:
    result = file.result
    if result is None:
        return []
    styles = {Outcome.COMPLETE: "green", **dict.fromkeys(FAILURES, "red")}
    style = styles.get(result.outcome, "yellow")
    line = line_of((result.outcome.value, f"bold {style}"))
    if result.value is not None:
        line.append(f", {clean(snapshot.study.metric)} {format_value(result.value)}")
    line.append(f", {plural(result.steps, 'step')} in {duration(result.seconds)}", "dim")
    blocks: list[RenderableType] = [wrapped(line, width, 1)]
    if result.why:
        blocks.append(wrapped(Text(f"stopped at {clean(result.why, 500)}", "yellow"), width, 1))
    extra = {n: v for n, v in result.metrics.items() if n != snapshot.study.metric}
    if extra and not file.reports:
        blocks.append(wrapped(params_text(extra, ()), width, 3))
    failure = result.failure
    if failure is not None:
        blocks.append(wrapped(Text(clean(failure.message, 2000), "red"), width, 1))
        blocks += _output_blocks("traceback", failure.traceback, width)
    return blocks + _output_blocks("output", file.printed, width)


def _output_blocks(title: str, output: str, width: int) -> list[RenderableType]:
    """The tail of what a program said, line by line."""
    lines = output.strip("\n")[-_LONGEST_OUTPUT:].split("\n") if output.strip() else []
    if not lines:
        return []
    body = "\n".join(clean(line.rstrip("\r").expandtabs(4), _LONGEST_OUTPUT) for line in lines)
    return [Text(f"   {title}", "bold dim"), wrapped(Text(body), width, 3)]
