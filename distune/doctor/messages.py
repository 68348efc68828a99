"""What the doctor and its prober say to each other, a line of JSON each."""

from __future__ import annotations

from typing import Literal

from distune.doctor.diagnosis import Diagnosis
from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.study.document import Document


class Request(Document):
    """What the prober shall do. `wait` and `patience` in seconds."""

    logs: str
    peer: bool
    wait: float
    patience: float


class Message(Document):
    """What the prober says.

    Attributes:
        kind: `phase` (what begins), `waits` (what has been waited for, and how long),
            `measured` (so far), `mistake` (of the user's), `result` (all there is; a `Reply`
            is awaited then), `end` (whether the diagnosis was written, or why not).
        leads: of two doctors, the one that writes the diagnosis.
    """

    kind: Literal["phase", "waits", "measured", "mistake", "result", "end"]
    text: str = ""
    seconds: float = 0.0
    hosts: list[HostMeasurements] = []
    pairs: list[PairMeasurements] = []
    leads: bool = True


class Reply(Document):
    """What the prober is told at the end: the diagnosis to leave in the directory, if any."""

    diagnosis: Diagnosis | None = None
