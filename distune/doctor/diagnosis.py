"""What the doctor concludes: `doctor.json`. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.study.document import Document

Grade = Literal["ok", "warn", "fail"]
#: The promises that a directory can break, as PROTOCOL.md has them.
PROMISES = {
    "P1": "A published file is complete.",
    "P2": "A file has at most one owner at any instant.",
    "P3": "Every trial ends in the ranking exactly once.",
    "P6": "A worker is lost when its heartbeat has not changed for the length of the lease",
    "P7": "A worker that lost its file learns it at its next heartbeat or append",
    "P8": "An ambiguous answer is resolved by looking for one's own unique name.",
    "P9": "The share may vanish or be full",
}


class CheckResult(Document):
    """How one thing that was tried turned out.

    Attributes:
        value: what was measured, for people.
        promise: of the protocol, that it breaks (`P2`).
        advice: what to do about it.
    """

    name: str
    grade: Grade
    value: str
    promise: str | None = None
    advice: str = ""


Seconds = Annotated[float, Field(ge=0.05, le=86400.0, allow_inf_nan=False)]


class Diagnosis(Document):
    """`doctor.json`: what a doctor found in a directory, and what it advises.

    Attributes:
        grade: of the worst check; `fail` means that the protocol would be wrong here.
        lease, heartbeat, poll: for studies that are made here from now on.
        reason: for these three.
        file_systems: as the hosts see them.
        created: by the clock of the host that wrote it, for people.
    """

    format: Literal[1] = 1
    distune: str = ""
    grade: Grade
    summary: str
    lease: Seconds
    heartbeat: Seconds
    poll: Seconds
    reason: str
    file_systems: list[str]
    network: bool
    peer: bool
    checks: list[CheckResult]
    hosts: list[HostMeasurements]
    pairs: list[PairMeasurements] = []
    created: float = 0.0
