"""How a check says what it found, and its measurements in words."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from distune.doctor.diagnosis import (
    CheckResult,
    Fault,
    HostMeasurements,
    PairMeasurements,
    Tally,
)
from distune.study.durations import format_duration

Hosts: TypeAlias = Sequence[HostMeasurements]
Pairs: TypeAlias = Sequence[PairMeasurements]
D = TypeVar("D", bound=Tally)


def fail(name: str, value: str, promise: str | None, advice: str) -> CheckResult:
    return CheckResult(name=name, grade="fail", value=value, promise=promise, advice=advice)


def warn(name: str, value: str, advice: str) -> CheckResult:
    return CheckResult(name=name, grade="warn", value=value, advice=advice)


def ok(name: str, value: str) -> CheckResult:
    return CheckResult(name=name, grade="ok", value=value)


def warn_if(bad: bool, name: str, value: str, advice: str) -> CheckResult:
    return warn(name, value, advice) if bad else ok(name, value)


def first_fault(
    name: str, tally: Tally | None, good: str | None = None, **instead: Fault
) -> Iterator[CheckResult]:
    """The first fault that happened at all, and those of the same remedy; `good` if none did.
    What is given here stands in place of what the tally says of itself.
    """
    if tally is None:
        return
    counts = tally.model_dump()
    tries = next(iter(counts.values()))
    found = [
        (counts[key], *fault) for key, fault in {**tally.FAULTS, **instead}.items() if counts[key]
    ]
    if not found:
        yield ok(name, good or tally.GOOD.format(**counts))
        return
    _, _, promise, advice = found[0]
    value = "; ".join(
        f"{count} of {tries} {what}" for count, what, _, same in found if same == advice
    )
    yield fail(name, value, promise, advice) if promise else warn(name, value, advice)


def total(found: Iterable[D | None]) -> D | None:
    """The sum of each field over all that was measured; None if nothing was."""
    known = [one for one in found if one is not None]
    if not known:
        return None
    fields = type(known[0]).model_fields
    return known[0].model_copy(update={f: sum(getattr(one, f) for one in known) for f in fields})


def signed(seconds: float) -> str:
    return f"{duration(abs(seconds))} {'ahead' if seconds >= 0 else 'behind'}"


def duration(seconds: float) -> str:
    """Seconds as people read them, also very few of them."""
    if seconds >= 60:
        return format_duration(seconds)
    units = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)]
    unit, size = next((pair for pair in units if seconds >= 0.9995 * pair[1]), units[-1])
    count = seconds / size
    return f"{count:.2g} {unit}" if count < 9.5 else f"{count:.0f} {unit}"
