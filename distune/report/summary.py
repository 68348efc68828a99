"""Section: what was found, in words; the ranked table; what failed. Pure."""

import math
import statistics

from distune.report.blocks import Block, Paragraph, Section, Table
from distune.report.study_data import PARAMS_IN_WORDS, StudyData, spent
from distune.search.configuration import Configuration
from distune.search.goals import judged_beside
from distune.search.staged import StageView, make_sampler
from distune.study.trial import Outcome
from distune.watch.display.configurations import repeats_text, standing
from distune.watch.display.goals import (
    ANYWAY,
    FRONT_MARK,
    metric_text,
    no_feasible,
    short_violation,
    values_text,
)
from distune.watch.display.numbers import (
    decimals_for,
    duration,
    format_scalar,
    format_spread,
    format_value,
    plural,
    short_number,
)
from distune.watch.display.state import confirming_words, describe_state, planned_trials
from distune.watch.display.text import clean

ROWS = 100
_FAILURES_SHOWN = 20


def summary(data: StudyData) -> Section:
    words = [_what(data), _counts(data), *_found(data)]
    blocks: list[Block] = [Paragraph(line) for line in words if line]
    if data.study.description:
        blocks.insert(0, Paragraph(clean(data.study.description, 2000), "aside"))
    blocks += [Paragraph(one, "bad") for one in data.problems]
    return Section("summary", "Summary", blocks)


def _what(data: StudyData) -> str:
    study = data.study
    label = make_sampler(study).label
    why = f" Sampler {study.sampler}: {clean(study.sampler_why)}." if study.sampler_why else ""
    names = [clean(name, 60) for name in data.varying]
    many = len(names) > PARAMS_IN_WORDS
    over = f" over {f'{len(names)} parameters' if many else ', '.join(names)}" if names else ""
    repeats = f", each setting trained {study.repeats} times" if study.repeats > 1 else ""
    return (
        f"{label[0].upper()}{label[1:]}{over}, for {clean(study.objective_name)}{repeats}.{why} "
        f"{_ranked_by(data)} The study is "
        f"{describe_state(data.snapshot)}."
    )


def _ranked_by(data: StudyData) -> str:
    study = data.study
    said = f"Ranked by {clean(study.metric)}, {data.good_direction}."
    if study.objectives:
        said = (
            f"Ranked by its objectives ({clean(study.aim)}): the front first, then that of the "
            f"rest, and so on, each by {clean(study.metric)}."
        )
    bounds = ", ".join(f"{clean(name, 60)} {one}" for name, one in study.constraints.items())
    return f"{said} What breaks a constraint ({bounds}) stands below all else." if bounds else said


def _counts(data: StudyData) -> str:
    history, snapshot = data.history, data.snapshot
    if not data.trials:
        return "No trial has been counted yet."
    planned = planned_trials(snapshot)
    of = f" of {planned:,}" if planned is not None and planned != history.over else ""
    outcomes = ", ".join(
        f"{history.outcomes[one]:,} {one.value}" for one in Outcome if history.outcomes[one]
    )
    workers = len({one.worker for one in data.trials if one.worker})
    training = sum(map(spent, data.trials))
    again = {
        "failed and tried again": history.retried,
        "lost or given back": history.taken_back,
    }
    versions = ", ".join(
        f"{clean(code, 30)} {plural(count, 'trial')}" for code, count in history.versions.items()
    )
    mixed = f" They were not trained by the same code: {versions}." * (len(history.versions) > 1)
    dropped = f", {len(history.dropped)} dropped" if history.dropped else ""
    return (
        f"{plural(history.over, 'trial')}{of} counted ({outcomes}{dropped}), by "
        f"{plural(workers, 'worker')} in {duration(snapshot.elapsed)}, with "
        f"{duration(training)} of training.{mixed}"
        + "".join(f" {plural(count, 'attempt')} {what}." for what, count in again.items() if count)
    )


def _found(data: StudyData) -> list[str]:
    winner = data.history.winner()
    if winner is None or winner.mean is None:
        why = no_feasible(data.snapshot) or "no configuration has a result"
        return [f"{why[0].upper()}{why[1:]}."] if data.trials else []
    study = data.study
    metric = clean(study.metric)
    decimals = decimals_for(winner.mean)
    best = f"The best configuration has {metric} {format_value(winner.mean, decimals)}"
    if winner.spread is not None and math.isfinite(winner.spread):
        best += (
            f" ± {format_spread(winner.spread, decimals)} (standard deviation over "
            f"{plural(len(winner.values), 'fresh training' if winner.is_confirmed else 'repeat')})"
        )
    best += f": {data.params_words(winner.params)}"
    if study.objectives:
        best = f"The best of the front by {metric} has {values_text(study, winner).plain}: "
        best += data.params_words(winner.params)
    lines = [f"{best} (trial {winner.first}, {duration(winner.seconds)} of training)."]
    lines += [f"{one[0].upper()}{one[1:]}." for one in confirming_words(data.snapshot)]
    test = winner.test_mean(study.test_metric)
    if test is not None:
        name = study.test_metric.replace("_", " ")
        lines.append(
            f"On the test set, which was used for this configuration alone: {name} "
            f"{format_value(test, 4)}."
        )
    means = [m for one in data.ranking if (m := one.mean) is not None and math.isfinite(m)]
    if len(means) >= 5:
        lines.append(
            f"Half of the {len(means):,} configurations with a result reach "
            f"{metric} {format_value(statistics.median(means), decimals)} or better."
        )
    return lines


