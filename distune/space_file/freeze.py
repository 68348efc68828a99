"""From a space file to the study that a master publishes, and what that would do."""

import json
from collections.abc import Iterator

from distune.errors import UserError
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.samplers import SAMPLERS
from distune.search.staged import StagedSampler, make_sampler
from distune.space_file.model import DEFAULT_OBJECTIVE, SpaceFile
from distune.study.study import Limits, Study

DEFAULT_TRIALS = 50
#: More trials than this are as good as no limit.
_MOST_COUNTED = 100_000


def freeze(
    file: SpaceFile,
    *,
    name: str,
    study_id: str,
    lease: float,
    created: float,
    beat: float | None = None,
    poll: float | None = None,
) -> Study:
    """The study that a space file describes; what is silent there gets its default here."""
    workload = file.workload
    direction = file.direction or (workload.direction if workload else None)
    assert direction is not None  # SpaceFile insists on it
    derived = {"objective", "metric", "direction", "sampler", "lease"}
    same = (SpaceFile.model_fields.keys() & Study.model_fields.keys()) - derived
    return Study(
        id=study_id,
        name=name,
        objective=None if file.command else file.objective or DEFAULT_OBJECTIVE,
        metric=file.metric or (workload.metric if workload else "value"),
        direction=direction,
        has_test=workload is not None,
        test_metric=workload.metric.replace("val_", "test_", 1) if workload else "test_accuracy",
        datasets=[one.origin.name for one in file.data_sets if one.origin.can_be_fetched],
        sampler="stages" if file.stages else file.sampler,
        lease=lease,
        beat=beat,
        poll=poll,
        created=created,
        **{key: getattr(file, key) for key in same},
    )


def limits_of(file: SpaceFile) -> Limits:
    """The limits a space file sets; fifty trials if it sets none and could go on for ever."""
    endless = file.stages is None and SAMPLERS[file.sampler].endless
    silent = all(limit is None for limit in (file.trials, file.time_limit, file.target))
    trials = DEFAULT_TRIALS if endless and silent else file.trials
    return Limits(trials=trials, time_limit=file.time_limit, target=file.target)


def check_there_is_something(study: Study) -> None:
    """See that a study has anything to try.

    Raises:
        UserError: it has not.
    """
    if not isinstance(make_sampler(study).ask(Question(0, History(study))), Suggestion):
        raise UserError(
            f"study {study.name}: there is no setting to try: exclude leaves none; take out some "
            "of it"
        )


def preview(study: Study, limits: Limits, samples: int) -> Iterator[str]:
    """What a study would do, in lines to read, with so many of its settings.

    Raises:
        UserError: there is nothing to try.
    """
    check_there_is_something(study)
    sampler = make_sampler(study)
    yield f"objective  {study.objective_name}, {study.direction} {study.metric}"
    total = limits.trials
    if sampler.size is not None:
        everything = sampler.size * study.repeats
        total = everything if total is None else min(total, everything)
    endless = total is None or (limits.trials is None and total >= _MOST_COUNTED)
    how_many = "without a limit on trials" if endless else f"{total} trials"
    repeats = f", {study.repeats} repeats of each configuration" if study.repeats > 1 else ""
    yield f"trials     {sampler.label}, {how_many}{repeats}"
    if isinstance(sampler, StagedSampler):
        for view in sampler.views():
            tunes = ", ".join(view.stage.params)
            yield f"stage      {view.stage.name}: {view.trials} trials of {tunes}"
    for number in range(samples):
        found = sampler.ask(Question(number, History(study)))
        if isinstance(found, Suggestion):
            yield f"for example {json.dumps(found.params)}"
