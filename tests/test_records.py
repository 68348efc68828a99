"""Records and their lines: what is written is read back, and what is altered is noticed."""

from __future__ import annotations

import math
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import BadRecord
from distune.share.records import (
    LINE_LIMIT,
    decode,
    decode_document,
    decode_lines,
    encode,
    encode_document,
    parse_attempt,
)
from distune.study.study import Limits
from distune.study.trial import (
    Claim,
    Counted,
    Direction,
    Failure,
    Outcome,
    Purpose,
    Record,
    Report,
    Result,
    Trial,
    better,
    params_key,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOATS = st.floats(allow_nan=True, allow_infinity=True)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
COUNTS = st.integers(0, 10**12)
METRICS = st.dictionaries(TEXT, FLOATS, max_size=4)
TRIALS = st.builds(
    Trial,
    study=TEXT,
    number=COUNTS,
    attempt=st.integers(1, 10**6),
    purpose=st.sampled_from(Purpose),
    repeat=COUNTS,
    failed_on=st.lists(TEXT.map(lambda text: text[:80]), max_size=3),
    seed=st.integers(0, 2**63),
    params=st.dictionaries(TEXT, SCALARS, max_size=4),
    best=st.none() | METRICS,
)
RESULTS = st.builds(
    Result,
    outcome=st.sampled_from(Outcome),
    value=st.none() | FLOATS,
    metrics=METRICS,
    seconds=FLOATS,
    steps=COUNTS,
    failure=st.none() | st.builds(Failure, message=TEXT, traceback=TEXT, output=TEXT),
)
CLAIMS = st.builds(Claim, worker=TEXT, host=TEXT, device=TEXT, time=FLOATS)
REPORTS = st.builds(Report, step=COUNTS, metrics=METRICS, seconds=FLOATS)
COUNTED = st.builds(
    Counted, trial=TRIALS, worker=TEXT, device=TEXT, result=RESULTS, elapsed=st.none() | FLOATS
)
RECORDS = TRIALS | CLAIMS | REPORTS | RESULTS | COUNTED

TRIAL = Trial(study="s-1", number=17, attempt=1, params={"lr": 0.1, "optimizer": "sgd"})
CLAIM = Claim(worker="gpu7-812-4f", host="gpu7", device="cuda:0", time=1.5e9)
RESULT = Result(outcome=Outcome.COMPLETE, value=0.97, metrics={"val": 0.97}, steps=2)


def report(step: int, value: float) -> Report:
    return Report(step=step, metrics={"val": value}, seconds=float(step))


ATTEMPT: list[Record] = [TRIAL, CLAIM, report(1, 0.91), report(2, 0.97), RESULT]


def sealed(body: bytes) -> bytes:
    """A line as any program that writes to the share could make it: its checksum is right."""
    return body + b',"crc":"%08x"}\n' % zlib.crc32(body)


# -- what is written is read back --------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=200)
@given(RECORDS)
def test_every_record_is_read_back_as_it_was_written(record: Record) -> None:
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    # By repr, in which NaN equals NaN, -0.0 is not 0.0 and True is not 1.
    assert repr(decode(line)) == repr(record)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(RECORDS, max_size=8))
def test_lines_are_read_back_in_their_order(records: list[Record]) -> None:
    data = b"".join(map(encode, records))
    assert repr(list(decode_lines(data))) == repr(records)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7e308, 0.1 + 0.2])
def test_every_float_survives_exactly(value: float) -> None:
    read = decode(encode(report(1, value)))
    assert isinstance(read, Report)
    assert repr(read.metrics["val"]) == repr(value)


def test_a_line_is_plain_json_that_begins_with_its_kind_and_ends_with_its_checksum() -> None:
    assert encode(report(3, math.nan)) == sealed(
        b'{"kind":"report","step":3,"metrics":{"val":"NaN"},"seconds":3.0'
    )


