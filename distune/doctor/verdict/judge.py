"""The verdict on all that was measured."""

from distune.doctor.diagnosis import CheckResult, Diagnosis, Grade
from distune.doctor.verdict.files import files
from distune.doctor.verdict.news import Intervals, advise, news_between
from distune.doctor.verdict.results import Hosts, Pairs, duration
from distune.doctor.verdict.surroundings import examined, surroundings

_GRADES: list[Grade] = ["ok", "warn", "fail"]
#: In the order in which people read them.
_CHECKS = (examined, files, news_between, surroundings)


def judge(hosts: Hosts, pairs: Pairs = (), *, version: str = "", created: float = 0.0) -> Diagnosis:
    """The verdict on what one host found, or two and what they saw of each other."""
    hosts, pairs = _distinguished(hosts, pairs)
    checks = [result for check in _CHECKS for result in check(hosts, pairs)]
    grade = _GRADES[max((_GRADES.index(check.grade) for check in checks), default=0)]
    # One mount has one cache: looking twice through it says nothing about caches.
    useful = [pair for pair in pairs if not pair.one_mount]
    intervals = advise(hosts, useful)
    return Diagnosis(
        distune=version,
        grade=grade,
        summary=_summary(grade, checks, intervals),
        **intervals._asdict(),
        file_systems=sorted({host.file_system for host in hosts}),
        network=any(host.network for host in hosts),
        peer=bool(useful),
        checks=checks,
        hosts=list(hosts),
        pairs=list(pairs),
        created=created,
    )


def _summary(grade: Grade, checks: list[CheckResult], intervals: Intervals) -> str:
    if grade == "fail":
        broken = sorted({c.promise for c in checks if c.grade == "fail" and c.promise})
        of = f": it breaks {', '.join(broken)}" if broken else ""
        return f"do not trust this directory{of}"
    but = " (mind the warnings)" if grade == "warn" else ""
    return (
        f"trust it{but}: lease {duration(intervals.lease)}, "
        f"heartbeat every {duration(intervals.heartbeat)}, "
        f"a look every {duration(intervals.poll)}; {intervals.reason}"
    )


def _distinguished(hosts: Hosts, pairs: Pairs) -> tuple[Hosts, Pairs]:
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
