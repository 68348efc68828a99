"""From a space file to the study that a master publishes."""

from distune.search.samplers import SAMPLERS
from distune.space_file.model import DEFAULT_OBJECTIVE, DEFAULT_TRIALS, SpaceFile
from distune.study.study import Limits, Study


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
    metric, direction = next(iter(file.objectives.items()), (file.metric, file.direction))
    direction = direction or (workload.direction if workload else None)
    assert direction is not None  # SpaceFile insists on it
    chosen = file.chosen
    data_sets = [one.origin.name for one in file.data_sets if one.origin.can_be_fetched]
    derived = {"name", "objective", "objectives", "metric", "direction", "sampler", "lease"}
    same = (SpaceFile.model_fields.keys() & Study.model_fields.keys()) - derived
    return Study(
        id=study_id,
        name=name,
        objective=None if file.command else file.objective or DEFAULT_OBJECTIVE,
        metric=metric or (workload.metric if workload else "value"),
        direction=direction,
        objectives=file.objectives if len(file.objectives) > 1 else {},
        has_test=workload is not None,
        test_metric=workload.metric.replace("val_", "test_", 1) if workload else "test_accuracy",
        datasets=list(dict.fromkeys(data_sets)),
        sampler="stages" if file.stages else chosen.sampler,
        sampler_why="" if file.stages else chosen.why,
        lease=lease,
        beat=beat,
        poll=poll,
        created=created,
        **{key: getattr(file, key) for key in same},
    )


def limits_of(file: SpaceFile) -> Limits:
    """The limits a space file sets; fifty trials if it sets none and could go on for ever."""
    endless = file.stages is None and SAMPLERS[file.chosen.sampler].endless
    limits = {name: getattr(file, name) for name in Limits.__struct_fields__}
    if endless and all(limit is None for limit in limits.values()):
        limits["trials"] = DEFAULT_TRIALS
    return Limits(**limits)