def ranking(data: StudyData) -> Section | None:
    if not data.ranking:
        return None
    shown = data.ranking[:ROWS]
    names = data.varying[:20]
    metric = data.study.metric
    decimals = decimals_for(shown[0].mean)
    repeats = data.study.repeats
    header = ["rank", "trials", "standing", metric, "spread", "repeats", "search saw", "test",
              "time", "size"]  # fmt: skip
    judged = [name for name in judged_beside(data.study) if name not in ANYWAY]
    header += [*judged, "front", "breaks"]
    front = {one.first for one in data.history.front()}

    def row(rank: int | None, one: Configuration) -> list[str]:
        numbers = " ".join(str(run.trial.number) for run in one.trials[:5])
        test = one.test_mean(data.study.test_metric)
        spread = one.spread
        params = [clean(format_scalar(one.params[n]), 40) if n in one.params else "" for n in names]
        return [
            "" if rank is None else f"{rank}",
            f"{numbers} …" if len(one.trials) > 5 else numbers,
            standing(one.tier(repeats)),
            format_value(one.mean, decimals),
            "" if spread is None else format_spread(spread, decimals),
            repeats_text(len(one.complete), repeats),
            format_value(one.searched_mean, decimals) if one.is_confirmed else "",
            "" if test is None else format_value(test, 4),
            duration(one.seconds),
            "" if one.parameters is None else short_number(one.parameters),
            *(metric_text(name, one.mean_of(name)) for name in judged),
            FRONT_MARK if one.first in front else "",
            ", ".join(map(short_violation, one.violations)),
            *params,
        ]

    more = len(data.ranking) - len(shown)
    if repeats > 1 or any(one.size > 1 for one in shown):
        caption = (
            "A configuration is one setting with all its repeats; those with all of them complete "
            "stand first. Spread: standard deviation over the repeats. Time: of training, mean "
            "over the repeats."
        )
    else:
        caption = (
            "Each setting was trained once, so nothing is known of its spread: near values may "
            'change places in a repetition ("repeats" in the space file). Time: of training.'
        )
    if more > 0:
        caption += (
            f" The best {len(shown)} of {len(data.ranking):,}; the others are in the study's "
            "folder, in leaderboard.csv, when it is over."
        )
    rows = [row(rank, one) for rank, one in data.history.places(ROWS)]
    has = [i for i in range(len(header)) if any(row[i] for row in rows)]
    rows = [[row[i] for i in has] + row[len(header) :] for row in rows]
    texts = {header.index(name) for name in ("front", "breaks")}
    numeric = frozenset({0, *(at for at, i in enumerate(has) if i >= 3 and i not in texts)})
    columns = [header[i] for i in has] + names
    return Section("ranking", "Ranking", [Table("", columns, rows, numeric, caption)])


def failures(data: StudyData) -> Section | None:
    failed = [one for one in data.trials if one.result.failure is not None]
    if not failed:
        return None
    rows = [
        [
            str(one.trial.number),
            one.result.outcome.value,
            clean(one.result.failure.message, 600) if one.result.failure else "",
            clean(one.worker, 60),
            data.params_words(one.trial.params),
        ]
        for one in failed[:_FAILURES_SHOWN]
    ]
    caption = "The last attempt at each; distune show TRIAL prints all of them in full."
    if len(failed) > len(rows):
        caption += f" The first {len(rows)} of {len(failed):,}."
    table = Table("", ["trial", "outcome", "message", "worker", "params"], rows, caption=caption)
    return Section("failures", "What failed", [table])


def stopped(data: StudyData) -> Section | None:
    """What a pruner has stopped, and why."""
    found = [one for one in data.trials if one.result.why]
    if not found:
        return None
    rows = [
        [
            str(one.trial.number),
            format_value(one.result.value),
            clean(one.result.why, 600),
            data.params_words(one.trial.params),
        ]
        for one in found[:ROWS]
    ]
    seconds = duration(sum(one.result.seconds for one in found))
    caption = f"{plural(len(found), 'trial')}, which had trained for {seconds} together."
    if len(found) > len(rows):
        caption += f" The first {len(rows)}."
    header = ["trial", clean(data.study.metric), "stopped at", "params"]
    table = Table("", header, rows, frozenset({0, 1}), caption)
    return Section("stopped", "What was stopped", [table])


def stages(data: StudyData) -> Section | None:
    views = data.snapshot.stages
    if not views:
        return None
    metric = clean(data.study.metric)
    values = [view.winner.mean for view in views if view.winner is not None]
    decimals = decimals_for(next(iter(values), None))

    def row(number: int, view: StageView) -> list[str]:
        mean = None if view.winner is None else view.winner.mean
        value = "" if mean is None else format_value(mean, decimals)
        counted = f"{view.counted}/{view.trials}"
        return [str(number), clean(view.stage.name), view.state, counted, value, _tuned(view)]

    caption = (
        f"{plural(len(views), 'stage')}, one after the other: each starts from the best "
        "configuration of the one before and changes only the parameters named here. "
        f"{metric} is that of the stage's own best configuration ({data.good_direction})."
    )
    header = ["", "stage", "state", "trials", metric, "found"]
    rows = [row(number, view) for number, view in enumerate(views, 1)]
    return Section("stages", "Stages", [Table("", header, rows, frozenset({0, 3, 4}), caption)])


def _tuned(view: StageView) -> str:
    """What its winner has of what it tunes; while there is none, what that is."""
    if view.winner is None:
        names = ", ".join(clean(name, 60) for name in view.stage.params)
        return f"{names}: no result, so nothing changes" if view.state == "over" else names
    params = view.winner.params
    return ", ".join(
        f"{clean(name, 60)} {clean(format_scalar(params[name]), 60)}"
        for name in view.stage.params
        if name in params
    )
