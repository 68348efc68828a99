"""What the protocol does not depend on, or only just."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.verdict.results import Hosts, Pairs, fail, ok, warn
from distune.doctor.verdict.wording import duration, rate, signed, size

_LITTLE_SPACE, _FEW_INODES = 2**30, 10_000
_SLOW_OPERATION = 0.5  # seconds


def names(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.names for host in hosts if host.names]
    if not found:
        return
    shortest = min(found, key=lambda f: f.longest)
    if any(f.changed for f in found):
        yield fail(
            "names",
            "a file is listed under another name than it was given",
            "P2",
            "the name says whose a file is: it must come back as it was written",
        )
    elif shortest.longest < shortest.needed:
        yield fail(
            "names",
            f"{shortest.longest} bytes fit, {shortest.needed} do not, which distune may need",
            "P2",
            "the name carries its owner's id: it must fit",
        )
    elif not all(f.case_sensitive for f in found):
        yield warn(
            "names",
            "capital and small letters are the same",
            "two studies must not differ in that alone",
        )
    else:
        yield ok("names", f"{shortest.longest} bytes long, capital and small letters differ")


def links(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    known = [host.links for host in hosts if host.links is not None]
    if known and all(known):
        yield ok("hard links", "yes: publishing is exclusive")
    elif known:
        yield warn(
            "hard links",
            "none: distune looks first, then renames",
            "two masters at once could publish one trial twice (it would still count once)",
        )


def locks(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if pairs:
        kept_out = {
            "flock": [pair.flock for pair in pairs if pair.flock is not None],
            "lockf": [pair.lockf for pair in pairs if pair.lockf is not None],
        }
        bad = [f"{name}: both hosts got it" for name, all_ in kept_out.items() if not _yes(all_)]
        yield _locks(bad, "flock and lockf hold between the hosts")
        return
    refused = [host.flock for host in hosts]
    if False in refused or all(refused):
        yield _locks([] if all(refused) else ["flock: given twice"], "flock holds on this host")
    elif any(host.claims for host in hosts):
        yield warn("locks", "none", "no trial needs one; two masters notice each other's heartbeat")


def _yes(answers: list[bool]) -> bool:
    return bool(answers) and all(answers)


def _locks(bad: list[str], good: str) -> CheckResult:
    if bad:
        advice = "no trial needs a lock; do not start two masters of one study"
        return warn("locks", "; ".join(bad), advice)
    return ok("locks", good)


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
    text = f"{size(free)}" + (f", {inodes:,} inodes" if inodes is not None else "")
    if free < _LITTLE_SPACE or (inodes is not None and inodes < _FEW_INODES):
        yield warn(
            "free space",
            text,
            "a trial takes some 10 KiB and one file, more if it writes files of its own",
        )
    else:
        yield ok("free space", text)


def speed(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    for host in hosts:
        if host.speed is None:
            continue
        times = host.speed.model_dump()
        text = ", ".join(f"{name} {rate(seconds)}" for name, seconds in times.items())
        name = f"per second, {host.host}" if len(hosts) > 1 else "per second"
        if max(times.values()) > _SLOW_OPERATION:
            yield warn(name, text, "slow: fine for trials of minutes, not of seconds")
        else:
            yield ok(name, text)


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
