"""How a check says what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from distune.doctor.diagnosis import CheckResult
from distune.doctor.measurements import HostMeasurements, PairMeasurements

Hosts: TypeAlias = Sequence[HostMeasurements]
Pairs: TypeAlias = Sequence[PairMeasurements]

CACHE_ADVICE = (
    "a cache answers instead of the server; mount sshfs with -o dir_cache=no, "
    "NFS without nocto and with a smaller acdirmax"
)


def fail(name: str, value: str, promise: str, advice: str) -> CheckResult:
    return CheckResult(name=name, grade="fail", value=value, promise=promise, advice=advice)


def warn(name: str, value: str, advice: str) -> CheckResult:
    return CheckResult(name=name, grade="warn", value=value, advice=advice)


def ok(name: str, value: str) -> CheckResult:
    return CheckResult(name=name, grade="ok", value=value)
