"""What a worker and its executor say to each other, a line each. Pure."""

from __future__ import annotations

from distune.share import records
from distune.study.study import Study
from distune.study.trial import Record, Report, Result, Trial


class OfferRecord(Record, frozen=True, kw_only=True):
    """An `Offer`, as it travels."""

    name: str
    path: str | None = None


class Prepare(Record, frozen=True, kw_only=True):
    """First message to an executor: what it will be asked for."""

    device: str
    offers: list[OfferRecord] = []
    data_dir: str | None = None


class Assignment(Record, frozen=True, kw_only=True):
    """A trial to train; of the same study as the one before, if `study` is None."""

    study: Study | None
    trial: Trial
    folder: str


class Together(Record, frozen=True, kw_only=True):
    """So many assignments follow, whose trials are to be trained at once."""

    count: int


class InTurn(Record, frozen=True, kw_only=True):
    """So many assignments follow, whose trials are short and to be trained one after the other;
    what they say is sent together.
    """

    count: int


class Unbegun(Record, frozen=True, kw_only=True):
    """A trial whose turn had not come when one before it failed: to be assigned again."""


class Check(Record, frozen=True, kw_only=True):
    """A request to test oneself: device, data, places to write to."""

    study: Study
    folder: str


class Checked(Record, frozen=True, kw_only=True):
    """The answer to `Check`; None if nothing is wrong."""

    problem: str | None = None


class Ready(Record, frozen=True, kw_only=True):
    """The executor's answer to `Prepare`: the device it found, or what is wrong."""

    device: str = ""
    problem: str | None = None
    blames_offer: bool = False


class Began(Record, frozen=True, kw_only=True):
    """The training begins: everything it needs is imported."""


class Moved(Record, frozen=True, kw_only=True):
    """Progress between two reports."""

    fraction: float | None = None
    images_per_second: float | None = None


_MESSAGES: dict[str, type[Record]] = {
    model.__name__: model
    for model in (
        Ready,
        Began,
        Moved,
        Report,
        Result,
        Prepare,
        Assignment,
        Together,
        InTurn,
        Unbegun,
        Check,
        Checked,
    )
}
_STOP = b"stop"


def encode_message(message: Record, member: int = 0) -> bytes:
    """One line: the record's type and its fields; before them, if it is about another than the
    first of the trials that are trained at once, which.
    """
    whose = b"%d " % member if member else b""
    return b"%s%s %s\n" % (whose, type(message).__name__.encode(), records.dump(message))


def decode_message(line: bytes) -> Record:
    """What `encode_message` made; both ends are ours, so a bad one is a bug and raises."""
    return decode_member(line)[1]


def decode_member(line: bytes) -> tuple[int, Record]:
    """The same, and whom it is about."""
    kind, _, fields = line.partition(b" ")
    member = 0
    if kind.isdigit():
        member = int(kind)
        kind, _, fields = fields.partition(b" ")
    # Without the end of the line, or it is not what `dump` made, and takes the long way.
    return member, records.load(_MESSAGES[kind.decode()], fields.removesuffix(b"\n"))


def encode_stop(member: int = 0) -> bytes:
    """A line that asks for the end of a training between two of its steps."""
    return b"%s %d\n" % (_STOP, member)


def decode_stop(line: bytes) -> int | None:
    """Whose end it asks for; None if it is another message."""
    word, _, member = line.partition(b" ")
    return int(member) if word == _STOP else None
