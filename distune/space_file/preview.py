"""What a study would do, and what in it may surprise, before it starts."""

import json
from collections.abc import Iterator

from distune.errors import UserError
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.search.samplers.grid import GridSampler
from distune.search.staged import StagedSampler, make_sampler
from distune.share import records
from distune.study.space import CategoricalParameter
from distune.study.stage import possible_after
from distune.study.study import Limits, Study
from distune.study.trial import params_key

#: More trials than this are as good as no limit.
_MOST_COUNTED = 100_000
_MOST_QUESTIONS = 30  # of a sampler that is still looking, before a study starts
#: Bytes that a setting's values may fill: a line of a trial's file has much besides them.
_LONGEST_SETTING = records.LINE_LIMIT // 4


def check_it_can_start(study: Study) -> None:
    """See that a study has anything to try, and can be written and read again.

    Raises:
        UserError: it has not, or cannot.
    """
    size = len(records.encode_document(study))
    if size > records.STUDY_LIMIT:
        raise UserError(
            f"study {study.name}: it would be a file of {size / 2**20:.1f} MB, and "
            f"{records.STUDY_LIMIT >> 20} MB are the most: list fewer settings, or shorter ones"
        )
    if _longest_setting(study) > _LONGEST_SETTING:
        raise UserError(
            f"study {study.name}: the values of one setting would fill more than "
            f"{_LONGEST_SETTING >> 10} KB: put long texts into files of your own, and their names "
            "into the space"
        )
    sampler, first = make_sampler(study), Question(0, History(study))
    for _ in range(_MOST_QUESTIONS):
        found = sampler.ask(first)
        if found is not Nothing.STILL_LOOKING:
            break
    if not isinstance(found, Suggestion):
        none = "none that was found in a long search" if found is Nothing.STILL_LOOKING else "none"
        raise UserError(
            f"study {study.name}: there is no setting to try: exclude leaves {none}; take out some "
            "of it"
        )


def _longest_setting(study: Study) -> int:
    """Bytes, about, of the longest setting that may be tried."""
    listed = max((len(params_key(one)) for one in study.settings or ()), default=0)
    return listed + sum(
        len(name) + max(len(str(value)) for value in spec.choices)
        for name, spec in possible_after(study.params, study.stages or []).items()
        if isinstance(spec, CategoricalParameter)
    )


def preview(study: Study, limits: Limits, samples: int) -> Iterator[str]:
    """What a study would do, in lines to read, with so many of its settings.

    Raises:
        UserError: it cannot start.
    """
    check_it_can_start(study)
    sampler = make_sampler(study)
    yield f"objective  {study.objective_name}, {study.direction} {study.metric}"
    yield f"trials     {sampler.label}, {_how_many(study, _planned(study, limits, sampler))}"
    if isinstance(sampler, StagedSampler):
        for view in sampler.views():
            tunes = ", ".join(view.stage.params)
            yield f"stage      {view.stage.name}: {view.trials} trials of {tunes}"
    for remark in remarks(study, limits):
        yield f"note       {remark}"
    for number in range(samples):
        found = sampler.ask(Question(number, History(study)))
        if isinstance(found, Suggestion):
            yield f"for example {json.dumps(found.params)}"


def remarks(study: Study, limits: Limits) -> Iterator[str]:
    """What may not be as the user expects, a line each."""
    sampler, repeats = make_sampler(study), study.repeats
    trials = _planned(study, limits, sampler)
    whole, rest = divmod(trials or 0, repeats)
    if rest and study.stages is None:
        yield (
            f"of {trials} trials, {rest} will be of a configuration that has not all of its "
            f"{repeats} repeats, and cannot win: {(whole + 1) * repeats} trials come out even"
        )
    combinations = _combinations(study) if sampler.endless else None
    if combinations is not None and (trials is None or combinations <= 2 * whole):
        yield (
            f"there are only {combinations} combinations, of which {sampler.label} tries some "
            'more than once: "sampler": "grid" tries each of them once'
        )
    if study.max_seconds and not (study.trial_timeout or study.has_test):
        yield (
            "max_seconds ends a training between two of its steps: one that reports only at its "
            'end runs on; to kill that, say "trial_timeout"'
        )


def _planned(study: Study, limits: Limits, sampler: Sampler) -> int | None:
    """How many trials there will be; None if it is as good as no limit."""
    total = limits.trials
    if sampler.size is not None:
        everything = sampler.size * study.repeats
        total = everything if total is None else min(total, everything)
    endless = total is None or (limits.trials is None and total >= _MOST_COUNTED)
    return None if endless else total


def _how_many(study: Study, trials: int | None) -> str:
    if study.repeats == 1:
        return "without a limit on trials" if trials is None else f"{trials} trials"
    if trials is None:
        return f"without a limit on trials, {study.repeats} repeats of each configuration"
    configurations = -(-trials // study.repeats)
    return f"{trials} trials: {study.repeats} repeats of each of {configurations} configurations"


def _combinations(study: Study) -> int | None:
    """How many there are; None if a parameter is continuous, or there are too many to count."""
    if study.stages is not None or any(spec.grid() is None for spec in study.params.values()):
        return None
    return GridSampler(study.space).size
