"""What one host sees of the other's doings, and the lease and intervals that suit it."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from distune.doctor.diagnosis import CACHE_ADVICE, CheckResult, Delay, PairMeasurements
from distune.doctor.verdict.results import Hosts, Pairs, duration, fail, ok, warn_if

_SLOW_TO_SEE = 5.0  # seconds
#: Longer than this, and something is answered from a cache.
_CACHED = 2.0
#: File attributes are cached for up to a minute on NFS, longer the rarer a file changes: an
#: examination of a minute cannot see all of it. So where anything is cached, that minute is
#: allowed for.
_ATTRIBUTE_CACHE = 60.0
_SHORTEST_SHARED_LEASE = 30.0
_BEATS_PER_LEASE = 20
_FASTEST, _SLOWEST = 1.0, 5.0  # seconds between heartbeats, and between looks


def news_between(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for pair in pairs:
        for what, delay, promise, why in (
            ("new file", pair.new_file, "P3", "a trial that is not listed is never trained"),
            ("appended line", pair.appended, "P3", "a result that cannot be read is never counted"),
            ("lost file", pair.evicted, "P7", "an evicted worker would train on for nothing"),
        ):
            name = f"{pair.host} sees {what}"
            if delay and delay.never:
                yield fail(name, _took(delay), promise, f"{why}; {CACHE_ADVICE}")
            elif delay:
                yield warn_if(delay.worst > _SLOW_TO_SEE, name, _took(delay), CACHE_ADVICE)
        yield from _listings(pair)
        yield from _heartbeat(pair)


def _listings(pair: PairMeasurements) -> Iterator[CheckResult]:
    name, poked, missed = f"{pair.host} sees it poked", pair.new_file_poked, pair.missed_name
    if poked and poked.never:
        why = "changing a directory must make its listing new: claims are judged by it"
        yield fail(name, _took(poked), "P8", why)
    elif poked:
        yield ok(name, f"{_took(poked)}, having changed the directory")
    if missed and (missed.seconds or missed.never):
        text = f"{_took(missed)}; distune asks listings, not names"
        yield ok(f"{pair.host} sees missed name", text)


def _heartbeat(pair: PairMeasurements) -> Iterator[CheckResult]:
    name, gap = f"{pair.host} sees heartbeat", pair.beat_gap
    if pair.beat_every is None:
        return
    if gap is None:
        advice = f"healthy workers would be given up; {CACHE_ADVICE}"
        yield fail(name, "never change", "P6", advice)
    else:
        text = f"every {duration(gap)} at most, made every {duration(pair.beat_every)}"
        yield warn_if(pair.lateness > _SLOW_TO_SEE, name, text, CACHE_ADVICE)


def _took(delay: Delay) -> str:
    if delay.never:
        return f"not within {duration(delay.limit)}"
    at_most = " at most" if len(delay.seconds) > 1 else ""
    return f"after {duration(delay.worst)}{at_most}"


class Intervals(NamedTuple):
    """Seconds, and the reason for them."""

    lease: float
    heartbeat: float
    poll: float
    reason: str


def advise(hosts: Hosts, pairs: Pairs) -> Intervals:
    """What a study here should use.

    A lease has to outlast twenty heartbeats, so that nineteen may get lost, and three
    times the longest that news was seen to take.
    """
    listing = max([h.speed["list"] for h in hosts if h.speed], default=0.0)
    beating = max([h.speed["rewrite"] for h in hosts if h.speed], default=0.0)
    news = max([pair.news for pair in pairs], default=0.0)
    # More looks than these show nothing new, or keep the share busy with looking.
    poll = _within(max(20 * listing, news / 4 if news > _CACHED else 0.0))
    heartbeat = max(poll, _within(20 * beating))
    if not pairs and any(host.network for host in hosts):
        heartbeat = _SLOWEST
    worst = max([news, *(pair.lateness for pair in pairs)])
    lease, reason = _lease(hosts, pairs, _BEATS_PER_LEASE * heartbeat, worst)
    return Intervals(math.ceil(lease / 5) * 5.0, round(heartbeat, 1), round(poll, 1), reason)


def _lease(hosts: Hosts, pairs: Pairs, beats: float, worst: float) -> tuple[float, str]:
    network = any(host.network for host in hosts)
    if not pairs:
        lease = max(beats, *(host.default_lease for host in hosts))
        if network:
            return lease, (
                "seen from one host only, so allowing for caches of a minute; "
                "a run with --peer on two hosts may allow less"
            )
        return lease, f"{_BEATS_PER_LEASE} heartbeats, on a file system of one host"
    if worst > _CACHED:
        caches = max(_ATTRIBUTE_CACHE, 3 * worst)
        return beats + caches, (
            f"{_BEATS_PER_LEASE} heartbeats, and {duration(caches)} for caches: "
            f"news took up to {duration(worst)}"
        )
    shortest = _SHORTEST_SHARED_LEASE if network else min(host.default_lease for host in hosts)
    return max(shortest, beats + 3 * worst), (
        f"{_BEATS_PER_LEASE} heartbeats, and news took {duration(worst)} at most between the hosts"
    )


def _within(seconds: float) -> float:
    return min(_SLOWEST, max(_FASTEST, seconds))
