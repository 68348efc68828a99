"""What a study would do, before it starts."""

import json
from collections.abc import Iterator

from distune.errors import UserError
from distune.search.asked import trial_of
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Suggestion
from distune.search.staged import StagedSampler, make_sampler
from distune.share import records
from distune.space_file.remarks import planned_trials, refuse_what_never_decides, remarks
from distune.study.confirm import Confirm
from distune.study.space import CategoricalParameter
from distune.study.stage import possible_after
from distune.study.study import Limits, Study
from distune.study.trial import Asked, Trial, params_key

_NONE = Limits()
_MOST_QUESTIONS = 30  # of a sampler that is still looking, before a study starts
#: Bytes that a setting's values may fill: a line of a trial's file has much besides them.
_LONGEST_SETTING = records.LINE_LIMIT // 4


def check_it_can_start(study: Study, limits: Limits = _NONE) -> None:
    """See that a study has anything to try, that what is to confirm its best can decide anything,
    and that it can be written and read again.

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
    refuse_what_never_decides(study, limits)
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
    check_it_can_start(study, limits)
    sampler = make_sampler(study)
    yield f"objective  {study.objective_name}, {study.aim}"
    for name, constraint in study.constraints.items():
        yield f"constraint {name} {constraint}"
    yield f"trials     {sampler.label}, {_how_many(study, planned_trials(study, limits, sampler))}"
    if study.sampler_why:
        yield f"sampler    {study.sampler}, chosen for this: {study.sampler_why}"
    if isinstance(sampler, StagedSampler):
        for view in sampler.views():
            tunes = ", ".join(view.stage.params)
            yield f"stage      {view.stage.name}: {view.trials} trials of {tunes}"
    if study.pruner is not None:
        options = ", ".join(f"{name} {value}" for name, value in study.pruner_options.items())
        yield f"pruner     {study.pruner}{f', {options}' if options else ''}"
    if limits.max_total_seconds is not None:
        yield f"ends       when all trials together have trained for {limits.max_total_seconds:g} s"
    if limits.plateau is not None:
        yield f"ends       when {limits.plateau} configurations in a row were no better"
    if study.confirm is not None:
        yield f"confirm    {_how_confirmed(study.confirm, planned_trials(study, limits, sampler))}"
    for remark in remarks(study, limits):
        yield f"note       {remark}"
    for number in range(samples):
        found = sampler.ask(Question(number, History(study)))
        if isinstance(found, Suggestion):
            yield f"for example {json.dumps(found.params)}"


def _how_confirmed(rules: Confirm, trials: int | None) -> str:
    most = f"{rules.share:.0%} of all trainings"
    if trials is not None:
        most = f"{rules.most(trials)} trainings"
    return f"the best, {rules.top} at most, are trained again, with {most} at most beyond these"


def _how_many(study: Study, trials: int | None) -> str:
    if study.repeats == 1:
        return "without a limit on trials" if trials is None else f"{trials} trials"
    if trials is None:
        return f"without a limit on trials, {study.repeats} repeats of each configuration"
    configurations = -(-trials // study.repeats)
    return f"{trials} trials: {study.repeats} repeats of each of {configurations} configurations"


def trial_at(study: Study, number: int) -> Trial:
    """One of a study's trials, as it would be before any other is counted.

    Raises:
        UserError: the study does not have so many, or not before others are counted.
    """
    configuration, repeat = divmod(number, study.repeats)
    sampler, question = make_sampler(study), Question(configuration, History(study))
    for _ in range(_MOST_QUESTIONS):
        found = sampler.ask(question)
        if found is not Nothing.STILL_LOOKING:
            break
    if not isinstance(found, Suggestion):
        raise UserError(f"there is no trial {number}: {found.value}")
    asked = Asked(
        study=study.id,
        configuration=configuration,
        trial=number - repeat,
        repeats=study.repeats,
        params=found.params,
    )
    return trial_of(study, asked, number)
