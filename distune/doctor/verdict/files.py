"""Whether each file has one owner and one name, and reads as it was written."""

from collections.abc import Iterable, Iterator

from distune.doctor.diagnosis import CheckResult, Claims
from distune.doctor.verdict.results import Hosts, Pairs, duration, first_fault, ok, total


def files(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    yield from first_fault("rename", total(host.renames for host in hosts))
    yield from first_fault("claims on one host", _worst(host.claims for host in hosts))
    yield from first_fault("claims on two hosts", _worst(pair.claims for pair in pairs))
    yield from _publishing(hosts, pairs)
    yield from first_fault("appending", total(host.appending for host in hosts))
    yield from _handing_over(pairs)
    yield from first_fault("listing", total(host.own_listing for host in hosts))
    yield from first_fault("heartbeat", total(host.rewriting for host in hosts))
    yield from _rename_replies(hosts, pairs)


def _worst(found: Iterable[Claims | None]) -> Claims | None:
    claims = [one for one in found if one is not None]
    return max(claims, key=lambda c: [getattr(c, name) for name in c.FAULTS], default=None)


def _publishing(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    found = total([host.publishing for host in hosts] + [pair.publishing for pair in pairs])
    if all(host.links for host in hosts):
        yield from first_fault("publishing", found)
    else:
        without = "names had two winners: there are no hard links"
        advice = "run one master for each study, as always"
        yield from first_fault("publishing", found, two_winners=(without, None, advice))


def _handing_over(pairs: Pairs) -> Iterator[CheckResult]:
    if found := total(pair.handed_over for pair in pairs):
        advice = "published here, claimed and written there, read here: lines are missing"
        wrong = "trials did not come back whole from the other host"
        slowest = max(pair.handed_over.slowest for pair in pairs if pair.handed_over)
        good = f"{found.lines} of {found.lines} trials came back whole in {duration(slowest)}"
        yield from first_fault("handing over", found, good, wrong=(wrong, "P3", advice))


def _rename_replies(hosts: Hosts, pairs: Pairs) -> Iterator[CheckResult]:
    # Both hosts judge the claims that they made together.
    found = total([host.claims for host in hosts] + [pair.claims for pair in pairs[:1]])
    if found is not None and not found.misjudged:
        lost = f"{found.lost_replies} of {found.files} lost, each noticed"
        yield ok("rename replies", lost if found.lost_replies else f"none of {found.files} lost")
