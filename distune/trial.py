"""What is written about a trial: frozen records, each one line of JSON in a file.

A *trial* is one setting to try; an *attempt* is one try at it and owns one file.
The file's lines are a `Trial`, then a `Claim`, then `Report`s, then a `Result`.
`Counted` is what the history keeps of a trial once the master has counted it.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator


def _scalar(value: object) -> object:
    """What a parameter may be. One validator, not a union: its message has to help."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"must be a string, a number, true, false or null, not {value!r:.40}")


Scalar = Annotated[bool | int | float | str | None, PlainValidator(_scalar)]
Params = Mapping[str, Scalar]
Metrics = Mapping[str, float]
Direction = Literal["maximize", "minimize"]
Count = Annotated[int, Field(ge=0, le=10**12)]
WorkerId = Annotated[str, Field(max_length=80)]


class Record(BaseModel):
    """Base of all records: immutable, and NaN and Infinity survive JSON (as strings)."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings", extra="ignore")


class Purpose(StrEnum):
    """Why an attempt is made."""

    __hash__ = str.__hash__  # part of every attempt's name

    TRAIN = "train"  # to be ranked, on validation data
    TEST = "test"  # the winner, once, on the test set


class Outcome(StrEnum):
    """How an attempt ended. Where its file stands is another thing: see `protocol.State`."""

    COMPLETE = "complete"
    DIVERGED = "diverged"  # trained to its end, but the metric is not a finite number
    PRUNED = "pruned"  # stopped by the master
    FAILED = "failed"  # the objective raised, or its process died
    TIMEOUT = "timeout"  # nothing was heard of it for the study's `trial_timeout`
    OUT_OF_MEMORY = "out-of-memory"  # of the host or of the device
    RELEASED = "released"  # given back by its worker, to be tried by another
    LOST = "lost"  # its worker fell silent


#: Ways to fail: tried again on another worker, up to the study's `max_attempts`.
FAILURES = frozenset({Outcome.FAILED, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY})


class Trial(Record):
    """What to try. The first line of every attempt's file.

    Attributes:
        study: id of the study it belongs to.
        number: of the trial in the study, from 0.
        attempt: from 1.
        repeat: which repeat of its configuration this is, from 0.
        failed_on: the workers on which attempts at it have failed before, one for each; what
            was lost or given back is not its fault.
        seed: for everything random in the training.
        best: for a test, the report of the winning step that shall be trained again.
    """

    study: str
    number: Count
    attempt: Annotated[int, Field(ge=1)]
    purpose: Purpose = Purpose.TRAIN
    repeat: Count = 0
    failed_on: Annotated[list[WorkerId], Field(max_length=100)] = []
    seed: int = 0
    params: dict[str, Scalar]
    best: dict[str, float] | None = None

    @property
    def key(self) -> tuple[Purpose, int]:
        """What all attempts at it have in common."""
        return self.purpose, self.number

    @property
    def fingerprint(self) -> str:
        """Of what is trained: the same for the same setting and seed."""
        return f"{zlib.crc32(f'{params_key(self.params)}/{self.seed}'.encode()):08x}"

    @property
    def failures(self) -> int:
        """How many attempts at it have failed before."""
        return len(self.failed_on)


class Claim(Record):
    """Who took it, on what. `time` is the worker's own clock, for people only (P6).

    `fingerprint` is that of the trial as the worker had read it, which may have been before it
    claimed the file: whoever counts the result compares them.
    """

    worker: str
    host: str
    device: str
    time: float
    fingerprint: str = ""


class Report(Record):
    """What one step (epoch) of the training gave; `seconds` of training so far."""

    step: Count
    metrics: dict[str, float]
    seconds: float


class Failure(Record):
    """Why an attempt failed: one line, then the details a person needs to mend it.

    Attributes:
        message: the line.
        traceback: of the exception.
        output: the tail of what the process printed.
        infeasible: another attempt would fail in the same way.
    """

    message: str
    traceback: str = ""
    output: str = ""
    infeasible: bool = False


class Result(Record):
    """How the attempt ended. The last line of its file.

    Attributes:
        value: of the study's metric; None if there is none.
        metrics: of the step that `value` is from.
        seconds: of training.
        steps: reports made.
    """

    outcome: Outcome
    value: float | None = None
    metrics: dict[str, float] = {}
    seconds: float = 0.0
    steps: Count = 0
    failure: Failure | None = None

    @property
    def infeasible(self) -> bool:
        """Whether any other attempt would fail in the same way."""
        return self.failure is not None and self.failure.infeasible


class Counted(Record):
    """A trial that is over, as the history keeps it: exactly one for each (P3).

    `elapsed` is how long the study had run when it was counted, in seconds, on its
    masters' clocks; None where the history had to be rebuilt from the files.
    """

    trial: Trial
    worker: str
    device: str = ""
    result: Result
    elapsed: float | None = None

    @property
    def key(self) -> tuple[Purpose, int]:
        return self.trial.key


def params_key(params: Params) -> str:
    """The same text for the same setting, whatever the order of its parameters."""
    return json.dumps(dict(params), sort_keys=True, separators=(",", ":"))


def better(a: float, b: float, direction: Direction) -> bool:
    """Whether `a` beats `b`. A value that is not a finite number beats nothing."""
    if not math.isfinite(a):
        return False
    if not math.isfinite(b):
        return True
    return a > b if direction == "maximize" else a < b


def summarize(
    reports: Iterable[Report], metric: str, direction: Direction, summary: str
) -> Report | None:
    """The report that stands for the whole training: the best one, or the last."""
    chosen: Report | None = None
    for report in reports:
        if metric not in report.metrics:
            continue
        if (
            chosen is None
            or summary == "last"
            or better(report.metrics[metric], chosen.metrics[metric], direction)
        ):
            chosen = report
    return chosen