def test_lines_of_the_first_release_are_readable_for_ever() -> None:
    old = (
        b'{"kind":"trial","study":"s-1","number":17,"attempt":1,"purpose":"train","repeat":0,'
        b'"failures":0,"seed":7,"params":{"lr":0.1},"best":null,"crc":"f269326c"}\n'
        b'{"kind":"claim","worker":"gpu7-812-4f","host":"gpu7","device":"cpu","time":1.5,'
        b'"crc":"9cb1289e"}\n'
        b'{"kind":"report","step":1,"metrics":{"val":"Infinity"},"seconds":2.0,'
        b'"crc":"a3a20eaf"}\n'
        b'{"kind":"result","outcome":"complete","value":0.97,"metrics":{},"seconds":2.0,'
        b'"steps":1,"failure":null,"crc":"78723515"}\n'
    )
    file = parse_attempt(old)
    assert file.trial == Trial(study="s-1", number=17, attempt=1, seed=7, params={"lr": 0.1})
    assert file.claim == Claim(worker="gpu7-812-4f", host="gpu7", device="cpu", time=1.5)
    assert file.reports == (Report(step=1, metrics={"val": math.inf}, seconds=2.0),)
    assert file.result == Result(outcome=Outcome.COMPLETE, value=0.97, seconds=2.0, steps=1)


def test_fields_of_a_later_release_are_passed_over() -> None:
    line = sealed(b'{"kind":"report","step":3,"metrics":{},"seconds":1.0,"loudness":11')
    assert decode(line) == Report(step=3, metrics={}, seconds=1.0)


# -- what is altered is noticed ----------------------------------------------------------------


