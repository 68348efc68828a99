"""What it means to train a counted trial further: the same setting, but for its length. Pure."""

import json
import math
from collections.abc import Mapping
from typing import TypeGuard

from distune.errors import UserError
from distune.study.space import did_you_mean
from distune.study.study import Study
from distune.study.trial import Counted, Params, Scalar
from distune.workloads import WORKLOADS, Workload

#: What a built-in training's length is called.
EPOCHS = "epochs"


def longer(study: Study, counted: Counted, wanted: Mapping[str, float]) -> dict[str, Scalar] | None:
    """The params of a trial that trains this one further; None if it is that long already.

    Args:
        wanted: parameters that say how long a training is, and what each of them is to be.

    Raises:
        UserError: it cannot be trained further so; names the trial, what is wrong, and the remedy.
    """
    number, limit = counted.trial.number, study.max_seconds
    if limit is not None and counted.result.seconds >= limit:
        raise UserError(
            f"trial {number} was ended by max_seconds ({limit:g}), and would be again: begin "
            "another study without it"
        )
    before = _known(study, counted.trial.params, wanted)
    changes = {}
    for name, value in wanted.items():
        if name not in before:
            hint = did_you_mean(name, before) if before else ""
            raise UserError(f"trial {number} has no parameter {name!r}{hint}")
        changes[name] = _raised(number, name, before[name], value)
    if all(changes[name] == before[name] for name in changes):
        return None
    return {**counted.trial.params, **changes}


def _known(study: Study, params: Params, wanted: Mapping[str, float]) -> Params:
    """The params of a trial, with a built-in training's length, if it was left out.

    Raises:
        UserError: something else of a built-in training is to be changed.
    """
    workload = workload_of(study)
    if workload is None:
        return params
    for name in wanted:
        if name != EPOCHS:
            raise UserError(f"{workload.name} is trained further by its {EPOCHS} alone, not {name}")
    return {EPOCHS: workload.hyperparameters.model_fields[EPOCHS].default, **params}


def _raised(trial: int, name: str, before: Scalar, value: float) -> Scalar:
    if not _is_number(before):
        shown = json.dumps(before)
        raise UserError(f"trial {trial}: {name} is {shown}, and only a number can be raised")
    if isinstance(before, int) and value != int(value):
        raise UserError(
            f"trial {trial}: {name} is a whole number ({before}), and {value:g} is none"
        )
    if value < before:
        raise UserError(
            f"trial {trial} has {name} {before:g} already: to train it further, give it more than "
            f"that, not {value:g}"
        )
    return type(before)(value)


def _is_number(value: Scalar) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def spanning_schedule(study: Study, params: Params) -> str | None:
    """The schedule of a built-in training, if the number of its epochs decides on each step of it:
    then no shorter training is the beginning of a longer one.
    """
    workload = workload_of(study)
    if workload is None:
        return None
    schedule = workload.hyperparameters.model_validate(dict(params)).schedule
    return None if schedule == "constant" else schedule


def workload_of(study: Study) -> Workload | None:
    """The built-in objective that a study trains, if it does."""
    return None if study.command is not None else WORKLOADS.get(study.objective or "")


def parse_change(text: str) -> tuple[str, float]:
    """`parse_change("steps=500")`, of a command line.

    Raises:
        UserError: it is none.
    """
    name, equals, value = text.partition("=")
    try:
        number = json.loads(value)
    except ValueError:
        number = None
    if not (name and equals and _is_number(number) and abs(number) < math.inf):
        raise UserError(f"--set: {text!r} is not NAME=NUMBER, such as steps=500")
    return name, number
