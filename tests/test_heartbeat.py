"""When a worker has been silent for too long (P6), as one watcher can see."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.share.heartbeat import Beat, MasterBeat, Progress, Watch
from distune.share.records import decode_document, encode_document
from distune.study.study import Limits
from distune.study.trial import Record

STEP = 5.0


def test_silence_is_the_time_in_which_a_beat_did_not_change() -> None:
    watch = Watch(longest_step=STEP)
    assert watch.look({"a": b"1"}, now=100.0) == {"a": 0.0}
    assert watch.look({"a": b"1"}, now=103.0) == {"a": 3.0}
    assert watch.look({"a": b"1"}, now=104.5) == {"a": 4.5}


def test_any_change_ends_the_silence() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1", "b": b"1"}, now=0.0)
    watch.look({"a": b"1", "b": b"1"}, now=4.0)
    assert watch.look({"a": b"0", "b": b"1"}, now=5.0) == {"a": 0.0, "b": 5.0}
    assert watch.look({"a": b"0", "b": b"1"}, now=6.0) == {"a": 1.0, "b": 6.0}


def test_only_who_beat_while_it_was_watched_was_heard() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1", "b": b"1"}, now=0.0)
    assert watch.heard == set()
    watch.look({"a": b"2", "b": b"1"}, now=1.0)
    watch.look({"a": b"2", "b": b"1"}, now=2.0)
    assert watch.heard == {"a"}
    watch.look({"b": b"1"}, now=3.0)
    assert watch.heard == set()


def test_time_in_which_the_share_was_gone_is_no_workers_silence() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=0.0)
    watch.look({"a": b"1"}, now=2.0)
    watch.blind()
    assert watch.look({"a": b"1"}, now=4.0) == {"a": 2.0}
    assert watch.look({"a": b"1"}, now=5.0) == {"a": 3.0}


def test_an_outage_of_any_length_alone_loses_no_worker() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=0.0)
    for now in range(1, 100):
        watch.blind()
        assert watch.look({"a": b"1"}, now=float(now)) == {"a": 0.0}


def test_a_watcher_that_was_stopped_counts_at_most_one_long_step() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=0.0)
    assert watch.look({"a": b"1"}, now=3600.0) == {"a": STEP}
    assert watch.look({"a": b"1"}, now=3601.0) == {"a": STEP + 1}


def test_a_clock_that_went_backwards_counts_nothing() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=100.0)
    assert watch.look({"a": b"1"}, now=50.0) == {"a": 0.0}
    assert watch.look({"a": b"1"}, now=51.0) == {"a": 1.0}


def test_a_holder_that_never_beat_falls_silent_like_any_other() -> None:
    watch = Watch(longest_step=STEP)
    assert watch.look({}, now=0.0, holders=["a"]) == {"a": 0.0}
    assert watch.look({}, now=3.0, holders=["a"]) == {"a": 3.0}
    assert watch.look({"a": b"1"}, now=4.0, holders=["a"]) == {"a": 0.0}


def test_a_beat_that_cannot_be_read_is_no_sign_of_life() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=0.0, holders=["a"])
    watch.look({"a": b"1"}, now=4.0, holders=["a"])
    assert watch.look({}, now=5.0, holders=["a"]) == {"a": 5.0}
    assert watch.look({"a": b"1"}, now=7.0, holders=["a"]) == {"a": 7.0}
    assert watch.look({"a": b"2"}, now=8.0, holders=["a"]) == {"a": 0.0}


def test_a_new_worker_begins_without_silence_whenever_it_comes() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=0.0)
    assert watch.look({"a": b"1", "b": b"1"}, now=4.0) == {"a": 4.0, "b": 0.0}


def test_a_worker_that_is_gone_is_forgotten_and_begins_anew_if_it_returns() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1", "b": b"1"}, now=0.0)
    assert watch.look({"b": b"1"}, now=4.0) == {"b": 4.0}
    assert watch.look({"a": b"1", "b": b"1"}, now=5.0) == {"a": 0.0, "b": 5.0}


def test_what_look_returns_is_the_callers_own() -> None:
    watch = Watch(longest_step=STEP)
    watch.look({"a": b"1"}, now=0.0)["a"] = 1000.0
    assert watch.look({"a": b"1"}, now=1.0) == {"a": 1.0}


LOOKS = st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), max_size=30)


def silences(looks: list[tuple[float, bool, bool]], start: float) -> list[float]:
    """The silence of one worker at each look: (time since the last, does it beat, blind)."""
    watch, now, counter, seen = Watch(STEP), start, 0, []
    for passed, beats, blind in looks:
        now += passed
        counter += beats
        if blind:
            watch.blind()
        else:
            seen.append(watch.look({"a": b"%d" % counter}, now)["a"])
    return seen


@settings(deadline=None, derandomize=True, max_examples=200)
@given(LOOKS)
def test_silence_is_what_passed_while_watching_since_the_last_change(
    looks: list[tuple[float, bool, bool]],
) -> None:
    expected, silent, watching, changed = [], 0.0, False, True
    since = 0.0
    for passed, beats, blind in looks:
        since, changed = since + passed, changed or beats
        if blind:
            watching = False
            continue
        silent = 0.0 if changed else silent + (min(since, STEP) if watching else 0.0)
        expected.append(silent)
        since, watching, changed = 0.0, True, False
    assert silences(looks, 0.0) == pytest.approx(expected)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(LOOKS, st.floats(-1e6, 1e9))
def test_what_the_clock_shows_plays_no_part_only_what_passes(
    looks: list[tuple[float, bool, bool]], start: float
) -> None:
    assert silences(looks, start) == pytest.approx(silences(looks, 0.0), abs=1e-4)


@pytest.mark.parametrize(
    "record",
    [
        Beat(
            worker="gpu7-812-4f",
            host="gpu7",
            pid=812,
            device="cuda:0",
            jobs=2,
            counter=7,
            state="working",
            running=[Progress(file="000017.1.jsonl.gpu7-812-4f.taken", study="s", fraction=0.5)],
        ),
        MasterBeat(
            host="login1",
            pid=4,
            counter=9,
            state="running",
            elapsed=12.5,
            limits=Limits(trials=40, time_limit=3600.0),
        ),
    ],
)
def test_a_heartbeat_is_read_back_as_it_was_written(record: Record) -> None:
    assert decode_document(type(record), encode_document(record)) == record
