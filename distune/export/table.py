"""A study's trials as a table: the same rows and columns for every format. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cached_property

from distune.export.leaderboard import names_of, parameter_names
from distune.export.rows import TrialRow, trial_rows
from distune.search.ranking import History
from distune.study.space import CategoricalParameter, IntParameter, Parameter
from distune.study.trial import Report, Scalar

_INT64 = range(-(2**63), 2**63)

#: Reports by the trials' numbers; may be read only when they are asked for.
Curves = Mapping[int, Sequence[Report]]


class Kind(StrEnum):
    """What all values of a column are, where there is one."""

    INTEGER = "integer"  # of 64 bits
    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"


@dataclass(frozen=True)
class Column:
    """One column of the table; a value that a trial does not have is None."""

    name: str
    kind: Kind
    values: list[Scalar]


#: What the values of a field are like, also where there is none.
_EXAMPLES: dict[str, Scalar] = {"int": 0, "float": 0.0, "float | None": 0.0}


@dataclass(frozen=True)
class TrialTable:
    """Counted trials, a row each: `TrialTable(history, top=10).rows`.

    Attributes:
        history: of the study.
        curves: of its trials.
        top: how many configurations, the best ones; all if None.
        tell: is called with how many trials `with_curves` has gone through.
    """

    history: History
    curves: Curves = field(default_factory=dict)
    top: int | None = None
    tell: Callable[[int], None] = lambda done: None

    @cached_property
    def rows(self) -> list[TrialRow]:
        return trial_rows(self.history, self.top)

    def with_curves(self) -> Iterator[tuple[TrialRow, Sequence[Report]]]:
        """Each row with what its trial has reported, read when it is its turn."""
        for done, row in enumerate(self.rows, 1):
            yield row, self.curves.get(row.number, ())
            self.tell(done)

    @cached_property
    def columns(self) -> list[Column]:
        """One for each field of a `TrialRow`, then one for each param, metric and test.

        A column is as wide as its values need: integers with other numbers are numbers; where a
        parameter has values of several kinds, all are text, as Python writes them (`1`, `True`).
        What the study's space allows counts as well, so that no column changes its kind while
        the study runs.
        """
        return [*self._fields(), *self.params, *self._measured("metrics"), *self._measured("test")]

    def _fields(self) -> Iterator[Column]:
        for one in fields(TrialRow):
            if one.name not in ("params", "metrics", "test"):
                values = [getattr(row, one.name) for row in self.rows]
                yield _column(one.name, values, [_EXAMPLES.get(str(one.type), "")])

    @cached_property
    def params(self) -> list[Column]:
        """Those of the parameters: `params.lr`."""
        study = self.history.study
        spaces = [study.params, *(stage.params for stage in study.stages or [])]
        found = []
        for name in self._parameter_names():
            allowed = [one for space in spaces if name in space for one in _examples(space[name])]
            values = [row.params.get(name) for row in self.rows]
            found.append(_column(f"params.{name}", values, allowed))
        return found

    def _parameter_names(self) -> list[str]:
        if len(self.rows) < len(self.history):
            return parameter_names(self.history)
        best_first = sorted(self.rows, key=lambda row: row.rank)
        return names_of(self.history.study, (row.params for row in best_first))

    def _measured(self, group: str) -> Iterator[Column]:
        measured = [getattr(row, group) for row in self.rows]
        for name in dict.fromkeys(name for metrics in measured for name in metrics):
            values = [metrics.get(name) for metrics in measured]
            yield _column(f"{group}.{name}", values, [0.0])


def _examples(spec: Parameter) -> Sequence[Scalar]:
    if isinstance(spec, CategoricalParameter):
        return spec.choices
    return [spec.low, spec.high] if isinstance(spec, IntParameter) else [float(spec.low)]


def _column(name: str, values: list[Scalar], examples: Sequence[Scalar]) -> Column:
    kind = _kind([*examples, *values])
    if kind is Kind.NUMBER:
        values = [None if value is None else float(value) for value in values]
    elif kind is Kind.TEXT:
        values = [None if value is None else str(value) for value in values]
    return Column(name, kind, values)


def _kind(values: Sequence[Scalar]) -> Kind:
    types = {type(value) for value in values if value is not None}
    integers = [value for value in values if type(value) is int]
    if types <= {int} and all(value in _INT64 for value in integers):
        return Kind.INTEGER if types else Kind.TEXT
    if types == {bool}:
        return Kind.BOOLEAN
    if types <= {int, float} and float in types and all(map(_is_exact, integers)):
        return Kind.NUMBER
    return Kind.TEXT


def _is_exact(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False
