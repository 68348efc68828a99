"""Whether what was written can be read."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.verdict.results import CACHE_ADVICE, Hosts, Pairs, fail, ok, warn
from distune.doctor.verdict.wording import duration


def appending(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.appending for host in hosts if host.appending]
    if not found:
        return
    lines, wrong = sum(f.lines for f in found), sum(f.wrong for f in found)
    if wrong:
        yield fail(
            "appending",
            f"{wrong} of {lines} lines did not read back as written",
            "P3",
            "what was appended and fsynced must be there: a result would be lost",
        )
    else:
        yield ok("appending", f"{lines} of {lines} fsynced lines read back as written")


def handing_over(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [pair.handed_over for pair in pairs if pair.handed_over]
    if not found:
        return
    files, wrong = sum(f.lines for f in found), sum(f.wrong for f in found)
    if wrong:
        yield fail(
            "handing over",
            f"{wrong} of {files} trials did not come back whole from the other host",
            "P3",
            "published here, claimed and written there, read here: lines are missing",
        )
    else:
        slowest = max(f.slowest for f in found)
        yield ok(
            "handing over", f"{files} of {files} trials came back whole in {duration(slowest)}"
        )


def own_listing(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.own_listing for host in hosts if host.own_listing]
    if not found:
        return
    tries, stale = sum(f.tries for f in found), sum(f.stale for f in found)
    stubborn = sum(f.stubborn for f in found)
    if stubborn:
        yield fail(
            "listing",
            f"{stubborn} of {tries} did not show this host's own change",
            "P8",
            "a claim whose reply was lost would not be noticed; " + CACHE_ADVICE,
        )
    elif stale:
        yield warn(
            "listing",
            f"{stale} of {tries} showed this host's own change only after another one",
            "distune makes that other change itself; " + CACHE_ADVICE,
        )
    else:
        yield ok("listing", f"{tries} of {tries} show this host's own change at once")


def rewriting(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.rewriting for host in hosts if host.rewriting]
    if not found:
        return
    tries, stale = sum(f.tries for f in found), sum(f.stale for f in found)
    if stale:
        yield fail(
            "heartbeat",
            f"{stale} of {tries} rewritten files still showed old content to their writer",
            "P6",
            "a heartbeat that cannot be read kills healthy workers",
        )
    else:
        yield ok("heartbeat", f"{tries} of {tries} rewritten files show their new content")
