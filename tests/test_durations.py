"""Durations, as people write them and as tables show them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.study.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("1.5h", 5400),
        ("1d", 86400),
        ("1D2H3M4.5S", 93784.5),
        ("90", 90),
        (" 90 ", 90),
        ("0.25", 0.25),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_read_as_seconds(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "h", "1x", "1h30", "h1", "1h-30m", "1,5h", "1h;", "1..5h", "1.h", "None"],
)
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 90s, 2h or 1h30m") as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "-5", -5, 0, "nan", "inf", "1e999", "-inf"])
def test_a_duration_must_last(text: str | float) -> None:
    with pytest.raises(ValueError, match="must be longer than nothing"):
        parse_duration(text)


def test_true_is_no_duration() -> None:
    with pytest.raises(ValueError, match="True is not a duration"):
        parse_duration(True)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.text(alphabet="0123456789dhms. -einfa", max_size=12))
def test_any_text_is_a_positive_number_of_seconds_or_refused(text: str) -> None:
    seconds, refusal = 1.0, "is not a duration"
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        refusal = str(error)
    assert 0 < seconds < float("inf")
    assert "is not a duration" in refusal


@settings(deadline=None, derandomize=True, max_examples=200)
@given(*[st.integers(0, 99)] * 3, st.integers(1, 99))
def test_the_units_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"{days}d{hours}h{minutes}m{seconds}s"
    assert parse_duration(text) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"),
        (0, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (185, "3m05s"),
        (3599.6, "1h00m"),
        (7500, "2h05m"),
        (86399.6, "1d00h"),
        (273_600, "3d04h"),
    ],
)
def test_a_duration_is_short_enough_for_a_table(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.floats(1, 1e7))
def test_a_shown_duration_is_within_five_percent_and_can_be_typed_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.051)
