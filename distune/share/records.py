"""Records as lines of JSON and back. Nothing read is trusted (P10). Pure.

A line is `{"kind": "report", ..., "crc": "8f3a01c2"}`: the checksum covers everything
before it, so that a flipped bit in a number is seen, not ranked.

What is written is what a quick encoder makes of a record, if it reads back as the same; what is
read is what a quick decoder makes of the bytes, if they are just those that it would be written
as. All else (NaN, which has to be a string; a key twice; fields of another release) goes the slow
and strict way.
"""

import functools
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar, overload

import msgspec
from msgspec import inspect
from pydantic import ValidationError

from distune.errors import BadRecord
from distune.study.trial import (
    FAILURES,
    MOST_CHECKPOINTS,
    Asked,
    Checkpoint,
    Claim,
    Counted,
    Document,
    Dropped,
    Output,
    Record,
    Report,
    Result,
    Resumed,
    Trial,
)

R = TypeVar("R", bound=Record)
D = TypeVar("D", bound=Document)

#: More than this in one file is not something distune wrote.
SIZE_LIMIT = 64 * 2**20
LINE_LIMIT = 2**20
#: `study.json`, which may have thousands of settings in it.
STUDY_LIMIT = 16 * 2**20
MOST_METRICS = 1000  # of one report; many more of them would fill the memory of all who read it
#: What is kept of what a training prints: the last of it, in characters.
OUTPUT_LIMIT = 2**16
#: What the reports of one attempt come to, by `size_of_report`: half of what its file may have, in
#: case all of them were written twice. An objective that reports more is stopped.
REPORTS_LIMIT = 32 * 2**20
_REPORT_SIZE, _NUMBER_SIZE = 100, 28  # bytes of a line, at most, besides the metrics' names
#: A crash, or a full disk, leaves half a line now and then. More than this is something else.
_MOST_BAD_LINES = 1000
_STRETCH = 2**18  # bytes that are split into lines at a time

#: A line says its class's name: another name would be another layout.
_LINES: tuple[type[Record], ...] = (
    Trial,
    Claim,
    Resumed,
    Report,
    Checkpoint,
    Output,
    Result,
    Counted,
    Asked,
    Dropped,
)
_MODELS = {model.__name__.lower().encode(): model for model in _LINES}
_NAMES = {model: kind for kind, model in _MODELS.items()}
_HEAD = b'{"kind":"'
_CHECKSUM = re.compile(rb',"crc":"([0-9a-f]{8})"\}', re.ASCII)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_TAIL = len(b',"crc":"00000000"}')
_DOCUMENT_CHECKSUM = re.compile(rb',\n  "crc": "([0-9a-f]{8})"\n\}', re.ASCII)
_DOCUMENT_TAIL = len(b',\n  "crc": "00000000"\n}')
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# -- JSON ----------------------------------------------------------------------------------------


_encode = msgspec.json.Encoder().encode


@functools.cache
def _decoder(model: type[R]) -> Callable[[bytes], R]:
    return msgspec.json.Decoder(model).decode


