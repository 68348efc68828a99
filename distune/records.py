"""Records as lines of JSON and back. Nothing read is trusted (P10). Pure.

A line is `{"kind": "report", ..., "crc": "8f3a01c2"}`: the checksum covers everything
before it, so that a flipped bit in a number is seen, not ranked.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from distune.errors import BadRecord
from distune.trial import Claim, Counted, Record, Report, Result, Trial

R = TypeVar("R", bound=Record)

#: More than this in one file is not something distune wrote.
SIZE_LIMIT = 64 * 2**20
LINE_LIMIT = 2**20

_KINDS: dict[str, type[Record]] = {
    "trial": Trial,
    "claim": Claim,
    "report": Report,
    "result": Result,
    "counted": Counted,
}
_NAMES = {model: kind for kind, model in _KINDS.items()}
_CHECKSUM = re.compile(rb',"crc":"([0-9a-f]{8})"\}', re.ASCII)
_TAIL = len(b',"crc":"00000000"}')


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
        fields = json.loads(body + b"}")
        return _KINDS[fields.pop("kind")].model_validate(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRecord(f"a line that is no record ({type(error).__name__})") from error


def decode_lines(data: bytes) -> Iterator[Record]:
    """All complete, sound records in `data`; torn or foreign lines are passed over.

    The last line counts only with its newline: a reader may come in the middle of a write.
    """
    *lines, _rest = data.split(b"\n")
    for line in lines:
        if line.strip():
            try:
                yield decode(line)
            except BadRecord:
                continue


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
    """A record that is a whole file, indented for people."""
    return (record.model_dump_json(indent=2) + "\n").encode()


def decode_document(model: type[R], data: bytes) -> R:
    """The record that `encode_document` wrote.

    Raises:
        BadRecord: it is something else, or half of it.
    """
    try:
        return model.model_validate(json.loads(data))
    except (ValidationError, ValueError, RecursionError) as error:
        raise BadRecord(str(error).splitlines()[0]) from error
