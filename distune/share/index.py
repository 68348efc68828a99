"""An index of a history: what a viewer would find out of a hundred thousand lines. Pure.

The master writes it now and then (`history.index`), a viewer begins with it and reads the lines
that came since. It is a line of JSON and columns of little-endian numbers, with a checksum at its
end. It holds the checksum of all lines that it was made of: it counts for a history that has
exactly these, in this order, and for no other. Whoever cannot use it reads the lines.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections import Counter
from typing import Any, TypeAlias

from distune.search.ranking import History, Indexed
from distune.share import records
from distune.study.trial import Count, Outcome, Record

_CHECKSUM = len(b"00000000\n")


class _Head(Record, frozen=True, kw_only=True):
    """The first line.

    Attributes:
        study: its id.
        rows: how many lines of the history it was made of.
        size: of these lines, in bytes, line ends included.
        crc: their checksum.
        outcomes, retried, taken_back, elapsed: as `History` has them.
        columns: how long each is, in their order.
    """

    format: int
    study: str
    rows: Count
    size: Count
    crc: Count
    outcomes: dict[str, Count]
    retried: Count
    taken_back: Count
    elapsed: float
    columns: list[Count]


_FORMAT = 1
#: The columns, and the type of the numbers in each.
_COLUMNS = {
    "rows": "Q",
    "numbers": "Q",
    "configuration_of": "Q",
    "digests": "Q",
    "tiers": "B",
    "orders": "d",
    "firsts": "Q",
    "ranked": "Q",
    "tests": "Q",
    "lengths": "I",
}
_Column: TypeAlias = "array[int] | array[float]"


def encode_index(history: History) -> bytes:
    """The index of a history as it stands."""
    found = history.indexed()
    columns: list[_Column] = [getattr(found, name) for name in _COLUMNS]
    head = _Head(
        format=_FORMAT,
        study=history.study.id,
        rows=history.rows,
        size=found.size,
        crc=found.crc,
        outcomes={str(outcome): count for outcome, count in found.outcomes.items()},
        retried=found.retried,
        taken_back=found.taken_back,
        elapsed=found.elapsed,
        columns=[len(column) for column in columns],
    )
    parts = [records.dump(head), b"\n", *map(_written, columns)]
    body = b"".join(parts)
    return b"%s%08x\n" % (body, zlib.crc32(body))


def restore(history: History, index: bytes, data: bytes) -> int:
    """Fill an empty history from its index.

    Args:
        history: to be filled.
        index: what `encode_index` has made.
        data: `history.jsonl`.

    Returns:
        Where in `data` the lines begin that came after; 0 if the index is none, or is of other
        lines, and nothing was done.
    """
    try:
        head, columns = _read(index)
    except ValueError:
        return 0
    if head.format != _FORMAT or head.study != history.study.id:
        return 0
    text, offset = _first_lines(data, head.size)
    if len(text) != head.size or zlib.crc32(text) != head.crc:
        return 0
    found = Indexed(
        size=head.size,
        crc=head.crc,
        outcomes=Counter({Outcome(name): count for name, count in head.outcomes.items()}),
        retried=head.retried,
        taken_back=head.taken_back,
        elapsed=head.elapsed,
        **columns,
    )
    return offset if history.begin(found, text) else 0


def _first_lines(data: bytes, size: int) -> tuple[bytes, int]:
    """So many bytes of a history, without its empty lines, and where in it the next one is. A
    master that starts ends what may be half a line, and leaves an empty one.
    """
    parts, have, at = [], 0, 0
    while have < size:
        while data[at : at + 1] == b"\n":
            at += 1
        blank = data.find(b"\n\n", at, at + size - have + 1)
        end = blank + 1 if blank >= 0 else min(at + size - have, len(data))
        if end == at:
            break
        parts.append(data[at:end])
        have, at = have + end - at, end
    return b"".join(parts), at


def _read(index: bytes) -> tuple[_Head, dict[str, Any]]:
    """What an index says.

    Raises:
        ValueError: it is none.
    """
    # Views: of what may be megabytes nothing is copied but into the columns.
    body, checksum = memoryview(index)[:-_CHECKSUM], index[-_CHECKSUM:]
    if b"%08x\n" % zlib.crc32(body) != checksum:
        raise ValueError("its checksum does not match")
    line, _, _ = index.partition(b"\n")
    rest = body[len(line) + 1 :]
    try:
        head = records.load(_Head, line)
        {Outcome(name) for name in head.outcomes}
    except RecursionError as error:
        raise ValueError("it is too deep") from error
    columns = {}
    for (name, kind), length in zip(_COLUMNS.items(), head.columns, strict=True):
        column: _Column = array(kind)
        size = length * column.itemsize
        if size > len(rest):
            raise ValueError("a column of it is cut short")
        column.frombytes(rest[:size])
        rest = rest[size:]
        if sys.byteorder == "big":
            column.byteswap()
        columns[name] = column
    if rest:
        raise ValueError("there is more in it than its columns")
    return head, columns


def _written(column: _Column) -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()
