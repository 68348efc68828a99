"""What was searched, how many trials there were and how they ended, in sentences. Pure."""

import math
from collections.abc import Iterator

from distune.report.progress import best_so_far, values_of
from distune.report.study_data import PARAMS_IN_WORDS, StudyData, spent
from distune.search.staged import make_sampler
from distune.study.trial import Outcome
from distune.watch.display.numbers import duration, format_value, plural
from distune.watch.display.state import confirming_words, describe_state, planned_trials
from distune.watch.display.text import clean


def words_of(data: StudyData) -> list[str]:
    """Sentences for a reader who was not there."""
    confirmed = (f"{one[0].upper()}{one[1:]}." for one in confirming_words(data.snapshot))
    lines = [clean(data.study.description, 2000), _what(data), _counts(data), *confirmed]
    said = (clean(line, 2000) for line in data.beside_report)
    return [*(line for line in lines if line), *said, *_search(data), *_ranked(data)]


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


def _search(data: StudyData) -> Iterator[str]:
    """Which trial was the best one, and when it came."""
    best = best_so_far(values_of(data), data.study.direction)
    if not best or not math.isfinite(best[-1]):
        return
    last = next(i for i, value in enumerate(best) if value == best[-1])
    number, elapsed = data.trials[last].trial.number, data.trials[last].elapsed
    at = "" if elapsed is None else f", when the study had run for {duration(elapsed)}"
    yield (
        f"The best single trial has {clean(data.study.metric)} {format_value(best[-1])}: trial "
        f"{number}, which was number {last + 1} of the {plural(len(best), 'trial')} counted{at}."
    )


def _ranked(data: StudyData) -> Iterator[str]:
    """How the ranking is to be read."""
    if data.study.repeats > 1 or any(one.size > 1 for one in data.ranking[:100]):
        yield (
            "A configuration is one setting with all its repeats; those with all of them complete "
            "stand first. Spread: standard deviation over the repeats. Time: of training, mean "
            "over the repeats."
        )
    elif data.history.winner() is not None:
        yield (
            "Each setting was trained once, so nothing is known of its spread: near values may "
            'change places in a repetition ("repeats" in the space file). Time: of training.'
        )
