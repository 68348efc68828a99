"""What one host sees of the other's doings."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.measurements import Delay, PairMeasurements
from distune.doctor.verdict.intervals import lateness
from distune.doctor.verdict.results import CACHE_ADVICE, Hosts, Pairs, duration, fail, ok, warn

_SLOW_TO_SEE = 5.0  # seconds


def news_between(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for pair in pairs:
        yield from _delays(pair)
        yield from _listings(pair)
        yield from _heartbeat(pair)


def _delays(pair: PairMeasurements) -> Iterator[CheckResult]:
    for what, delay, promise, why in (
        ("new file", pair.new_file, "P3", "a trial that is not listed is never trained"),
        ("appended line", pair.appended, "P3", "a result that cannot be read is never counted"),
        ("lost file", pair.evicted, "P7", "an evicted worker would train on for nothing"),
    ):
        if delay is None:
            continue
        name = f"{pair.host} sees {what}"
        if delay.never:
            yield fail(name, _took(delay), promise, f"{why}; {CACHE_ADVICE}")
        else:
            yield _unless_slow(delay.worst, name, _took(delay))


def _listings(pair: PairMeasurements) -> Iterator[CheckResult]:
    if poked := pair.new_file_poked:
        name = f"{pair.host} sees it poked"
        if poked.never:
            why = "changing a directory must make its listing new: claims are judged by it"
            yield fail(name, _took(poked), "P8", why)
        else:
            yield ok(name, f"{_took(poked)}, having changed the directory")
    missed = pair.missed_name
    if missed is not None and (missed.seconds or missed.never):
        text = f"{_took(missed)}; distune asks listings, not names"
        yield ok(f"{pair.host} sees missed name", text)


def _heartbeat(pair: PairMeasurements) -> Iterator[CheckResult]:
    if pair.beat_every is None:
        return
    name = f"{pair.host} sees heartbeat"
    if pair.beat_gap is None:
        why = f"healthy workers would be given up; {CACHE_ADVICE}"
        yield fail(name, "never change", "P6", why)
    else:
        text = f"every {duration(pair.beat_gap)} at most, made every {duration(pair.beat_every)}"
        yield _unless_slow(lateness(pair), name, text)


def _unless_slow(seconds: float, name: str, text: str) -> CheckResult:
    return warn(name, text, CACHE_ADVICE) if seconds > _SLOW_TO_SEE else ok(name, text)


def _took(delay: Delay) -> str:
    if delay.never:
        return f"not within {duration(delay.limit)}"
    at_most = " at most" if len(delay.seconds) > 1 else ""
    return f"after {duration(delay.worst)}{at_most}"
