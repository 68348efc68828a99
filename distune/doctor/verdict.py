"""What the measurements mean: which promise of PROTOCOL.md fails here, and which lease, heartbeat
and poll interval to use. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from distune.doctor.note import Check, Delay, Grade, HostFacts, Note, PairFacts
from distune.study.durations import format_duration

#: As PROTOCOL.md has them.
PROMISES = {
    "P1": "A published file is complete.",
    "P2": "A file has at most one owner at any instant.",
    "P3": "Every trial ends in the ranking exactly once.",
    "P6": "A worker is lost when its heartbeat has not changed for the length of the lease",
    "P7": "A worker that lost its file learns it at its next heartbeat or append",
    "P8": "An ambiguous answer is resolved by looking for one's own unique name.",
    "P9": "The share may vanish or be full",
}
#: Longer than this, and something is answered from a cache.
_CACHED = 2.0
_SLOW_TO_SEE = 5.0
#: File attributes are cached for up to a minute on NFS, longer the rarer a file changes: a run
#: of a minute cannot see all of it. So where anything is cached, that minute is allowed for.
_ATTRIBUTE_CACHE = 60.0
_SHORTEST_SHARED_LEASE = 30.0
_BEATS_PER_LEASE = 20
_FASTEST, _SLOWEST = 1.0, 5.0  # seconds between heartbeats, and between looks
_LITTLE_SPACE, _FEW_INODES = 2**30, 10_000
_SLOW_OPERATION = 0.5
_LONG_CLOCK_DIFFERENCE = 60.0
_CACHE_ADVICE = (
    "a cache answers instead of the server; mount sshfs with -o dir_cache=no, "
    "NFS without nocto and with a smaller acdirmax"
)
_GRADES: list[Grade] = ["ok", "warn", "fail"]


def judge(
    hosts: Sequence[HostFacts],
    pairs: Sequence[PairFacts] = (),
    *,
    version: str = "",
    created: float = 0.0,
) -> Note:
    """The verdict on what one host found, or two and what they saw of each other."""
    hosts, pairs = _told_apart(hosts, pairs)
    checks = [*_checks(hosts, pairs)]
    grade = _GRADES[max((_GRADES.index(check.grade) for check in checks), default=0)]
    useful = [pair for pair in pairs if not pair.one_mount]
    lease, heartbeat, poll, reason = _advise(hosts, useful)
    settings = f"lease {_s(lease)}, heartbeat every {_s(heartbeat)}, a look every {_s(poll)}"
    if grade == "fail":
        broken = sorted({c.promise for c in checks if c.grade == "fail" and c.promise})
        of = f": it breaks {', '.join(broken)}" if broken else ""
        summary = f"do not trust this directory{of}"
    else:
        but = " (mind the warnings)" if grade == "warn" else ""
        summary = f"trust it{but}: {settings}; {reason}"
    return Note(
        distune=version,
        grade=grade,
        summary=summary,
        lease=lease,
        heartbeat=heartbeat,
        poll=poll,
        reason=reason,
        file_systems=sorted({host.file_system for host in hosts}),
        network=any(host.network for host in hosts),
        peer=bool(useful),
        checks=checks,
        hosts=list(hosts),
        pairs=list(pairs),
        created=created,
    )


def _told_apart(
    hosts: Sequence[HostFacts], pairs: Sequence[PairFacts]
) -> tuple[Sequence[HostFacts], Sequence[PairFacts]]:
    """Two hosts of one name (containers, two mounts of one host) get a number."""
    if len({host.host for host in hosts}) == len(hosts):
        return hosts, pairs
    labels = [f"{host.host}({i})" for i, host in enumerate(hosts, 1)]
    return (
        [h.model_copy(update={"host": label}) for h, label in zip(hosts, labels, strict=True)],
        [
            pair.model_copy(update={"host": label, "other": other})
            for pair, label, other in zip(pairs, labels, labels[::-1], strict=False)
        ],
    )


def _advise(
    hosts: Sequence[HostFacts], pairs: Sequence[PairFacts]
) -> tuple[float, float, float, str]:
    """Lease, heartbeat, poll interval, and why.

    A lease has to outlast twenty heartbeats, so that nineteen may get lost, and three
    times the longest that news was seen to take.
    """
    listing = max([h.speed.list for h in hosts if h.speed], default=0.0)
    beating = max([h.speed.rewrite for h in hosts if h.speed], default=0.0)
    news = max([delay.worst for pair in pairs for delay in _lease_delays(pair)], default=0.0)
    gap = max([_late(pair) for pair in pairs], default=0.0)
    worst = max(news, gap)
    # More looks than these show nothing new, or keep the share busy with looking.
    poll = _within(max(20 * listing, news / 4 if news > _CACHED else 0.0))
    heartbeat = max(poll, _within(20 * beating))
    default = max(host.default_lease for host in hosts)
    beats = _BEATS_PER_LEASE * heartbeat
    if any(host.network for host in hosts) and not pairs:
        heartbeat = _SLOWEST
        lease = max(default, _BEATS_PER_LEASE * heartbeat)
        reason = (
            "seen from one host only, so allowing for caches of a minute; "
            "a run with --peer on two hosts may allow less"
        )
    elif not pairs:
        lease = max(default, beats)
        reason = f"{_BEATS_PER_LEASE} heartbeats, on a file system of one host"
    elif worst > _CACHED:
        lease = beats + max(_ATTRIBUTE_CACHE, 3 * worst)
        reason = (
            f"{_BEATS_PER_LEASE} heartbeats, and {_s(lease - beats)} for caches: "
            f"news took up to {_s(worst)}"
        )
    else:
        shortest = (
            _SHORTEST_SHARED_LEASE
            if any(host.network for host in hosts)
            else min(host.default_lease for host in hosts)
        )
        lease = max(shortest, beats + 3 * worst)
        reason = (
            f"{_BEATS_PER_LEASE} heartbeats, and news took {_s(worst)} at most between the hosts"
        )
    return math.ceil(lease / 5) * 5.0, round(heartbeat, 1), round(poll, 1), reason


def _within(seconds: float) -> float:
    return min(_SLOWEST, max(_FASTEST, seconds))


def _lease_delays(pair: PairFacts) -> list[Delay]:
    # A worker whose heartbeat is in no listing yet is as silent as one that is dead.
    return [d for d in (pair.new_file, pair.appended, pair.evicted) if d is not None]


def _late(pair: PairFacts) -> float:
    """How much later than made a heartbeat was seen."""
    if pair.beat_gap is None or pair.beat_every is None:
        return 0.0
    return max(0.0, pair.beat_gap - pair.beat_every)


# -- checks --------------------------------------------------------------------------------


def _checks(hosts: Sequence[HostFacts], pairs: Sequence[PairFacts]) -> Iterator[Check]:
    for check in (
        _answers, _troubles, _lonely, _place, _renames, _claims, _publishing, _lines, _handed_over,
        _own_listing, _rewriting, _replies,
    ):  # fmt: skip
        yield from check(hosts, pairs)
    for pair in pairs:
        yield from _seen_by(pair)
    for check in (
        _one_mount,
        _names,
        _links,
        _locks,
        _shared_file,
        _space,
        _speed,
        _times,
        _clocks,
    ):
        yield from check(hosts, pairs)


Hosts: TypeAlias = Sequence[HostFacts]
Pairs: TypeAlias = Sequence[PairFacts]


def _fail(name: str, value: str, promise: str, advice: str) -> Check:
    return Check(name=name, grade="fail", value=value, promise=promise, advice=advice)


def _warn(name: str, value: str, advice: str) -> Check:
    return Check(name=name, grade="warn", value=value, advice=advice)


def _ok(name: str, value: str) -> Check:
    return Check(name=name, grade="ok", value=value)


def _answers(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    for host in hosts:
        if host.hang is not None:
            what, seconds = host.hang
            yield _fail(
                "answers",
                f"{what}: no answer for {_s(seconds)}",
                "P9",
                "is the server up, is the network? A hanging mount holds up whatever looks at "
                "it; the doctor's process there ends when it answers",
            )
        elif host.repeated and not host.troubles:
            yield _warn(
                "answers",
                f"{host.repeated} operations failed and worked later; last: {host.last_error}",
                "distune goes on through such errors, but each costs time: look at the server",
            )


_PROBE_NAMES = {
    "room": "writing",
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


def _troubles(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    told = set()
    for host in hosts:
        for probe, why in host.troubles.items():
            if (probe, why) in told:
                continue
            told.add((probe, why))
            name = _PROBE_NAMES.get(probe, probe)
            if "No such file" in why:
                yield _fail(name, why, "P3", "a file that was just written must be there")
            else:
                yield _fail(name, why, "P9", _remedy(why))


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


def _lonely(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    for host in hosts:
        if host.lonely:
            yield Check(
                name="second host",
                grade="fail",
                value=host.lonely,
                advice="what stands here is what this host found alone",
            )


def _one_mount(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    if any(pair.one_mount for pair in pairs):
        yield _warn(
            "second host",
            "both are this host, through one mount",
            "run the second one on another host: one mount has one cache",
        )


def _place(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    if all(host.file_system == "unknown" and host.hang for host in hosts):
        return
    kinds = sorted({f"{h.file_system}{' (network)' if h.network else ' (local)'}" for h in hosts})
    names = sorted({host.host for host in hosts})
    yield _ok("file system", f"{', '.join(kinds)}, seen from {' and '.join(names)}")


def _renames(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.renames for host in hosts if host.renames]
    if not facts:
        return
    tries = sum(f.tries for f in facts)
    left, missing = sum(f.source_left for f in facts), sum(f.target_missing for f in facts)
    damaged = sum(f.damaged for f in facts)
    wrong = [
        text
        for count, text in (
            (left, f"{left} of {tries} left the old name there"),
            (missing, f"{missing} of {tries} did not make the new name"),
            (damaged, f"{damaged} of {tries} showed half a file or other content"),
        )
        if count
    ]
    if wrong:
        promise = "P2" if left or missing else "P1"
        yield _fail(
            "rename", "; ".join(wrong), promise, "a rename must move, at one instant: this copies"
        )
    else:
        yield _ok("rename", f"{tries} of {tries}: old name gone, new name there, content whole")


def _claims(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    alone = [("claims on one host", host.claims) for host in hosts if host.claims]
    # Both hosts judge the same claims.
    both = [("claims on two hosts", pair.claims) for pair in pairs if pair.claims]
    for name in ("claims on one host", "claims on two hosts"):
        facts = [f for n, f in [*alone, *both] if n == name]
        if not facts:
            continue
        worst = max(facts, key=lambda f: (f.two_owners, f.gone, f.damaged, f.misjudged))
        if worst.two_owners:
            yield _fail(
                name,
                f"{worst.two_owners} of {worst.files} files had two owners",
                "P2",
                "two renames of one name both win here: no study can run on it",
            )
        elif worst.gone:
            yield _fail(
                name,
                f"{worst.gone} of {worst.files} files vanished while being claimed",
                "P3",
                "a renamed file must be in a fresh listing under its new name",
            )
        elif worst.damaged:
            yield _fail(
                name,
                f"{worst.damaged} of {worst.files} files changed content while being claimed",
                "P1",
                "a rename must leave the content alone",
            )
        elif worst.misjudged:
            yield _fail(
                name,
                f"{worst.misjudged} of {worst.files} claims ended otherwise than believed",
                "P8",
                "the listing does not show what a rename did, even after changing the directory",
            )
        else:
            yield _ok(name, f"{worst.files} files, {worst.claimers} claimers: one owner each")


def _replies(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [h.claims for h in hosts if h.claims] + [p.claims for p in pairs[:1] if p.claims]
    if facts:
        lost = sum(f.lost_replies for f in facts)
        files = sum(f.files for f in facts)
        text = f"{lost} of {files} lost, each noticed" if lost else f"none of {files} lost"
        if not any(f.misjudged for f in facts):
            yield _ok("rename replies", text)


def _publishing(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [h.publishing for h in hosts if h.publishing]
    facts += [p.publishing for p in pairs if p.publishing]
    if not facts:
        return
    tries = sum(f.tries for f in facts)
    replaced, damaged = sum(f.replaced for f in facts), sum(f.damaged for f in facts)
    two = sum(f.two_winners for f in facts)
    links = all(host.links for host in hosts)
    if replaced:
        yield _fail(
            "publishing",
            f"{replaced} of {tries} went over a name that was taken",
            "P1",
            "a file that is there must stay: link() must fail on a name that exists",
        )
    elif damaged:
        yield _fail(
            "publishing",
            f"{damaged} of {tries} files are not what was published",
            "P1",
            "a file must be whole when its name appears",
        )
    elif two and links:
        yield _fail(
            "publishing",
            f"{two} of {tries} names had two winners",
            "P1",
            "link() must be exclusive",
        )
    elif two:
        yield _warn(
            "publishing",
            f"{two} of {tries} names had two winners: there are no hard links",
            "run one master for each study, as always",
        )
    else:
        yield _ok("publishing", f"{tries} of {tries} whole, none over a name that was taken")


def _lines(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.appending for host in hosts if host.appending]
    if not facts:
        return
    lines, wrong = sum(f.lines for f in facts), sum(f.wrong for f in facts)
    if wrong:
        yield _fail(
            "appending",
            f"{wrong} of {lines} lines did not read back as written",
            "P3",
            "what was appended and fsynced must be there: a result would be lost",
        )
    else:
        yield _ok("appending", f"{lines} of {lines} fsynced lines read back as written")


def _handed_over(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [pair.handed_over for pair in pairs if pair.handed_over]
    if not facts:
        return
    files, wrong = sum(f.lines for f in facts), sum(f.wrong for f in facts)
    if wrong:
        yield _fail(
            "handing over",
            f"{wrong} of {files} trials did not come back whole from the other host",
            "P3",
            "published here, claimed and written there, read here: lines are missing",
        )
    else:
        slowest = max(f.slowest for f in facts)
        yield _ok("handing over", f"{files} of {files} trials came back whole in {_s(slowest)}")


def _own_listing(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.own_listing for host in hosts if host.own_listing]
    if not facts:
        return
    tries, stale = sum(f.tries for f in facts), sum(f.stale for f in facts)
    stubborn = sum(f.stubborn for f in facts)
    if stubborn:
        yield _fail(
            "listing",
            f"{stubborn} of {tries} did not show this host's own change",
            "P8",
            "a claim whose reply was lost would not be noticed; " + _CACHE_ADVICE,
        )
    elif stale:
        yield _warn(
            "listing",
            f"{stale} of {tries} showed this host's own change only after another one",
            "distune makes that other change itself; " + _CACHE_ADVICE,
        )
    else:
        yield _ok("listing", f"{tries} of {tries} show this host's own change at once")


def _rewriting(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.rewriting for host in hosts if host.rewriting]
    if not facts:
        return
    tries, stale = sum(f.tries for f in facts), sum(f.stale for f in facts)
    if stale:
        yield _fail(
            "heartbeat",
            f"{stale} of {tries} rewritten files still showed old content to their writer",
            "P6",
            "a heartbeat that cannot be read kills healthy workers",
        )
    else:
        yield _ok("heartbeat", f"{tries} of {tries} rewritten files show their new content")


def _seen_by(pair: PairFacts) -> Iterator[Check]:
    here = f"{pair.host} sees"
    kinds: list[tuple[str, Delay | None, str, str]] = [
        ("new file", pair.new_file, "P3", "a trial that is not listed is never trained"),
        ("appended line", pair.appended, "P3", "a result that cannot be read is never counted"),
        ("lost file", pair.evicted, "P7", "an evicted worker would train on for nothing"),
    ]
    for what, delay, promise, why in kinds:
        if delay is None:
            continue
        name = f"{here} {what}"
        if delay.never:
            yield _fail(name, f"not within {_s(delay.limit)}", promise, f"{why}; {_CACHE_ADVICE}")
        elif delay.worst > _SLOW_TO_SEE:
            yield _warn(name, f"after {_delays(delay)}", _CACHE_ADVICE)
        else:
            yield _ok(name, f"after {_delays(delay)}")
    if pair.new_file_poked is not None:
        gain = f"after {_delays(pair.new_file_poked)}, having changed the directory"
        if pair.new_file_poked.never:
            yield _fail(
                f"{here} it poked",
                f"not within {_s(pair.new_file_poked.limit)}",
                "P8",
                "changing a directory must make its listing new: claims are judged by it",
            )
        else:
            yield _ok(f"{here} it poked", gain)
    if pair.missed_name is not None and (pair.missed_name.seconds or pair.missed_name.never):
        took = (
            f"not within {_s(pair.missed_name.limit)}"
            if pair.missed_name.never
            else f"after {_delays(pair.missed_name)}"
        )
        yield _ok(f"{here} missed name", f"{took}; distune asks listings, not names")
    if pair.beat_every is not None:
        name = f"{here} heartbeat"
        if pair.beat_gap is None:
            yield _fail(
                name,
                "never change",
                "P6",
                f"healthy workers would be given up; {_CACHE_ADVICE}",
            )
        else:
            text = f"every {_s(pair.beat_gap)} at most, made every {_s(pair.beat_every)}"
            if _late(pair) > _SLOW_TO_SEE:
                yield _warn(name, text, _CACHE_ADVICE)
            else:
                yield _ok(name, text)


def _delays(delay: Delay) -> str:
    tries = len(delay.seconds)
    return f"{_s(delay.worst)} at most" if tries > 1 else _s(delay.worst)


def _names(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.names for host in hosts if host.names]
    if not facts:
        return
    shortest = min(facts, key=lambda f: f.longest)
    if any(f.changed for f in facts):
        yield _fail(
            "names",
            "a file is listed under another name than it was given",
            "P2",
            "the name says whose a file is: it must come back as it was written",
        )
    elif shortest.longest < shortest.needed:
        yield _fail(
            "names",
            f"{shortest.longest} bytes fit, {shortest.needed} do not, which distune may need",
            "P2",
            "the name carries its owner's id: it must fit",
        )
    elif not all(f.case_sensitive for f in facts):
        yield _warn(
            "names",
            "capital and small letters are the same",
            "two studies must not differ in that alone",
        )
    else:
        yield _ok("names", f"{shortest.longest} bytes long, capital and small letters differ")


def _links(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    known = [host.links for host in hosts if host.links is not None]
    if known and all(known):
        yield _ok("hard links", "yes: publishing is exclusive")
    elif known:
        yield _warn(
            "hard links",
            "none: distune looks first, then renames",
            "two masters at once could publish one trial twice (it would still count once)",
        )


def _locks(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    one = [host.flock for host in hosts]
    if None in one and not all(host.flock for host in hosts) and False not in one and not pairs:
        if any(host.claims for host in hosts):
            yield _warn(
                "locks", "none", "no trial needs one; two masters notice each other's heartbeat"
            )
        return
    parts = []
    if pairs:
        for name, got in (
            ("flock", [pair.flock for pair in pairs]), ("lockf", [pair.lockf for pair in pairs])
        ):  # fmt: skip
            known = [g for g in got if g is not None]
            parts.append((name, bool(known) and all(known), "both hosts got it"))
    else:
        parts.append(("flock", all(one), "given twice"))
    bad = [f"{name}: {how}" for name, good, how in parts if not good]
    if bad:
        yield _warn(
            "locks",
            "; ".join(bad),
            "no trial needs a lock; do not start two masters of one study",
        )
    else:
        where = "between the hosts" if pairs else "on this host"
        names = " and ".join(name for name, _, _ in parts)
        yield _ok("locks", f"{names} {'hold' if len(parts) > 1 else 'holds'} {where}")


def _shared_file(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    tried = [pair for pair in pairs if pair.shared_lines]
    if tried:
        kept, lines = min(pair.shared_kept for pair in tried), tried[0].shared_lines
        text = f"{kept} of {lines} lines left; distune never does this"
        yield _ok("two hosts, one file", text)


def _space(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.space for host in hosts if host.space]
    if not facts:
        return
    free = min(f.bytes_free for f in facts)
    inodes = min((f.inodes_free for f in facts if f.inodes_free is not None), default=None)
    text = f"{_bytes(free)}" + (f", {inodes:,} inodes" if inodes is not None else "")
    if free < _LITTLE_SPACE or (inodes is not None and inodes < _FEW_INODES):
        yield _warn(
            "free space",
            text,
            "a trial takes some 10 KiB and one file, more if it writes files of its own",
        )
    else:
        yield _ok("free space", text)


def _speed(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    for host in hosts:
        if host.speed is None:
            continue
        times = host.speed.model_dump()
        text = ", ".join(f"{name} {_rate(seconds)}" for name, seconds in times.items())
        name = f"per second, {host.host}" if len(hosts) > 1 else "per second"
        if max(times.values()) > _SLOW_OPERATION:
            yield _warn(name, text, "slow: fine for trials of minutes, not of seconds")
        else:
            yield _ok(name, text)


def _times(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    facts = [host.times for host in hosts if host.times]
    if facts:
        unit = max(f.granularity for f in facts)
        text = f"in steps of {_s(unit)}; heartbeats are told apart by content"
        yield _ok("file times", text)


def _clocks(hosts: Hosts, pairs: Pairs) -> Iterator[Check]:
    parts = [f"files {_signed(host.times.ahead)} of {host.host}" for host in hosts if host.times]
    parts += [f"{p.other} {_signed(p.clock_ahead)} of {p.host}"
              for p in pairs[:1] if p.clock_ahead is not None]  # fmt: skip
    if parts:
        yield _ok("clocks", f"{', '.join(parts)}; distune compares none")


# -- words ---------------------------------------------------------------------------------


def _signed(seconds: float) -> str:
    return f"{_s(abs(seconds))} {'ahead' if seconds >= 0 else 'behind'}"


def _s(seconds: float) -> str:
    """Seconds as people read them, also very few of them."""
    if seconds >= 60:
        return format_duration(seconds)
    units = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)]
    unit, size = next((pair for pair in units if seconds >= 0.9995 * pair[1]), units[-1])
    count = seconds / size
    return f"{count:.2g} {unit}" if count < 9.5 else f"{count:.0f} {unit}"


def _rate(seconds: float) -> str:
    rate = 1 / max(seconds, 1e-7)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
