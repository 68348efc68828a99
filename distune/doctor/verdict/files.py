"""Whether each file has one owner and one name, and reads as it was written."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.measurements import Claims
from distune.doctor.verdict.results import (
    CACHE_ADVICE,
    Hosts,
    Pairs,
    duration,
    fail,
    first_fault,
    ok,
    total,
)


def renames(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = total(host.renames for host in hosts)
    if found is None:
        return
    faults = {
        "left the old name there": found.source_left,
        "did not make the new name": found.target_missing,
        "showed half a file or other content": found.damaged,
    }
    wrong = [f"{count} of {found.tries} {what}" for what, count in faults.items() if count]
    if wrong:
        promise = "P2" if found.source_left or found.target_missing else "P1"
        advice = "a rename must move, at one instant: this copies"
        yield fail("rename", "; ".join(wrong), promise, advice)
    else:
        good = f"{found.tries} of {found.tries}: old name gone, new name there, content whole"
        yield ok("rename", good)


def claims(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if on_one_host := [host.claims for host in hosts if host.claims]:
        yield _worst_claims("claims on one host", on_one_host)
    if on_two_hosts := [pair.claims for pair in pairs if pair.claims]:
        yield _worst_claims("claims on two hosts", on_two_hosts)  # both judge the same claims


def _worst_claims(name: str, found: list[Claims]) -> CheckResult:
    worst = max(found, key=lambda f: (f.two_owners, f.gone, f.damaged, f.misjudged))
    faults = [
        (worst.two_owners, "files had two owners", "P2",
         "two renames of one name both win here: no study can run on it"),
        (worst.gone, "files vanished while being claimed", "P3",
         "a renamed file must be in a fresh listing under its new name"),
        (worst.damaged, "files changed content while being claimed", "P1",
         "a rename must leave the content alone"),
        (worst.misjudged, "claims ended otherwise than believed", "P8",
         "the listing does not show what a rename did, even after changing the directory"),
    ]  # fmt: skip
    good = f"{worst.files} files, {worst.claimers} claimers: one owner each"
    return first_fault(name, worst.files, faults, good)


def rename_replies(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = total([host.claims for host in hosts] + [pair.claims for pair in pairs[:1]])
    if found is not None and not found.misjudged:
        lost = f"{found.lost_replies} of {found.files} lost, each noticed"
        yield ok("rename replies", lost if found.lost_replies else f"none of {found.files} lost")


def publishing(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = total([host.publishing for host in hosts] + [pair.publishing for pair in pairs])
    if found is None:
        return
    two_winners = "names had two winners"
    faults = [
        (found.replaced, "went over a name that was taken", "P1",
         "a file that is there must stay: link() must fail on a name that exists"),
        (found.damaged, "files are not what was published", "P1",
         "a file must be whole when its name appears"),
        (found.two_winners, two_winners, "P1", "link() must be exclusive")
        if all(host.links for host in hosts)
        else (found.two_winners, f"{two_winners}: there are no hard links", None,
              "run one master for each study, as always"),
    ]  # fmt: skip
    good = f"{found.tries} of {found.tries} whole, none over a name that was taken"
    yield first_fault("publishing", found.tries, faults, good)


def appending(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if found := total(host.appending for host in hosts):
        advice = "what was appended and fsynced must be there: a result would be lost"
        faults = [(found.wrong, "lines did not read back as written", "P3", advice)]
        good = f"{found.lines} of {found.lines} fsynced lines read back as written"
        yield first_fault("appending", found.lines, faults, good)


def handing_over(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if found := total(pair.handed_over for pair in pairs):
        advice = "published here, claimed and written there, read here: lines are missing"
        wrong = "trials did not come back whole from the other host"
        slowest = max(pair.handed_over.slowest for pair in pairs if pair.handed_over)
        good = f"{found.lines} of {found.lines} trials came back whole in {duration(slowest)}"
        yield first_fault("handing over", found.lines, [(found.wrong, wrong, "P3", advice)], good)


def own_listing(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if found := total(host.own_listing for host in hosts):
        faults = [
            (found.stubborn, "did not show this host's own change", "P8",
             f"a claim whose reply was lost would not be noticed; {CACHE_ADVICE}"),
            (found.stale, "showed this host's own change only after another one", None,
             f"distune makes that other change itself; {CACHE_ADVICE}"),
        ]  # fmt: skip
        good = f"{found.tries} of {found.tries} show this host's own change at once"
        yield first_fault("listing", found.tries, faults, good)


def rewriting(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    if found := total(host.rewriting for host in hosts):
        advice = "a heartbeat that cannot be read kills healthy workers"
        wrong = "rewritten files still showed old content to their writer"
        good = f"{found.tries} of {found.tries} rewritten files show their new content"
        yield first_fault("heartbeat", found.tries, [(found.stale, wrong, "P6", advice)], good)
