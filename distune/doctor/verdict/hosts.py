"""Whether the hosts could be examined at all, and what they are."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.verdict.results import Hosts, Pairs, fail, ok, warn
from distune.doctor.verdict.wording import duration

_PROBE_NAMES = {
    "sandbox": "writing",
    "space": "free space",
    "speed": "writing",
    "publishing": "publishing",
    "renames": "rename",
    "claims": "claiming",
    "appending": "appending",
    "rewriting": "heartbeat",
    "own_listing": "listing",
    "names": "names",
    "links": "hard links",
    "flock": "locks",
    "times": "file times",
    "peer": "second host",
}


def answers(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for host in hosts:
        if host.hang is not None:
            what, seconds = host.hang
            yield fail(
                "answers",
                f"{what}: no answer for {duration(seconds)}",
                "P9",
                "is the server up, is the network? A hanging mount holds up whatever looks at "
                "it; the doctor's process there ends when it answers",
            )
        elif host.repeated and not host.troubles:
            yield warn(
                "answers",
                f"{host.repeated} operations failed and worked later; last: {host.last_error}",
                "distune goes on through such errors, but each costs time: look at the server",
            )


def troubles(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    told: set[tuple[str, str]] = set()
    for host in hosts:
        for probe, why in host.troubles.items():
            if (probe, why) in told:
                continue
            told.add((probe, why))
            name = _PROBE_NAMES.get(probe, probe)
            if "No such file" in why:
                yield fail(name, why, "P3", "a file that was just written must be there")
            else:
                yield fail(name, why, "P9", _remedy(why))


def _remedy(why: str) -> str:
    remedies = {
        "Read-only": "mount it read-write: master and workers write there",
        "Permission denied": "this user must be able to write there: check owner, group and mode",
        "not permitted": "this user must be able to write there: check owner, group and mode",
        "No space": "make room: nothing that a study finds out can be kept",
        "quota": "make room: nothing that a study finds out can be kept",
    }
    found = [remedy for text, remedy in remedies.items() if text in why]
    return found[0] if found else "every study would meet this error: look at the server's log"


def lonely(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for host in hosts:
        if host.lonely:
            yield CheckResult(
                name="second host",
                grade="fail",
                value=host.lonely,
                advice="what stands here is what this host found alone",
            )


def one_mount(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if any(pair.one_mount for pair in pairs):
        yield warn(
            "second host",
            "both are this host, through one mount",
            "run the second one on another host: one mount has one cache",
        )


def file_system(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if all(host.file_system == "unknown" and host.hang for host in hosts):
        return
    kinds = sorted({f"{h.file_system}{' (network)' if h.network else ' (local)'}" for h in hosts})
    names = sorted({host.host for host in hosts})
    yield ok("file system", f"{', '.join(kinds)}, seen from {' and '.join(names)}")
