"""A smaller version of a study of a built-in objective, for a first look. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distune.errors import UserError
from distune.study.space import CategoricalParameter, IntParameter, Parameter
from distune.study.study import SpaceFile
from distune.study.trial import Scalar
from distune.workloads import Workload
from distune.workloads.data import DATA_SETS

_DATA = ("n_train", "n_validation", "n_test")


def scaled(file: SpaceFile, scale: float) -> SpaceFile:
    """So much of the epochs, of each part of the data, and of the time that a trial may take.

    Args:
        file: of a study whose objective is built in.
        scale: in (0, 1]; whatever it gives, one epoch and one example are left.

    Raises:
        UserError: the objective is the user's own.
    """
    workload = file.workload
    if workload is None:
        raise UserError(
            "--scale: only the built-in objectives say what their epochs and their data are; "
            "make the numbers in the space file smaller instead"
        )
    whole = {"epochs": _default(workload, "epochs"), **_sizes(file, workload)}
    params = dict(file.params)
    for name, value in whole.items():
        if not any(name in group for group in (params, *(s.params for s in file.stages or []))):
            params[name] = CategoricalParameter(type="categorical", choices=[value])
    stages = [
        stage.model_copy(update={"params": _all_scaled(stage.params, scale, whole)})
        for stage in file.stages or []
    ]
    update: dict[str, Any] = {
        "params": _all_scaled(params, scale, whole),
        "stages": stages or None,
        "max_seconds": file.max_seconds and file.max_seconds * scale,
        "description": f"{file.description} (scaled by {scale:g})".strip(),
    }
    return file.model_copy(update=update)


def _default(workload: Workload, name: str) -> int:
    default: int = workload.hyperparameters.model_fields[name].default
    return default


def _sizes(file: SpaceFile, workload: Workload) -> dict[str, int]:
    """Examples in each part of its data; of several data sets, what all of them have."""
    spec = file.possible.get("dataset")
    names = list(spec.grid() or []) if spec else []
    if not names and "dataset" in workload.hyperparameters.model_fields:
        names = [workload.hyperparameters.model_fields["dataset"].default]
    data_sets = [workload.data] if workload.data else [DATA_SETS[str(name)] for name in names]
    sizes = [data_set.sizes for data_set in data_sets]
    return {part: min(size[i] for size in sizes) for i, part in enumerate(_DATA)}


def _all_scaled(
    params: Mapping[str, Parameter], scale: float, whole: Mapping[str, int]
) -> dict[str, Parameter]:
    return {
        name: _scaled(spec, scale, whole[name]) if name in whole else spec
        for name, spec in params.items()
    }


def _scaled(spec: Parameter, scale: float, whole: int) -> Parameter:
    """`whole`: what None stands for."""

    def less(value: Scalar) -> int:
        return max(1, round((whole if value is None else int(value)) * scale))

    match spec:
        case CategoricalParameter():
            choices = list(dict.fromkeys(map(less, spec.choices)))
            return spec.model_copy(update={"choices": choices})
        case IntParameter():
            step = less(spec.step) if spec.step is not None else None
            update = {"low": less(spec.low), "high": less(spec.high), "step": step}
            return spec.model_copy(update=update)
    return spec