def test_any_flipped_bit_of_a_line_is_noticed_or_harmless() -> None:
    line = encode(TRIAL)
    noticed = 0
    for place in range(8 * len(line)):
        altered = bytearray(line)
        altered[place // 8] ^= 1 << place % 8
        try:
            assert decode(bytes(altered)) == TRIAL  # another kind of blank at its end
        except BadRecord:
            noticed += 1
    assert noticed >= 8 * (len(line) - 1)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(RECORDS, st.data())
def test_any_overwritten_stretch_of_a_line_is_noticed(record: Record, data: st.DataObject) -> None:
    line = encode(record)[:-1]
    start = data.draw(st.integers(0, len(line) - 1))
    bad = data.draw(st.binary(min_size=1, max_size=4))
    altered = line[:start] + bad + line[start + len(bad) :]
    if altered.strip() != line:
        with pytest.raises(BadRecord):
            decode(altered)


def test_a_flipped_bit_costs_at_most_the_lines_it_touches_and_invents_none() -> None:
    lines = [encode(record) for record in ATTEMPT[:3]]
    data = b"".join(lines)
    for place in range(8 * len(lines[0]), 8 * (len(lines[0]) + len(lines[1]))):
        altered = bytearray(data)
        altered[place // 8] ^= 1 << place % 8
        read = list(decode_lines(bytes(altered)))
        assert read[0] == TRIAL
        assert read[1:] in ([ATTEMPT[2]], ATTEMPT[1:3], [])
        if place // 8 != len(data) - len(lines[2]) - 1:  # the line's end, which joins two
            assert read[-1] == ATTEMPT[2]


def test_a_file_cut_anywhere_gives_its_complete_lines_and_no_more() -> None:
    data = b"".join(map(encode, ATTEMPT))
    for length in range(len(data) + 1):
        complete = data[:length].count(b"\n")
        assert list(decode_lines(data[:length])) == ATTEMPT[:complete]


def test_a_record_that_may_not_be_is_not_written() -> None:
    """No process could read it again."""
    for bad in (TRIAL.replace(number=-1), TRIAL.replace(params={"x": math.nan}),
                TRIAL.replace(failed_on=["w" * 81]), CLAIM.replace(worker=None)):  # fmt: skip
        with pytest.raises(ValueError):  # noqa: PT011  of the library, or of its decoder
            encode(bad)


def test_the_last_line_counts_only_with_its_end() -> None:
    assert list(decode_lines(encode(CLAIM)[:-1])) == []


def test_a_half_written_line_does_not_spoil_the_one_after_it() -> None:
    line = encode(report(1, 0.5))
    for length in range(len(line) - 1):
        assert list(decode_lines(line[:length] + b"\n" + line)) == [report(1, 0.5)]


def test_blank_lines_are_nothing() -> None:
    assert list(decode_lines(b"\n \n" + encode(CLAIM) + b"\r\n\n")) == [CLAIM]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "without a checksum"),
        (b"hello\n", "without a checksum"),
        (b'{"kind":"claim"}\n', "without a checksum"),
        (b"\x00" * 500, "without a checksum"),
        (b"\xff\xfe" * 20, "without a checksum"),
        (encode(CLAIM).replace(b"gpu7", b"gpu8"), "does not match"),
        (sealed(b""), "no record"),
        (sealed(b"[1,2"), "no record"),
        (sealed(b'"text'), "no record"),
        (sealed(b'{"step":1'), "KeyError"),
        (sealed(b'{"kind":"party","step":1'), "KeyError"),
        (sealed(b'{"kind":["report"],"step":1'), "AttributeError"),
        (sealed(b'{"kind":"report","metrics":{},"seconds":1.0'), "ValidationError"),
        (sealed(b'{"kind":"report","step":-1,"metrics":{},"seconds":1.0'), "ValidationError"),
        (sealed(b'{"kind":"report","step":1,"metrics":{"a":"x"},"seconds":1'), "ValidationError"),
        (sealed(b'{"kind":"report","step":1,"metrics":{"a":null},"seconds":1'), "ValidationError"),
        (sealed(b'{"kind":"report","step":1,"metrics":{},"seconds":1' + b"0" * 400), "Validation"),
        (sealed(b'{"kind":"report","step":1' + b"0" * 5000), "ValueError"),
        (sealed(b'{"kind":"trial","study":"s","number":1,"attempt":0,"params":{}'), "Validation"),
        (sealed(b'{"kind":"trial","study":"s","number":1,"attempt":1,"params":{"a":[1]}'), "Valid"),
        (sealed(b'{"kind":"report","step":1,"step":1,"metrics":{},"seconds":1.0'), "ValueError"),
        (sealed(b'{"kind":"report","kind":"x","step":1,"metrics":{},"seconds":1.0'), "ValueError"),
        (sealed(b'{"kind":"report","step":1,"metrics":{"\\ud800":1},"seconds":1.0'), "Unicode"),
        (sealed(b'{"kind":"report","step":1,"metrics":{"a":NaN},"seconds":1.0'), "ValueError"),
        (sealed(b'{"kind":"report","step":1,"metrics":{"a":1e999},"seconds":1'), "ValueError"),
        (sealed(b'{"kind":"result","outcome":"won"'), "ValidationError"),
        (sealed(b'{"kind":"claim","worker":"\xff","host":"h"'), "UnicodeDecodeError"),
        (sealed(b'{"kind":"claim","x":' + b"[" * 100_000 + b"]" * 100_000), "RecursionError"),
        (sealed(b'{"kind":"claim","x":' + b'{"x":' * 100_000), "RecursionError|no record"),
        (sealed(b'{"kind":"claim","x":"' + b"a" * LINE_LIMIT + b'"'), "a line of 10[0-9]{5} bytes"),
    ],
)
def test_a_bad_line_is_refused_and_passed_over(line: bytes, problem: str) -> None:
    with pytest.raises(BadRecord, match=problem):
        decode(line)
    assert list(decode_lines(line.rstrip(b"\n") + b"\n" + encode(CLAIM))) == [CLAIM]


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_a_record_or_refused(body: bytes) -> None:
    for line in (body, sealed(body)):
        with pytest.raises(BadRecord):
            decode(line)


# -- a whole attempt ---------------------------------------------------------------------------


def test_an_attempt_is_what_its_lines_say() -> None:
    file = parse_attempt(b"".join(map(encode, ATTEMPT)))
    assert file.trial == TRIAL
    assert file.claim == CLAIM
    assert file.reports == (report(1, 0.91), report(2, 0.97))
    assert file.result == RESULT


