"""What a worker and its executor say to each other, a line each. Pure."""

from dataclasses import dataclass

from distune.share import records
from distune.study.study import Study
from distune.study.trial import (
    Checkpoint,
    Failure,
    Outcome,
    Record,
    Report,
    Result,
    Resumed,
    Trial,
)
from distune.training.offer import Offer

#: Seconds of one of the trials that are trained in turn, until the others go back to where they
#: can be trained.
LONG_TURN = 0.5
WAITED = Result(
    outcome=Outcome.RELEASED,
    failure=Failure(message="another trial took longer than expected; this one can be tried now"),
)


class Prepare(Record, frozen=True, kw_only=True):
    """First message to an executor: what it will be asked for."""

    device: str
    devices: list[str] = []  # of each trial, if it has more than that one
    offers: list[Offer] = []
    data_dir: str | None = None


class Assignment(Record, frozen=True, kw_only=True):
    """A trial to train; with `self_test`, a test of device, data and places to write to."""

    study: Study | None  # None on the way: it is a message of its own, sent before
    trial: Trial
    folder: str
    checkpoints: str = ""  # the folder of all of the study's; none without
    slot: int = 0  # its number among those that the executor has; its messages bear it
    self_test: bool = False


class InTurn(Record, frozen=True, kw_only=True):
    """Short trials to train one after the other; what they say is sent together."""

    assignments: list[Assignment]


class Stop(Record, frozen=True, kw_only=True):
    """A request to end a training between two of its steps; with `save`, once it has saved its next
    state.
    """

    save: bool = False


class End(Record, frozen=True, kw_only=True):
    """The process ends now, and its SIGTERM comes: an objective that handles it has a moment."""


class Saves(Record, frozen=True, kw_only=True):
    """The training saves states: it is worth waiting for one, if it has to end."""


class Ready(Record, frozen=True, kw_only=True):
    """The executor's answer to `Prepare`: the device it found, or what is wrong."""

    device: str = ""
    problem: str | None = None
    blames_offer: bool = False


class TrainingStarted(Record, frozen=True, kw_only=True):
    """The training begins: everything it needs is imported; `code`: as in a claim."""

    code: str = ""


class Spent(Record, frozen=True, kw_only=True):
    """No other trial should be trained in this process; comes before the result of the last."""


class TrainingProgress(Record, frozen=True, kw_only=True):
    """Progress between two reports."""

    fraction: float | None = None
    images_per_second: float | None = None


@dataclass(frozen=True)
class Died:
    """A training process is gone, and not because its worker ended it; `asked_to` if somebody
    else wanted it to end, as a cluster does that needs the machine.
    """

    reason: str
    output: str
    out_of_memory: bool = False
    asked_to: bool = False

    def as_result(self) -> Result:
        """Of an attempt that was trained there."""
        failed = Outcome.OUT_OF_MEMORY if self.out_of_memory else Outcome.FAILED
        return Result(
            outcome=Outcome.RELEASED if self.asked_to else failed,
            failure=Failure(message=f"the training process {self.reason}", output=self.output),
        )


_REQUESTS: tuple[type[Record], ...] = (Prepare, Assignment, InTurn, Stop, End)
_ANSWERS: tuple[type[Record], ...] = (
    Ready,
    TrainingStarted,
    TrainingProgress,
    Spent,
    Saves,
    Resumed,
    Report,
    Checkpoint,
    Result,
)
_MESSAGES = {model.__name__.encode(): model for model in (*_REQUESTS, *_ANSWERS)}
_STUDY = b"Study"


def encode_message(message: Record | Study, slot: int = 0) -> bytes:
    """One line: the slot of the trial it is about, unless that is 0; type; fields."""
    if isinstance(message, Study):
        return b"%s %s\n" % (_STUDY, message.model_dump_json().encode())
    about = b"%d " % slot if slot else b""
    return b"%s%s %s\n" % (about, type(message).__name__.encode(), records.dump(message))


def decode_request(line: bytes) -> tuple[int, Record | Study]:
    """What the worker has sent: the same as `decode_message`, or a study."""
    kind, _, fields = line.partition(b" ")
    return (0, Study.model_validate_json(fields)) if kind == _STUDY else decode_message(line)


def decode_message(line: bytes) -> tuple[int, Record]:
    """The slot and the record that `encode_message` made a line of."""
    kind, _, fields = line.partition(b" ")
    slot = 0
    if kind.isdigit():
        slot = int(kind)
        kind, _, fields = fields.partition(b" ")
    # Without the end of the line, or it is not what `dump` made, and takes the long way.
    return slot, records.load(_MESSAGES[kind], fields.removesuffix(b"\n"))
