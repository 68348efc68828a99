"""Rows as columns, which take a quarter of the bytes; `source.js` makes rows of them again. Pure.

    {"keys": [of the rows], "columns": {name: column, ...}}

A column is one of

    {"is": [a value for each row]}
    {"of": [values], "at": [for each row, which of them; -1 if it has none]}
    {"all": value}
    {"each": {name: column, ...}}   where the values are objects

and has `"not": [places]` of the rows that have no such value, if there are any; `"is"` has null
there.
"""

from collections.abc import Hashable, Mapping, Sequence
from enum import Enum
from typing import Any

Tree = dict[str, Any]


class _Missing(Enum):
    VALUE = 0


_NONE = _Missing.VALUE


def as_columns(rows: Mapping[int, Mapping[str, Any]]) -> Tree:
    """Rows by their keys; not all of them need to have the same names."""
    return {"keys": list(rows), "columns": _columns(list(rows.values()))}


def _columns(rows: Sequence[Any]) -> Tree:
    """`rows`: mappings, or `_NONE`."""
    names = dict.fromkeys(name for row in rows if row is not _NONE for name in row)
    return {
        name: _column([_NONE if row is _NONE else row.get(name, _NONE) for row in rows])
        for name in names
    }


def _column(values: Sequence[Any]) -> Tree:
    there = [value for value in values if value is not _NONE]
    missing: Tree = {}
    if len(there) < len(values):
        missing = {"not": [i for i, value in enumerate(values) if value is _NONE]}
    if all(isinstance(value, dict) for value in there):
        return {"each": _columns(values), **missing}
    if not all(isinstance(value, Hashable) for value in there):
        return {"is": [None if value is _NONE else value for value in values], **missing}
    places: dict[tuple[type, Any], int] = {}  # 1 is not True
    at = [
        -1 if value is _NONE else places.setdefault((type(value), value), len(places))
        for value in values
    ]
    if len(places) == 1:
        return {"all": there[0], **missing}
    if 4 * len(places) <= len(there):
        return {"of": [value for _, value in places], "at": at}
    return {"is": [None if value is _NONE else value for value in values], **missing}
