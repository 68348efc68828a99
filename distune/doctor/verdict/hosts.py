"""Whether the hosts could be examined at all, and what they are."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.verdict.results import Hosts, Pairs, duration, fail, ok, warn

#: What people read for a probe, where that is not its own name.
_PROBE_NAMES = {
    "sandbox": "writing",
    "space": "free space",
    "speed": "writing",
    "renames": "rename",
    "claims": "claiming",
    "rewriting": "heartbeat",
    "own_listing": "listing",
    "links": "hard links",
    "flock": "locks",
    "times": "file times",
    "peer": "second host",
}
_NOT_ALLOWED = "this user must be able to write there: check owner, group and mode"
_FULL = "make room: nothing that a study finds out can be kept"
#: The promise that an error breaks and what to do about it, by what the error says.
_REMEDIES = {
    "No such file": ("P3", "a file that was just written must be there"),
    "Read-only": ("P9", "mount it read-write: master and workers write there"),
    "Permission denied": ("P9", _NOT_ALLOWED),
    "not permitted": ("P9", _NOT_ALLOWED),
    "No space": ("P9", _FULL),
    "quota": ("P9", _FULL),
    "": ("P9", "every study would meet this error: look at the server's log"),
}


def answers(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for host in hosts:
        if host.hang is not None:
            what, seconds = host.hang
            advice = (
                "is the server up, is the network? A hanging mount holds up whatever looks at "
                "it; the doctor's process there ends when it answers"
            )
            yield fail("answers", f"{what}: no answer for {duration(seconds)}", "P9", advice)
        elif host.repeated and not host.troubles:
            yield warn(
                "answers",
                f"{host.repeated} operations failed and worked later; last: {host.last_error}",
                "distune goes on through such errors, but each costs time: look at the server",
            )


def troubles(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for probe, why in dict.fromkeys(pair for host in hosts for pair in host.troubles.items()):
        promise, advice = next(remedy for said, remedy in _REMEDIES.items() if said in why)
        yield fail(_PROBE_NAMES.get(probe, probe), why, promise, advice)


def lonely(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for host in hosts:
        if host.lonely:
            advice = "what stands here is what this host found alone"
            yield fail("second host", host.lonely, None, advice)


def one_mount(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if any(pair.one_mount for pair in pairs):
        advice = "run the second one on another host: one mount has one cache"
        yield warn("second host", "both are this host, through one mount", advice)


def file_system(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if all(host.file_system == "unknown" and host.hang for host in hosts):
        return
    kinds = sorted({f"{h.file_system}{' (network)' if h.network else ' (local)'}" for h in hosts})
    names = sorted({host.host for host in hosts})
    yield ok("file system", f"{', '.join(kinds)}, seen from {' and '.join(names)}")
