"""Which trials may be trained at once, and when that is worth it. Without torch."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import ValidationError

from distune.study.study import Study
from distune.study.trial import Params, Scalar
from distune.workloads import compiled
from distune.workloads.hyperparameters import MnistCnnParams

#: Objectives whose module has `train_together`.
_TOGETHER = frozenset({"mnist-cnn"})
#: What the members of a population may have each for itself; all else must be the same.
OWN = frozenset({"lr", "lr_final", "momentum", "weight_decay", "dropout"})
#: How many trials a process trains at once where it chooses. Without compiled functions, on
#: networks of 8 filters, two gained 1.2 to 1.5 times the speed, four 1.3 to 1.7, eight no more.
USUAL_SIZE = 4

#: Who decides about populations: `pays` below, or the user, who wants one wherever there can be.
When = Literal["where it pays", "always"]


def pays(n_filters: int, batch_size: int) -> bool:
    """Whether four `mnist-cnn` at once are faster than one after the other, on one CPU thread.

    Where more is computed in an operator, starting it no longer counts, and the members push each
    other's numbers out of the caches. With the functions of `winners`, a trial alone is about as
    fast. Not measured on GPUs, where nothing is trained at once. Measured with
    `scripts/bench_population.py` on a core with AVX-512, training and validation, as often as fast
    as alone:

        filters, batch              8, 20   8, 100   16, 20   16, 100   32, 20   32, 100
        four at once                1.7     1.3      1.3      1.05      0.96     1.0
        four, compiled functions    1.0     0.97     1.1      0.95      0.89     0.85
    """
    if compiled.widths():
        return False
    return batch_size <= (100 if n_filters <= 8 else 20 if n_filters <= 16 else 0)


def group_key(objective: str | None, params: Params, when: When) -> str | None:
    """The same text for trials of a study that can be trained at once.

    Returns:
        None for one that has to be trained alone: another objective, precision or optimizer, a
        step that depends on all of the weights (`clip_norm`, `l1`), params that are not the
        objective's, or a network that would gain nothing, if `when` says that this counts.
    """
    if objective not in _TOGETHER:
        return None
    try:
        checked = MnistCnnParams.model_validate(params)
    except ValidationError:
        return None  # training it says why
    if checked.precision != "float32" or checked.optimizer == "rmsprop":
        return None
    if checked.l1 or checked.clip_norm is not None:
        return None
    if when == "where it pays" and not pays(checked.n_filters, checked.batch_size):
        return None
    return json.dumps(checked.model_dump(exclude=set(OWN)), sort_keys=True)


def may_share(study: Study, when: When) -> bool:
    """Whether to take several trials of a study for one process, before what they are is known.

    Where the user wants populations, wherever some of its trials may fit together; else only if
    all of them do, and gain: what is taken and does not fit waits in vain while others are idle.
    """
    if study.objective not in _TOGETHER:
        return False
    if when == "always":
        return True
    same: dict[str, Scalar] = {}
    for name in {*study.params, *(name for stage in study.stages or [] for name in stage.params)}:
        values = study.values_of(name)
        if name not in OWN and len(values) == 1:
            same[name] = values[0]
        elif name not in OWN:
            return False
    for setting in study.settings or []:  # they may name other params, and not all the same
        for name, value in setting.items():
            if name not in OWN and same.setdefault(name, value) != value:
                return False
    return group_key(study.objective, same, when) is not None
