"""What is written about a trial: frozen records, each one line of JSON in a file.

A *configuration* is one point of the search space; a *trial* is one training of it: a repeat
has its own seed. An *attempt* is one try at a trial and owns one file, whose lines are a
`Trial`, then a `Claim`, then `Report`s and `Checkpoint`s (first a `Resumed`, if it goes on where
another attempt was), then maybe an `Output`, then a `Result`. `Asked` is what
the master remembers of a configuration, `Counted` what the history keeps of a trial once the
master has counted it, `Dropped` says of such a one that it is not ranked.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field, PlainValidator


def _scalar(value: object) -> object:
    """What a parameter may be. One validator, not a union: its message has to help."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(
        f"must be a string, a number, true, false or null, not {value!r:.40}: write a list or an "
        'object as text, "[64, 32]", and have the objective read it (json.loads)'
    )


# Records are read by msgspec, documents by pydantic: each takes from these what it knows.
Scalar = Annotated[bool | int | float | str | None, PlainValidator(_scalar)]
Params = Mapping[str, Scalar]
Metrics = Mapping[str, float]
Direction = Literal["maximize", "minimize"]
Count = Annotated[int, Meta(ge=0, le=10**12), Field(ge=0, le=10**12)]
WorkerId = Annotated[str, Meta(max_length=80)]


# Tens of thousands of these come and go in a second's work. Nothing in them refers back to them,
# so the garbage collector need not look at them.
class Record(msgspec.Struct, frozen=True, gc=False):
    """Base of all records: immutable. What it may hold is checked when it is written and when
    it is read, by `distune.share.records`, not when it is made.
    """

    def replace(self, **changes: Any) -> Self:
        """A record with other values in some fields."""
        return msgspec.structs.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Its fields, and those of the records in it, as plain data."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Document(BaseModel):
    """Base of files that are one record, read seldom, whose mistakes a user has to understand:
    immutable, and NaN and Infinity survive JSON (as strings).
    """

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
    PAUSED = "paused"  # at a checkpoint, to go on from it if it is promoted
    FAILED = "failed"  # the objective raised, or its process died
    TIMEOUT = "timeout"  # nothing was heard of it for the study's `trial_timeout`
    OUT_OF_MEMORY = "out-of-memory"  # of the host or of the device
    RELEASED = "released"  # given back by its worker, to be tried by another
    LOST = "lost"  # its worker fell silent


#: Ways to fail: tried again on another worker, up to the study's `max_attempts`.
FAILURES = frozenset({Outcome.FAILED, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY})


class Checkpoint(Record, frozen=True, kw_only=True):
    """A state of a training that a later attempt can go on from: a line that is there after its
    file is, complete. Where the file lies follows from the trial and the numbers.
    """

    attempt: Annotated[int, Meta(ge=1)]  # that has saved it
    number: Annotated[int, Meta(ge=1, le=10**9)]  # among those that this attempt has saved
    step: Count  # reports made before it
    size: Count  # bytes
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]  # of the whole file
    trial: Count | None = None  # that it is one of, if not of the one that goes on from it


#: How many are remembered of a trial: if the last one turns out to be damaged, the one before.
MOST_CHECKPOINTS = 2
Checkpoints = Annotated[list[Checkpoint], Meta(max_length=MOST_CHECKPOINTS)]


