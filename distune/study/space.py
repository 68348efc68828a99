"""The search space: which parameters there are and what values they may take. Pure.

`type`, `low`, `high`, `log`, `step` and `choices` mean what they mean in Optuna's
distributions. A list is short for `choices`, a bare scalar for a constant, and
`when` makes a parameter conditional on the values of others.
"""

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from distune.study.trial import Scalar

_MOST_STEPS = 10**6
#: Of a step: what `low`, `high` and `step` may have lost where they are themselves computed.
_LOST = Decimal("1e-9")
_Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]


def as_scalar(value: Any) -> Any:
    """A list or an object as the JSON text that stands for it; a scalar as it is."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else value


def _lists_of_values(condition: Any) -> Any:
    """`{"optimizer": "sgd"}` is short for `{"optimizer": ["sgd"]}`."""
    if not isinstance(condition, Mapping):
        return condition
    if not condition:
        raise ValueError('is empty: write {"other_parameter": value}, or leave it out')
    if [] in condition.values():
        raise ValueError("has an empty list of values: it would never hold")
    lists = {k: v if isinstance(v, list) else [v] for k, v in condition.items()}
    return {name: list(map(as_scalar, values)) for name, values in lists.items()}


def scalars(setting: Any) -> Any:
    """A setting with `as_scalar` of its values; what is none stays as it is."""
    if not isinstance(setting, Mapping):
        return setting
    return {name: as_scalar(value) for name, value in setting.items()}


#: Values of some of the parameters.
Setting = Annotated[dict[str, Scalar], BeforeValidator(scalars)]

#: Parameters, and the values of which each must have one.
_Condition = Annotated[dict[str, list[Scalar]], BeforeValidator(_lists_of_values)]


def is_one_of(value: Scalar, values: Sequence[Scalar]) -> bool:
    """Whether a value is among these: 1 is 1.0, and neither is true, as in JSON."""
    if isinstance(values, range):  # which looks for anything but integers one by one
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return int(value) == value and int(value) in values
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in values)


def how_many(values: Sequence[Scalar]) -> int:
    """`len`, also of a range with more integers than that can say."""
    if isinstance(values, range):
        return max(0, -((values.start - values.stop) // values.step))
    return len(values)


def holds(condition: Mapping[str, Sequence[Scalar]], setting: Mapping[str, Scalar]) -> bool:
    """Whether a setting has, for each parameter that is named, one of the values given there."""
    return all(n in setting and is_one_of(setting[n], values) for n, values in condition.items())


def may_be(spec: "Parameter", value: Scalar) -> bool:
    """Whether a parameter may have a value."""
    if isinstance(spec, FloatParameter) and spec.step is None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return spec.low <= value <= spec.high
    return is_one_of(value, spec.grid() or ())


class Strict(BaseModel):
    """Base of what a space is made of: immutable, and without keys that are not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class _Parameter(Strict):
    #: Values other parameters must have for this one to exist at all.
    when: _Condition | None = None

    def is_active(self, chosen: Mapping[str, Scalar]) -> bool:
        """Whether it exists, given the values of those that it asks about."""
        return holds(self.when or {}, chosen)


class _Range(_Parameter):
    log: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high, step = (getattr(self, name) for name in ("low", "high", "step"))
        if low > high:
            raise ValueError(f"low ({low}) is greater than high ({high}): swap them")
        if not math.isfinite(float(high) - float(low)):
            raise ValueError(f"the range from {low} to {high} is too wide to draw from")
        if step is not None and (high - low) / step > _MOST_STEPS:
            raise ValueError(f"step ({step}) is too small: there are over a million values")
        if isinstance(step, float) and step < math.ulp(max(abs(low), abs(high))):
            raise ValueError(
                f"step ({step}) is too small: numbers of this size have no digits for it"
            )
        if self.log and low <= 0:
            raise ValueError(
                f"a log scale cannot reach {low}: low must be greater than 0, or log false"
            )
        if self.log and step is not None:
            raise ValueError("log and step do not go together: leave one out")
        return self


class FloatParameter(_Range):
    type: Literal["float"]
    low: float
    high: float
    step: Annotated[float, Field(gt=0)] | None = None

    def grid(self) -> Sequence[Scalar] | None:
        """All its values; None if it is continuous."""
        if self.low == self.high:
            return [self.low]
        if self.step is None:
            return None
        return [self.at_step(i) for i in range(self.steps)]

    @property
    def steps(self) -> int:
        """How many values it has, if it has steps."""
        low, high, step = self._in_decimal()
        return math.floor((high - low) / step + _LOST) + 1

    def at_step(self, i: int) -> float:
        """`low` and `i` steps, in decimal, as users write it: 0.1 + 2 * 0.1 is 0.3."""
        low, high, step = self._in_decimal()
        value = low + i * step
        return self.high if abs(high - value) <= _LOST * step else float(value)

    def _in_decimal(self) -> tuple[Decimal, Decimal, Decimal]:
        return Decimal(repr(self.low)), Decimal(repr(self.high)), Decimal(repr(self.step))


class IntParameter(_Range):
    type: Literal["int"]
    low: _Integer
    high: _Integer
    step: Annotated[int, Field(gt=0)] | None = None

    def grid(self) -> Sequence[Scalar] | None:
        return range(self.low, self.high + 1, self.step or 1)