def dump(record: Record) -> bytes:
    """A record as JSON. NaN and Infinity, which JSON does not know, are strings.

    Raises:
        ValueError: it holds what a record may not hold, and could not be read again.
    """
    model = type(record)
    try:
        data = _encode(record)
        if _decoder(model)(data) == record:  # NaN is null there, and equals nothing
            return data
    except ValueError:
        pass
    plain = msgspec.to_builtins(record)
    text = json.dumps(
        with_finite_numbers(plain), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    if not _same(msgspec.to_builtins(_convert(model, json.loads(text))), plain):
        raise ValueError(f"{record!r:.200} cannot be written and read again")
    return text.encode()


def _same(a: Any, b: Any) -> bool:
    """Whether plain data is equal where NaN equals NaN."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b)


def with_finite_numbers(value: Any) -> Any:
    """Plain data that is JSON: "NaN", "Infinity", "-Infinity" for what is not finite."""
    if isinstance(value, dict):
        return {key: with_finite_numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_finite_numbers(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def load(model: type[R], data: bytes) -> R:
    """The record that `dump` made into `data`.

    Raises:
        ValueError: it is no such record, or not what a standard says JSON is.
        RecursionError: it is too deep.
    """
    record = _load_quickly(model, data)
    return _convert(model, _strict_json(data)) if record is None else record


def _load_quickly(model: type[R], data: bytes, indent: int | None = None) -> R | None:
    """The record, if these are the very bytes that it is written as."""
    try:
        record = _decoder(model)(data)
        again = _encode(record)
        if indent is not None:
            again = msgspec.json.format(again, indent=indent)
        return record if again == data else None
    except (ValueError, RecursionError):
        return None


def _convert(model: type[R], fields: Any) -> R:
    return msgspec.convert(_with_nan(_kind_of(model), fields), model)


_kind_of = functools.cache(inspect.type_info)


def _with_nan(kind: inspect.Type, value: Any) -> Any:
    """Plain data with NaN and Infinity where they are strings in place of numbers."""
    match kind:
        case inspect.FloatType() if isinstance(value, str):
            return _NOT_FINITE.get(value, value)
        case inspect.UnionType(types) if not any(isinstance(t, inspect.StrType) for t in types):
            return functools.reduce(lambda found, one: _with_nan(one, found), types, value)
        case inspect.DictType(value_type=inner) if isinstance(value, dict):
            return {key: _with_nan(inner, one) for key, one in value.items()}
        case inspect.ListType(item_type=inner) if isinstance(value, list):
            return [_with_nan(inner, one) for one in value]
        case inspect.StructType(fields=known) if isinstance(value, dict):
            kinds = {field.encode_name: field.type for field in known}
            return {
                key: _with_nan(kinds[key], one) if key in kinds else one
                for key, one in value.items()
            }
        case _:
            return value


def _strict_json(data: bytes) -> Any:
    """JSON as the standard has it: UTF-8, no bare NaN, no number beyond all, no key twice, no
    half of a surrogate pair, which could never be written again.
    """
    found = json.loads(
        data.decode(),
        object_pairs_hook=_no_key_twice,
        parse_constant=_no_constant,
        parse_float=_finite,
    )
    if _SURROGATE.search(data):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key stands there twice")
    return fields


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond all numbers")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# -- lines ---------------------------------------------------------------------------------------


def encode(record: Record) -> bytes:
    """One line, newline included.

    Raises:
        ValueError: it holds what a record may not hold.
    """
    body = b'%s%s",%s' % (_HEAD, _NAMES[type(record)], dump(record)[1:-1])
    return b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def beginning_of(model: type[Record]) -> bytes:
    """What every line of such a record begins with."""
    return b'%s%s",' % (_HEAD, _NAMES[model])


def decode(line: bytes) -> Record:
    """The record that `encode` made into `line`.

    Raises:
        BadRecord: it is torn, altered, or no record at all.
    """
    line = line.strip()
    if len(line) > LINE_LIMIT:
        raise BadRecord(f"a line of {len(line)} bytes")
    body = line[:-_TAIL]
    if line[-_TAIL:] != b',"crc":"%08x"}' % zlib.crc32(body):
        if _CHECKSUM.fullmatch(line[-_TAIL:]) is None:
            raise BadRecord("a line without a checksum (torn?)")
        raise BadRecord("a line whose checksum does not match")
    kind, _, fields = body[len(_HEAD) :].partition(b'","')
    if kind in _MODELS and body.startswith(_HEAD):
        record = _load_quickly(_MODELS[kind], b'{"%s}' % fields)
        if record is not None:
            return record
    try:
        found = _strict_json(body + b"}")
        return _convert(_MODELS[found.pop("kind").encode()], found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRecord(f"a line that is no record ({type(error).__name__})") from error


def decode_again(line: bytes) -> Record:
    """What `decode` has once made of this line, without checking it again."""
    kind, _, fields = line[len(_HEAD) : -_TAIL - 1].partition(b'","')
    try:
        record: Record = _decoder(_MODELS[kind])(b'{"%s}' % fields)
        return record
    except (ValueError, KeyError):  # NaN, or written by another hand
        return decode(line)


def is_altered(line: bytes) -> bool:
    """Whether a line that is no record was one: it ends in a checksum, as no half of a line does,
    which a crash leaves.
    """
    return _CHECKSUM.fullmatch(line.strip()[-_TAIL:]) is not None


def decode_lines(data: bytes, on_bad: Callable[[bytes], None] | None = None) -> Iterator[Record]:
    """All complete, sound records in `data`: see `decode_with_lines`."""
    return (record for record, _ in decode_with_lines(data, on_bad))


def decode_with_lines(
    data: bytes, on_bad: Callable[[bytes], None] | None = None
) -> Iterator[tuple[Record, bytes]]:
    """All complete, sound records in `data`, each with its line. The last one counts only with its
    newline, because a reader may come in the middle of a write; `on_bad` is called with each line
    that is no record.

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
            yield record, line.strip() + b"\n"


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
    altered: int = 0  # lines whose checksum does not match
    output: str = ""  # what was printed, at last
    checkpoints: tuple[Checkpoint, ...] = ()  # the last of its own, in their order
    resumed: Resumed | None = None  # where it went on from, if not from the beginning
    wasted: float = 0.0  # seconds of it that the next attempt does not go on from, if it is lost

    @property
    def failed(self) -> bool:
        """Whether its result is a failure."""
        return self.result is not None and self.result.outcome in FAILURES

    def checkpoints_for_the_next(self, *, failed: bool) -> list[Checkpoint]:
        """What the attempt after this one may go on from. If this one has failed and saved nothing,
        what it began with may be why.
        """
        own, before = self.checkpoints[::-1], self.trial.checkpoints
        began_badly = failed and not own and self.resumed is not None
        return [*own, *(before[1:] if began_badly else before)][:MOST_CHECKPOINTS]

    def not_gone_on_from(self) -> float:
        """How many seconds it has trained, as far as its lines say, since the state that the next
        attempt goes on from, if there is one.
        """
        steps = next((one.step for one in self.checkpoints_for_the_next(failed=self.failed)), 0)
        times = [0.0, *(report.seconds for report in self.reports)]
        ended = max(times[-1], self.result.seconds if self.result is not None else 0.0)
        return max(ended - times[steps], 0.0) if steps < len(times) else 0.0

    @property
    def printed(self) -> str:
        """What was printed at last; before there was a line for it, only failures said so."""
        failure = self.result.failure if self.result is not None else None
        return self.output or (failure.output if failure is not None else "")


def size_of_report(metrics: Mapping[str, float]) -> int:
    """The bytes of a report's line, at most. In memory, each number takes four times as much."""
    return _REPORT_SIZE + sum(len(name) + _NUMBER_SIZE for name in metrics)


def parse_attempt(data: bytes) -> AttemptFile:
    """Read a whole attempt's file. A worker that was not sure whether its append arrived has
    written it again: of reports with one step the first counts, and so does the first result.

    Raises:
        BadRecord: there is no trial in it, or more in its reports than an objective may give.
    """
    trial: Trial | None = None
    claim: Claim | None = None
    reports: dict[int, Report] = {}
    size = 0
    result: Result | None = None
    output = ""
    checkpoints: list[Checkpoint] = []
    resumed: Resumed | None = None
    bad: list[bytes] = []
    for record in decode_lines(data, bad.append):
        match record:
            case Trial():
                trial = trial or record
            case Claim():
                claim = claim or record
            case Report() if record.step not in reports:
                if len(record.metrics) > MOST_METRICS:
                    raise BadRecord(f"a report in it has more than {MOST_METRICS} metrics")
                size += size_of_report(record.metrics)
                if size > REPORTS_LIMIT:
                    raise BadRecord(f"its reports fill more than {REPORTS_LIMIT >> 20} MB")
                reports[record.step] = record
            case Output():
                output = output or record.text
            case Checkpoint() if not checkpoints or record.number > checkpoints[-1].number:
                checkpoints = [*checkpoints, record][-MOST_CHECKPOINTS:]
            case Resumed():
                resumed = resumed or record
            case Result():
                result = result or record
    if trial is None:
        raise BadRecord("no trial in it")
    altered = sum(map(is_altered, bad))
    known = tuple(reports.values()), result, altered, output, tuple(checkpoints), resumed
    return AttemptFile(trial, claim, *known)


class Room:
    """For the files of attempts that are kept at a time, twice what one attempt may report; anyone
    who can write to the share can fill all that there are. `room.takes(file)`.
    """

    def __init__(self) -> None:
        self._left = 2 * REPORTS_LIMIT

    def takes(self, file: AttemptFile) -> bool:
        """Whether there is room for this one, which then is taken."""
        size = sum(size_of_report(report.metrics) for report in file.reports) + len(file.output)
        if size > self._left:
            return False
        self._left -= size
        return True


def encode_document(record: Record | Document) -> bytes:
    """A record that is a whole file, indented for people; its checksum comes last."""
    if isinstance(record, Document):
        text = record.model_dump_json(indent=2).encode()
    else:
        text = msgspec.json.format(dump(record), indent=2)
    body = text.removesuffix(b"\n}")
    return b'%s,\n  "crc": "%08x"\n}\n' % (body, zlib.crc32(body))


@overload
def decode_document(model: type[R], data: bytes) -> R: ...
@overload
def decode_document(model: type[D], data: bytes) -> D: ...
def decode_document(model: type[R] | type[D], data: bytes) -> R | D:
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
        if issubclass(model, Document):
            return model.model_validate(_strict_json(body + b"}"))
        record = _load_quickly(model, b"%s\n}" % body, indent=2)
        return _convert(model, _strict_json(body + b"}")) if record is None else record
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise BadRecord(f"{where}: {first['msg']}, not {first['input']!a:.60}") from error
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        raise BadRecord(f"{where.strip('.`') or 'it'}: {problem}") from error
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"it is not JSON ({str(error)!a:.80})") from error
