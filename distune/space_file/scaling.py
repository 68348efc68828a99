"""A smaller version of a study of a built-in objective, for a first look. Pure."""

from collections.abc import Mapping

from distune.errors import UserError
from distune.space_file.model import SpaceFile
from distune.study.space import CategoricalParameter, IntParameter, Parameter
from distune.study.trial import Scalar


def scaled(file: SpaceFile, factor: float) -> SpaceFile:
    """A fraction of the epochs, of each part of the data, and of the time a trial may take.

    However small the `factor`, in (0, 1], one epoch and one example are left.

    Raises:
        UserError: the objective is the user's own.
    """
    workload = file.workload
    if workload is None:
        raise UserError(
            "--scale: only the built-in objectives say what their epochs and their data are; "
            "make the numbers in the space file smaller instead"
        )
    full: dict[str, int] = {"epochs": workload.hyperparameters.model_fields["epochs"].default}
    for i, name in enumerate(("n_train", "n_validation", "n_test")):
        # Of several data sets, what all of them have.
        full[name] = min(data_set.sizes[i] for data_set in file.data_sets)

    def smaller(params: Mapping[str, Parameter]) -> dict[str, Parameter]:
        return {
            name: _scaled(spec, factor, full[name]) if name in full else spec
            for name, spec in params.items()
        }

    stages = file.stages or []
    defaults = {
        name: CategoricalParameter(choices=[size])
        for name, size in full.items()
        if name not in file.possible
    }
    update = {
        "params": smaller({**file.params, **defaults}),
        "stages": [stage.model_copy(update={"params": smaller(stage.params)}) for stage in stages]
        or None,
        "max_seconds": file.max_seconds and file.max_seconds * factor,
        "description": f"{file.description} (scaled by {factor:g})".strip(),
    }
    return file.model_copy(update=update)


def _scaled(spec: Parameter, factor: float, full: int) -> Parameter:
    """`full`: what None stands for."""

    def less(value: Scalar) -> int:
        return max(1, round((full if value is None else int(value)) * factor))

    match spec:
        case CategoricalParameter():
            choices = list(dict.fromkeys(map(less, spec.choices)))
            return spec.model_copy(update={"choices": choices})
        case IntParameter():
            step = less(spec.step) if spec.step is not None else None
            update = {"low": less(spec.low), "high": less(spec.high), "step": step}
            return spec.model_copy(update=update)
    return spec
