"""Records as lines of JSON and back. Nothing read is trusted (P10). Pure.

A line is `{"kind": "report", ..., "crc": "8f3a01c2"}`: the checksum covers everything
before it, so that a flipped bit in a number is seen, not ranked.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from distune.errors import BadRecord
from distune.trial import Claim, Counted, Record, Report, Result, Trial

R = TypeVar("R", bound=Record)

#: More than this in one file is not something distune wrote.
SIZE_LIMIT = 64 * 2**20
LINE_LIMIT = 2**20
#: A crash, or a full disk, leaves half a line now and then. More than this is something else.
_MOST_BAD_LINES = 1000
_STRETCH = 2**22  # bytes that are split into lines at a time

_KINDS: dict[str, type[Record]] = {
    "trial": Trial,
    "claim": Claim,
    "report": Report,
    "result": Result,
    "counted": Counted,
}
_NAMES = {model: kind for kind, model in _KINDS.items()}
_CHECKSUM = re.compile(rb',"crc":"([0-9a-f]{8})"\}', re.ASCII)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_TAIL = len(b',"crc":"00000000"}')
_DOCUMENT_CHECKSUM = re.compile(rb',\n  "crc": "([0-9a-f]{8})"\n\}', re.ASCII)
_DOCUMENT_TAIL = len(b',\n  "crc": "00000000"\n}')


def encode(record: Record) -> bytes:
    """One line, newline included."""
    text = record.model_dump_json()  # json.dumps would write NaN, which is not JSON
    body = f'{{"kind":"{_NAMES[type(record)]}",{text[1:-1]}'.encode()
    return b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def decode(line: bytes) -> Record:
    """The record that `encode` made into `line`.

    Raises:
        BadRecord: it is torn, altered, or no record at all.
    """
    line = line.strip()
    if len(line) > LINE_LIMIT:
        raise BadRecord(f"a line of {len(line)} bytes")
    checksum = _CHECKSUM.fullmatch(line[-_TAIL:])
    if checksum is None:
        raise BadRecord("a line without a checksum (torn?)")
    body = line[:-_TAIL]
    if zlib.crc32(body) != int(checksum[1], 16):
        raise BadRecord("a line whose checksum does not match")
    try:
        fields = _strict_json(body + b"}")
        return _KINDS[fields.pop("kind")].model_validate(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRecord(f"a line that is no record ({type(error).__name__})") from error


def _strict_json(data: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no bare NaN, no key twice, no half of a surrogate
    pair, which could never be written again.
    """
    found = json.loads(data.decode(), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    if _SURROGATE.search(data):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands there twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def decode_lines(data: bytes, on_bad: Callable[[bytes], None] | None = None) -> Iterator[Record]:
    """All complete, sound records in `data`; torn or foreign lines are passed over.

    The last line counts only with its newline: a reader may come in the middle of a write.

    Args:
        data: the lines.
        on_bad: is told each line that is no record.

    Raises:
        BadRecord: so many lines are no records that the file was not made by distune.
    """
    bad = 0
    for line in _complete_lines(data):
        try:
            record = decode(line)
        except BadRecord:
            bad += 1
            if bad > _MOST_BAD_LINES:
                raise BadRecord(f"more than {_MOST_BAD_LINES} lines in it are no records") from None
            if on_bad is not None and line.strip():
                on_bad(line)
        else:
            yield record


def _complete_lines(data: bytes) -> Iterator[bytes]:
    """Lines that end and are not empty. In stretches: 64 MiB of newlines are no list."""
    start, end = 0, data.rfind(b"\n") + 1
    while start < end:
        stop = data.find(b"\n", min(start + _STRETCH, end - 1)) + 1
        yield from filter(None, data[start:stop].split(b"\n"))
        start = stop


@dataclass(frozen=True)
class AttemptFile:
    """What the lines of one attempt's file say, so far."""

    trial: Trial
    claim: Claim | None
    reports: tuple[Report, ...]
    result: Result | None


def parse_attempt(data: bytes) -> AttemptFile:
    """Read a whole attempt's file.

    A worker that was not sure whether its append arrived has written it again: of
    reports with one step the first counts, and so does the first result.

    Raises:
        BadRecord: there is no trial in it.
    """
    trial: Trial | None = None
    claim: Claim | None = None
    reports: dict[int, Report] = {}
    result: Result | None = None
    for record in decode_lines(data):
        match record:
            case Trial():
                trial = trial or record
            case Claim():
                claim = claim or record
            case Report():
                reports.setdefault(record.step, record)
            case Result():
                result = result or record
    if trial is None:
        raise BadRecord("no trial in it")
    return AttemptFile(trial, claim, tuple(reports.values()), result)


def encode_document(record: Record) -> bytes:
    """A record that is a whole file, indented for people; its checksum comes last."""
    body = record.model_dump_json(indent=2).removesuffix("\n}").encode()
    return b'%s,\n  "crc": "%08x"\n}\n' % (body, zlib.crc32(body))


def decode_document(model: type[R], data: bytes) -> R:
    """The record that `encode_document` wrote.

    Raises:
        BadRecord: it is something else, or half of it, or was altered.
    """
    text = data.strip()
    checksum = _DOCUMENT_CHECKSUM.fullmatch(text[-_DOCUMENT_TAIL:])
    if checksum is None:
        raise BadRecord("it has no checksum at its end (cut short, or not written by distune)")
    body = text[:-_DOCUMENT_TAIL]
    if zlib.crc32(body) != int(checksum[1], 16):
        raise BadRecord("its checksum does not match (it was altered)")
    try:
        return model.model_validate(_strict_json(body + b"}"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise BadRecord(f"{where}: {first['msg']}, not {first['input']!a:.60}") from error
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"it is not JSON ({str(error)!a:.80})") from error
