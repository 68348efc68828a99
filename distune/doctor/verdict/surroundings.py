"""Whether the hosts could be examined, what they are, and what the protocol hardly depends on."""

from collections.abc import Iterator, Mapping, Sequence

from distune.doctor.diagnosis import CheckResult, FreeSpace, HostMeasurements, Names
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
    "clock": "clocks",
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


def examined(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    """Whether all could be examined, and what it is."""
    yield from filter(None, map(_answers, hosts))
    for probe, why in dict.fromkeys(pair for host in hosts for pair in host.troubles.items()):
        promise, advice = next(remedy for said, remedy in _REMEDIES.items() if said in why)
        yield fail(_PROBE_NAMES.get(probe, probe), why, promise, advice)
    for why in (host.lonely for host in hosts if host.lonely):
        yield fail("second host", why, None, "what stands here is what this host found alone")
    if not all(host.file_system == "unknown" and host.hang for host in hosts):
        kinds = {f"{h.file_system} ({'network' if h.network else 'local'})" for h in hosts}
        names = " and ".join(sorted({host.host for host in hosts}))
        yield ok("file system", f"{', '.join(sorted(kinds))}, seen from {names}")


def _answers(host: HostMeasurements) -> CheckResult | None:
    if host.hang is not None:
        what, seconds = host.hang
        advice = (
            "is the server up, is the network? A hanging mount holds up whatever looks at "
            "it; the doctor's process there ends when it answers"
        )
        return fail("answers", f"{what}: no answer for {duration(seconds)}", "P9", advice)
    if not host.repeated or host.troubles:
        return None
    value = f"{host.repeated} operations failed and worked later; last: {host.last_error}"
    advice = "distune goes on through such errors, but each costs time: look at the server"
    return warn("answers", value, advice)


def surroundings(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if any(pair.one_mount for pair in pairs):
        advice = "run the second one on another host: one mount has one cache"
        yield warn("second host", "both are this host, through one mount", advice)
    if names := [host.names for host in hosts if host.names]:
        yield _names(names)
    links = [host.links for host in hosts if host.links is not None]
    if links and all(links):
        yield ok("hard links", "yes: publishing is exclusive")
    elif links:
        advice = "two masters at once could publish one trial twice (it would still count once)"
        yield warn("hard links", "none: distune looks first, then renames", advice)
    yield from _locks(hosts, pairs)
    if tried := [pair for pair in pairs if pair.shared_lines]:
        kept, lines = min(pair.shared_kept for pair in tried), tried[0].shared_lines
        yield ok("two hosts, one file", f"{kept} of {lines} lines left; distune never does this")
    if spaces := [host.space for host in hosts if host.space]:
        yield _space(spaces)
    for host in hosts:
        if host.speed is not None:
            name = f"per second, {host.host}" if len(hosts) > 1 else "per second"
            yield _speed(name, host.speed)
    yield from _clocks(hosts, pairs)


def _names(found: Sequence[Names]) -> CheckResult:
    shortest = min(found, key=lambda f: f.longest)
    if any(f.changed for f in found):
        value = "a file is listed under another name than it was given"
        advice = "the name says whose a file is: it must come back as it was written"
        return fail("names", value, "P2", advice)
    if shortest.longest < shortest.needed:
        value = f"{shortest.longest} bytes fit, {shortest.needed} do not, which distune may need"
        return fail("names", value, "P2", "the name carries its owner's id: it must fit")
    if not all(f.case_sensitive for f in found):
        advice = "two studies must not differ in that alone"
        return warn("names", "capital and small letters are the same", advice)
    return ok("names", f"{shortest.longest} bytes long, capital and small letters differ")


def _locks(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    advice, bad = "no trial needs a lock; do not start two masters of one study", ""
    if pairs:
        kept_out = {"flock": [pair.flock for pair in pairs], "lockf": [p.lockf for p in pairs]}
        bad = "; ".join(f"{name}: both hosts got it" for name, answers in kept_out.items()
                        if True not in answers or False in answers)  # fmt: skip
        yield warn_if(bool(bad), "locks", bad or "flock and lockf hold between the hosts", advice)
    elif any(host.flock is False for host in hosts):
        yield warn("locks", "flock: given twice", advice)
    elif all(host.flock for host in hosts):
        yield ok("locks", "flock holds on this host")
    elif any(host.claims for host in hosts):
        advice = "no trial needs one; two masters notice each other's heartbeat"
        yield warn("locks", "none", advice)


def _space(found: Sequence[FreeSpace]) -> CheckResult:
    free = min(f.bytes_free for f in found)
    inodes = min((f.inodes_free for f in found if f.inodes_free is not None), default=None)
    text = _size(free) if inodes is None else f"{_size(free)}, {inodes:,} inodes"
    little = free < _LITTLE_SPACE or (inodes is not None and inodes < _FEW_INODES)
    advice = "a trial takes some 10 KiB and one file, more if it writes files of its own"
    return warn_if(little, "free space", text, advice)


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def _speed(name: str, seconds: Mapping[str, float]) -> CheckResult:
    rates = {operation: 1 / max(took, 1e-7) for operation, took in seconds.items()}
    text = ", ".join(
        f"{o} {rate:,.0f}" if rate >= 10 else f"{o} {rate:.1f}" for o, rate in rates.items()
    )
    advice = "slow: fine for trials of minutes, not of seconds"
    return warn_if(max(seconds.values()) > _SLOW_OPERATION, name, text, advice)


def _clocks(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    words = [f"files {signed(h.clock)} of {h.host}" for h in hosts if h.clock is not None]
    words += [f"{p.other} {signed(p.clock_ahead)} of {p.host}"
              for p in pairs[:1] if p.clock_ahead is not None]  # fmt: skip
    if words:
        yield ok("clocks", f"{', '.join(words)}; distune compares none")
