"""The search space in Python: what a space file says, as objects. Pure, and light to import."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import Any


class _Parameter:
    """Base of what a parameter may be."""

    kind = ""

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it; without what is not said."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]
        kept = {
            name: plain(value)
            for name, value in said.items()
            if value is not None and value is not False
        }
        return {"type": self.kind, **kept}


@dataclass(frozen=True)
class Float(_Parameter):
    """A number from `low` to `high`, both included.

        >>> Float(1e-4, 1, log=True).to_dict()
        {'type': 'float', 'low': 0.0001, 'high': 1, 'log': True}

    Args:
        log: spread evenly over the magnitudes.
        step: only `low`, `low + step`, ...
        when: values that others must have for it to exist: `{"optimizer": "sgd"}`.
    """

    kind = "float"
    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    step: float | None = None
    when: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Int(_Parameter):
    """A whole number from `low` to `high`, both included; the rest as of `Float`."""

    kind = "int"
    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    step: int | None = None
    when: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Choice(_Parameter):
    """One of some values: scalars, lists or dicts. A list, `[32, 64]`, is short for it.

    >>> Choice(["nesterov", "plain"], when={"optimizer": "sgd"}).to_dict()["choices"]
    ['nesterov', 'plain']
    """

    kind = "categorical"
    choices: Sequence[Any]
    _: KW_ONLY
    when: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Space:
    """Parameters by name, and what of them is not tried.

        >>> print(Space({"lr": Float(0.1, 1), "width": [32, 64], "epochs": 3}).to_json(indent=None))
        {"params": {"lr": {"type": "float", "low": 0.1, "high": 1}, "width": [32, 64], "epochs": 3}}

    Args:
        params: each a `Float`, `Int` or `Choice`; a list of choices; or a value for all.
        exclude: combinations that are not tried: `[{"optimizer": "adam", "lr": [1, 0.5]}]`.
    """

    params: Mapping[str, Any]
    exclude: Sequence[Mapping[str, Any]] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As a space file has it."""
        exclude = {"exclude": plain(self.exclude)} if self.exclude else {}
        return {"params": plain(self.params), **exclude}

    def to_json(self, indent: int | None = 2) -> str:
        """The text of a space file that says the same."""
        return json.dumps(self.to_dict(), indent=indent)


def plain(value: Any) -> Any:
    """What JSON can say of it: tuples, ranges and arrays are lists, NumPy's numbers numbers."""
    if isinstance(value, _Parameter | Space):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    if hasattr(value, "tolist"):  # NumPy's
        return plain(value.tolist())
    if isinstance(value, Sequence):
        return [plain(one) for one in value]
    return value
