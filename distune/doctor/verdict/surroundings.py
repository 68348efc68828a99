"""Whether the hosts could be examined, what they are, and what the protocol hardly depends on."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.verdict.results import Hosts, Pairs, duration, fail, ok, signed, warn, warn_if

_LITTLE_SPACE, _FEW_INODES = 2**30, 10_000
_SLOW_OPERATION = 0.5  # seconds
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


def names(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.names for host in hosts if host.names]
    if not found:
        return
    shortest = min(found, key=lambda f: f.longest)
    if any(f.changed for f in found):
        value = "a file is listed under another name than it was given"
        advice = "the name says whose a file is: it must come back as it was written"
        yield fail("names", value, "P2", advice)
    elif shortest.longest < shortest.needed:
        value = f"{shortest.longest} bytes fit, {shortest.needed} do not, which distune may need"
        yield fail("names", value, "P2", "the name carries its owner's id: it must fit")
    elif not all(f.case_sensitive for f in found):
        advice = "two studies must not differ in that alone"
        yield warn("names", "capital and small letters are the same", advice)
    else:
        yield ok("names", f"{shortest.longest} bytes long, capital and small letters differ")


def links(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    known = [host.links for host in hosts if host.links is not None]
    if known and all(known):
        yield ok("hard links", "yes: publishing is exclusive")
    elif known:
        advice = "two masters at once could publish one trial twice (it would still count once)"
        yield warn("hard links", "none: distune looks first, then renames", advice)


def locks(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if pairs:
        kept_out = {"flock": [pair.flock for pair in pairs], "lockf": [p.lockf for p in pairs]}
        bad = [f"{name}: both hosts got it" for name, answers in kept_out.items()
               if True not in answers or False in answers]  # fmt: skip
        good = "flock and lockf hold between the hosts"
    elif any(host.flock is False for host in hosts):
        bad = ["flock: given twice"]
    elif all(host.flock for host in hosts):
        bad, good = [], "flock holds on this host"
    else:
        if any(host.claims for host in hosts):
            advice = "no trial needs one; two masters notice each other's heartbeat"
            yield warn("locks", "none", advice)
        return
    if bad:
        advice = "no trial needs a lock; do not start two masters of one study"
        yield warn("locks", "; ".join(bad), advice)
    else:
        yield ok("locks", good)


def shared_file(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    tried = [pair for pair in pairs if pair.shared_lines]
    if tried:
        kept, lines = min(pair.shared_kept for pair in tried), tried[0].shared_lines
        text = f"{kept} of {lines} lines left; distune never does this"
        yield ok("two hosts, one file", text)


def space(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.space for host in hosts if host.space]
    if not found:
        return
    free = min(f.bytes_free for f in found)
    inodes = min((f.inodes_free for f in found if f.inodes_free is not None), default=None)
    text = _size(free) if inodes is None else f"{_size(free)}, {inodes:,} inodes"
    little = free < _LITTLE_SPACE or (inodes is not None and inodes < _FEW_INODES)
    advice = "a trial takes some 10 KiB and one file, more if it writes files of its own"
    yield warn_if(little, "free space", text, advice)


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def speed(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for host in hosts:
        if host.speed is None:
            continue
        text = ", ".join(f"{name} {_rate(seconds)}" for name, seconds in host.speed.items())
        name = f"per second, {host.host}" if len(hosts) > 1 else "per second"
        advice = "slow: fine for trials of minutes, not of seconds"
        yield warn_if(max(host.speed.values()) > _SLOW_OPERATION, name, text, advice)


def _rate(seconds: float) -> str:
    rate = 1 / max(seconds, 1e-7)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def times(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.times for host in hosts if host.times]
    if found:
        unit = max(f.granularity for f in found)
        text = f"in steps of {duration(unit)}; heartbeats are told apart by content"
        yield ok("file times", text)


def clocks(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    words = [f"files {signed(host.times.ahead)} of {host.host}" for host in hosts if host.times]
    words += [f"{p.other} {signed(p.clock_ahead)} of {p.host}"
              for p in pairs[:1] if p.clock_ahead is not None]  # fmt: skip
    if words:
        yield ok("clocks", f"{', '.join(words)}; distune compares none")
