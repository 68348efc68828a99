"""Section: what was found, in words; the ranked table; what failed. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from distune.report.blocks import Block, Section, Table, Text, good_direction
from distune.report.material import Material, spent
from distune.search.ranking import Configuration
from distune.search.samplers.staged import make_sampler
from distune.study.trial import Outcome, Params
from distune.watch.display.configurations import standing
from distune.watch.display.numbers import (
    decimals_for,
    duration,
    format_scalar,
    format_spread,
    format_value,
    plural,
    short_number,
)
from distune.watch.display.state import describe_state, planned_trials
from distune.watch.display.text import clean

ROWS = 100
_FAILURES_SHOWN = 20
_PARAMS_IN_WORDS = 12


def params_words(params: Params, varying: Sequence[str]) -> str:
    """`lr 0.1, optimizer sgd`: those that vary; all, if none do."""
    names = [name for name in varying if name in params] or list(params)
    words = [f"{clean(n, 60)} {clean(format_scalar(params[n]), 60)}" for n in names]
    more = len(words) - _PARAMS_IN_WORDS
    return ", ".join(words[:_PARAMS_IN_WORDS]) + (f" and {more} more" if more > 0 else "")


# -- in words ------------------------------------------------------------------------------


def summary(material: Material) -> Section:
    words = [_what(material), _counts(material), *_found(material)]
    blocks: list[Block] = [Text(line) for line in words if line]
    if material.study.description:
        blocks.insert(0, Text(clean(material.study.description, 2000), "note"))
    blocks += [Text(note, "bad") for note in material.notes]
    return Section("summary", "Summary", blocks)


def _what(material: Material) -> str:
    study = material.study
    label = make_sampler(study).label
    names = [clean(name, 60) for name in material.varying]
    if not names:
        over = ""
    elif len(names) <= _PARAMS_IN_WORDS:
        over = f" over {', '.join(names)}"
    else:
        over = f" over {len(names)} parameters"
    repeats = f", each setting trained {study.repeats} times" if study.repeats > 1 else ""
    return (
        f"{label[0].upper()}{label[1:]}{over}, for {clean(study.objective_name)}{repeats}. "
        f"Ranked by {clean(study.metric)}, {good_direction(study.direction)}. The study is "
        f"{describe_state(material.snapshot)}."
    )


def _counts(material: Material) -> str:
    history, snapshot = material.history, material.snapshot
    if not material.trials:
        return "No trial has been counted yet."
    planned = planned_trials(snapshot)
    of = f" of {planned:,}" if planned is not None and planned != len(history) else ""
    outcomes = ", ".join(
        f"{history.outcomes[one]:,} {one.value}" for one in Outcome if history.outcomes[one]
    )
    workers = len({one.worker for one in material.trials if one.worker})
    training = sum(map(spent, material.trials))
    again = [
        f"{plural(count, 'attempt')} {what}"
        for count, what in (
            (history.retried, "failed and tried again"),
            (history.taken_back, "lost or given back and tried again"),
        )
        if count
    ]
    return (
        f"{plural(len(history), 'trial')}{of} counted ({outcomes}), by "
        f"{plural(workers, 'worker')} in {duration(snapshot.elapsed)}, with "
        f"{duration(training)} of training."
        + "".join(f" {line[0].upper()}{line[1:]}." for line in again)
    )


def _found(material: Material) -> list[str]:
    winner = material.history.winner()
    if winner is None or winner.mean is None:
        return ["No configuration has a result."] if material.trials else []
    study = material.study
    metric = clean(study.metric)
    decimals = decimals_for(winner.mean)
    best = f"The best configuration has {metric} {format_value(winner.mean, decimals)}"
    if winner.spread is not None and math.isfinite(winner.spread):
        best += (
            f" ± {format_spread(winner.spread, decimals)} (standard deviation over "
            f"{plural(len(winner.values), 'repeat')})"
        )
    best += f": {params_words(winner.params, material.varying)}"
    lines = [f"{best} (trial {winner.first}, {duration(winner.seconds)} of training)."]
    test = winner.test_mean(study.test_metric)
    if test is not None:
        name = study.test_metric.replace("_", " ")
        lines.append(
            f"On the test set, which was used for this configuration alone: {name} "
            f"{format_value(test, 4)}."
        )
    means = [m for one in material.ranking if (m := one.mean) is not None and math.isfinite(m)]
    if len(means) >= 5:
        lines.append(
            f"Half of the {len(means):,} configurations with a result reach "
            f"{metric} {format_value(statistics.median(means), decimals)} or better."
        )
    return lines


# -- the table -----------------------------------------------------------------------------


def ranking(material: Material) -> Section | None:
    if not material.ranking:
        return None
    shown = material.ranking[:ROWS]
    names = material.varying[:20]
    metric = material.study.metric
    decimals = decimals_for(shown[0].mean)
    has_test = any(one.tests for one in shown)
    has_size = any(one.parameters is not None for one in shown)
    repeats = material.study.repeats
    header = ["rank", "trials", "standing", metric] + ["spread", "repeats"] * (repeats > 1)
    header += ["test"] * has_test + ["time"] + ["size"] * has_size + names

    def row(rank: int, one: Configuration) -> list[str]:
        spread = one.spread
        cells = [
            f"{rank}",
            _numbers(one),
            standing(one.tier(repeats)),
            format_value(one.mean, decimals),
        ]
        if repeats > 1:
            cells.append("" if spread is None else format_spread(spread, decimals))
            cells.append(f"{len(one.complete)}/{repeats}")
        if has_test:
            test = one.test_mean(material.study.test_metric)
            cells.append("" if test is None else format_value(test, 4))
        cells.append(duration(one.seconds))
        if has_size:
            cells.append("" if one.parameters is None else short_number(one.parameters))
        return cells + [
            clean(format_scalar(one.params[n]), 40) if n in one.params else "" for n in names
        ]

    more = len(material.ranking) - len(shown)
    if repeats > 1:
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
            f" The best {len(shown)} of {len(material.ranking):,}; the others are in the study's "
            "folder, in leaderboard.csv, when it is over."
        )
    table = Table(
        "",
        header,
        [row(rank, one) for rank, one in enumerate(shown, 1)],
        numeric=frozenset({0, *range(3, len(header) - len(names))}),
        caption=caption,
    )
    return Section("ranking", "Ranking", [table])


def _numbers(one: Configuration) -> str:
    numbers = [str(run.trial.number) for run in one.trials]
    return " ".join(numbers[:5]) + (" …" if len(numbers) > 5 else "")


# -- failures ------------------------------------------------------------------------------


def failures(material: Material) -> Section | None:
    failed = [one for one in material.trials if one.result.failure is not None]
    if not failed:
        return None
    rows = [
        [
            str(one.trial.number),
            one.result.outcome.value,
            clean(one.result.failure.message, 600) if one.result.failure else "",
            clean(one.worker, 60),
            params_words(one.trial.params, material.varying),
        ]
        for one in failed[:_FAILURES_SHOWN]
    ]
    caption = "The last attempt at each; distune show TRIAL prints all of them in full."
    if len(failed) > len(rows):
        caption += f" The first {len(rows)} of {len(failed):,}."
    table = Table("", ["trial", "outcome", "message", "worker", "params"], rows, caption=caption)
    return Section("failures", "What failed", [table])
