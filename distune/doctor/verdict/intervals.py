"""Which lease, heartbeat and poll interval suit what was measured."""

from __future__ import annotations

import math
from typing import NamedTuple

from distune.doctor.measurements import PairMeasurements
from distune.doctor.verdict.results import Hosts, Pairs, duration

#: Longer than this, and something is answered from a cache.
_CACHED = 2.0
#: File attributes are cached for up to a minute on NFS, longer the rarer a file changes: an
#: examination of a minute cannot see all of it. So where anything is cached, that minute is
#: allowed for.
_ATTRIBUTE_CACHE = 60.0
_SHORTEST_SHARED_LEASE = 30.0
_BEATS_PER_LEASE = 20
_FASTEST, _SLOWEST = 1.0, 5.0  # seconds between heartbeats, and between looks


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
    listing = max([h.speed.list for h in hosts if h.speed], default=0.0)
    beating = max([h.speed.rewrite for h in hosts if h.speed], default=0.0)
    news = max([_news(pair) for pair in pairs], default=0.0)
    # More looks than these show nothing new, or keep the share busy with looking.
    poll = _within(max(20 * listing, news / 4 if news > _CACHED else 0.0))
    heartbeat = max(poll, _within(20 * beating))
    if not pairs and any(host.network for host in hosts):
        heartbeat = _SLOWEST
    worst = max([news, *map(lateness, pairs)])
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


def _news(pair: PairMeasurements) -> float:
    """The longest that anything took to be seen that a lease depends on."""
    # A worker whose heartbeat is in no listing yet is as silent as one that is dead.
    delays = (pair.new_file, pair.appended, pair.evicted)
    return max([delay.worst for delay in delays if delay is not None], default=0.0)


def lateness(pair: PairMeasurements) -> float:
    """How much later than made a heartbeat was seen."""
    if pair.beat_gap is None or pair.beat_every is None:
        return 0.0
    return max(0.0, pair.beat_gap - pair.beat_every)