class CategoricalParameter(_Parameter):
    """Attributes:
    choices: what it may be.
    structured: those of them that are lists or objects for the objective, as JSON text.
    """

    type: Literal["categorical"] = "categorical"
    choices: list[Scalar]
    structured: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _as_text(cls, fields: Any) -> Any:
        choices = fields.get("choices") if isinstance(fields, Mapping) else None
        if not isinstance(choices, list):
            return fields
        structured = [as_scalar(one) for one in choices if isinstance(one, list | dict)]
        if not structured:
            return fields
        return {**fields, "choices": list(map(as_scalar, choices)), "structured": structured}

    @field_validator("choices")
    @classmethod
    def _distinct(cls, choices: list[Scalar]) -> list[Scalar]:
        if not choices:
            raise ValueError("is empty: give at least one choice, or leave the parameter out")
        if len({(type(c), c) for c in choices}) < len(choices):
            raise ValueError("has a choice twice: leave one out")
        return choices

    def grid(self) -> Sequence[Scalar] | None:
        return self.choices

    def plain(self, value: Scalar) -> Any:
        """A choice as the space file has it, and the objective gets it."""
        return json.loads(value) if isinstance(value, str) and value in self.structured else value


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]


def _expand_all(params: Any) -> Any:
    """A list becomes `choices`, a scalar a single choice; an object gets its type where it is
    plain; anything else stays.
    """
    if not isinstance(params, Mapping):
        return params
    expanded = {}
    for name, spec in params.items():
        choices = [spec] if spec is None or isinstance(spec, str | int | float | bool) else spec
        if isinstance(choices, list):
            expanded[name] = {"type": "categorical", "choices": choices}
        elif isinstance(spec, Mapping) and "type" not in spec and (kind := _plain_type(spec)):
            expanded[name] = {"type": kind, **spec}
        else:
            expanded[name] = spec
    return expanded


def _plain_type(spec: Mapping[str, Any]) -> str | None:
    """Of a parameter without one. Whole numbers may be meant as either: a guess costs a week."""
    if "choices" in spec:
        return "categorical"
    numbers = (spec.get(key) for key in ("low", "high", "step"))
    return "float" if any(isinstance(one, float) for one in numbers) else None


Parameters = Annotated[dict[str, Parameter], BeforeValidator(_expand_all)]


class Space(Strict):
    """Parameters by name, each after those that its `when` asks about.

    Attributes:
        params: the parameters.
        exclude: combinations of values that are not tried: a setting that has, for each
            parameter one of them names, one of the values given there.
    """

    params: Parameters
    exclude: list[_Condition] = []

    @field_validator("params")
    @classmethod
    def _conditions_first(cls, params: dict[str, Parameter]) -> dict[str, Parameter]:
        for name, spec in params.items():
            where = f"params.{name}.when"
            if name in (spec.when or {}):
                raise ValueError(f"{where}: asks about {name!r}, which is the parameter itself")
            _check_condition(params, spec.when or {}, where)
        ordered: dict[str, Parameter] = {}
        while len(ordered) < len(params):
            for name, spec in params.items():
                if name not in ordered and (spec.when or {}).keys() <= ordered.keys():
                    ordered[name] = spec
                    break
            else:
                circle = ", ".join(sorted(params.keys() - ordered.keys()))
                raise ValueError(f"{circle}: their conditions (when) go round in a circle")
        return ordered

    @model_validator(mode="after")
    def _excludes_something(self) -> Self:
        for i, combination in enumerate(self.exclude):
            _check_condition(self.possible, combination, f"exclude[{i}]")
        return self

    @property
    def possible(self) -> Mapping[str, Parameter]:
        """Every value that a parameter may ever have."""
        return self.params

    def check(self, setting: Mapping[str, Scalar]) -> None:
        """See that a setting, which may leave parameters out, can be one of those that are tried.

        Raises:
            ValueError: it cannot; `parameter: problem`.
        """
        for name in setting:
            if name not in self.params:
                raise ValueError(
                    f"{name}: there is no such parameter{did_you_mean(name, self.params)}"
                )
        chosen: dict[str, Scalar] = {}
        for name, spec in self.params.items():
            if name not in setting:
                continue
            others = spec.when or {}
            if others.keys() <= setting.keys() and not spec.is_active(chosen):
                raise ValueError(f"{name}: is not there with these values of {', '.join(others)}")
            if not may_be(spec, setting[name]):
                raise ValueError(f"{name}: {json.dumps(setting[name])} is none of its values")
            chosen[name] = setting[name]
        if self.excludes({**self.constants, **setting}):
            raise ValueError(f"{', '.join(setting)}: such a combination is excluded (exclude)")

    def excludes(self, setting: Mapping[str, Scalar]) -> bool:
        """Whether a setting is one of those that are not tried."""
        return any(holds(combination, setting) for combination in self.exclude)

    @property
    def constants(self) -> dict[str, Scalar]:
        """Parameters that can have but one value."""
        grids = {name: spec.grid() or () for name, spec in self.params.items()}
        return {name: grid[0] for name, grid in grids.items() if how_many(grid) == 1}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known."""
    near = difflib.get_close_matches(name, [*known], 1)
    return f": did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(known))}"


def _check_condition(
    params: Mapping[str, Parameter], condition: Mapping[str, Sequence[Scalar]], where: str
) -> None:
    """See that parameters can have the values that it names."""
    for name, values in condition.items():
        if name not in params:
            hint = did_you_mean(name, params)
            raise ValueError(f"{where}: asks about {name!r}, which is not a parameter{hint}")
        possible = params[name].grid()
        if possible is None:
            raise ValueError(
                f"{where}: {name} is continuous, so it never is exactly "
                "that: ask about a parameter with choices or steps"
            )
        for value in values:
            if not is_one_of(value, possible):
                shown = json.dumps(value)  # as the file has it: true, and not True
                raise ValueError(f"{where}: waits for {name} to be {shown}, which it never is")
