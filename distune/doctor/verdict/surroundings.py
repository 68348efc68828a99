"""What the protocol does not depend on, or only just."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.verdict.results import Hosts, Pairs, duration, fail, ok, signed, warn

_LITTLE_SPACE, _FEW_INODES = 2**30, 10_000
_SLOW_OPERATION = 0.5  # seconds


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
    if free < _LITTLE_SPACE or (inodes is not None and inodes < _FEW_INODES):
        advice = "a trial takes some 10 KiB and one file, more if it writes files of its own"
        yield warn("free space", text, advice)
    else:
        yield ok("free space", text)


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
        times = host.speed.model_dump()
        text = ", ".join(f"{name} {_rate(seconds)}" for name, seconds in times.items())
        name = f"per second, {host.host}" if len(hosts) > 1 else "per second"
        if max(times.values()) > _SLOW_OPERATION:
            yield warn(name, text, "slow: fine for trials of minutes, not of seconds")
        else:
            yield ok(name, text)


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
