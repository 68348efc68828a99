"""The search space: which parameters there are and what values they may take. Pure.

`type`, `low`, `high`, `log`, `step` and `choices` mean what they mean in Optuna's
distributions. A list is short for `choices`, a bare scalar for a constant, and
`when` makes a parameter conditional on the values of others.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from distune.study.trial import Scalar

_MOST_STEPS = 10**6
_Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


def _lists_of_values(condition: Any) -> Any:
    """`{"optimizer": "sgd"}` is short for `{"optimizer": ["sgd"]}`."""
    if not isinstance(condition, Mapping):
        return condition
    if not condition:
        raise ValueError('is empty: write {"other_parameter": value}, or leave it out')
    if [] in condition.values():
        raise ValueError("has an empty list of values: it would never hold")
    return {k: v if isinstance(v, list) else [v] for k, v in condition.items()}


class _Parameter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    #: Values other parameters must have for this one to exist at all.
    when: dict[str, list[Scalar]] | None = None

    @field_validator("when", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, when: Any) -> Any:
        return _lists_of_values(when)

    def is_active(self, chosen: Mapping[str, Scalar]) -> bool:
        """Whether it exists, given the values of those that it asks about."""
        conditions = (self.when or {}).items()
        return all(other in chosen and chosen[other] in allowed for other, allowed in conditions)


class _Range(_Parameter):
    log: bool = False

    def _check(self, low: float, high: float, step: float | None) -> None:
        if low > high:
            raise ValueError(f"low ({low}) is greater than high ({high}): swap them")
        if not math.isfinite(float(high) - float(low)):
            raise ValueError(f"the range from {low} to {high} is too wide to draw from")
        if step is not None and (high - low) / step > _MOST_STEPS:
            raise ValueError(f"step ({step}) is too small: there are over a million values")
        if self.log and low <= 0:
            raise ValueError(
                f"a log scale cannot reach {low}: low must be greater than 0, or log false"
            )
        if self.log and step is not None:
            raise ValueError("log and step do not go together: leave one out")


class FloatParameter(_Range):
    type: Literal["float"]
    low: float
    high: float
    step: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check(self.low, self.high, self.step)
        return self

    def grid(self) -> Sequence[Scalar] | None:
        """All its values; None if it is continuous."""
        if self.low == self.high:
            return [self.low]
        if self.step is None:
            return None
        # The tolerance keeps 0.3 in 0.1, 0.2, 0.3, which floating point would lose.
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return [self.at_step(i) for i in range(count)]

    def at_step(self, i: int) -> float:
        """`low` and `i` steps, as people write it: 0.1 + 2 * 0.1 is 0.3. Twelve digits."""
        value = float(f"{self.low + i * (self.step or 0.0):.12g}")
        return min(max(value, self.low), self.high)


class IntParameter(_Range):
    type: Literal["int"]
    low: _Integer
    high: _Integer
    step: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._check(self.low, self.high, self.step)
        return self

    def grid(self) -> Sequence[Scalar] | None:
        """All its values."""
        return range(self.low, self.high + 1, self.step or 1)


class CategoricalParameter(_Parameter):
    type: Literal["categorical"]
    choices: list[Scalar]

    @field_validator("choices")
    @classmethod
    def _distinct(cls, choices: list[Scalar]) -> list[Scalar]:
        if not choices:
            raise ValueError("is empty: give at least one choice, or leave the parameter out")
        if len({(type(c), c) for c in choices}) < len(choices):
            raise ValueError("has a choice twice: leave one out")
        return choices

    def grid(self) -> Sequence[Scalar] | None:
        """All its values."""
        return self.choices


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]


def expand_all(params: Any) -> Any:
    """Of parameters, a list becomes `choices`, a scalar a single choice; anything else stays."""
    if not isinstance(params, Mapping):
        return params
    expanded = {}
    for name, spec in params.items():
        choices = [spec] if spec is None or isinstance(spec, str | int | float | bool) else spec
        short = isinstance(choices, list)
        expanded[name] = {"type": "categorical", "choices": choices} if short else spec
    return expanded


class Space(BaseModel):
    """Parameters by name, each after those that its `when` asks about.

    Attributes:
        params: the parameters.
        exclude: combinations of values that are not tried: a setting that has, for each
            parameter one of them names, one of the values given there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    params: dict[str, Parameter]
    exclude: list[dict[str, list[Scalar]]] = []

    @field_validator("params", mode="before")
    @classmethod
    def _shorthand(cls, params: Any) -> Any:
        return expand_all(params)

    @field_validator("exclude", mode="before")
    @classmethod
    def _one_value_is_a_list_of_one(cls, exclude: Any) -> Any:
        return [_lists_of_values(one) for one in exclude] if isinstance(exclude, list) else exclude

    @field_validator("params")
    @classmethod
    def _conditions_first(cls, params: dict[str, Parameter]) -> dict[str, Parameter]:
        for name, spec in params.items():
            for other, values in (spec.when or {}).items():
                where = f"params.{name}.when"
                if other == name:
                    raise ValueError(
                        f"{where}: asks about {other!r}, which is the parameter itself"
                    )
                _check_condition(params, other, values, where)
        ordered: dict[str, Parameter] = {}
        while len(ordered) < len(params):
            ready = [
                name
                for name, spec in params.items()
                if name not in ordered and all(other in ordered for other in spec.when or {})
            ]
            if not ready:
                circle = ", ".join(sorted(params.keys() - ordered.keys()))
                raise ValueError(f"{circle}: their conditions (when) go round in a circle")
            ordered[ready[0]] = params[ready[0]]
        return ordered

    @model_validator(mode="after")
    def _excludes_something(self) -> Self:
        for i, combination in enumerate(self.exclude):
            for name, values in combination.items():
                _check_condition(self.possible, name, values, f"exclude[{i}]")
        return self

    @property
    def possible(self) -> Mapping[str, Parameter]:
        """Every value that a parameter may ever have."""
        return self.params

    def excludes(self, setting: Mapping[str, Scalar]) -> bool:
        """Whether a setting is one of those that are not tried."""
        return any(
            all(name in setting and setting[name] in values for name, values in one.items())
            for one in self.exclude
        )

    @property
    def constants(self) -> dict[str, Scalar]:
        """Parameters that can have but one value."""
        grids = {name: spec.grid() for name, spec in self.params.items()}
        return {
            name: grid[0] for name, grid in grids.items() if grid is not None and len(grid) == 1
        }

    def is_active(self, name: str, chosen: Mapping[str, Scalar]) -> bool:
        """Whether the parameter exists, given the values of those before it."""
        return self.params[name].is_active(chosen)


def _check_condition(
    params: Mapping[str, Parameter], name: str, values: Sequence[Scalar], where: str
) -> None:
    """Whether a parameter can have these values at all."""
    if name not in params:
        near = difflib.get_close_matches(name, [*params], 1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{where}: asks about {name!r}, which is not a parameter{hint}")
    possible = params[name].grid()
    if possible is None:
        raise ValueError(
            f"{where}: {name} is continuous, so it never is exactly "
            "that: ask about a parameter with choices or steps"
        )
    for value in values:
        if value not in possible:
            raise ValueError(f"{where}: waits for {name} to be {value!r}, which it never is")
