"""Whether each file has one owner and one name."""

from __future__ import annotations

from collections.abc import Iterator

from distune.doctor.diagnosis import CheckResult
from distune.doctor.measurements import Claims
from distune.doctor.verdict.results import Hosts, Pairs, fail, ok, warn


def renames(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [host.renames for host in hosts if host.renames]
    if not found:
        return
    tries = sum(f.tries for f in found)
    left, missing = sum(f.source_left for f in found), sum(f.target_missing for f in found)
    damaged = sum(f.damaged for f in found)
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
        yield fail(
            "rename", "; ".join(wrong), promise, "a rename must move, at one instant: this copies"
        )
    else:
        yield ok("rename", f"{tries} of {tries}: old name gone, new name there, content whole")


def claims(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    yield from _claims("claims on one host", [host.claims for host in hosts if host.claims])
    # Both hosts judge the same claims.
    yield from _claims("claims on two hosts", [pair.claims for pair in pairs if pair.claims])


def _claims(name: str, found: list[Claims]) -> Iterator[CheckResult]:
    if not found:
        return
    worst = max(found, key=lambda f: (f.two_owners, f.gone, f.damaged, f.misjudged))
    for count, went_wrong, promise, advice in (
        (worst.two_owners, "files had two owners", "P2",
         "two renames of one name both win here: no study can run on it"),
        (worst.gone, "files vanished while being claimed", "P3",
         "a renamed file must be in a fresh listing under its new name"),
        (worst.damaged, "files changed content while being claimed", "P1",
         "a rename must leave the content alone"),
        (worst.misjudged, "claims ended otherwise than believed", "P8",
         "the listing does not show what a rename did, even after changing the directory"),
    ):  # fmt: skip
        if count:
            yield fail(name, f"{count} of {worst.files} {went_wrong}", promise, advice)
            return
    yield ok(name, f"{worst.files} files, {worst.claimers} claimers: one owner each")


def rename_replies(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [h.claims for h in hosts if h.claims] + [p.claims for p in pairs[:1] if p.claims]
    if found:
        lost = sum(f.lost_replies for f in found)
        files = sum(f.files for f in found)
        text = f"{lost} of {files} lost, each noticed" if lost else f"none of {files} lost"
        if not any(f.misjudged for f in found):
            yield ok("rename replies", text)


def publishing(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = [h.publishing for h in hosts if h.publishing]
    found += [p.publishing for p in pairs if p.publishing]
    if not found:
        return
    tries, two = sum(f.tries for f in found), sum(f.two_winners for f in found)
    for count, went_wrong, advice in (
        (sum(f.replaced for f in found), "went over a name that was taken",
         "a file that is there must stay: link() must fail on a name that exists"),
        (sum(f.damaged for f in found), "files are not what was published",
         "a file must be whole when its name appears"),
        (two if all(host.links for host in hosts) else 0, "names had two winners",
         "link() must be exclusive"),
    ):  # fmt: skip
        if count:
            yield fail("publishing", f"{count} of {tries} {went_wrong}", "P1", advice)
            return
    if two:
        yield warn(
            "publishing",
            f"{two} of {tries} names had two winners: there are no hard links",
            "run one master for each study, as always",
        )
    else:
        yield ok("publishing", f"{tries} of {tries} whole, none over a name that was taken")