#: Names what a person has asked for while the study was under way.
Wish = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class Rungs(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Where a training pauses, in a study whose pruner has rungs: after the first report that has
    so many steps, or so many seconds of training. With neither, it goes on to its end.
    """

    step: Annotated[int, Meta(ge=1)] | None = None
    seconds: Annotated[float, Meta(gt=0)] | None = None
    passed: Annotated[list[float], Meta(max_length=100)] = []  # its values at the rungs before

    def reached_by(self, step: int, seconds: float) -> bool:
        """Whether a training that has come so far is to pause."""
        by_step = self.step is not None and step >= self.step
        return by_step or (self.seconds is not None and seconds >= self.seconds)


class Asked(Record, frozen=True, kw_only=True):
    """A configuration that the master has asked its sampler for: a line of `asked.jsonl`, there
    before any of its trials is.
    """

    study: str  # its id
    configuration: Count  # its number, from 0; of what is extended, that which it had before
    trial: Count  # number of the first of its trials; the others follow it
    repeat: Count = 0  # which repeat of the configuration that first one is, from 0
    repeats: Annotated[int, Meta(ge=1, le=10**6)]  # how many trials there are
    replaces: Count | None = None  # number of the counted trial that it is to be ranked instead of
    extends: Count | None = None  # number of the counted trial that it trains further
    #: Number of the first trial of the configuration that it confirms: then `repeat` is the index
    #: of its seed, which it has in common with those that confirm others.
    confirms: Count | None = None
    #: Number of the first trial of the configuration that it is one more repeat of, beyond those
    #: that each has: the sampler has suggested it once more.
    adds_to: Count | None = None
    checkpoints: Checkpoints = []  # that it goes on from, of the trial that it trains further
    wish: Wish | None = None  # of the person who has asked for this configuration, if one has
    params: dict[str, Scalar]
    stage: str = ""  # name of the stage it belongs to, if there are stages
    #: The sampler suggested it; a person wants it tried, trained again, or further; it confirms one
    #: of the best; or the line was lost, and made again from a trial.
    origin: Literal["sampler", "enqueue", "retry", "extend", "confirm", "recovered"] = "sampler"
    state: dict[str, Scalar] = {}  # what the sampler wanted to have beside it


class Trial(Record, frozen=True, kw_only=True):
    """What to try. The first line of every attempt's file."""

    study: str  # its id
    number: Count  # of the trial in the study, from 0
    attempt: Annotated[int, Meta(ge=1)]
    purpose: Purpose = Purpose.TRAIN
    #: Number of the one that it trains, from 0; of a trial that is trained further, the one that it
    #: had before: its seeds follow from it.
    configuration: Count = 0
    repeat: Count = 0  # which repeat of its configuration this is, from 0
    #: The workers on which attempts at it have failed before, one for each; what was lost or given
    #: back is not its fault.
    failed_on: Annotated[list[WorkerId], Meta(max_length=100)] = []
    replaces: Count | None = None  # number of the trial that it is ranked instead of, if so
    extends: Count | None = None  # number of the trial that it trains further, if so
    wish: Wish | None = None  # of the person who has asked for its configuration, if one has
    confirms: Count | None = None  # as in `Asked`, and so is the next one
    adds_to: Count | None = None
    seed: int = 0  # for everything random in the training
    params: dict[str, Scalar]
    best: dict[str, float] | None = None  # for a test: the step's report that won
    #: Of the attempts before, that this one may go on from: the last one comes first.
    checkpoints: Checkpoints = []
    rungs: Rungs | msgspec.UnsetType = msgspec.UNSET  # only where the study's pruner has rungs
    #: Seconds of training by the attempts before, of what this one does not go on from, if any.
    wasted: Annotated[float, Meta(ge=0)] | msgspec.UnsetType = msgspec.UNSET

    def as_of_now(self, repeats: int) -> Self:
        """As it would be written now, a trial of a study of the layout before, in which every
        configuration had so many repeats and a trial's number said which it was.
        """
        return self.replace(configuration=self.number // repeats)

    @property
    def key(self) -> tuple[Purpose, int]:
        """What all attempts at it have in common."""
        return self.purpose, self.number

    @property
    def fingerprint(self) -> str:
        """Of what is trained: the same for the same setting and seed."""
        return f"{zlib.crc32(f'{params_key(self.params)}/{self.seed}'.encode()):08x}"

    @property
    def pauses_at(self) -> Rungs | None:
        """Its rungs, if it takes part in a race for them: no test does."""
        if self.purpose is Purpose.TEST:
            return None
        return self.rungs if isinstance(self.rungs, Rungs) else None

    @property
    def epochs(self) -> int | None:
        """How many steps it will have, if its `epochs` say so."""
        epochs = self.params.get("epochs")
        return epochs if isinstance(epochs, int) and epochs >= 1 else None

    @property
    def wasted_seconds(self) -> float:
        """Of training by the attempts before, of what this one does not go on from."""
        return self.wasted if isinstance(self.wasted, float) else 0.0

    @property
    def failures(self) -> int:
        """How many attempts at it have failed before."""
        return len(self.failed_on)


def is_of_search(one: Trial | Asked) -> bool:
    """Whether it is a training of a setting of the search: it trains no other trial further, and
    confirms none.
    """
    return one.extends is None and one.confirms is None


def is_by_search(one: Trial | Asked) -> bool:
    """Whether the search has asked for it, or a person for its setting: nor is it another trial
    that is tried again, or one more repeat of what was tried.
    """
    return is_of_search(one) and one.replaces is None and one.adds_to is None


class Claim(Record, frozen=True, kw_only=True):
    """Which worker took it, on what. `time` is the worker's own clock, to be shown only (P6).

    `fingerprint` is that of the trial as the worker had read it, maybe before it claimed the file:
    the master compares them before it counts the result. `code` is a digest of the user's code that
    trains it, where there is some.
    """

    worker: str
    host: str
    device: str
    time: float
    fingerprint: str = ""
    code: str = ""


class Report(Record, frozen=True, kw_only=True):
    """What one step (epoch) of the training gave; `seconds` of training so far."""

    step: Count
    metrics: dict[str, float]
    seconds: float


class Resumed(Record, frozen=True, kw_only=True):
    """The training went on from another attempt's checkpoint, whose reports come again below."""

    attempt: Annotated[int, Meta(ge=1)]
    step: Count  # reports that had been made
    trial: Count | None = None  # of the attempt, if it is one at another trial


class Failure(Record, frozen=True, kw_only=True):
    """Why an attempt failed: one line, then the details a person needs to mend it."""

    message: str
    traceback: str = ""
    output: str = ""  # the tail of what the process printed
    infeasible: bool = False  # another attempt would fail in the same way


class Output(Record, frozen=True, kw_only=True):
    """What the training printed, the last of it: a line before the result, if it did print."""

    text: str


class Result(Record, frozen=True, kw_only=True):
    """How the attempt ended. The last line of its file."""

    outcome: Outcome
    value: float | None = None  # of the study's metric
    #: Of the step that `value` is from; and what the study ranks by or bounds beside, if only other
    #: steps have it.
    metrics: dict[str, float] = {}
    seconds: float = 0.0  # of training
    steps: Count = 0  # reports made
    failure: Failure | None = None
    #: Why it was stopped before its end; not there in what was not.
    reason: str | msgspec.UnsetType = msgspec.UNSET

    @property
    def infeasible(self) -> bool:
        """Whether any other attempt would fail in the same way."""
        return self.failure is not None and self.failure.infeasible

    @property
    def why(self) -> str:
        """Why it was stopped before its end, if it was."""
        return self.reason if isinstance(self.reason, str) else ""


class Counted(Record, frozen=True, kw_only=True):
    """A trial that is over, as the history keeps it: exactly one for each (P3)."""

    trial: Trial
    worker: str
    device: str = ""
    code: str = ""  # that has trained it, see `Claim`
    result: Result
    #: Seconds that the study had run when it was counted, on its masters' clocks; None where the
    #: history had to be rebuilt from the files.
    elapsed: float | None = None
    #: Its steps, the seconds of training until each, and where it stood then; only where the study
    #: has a pruner.
    curve: list[list[float]] | msgspec.UnsetType = msgspec.UNSET

    def as_of_now(self, repeats: int) -> Self:
        """As it would be written now; see `Trial.as_of_now`."""
        return self.replace(trial=self.trial.as_of_now(repeats))

    @property
    def key(self) -> tuple[Purpose, int]:
        return self.trial.key


class Dropped(Record, frozen=True, kw_only=True):
    """A counted trial that a person has taken out of the ranking: a line of `dropped.jsonl`. The
    attempt and its worker say which result is meant: it may come to another.
    """

    study: str  # its id
    trial: Count
    attempt: Annotated[int, Meta(ge=1)]
    worker: str

    @classmethod
    def of(cls, counted: Counted) -> Self:
        trial = counted.trial
        return cls(
            study=trial.study, trial=trial.number, attempt=trial.attempt, worker=counted.worker
        )


def trial_seed(seed: int, configuration: int, repeat: int) -> int:
    """The seed of a trial's training: its own in the study of `seed`, and always the same."""
    text = f"{seed}/{configuration}/{repeat}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def confirming_seed(seed: int, index: int) -> int:
    """The seed of those fresh trainings that are compared with each other: none of the search's."""
    text = f"{seed}/confirm/{index}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def params_key(params: Params) -> str:
    """The same text for the same setting, whatever the order of its parameters."""
    return msgspec.json.encode(params, order="sorted").decode()


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
        value = report.metrics.get(metric)
        if value is None:
            continue
        if chosen is None or summary == "last" or better(value, chosen.metrics[metric], direction):
            chosen = report
    return chosen


def with_others(best: Report, reports: Iterable[Report], names: Iterable[str]) -> dict[str, float]:
    """The metrics of the report that stands for a training; and of these names, what only other
    reports have: the last of each.
    """
    missing = [name for name in names if name not in best.metrics]
    if not missing:
        return best.metrics
    others = {n: one.metrics[n] for one in reports for n in missing if n in one.metrics}
    return {**best.metrics, **others}
