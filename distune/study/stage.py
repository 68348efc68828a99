"""Stages: groups of parameters that are tuned one after the other. Pure.

A stage starts from the best setting of the one before, changes its own parameters and leaves
all others as they are. (Coordinate descent, by groups.)
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from distune.study.options import with_options_apart
from distune.study.space import (
    CategoricalParameter,
    Parameter,
    Parameters,
    Space,
    Strict,
    holds,
    how_many,
    is_one_of,
)
from distune.study.trial import Scalar

_MOST_LISTED = 10**6  # values of one parameter


class Stage(Strict):
    """One stage.

    Attributes:
        name: as it is shown.
        params: what it tunes.
        sampler: how; in a space file with its options, `{"name": "tpe", "n_startup_trials": 5}`.
        settings: for the sampler `list`.
        trials: how many, repeats included; a grid or a list comes to its end without.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    params: Annotated[Parameters, Field(min_length=1)]
    sampler: str = "grid"
    sampler_options: dict[str, Scalar] = {}
    settings: Annotated[list[dict[str, Scalar]], Field(min_length=1)] | None = None
    trials: Annotated[int, Field(gt=0, le=10**9)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _options_apart(cls, fields: Any) -> Any:
        return with_options_apart(fields, "sampler", "tpe")


def possible_after(
    params: Mapping[str, Parameter], stages: Sequence[Stage]
) -> dict[str, Parameter]:
    """Every value that a parameter may have when these stages are over, but for those of a
    range that is continuous, or too long for a list.
    """
    possible = dict(params)
    for stage in stages:
        for name, spec in stage.params.items():
            before = possible.get(name)
            values, earlier = spec.grid(), before.grid() if before is not None else []
            if before is None or earlier is None:
                possible[name] = spec
            elif values is None:
                continue
            elif how_many(earlier) + how_many(values) > _MOST_LISTED:
                possible[name] = spec
            else:
                distinct = {(type(value), value): value for value in [*earlier, *values]}
                choices = list(distinct.values())
                possible[name] = CategoricalParameter(choices=choices, when=spec.when)
    return possible


def stage_space(
    params: Mapping[str, Parameter],
    stages: Sequence[Stage],
    start: Mapping[str, Scalar],
    exclude: Sequence[Mapping[str, Sequence[Scalar]]] = (),
) -> Space:
    """What the last of some stages searches: its own parameters, all others as they are.

    Args:
        params: the study's own, single values.
        stages: up to this one.
        start: the setting it starts from.
        exclude: combinations that are not tried.
    """
    *before, stage = stages
    specs = dict(params)
    for one in before:
        specs.update(one.params)
    found: dict[str, Parameter] = {}
    for name, spec in specs.items():
        if name in start:
            found[name] = CategoricalParameter(choices=[start[name]], when=spec.when)
        elif name in params:  # no stage has needed it so far
            found[name] = params[name]
    found.update(stage.params)
    found = _decided(found, stage.params.keys(), start)
    grids = {name: spec.grid() or () for name, spec in found.items()}
    left = [
        {n: [v for v in vs if is_one_of(v, grids.get(n, ()))] for n, vs in combination.items()}
        for combination in exclude
    ]
    return Space(params=found, exclude=[one for one in left if all(one.values())])


def _decided(
    params: Mapping[str, Parameter], tuned: Any, start: Mapping[str, Scalar]
) -> dict[str, Parameter]:
    """Leave out what is there only if something holds that does not, and what is known to hold
    from the conditions: they ask about what is tuned, or about nothing.
    """
    kept: dict[str, Parameter] = {}
    for name, spec in params.items():
        conditions = (spec.when or {}).items()
        if all(o in params and (o in tuned or holds({o: vs}, start)) for o, vs in conditions):
            open_ones = {other: values for other, values in conditions if other in tuned}
            kept[name] = spec.model_copy(update={"when": open_ones or None})
    # Others may have asked about one that is gone.
    return kept if len(kept) == len(params) else _decided(kept, tuned, start)