def test_an_attempt_that_just_waits_has_only_a_trial() -> None:
    file = parse_attempt(encode(TRIAL))
    assert (file.trial, file.claim, file.reports, file.result) == (TRIAL, None, (), None)


def test_of_lines_written_twice_the_first_counts() -> None:
    late = RESULT.replace(value=0.1)
    other = CLAIM.replace(worker="late")
    again = TRIAL.replace(seed=99)
    twice = [*ATTEMPT[:3], report(1, 0.5), again, other, report(2, 0.97), RESULT, late]
    file = parse_attempt(b"".join(map(encode, twice)))
    assert file.trial == TRIAL
    assert file.claim == CLAIM
    assert file.reports == (report(1, 0.91), report(2, 0.97))
    assert file.result == RESULT


def test_a_torn_report_that_was_written_again_counts_once() -> None:
    line = encode(report(1, 0.91))
    for length in range(len(line)):
        file = parse_attempt(encode(TRIAL) + line[:length] + b"\n" + line)
        assert file.reports == (report(1, 0.91),)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"half a line",
        encode(TRIAL)[:-1],
        b"".join(map(encode, ATTEMPT[1:])),
        encode(TRIAL).replace(b"sgd", b"adm"),
    ],
)
def test_an_attempt_without_a_trial_is_refused(data: bytes) -> None:
    with pytest.raises(BadRecord, match="no trial in it"):
        parse_attempt(data)


# -- documents ---------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=50)
@given(RECORDS)
def test_a_document_is_read_back_as_it_was_written(record: Record) -> None:
    assert repr(decode_document(type(record), encode_document(record))) == repr(record)


def test_half_a_document_is_refused() -> None:
    whole = encode_document(TRIAL)
    for length in range(len(whole) - 1):  # the last byte is only the line's end
        with pytest.raises(BadRecord):
            decode_document(Trial, whole[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"null",
        b"[]",
        b'"text"',
        b'{"trials": "many"}',
        b'{"trials": 0}',
        b'{"time_limit": -1}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"trials": 1' + b"0" * 5000 + b"}",
    ],
)
def test_a_document_that_is_something_else_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        decode_document(Limits, data)
    assert str(caught.value)
    assert "\n" not in str(caught.value)


# -- what records mean -------------------------------------------------------------------------


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        TRIAL.number = 18  # type: ignore[misc]


def test_a_trial_and_its_test_are_counted_apart() -> None:
    test = TRIAL.replace(purpose=Purpose.TEST)
    keys = {Counted(trial=t, worker="w", result=RESULT).key for t in (TRIAL, test)}
    assert keys == {(Purpose.TRAIN, 17), (Purpose.TEST, 17)}


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.dictionaries(TEXT, SCALARS, max_size=5), st.randoms(use_true_random=False))
def test_the_same_setting_has_one_key_whatever_the_order(params: dict[str, Any], rng: Any) -> None:
    names = list(params)
    rng.shuffle(names)
    assert params_key({name: params[name] for name in names}) == params_key(params)


def test_settings_that_differ_only_in_type_are_different() -> None:
    values: list[Any] = [1, 1.0, True, "1", None, "null"]
    assert len({params_key({"x": value}) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("a", "b", "direction", "answer"),
    [
        (2.0, 1.0, "maximize", True),
        (1.0, 2.0, "maximize", False),
        (1.0, 2.0, "minimize", True),
        (1.0, 1.0, "maximize", False),
        (1.0, 1.0, "minimize", False),
        (1.0, math.nan, "maximize", True),
        (1.0, math.inf, "maximize", True),
        (1.0, -math.inf, "minimize", True),
        (math.nan, 1.0, "maximize", False),
        (math.inf, 1.0, "maximize", False),
        (-math.inf, 1.0, "minimize", False),
        (math.nan, math.nan, "minimize", False),
    ],
)
def test_a_value_that_is_not_finite_beats_nothing(
    a: float, b: float, direction: Direction, answer: bool
) -> None:
    assert better(a, b, direction) is answer
