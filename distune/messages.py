"""What a worker and its executor say to each other, a line each. Pure."""

from __future__ import annotations

from distune import records
from distune.study import Study
from distune.trial import Record, Report, Result, Trial


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
    for model in (Ready, Began, Moved, Report, Result, Prepare, Assignment, Check, Checked)
}
STOP = b"stop\n"


def encode_message(message: Record) -> bytes:
    """One line: the record's type and its fields."""
    return b"%s %s\n" % (type(message).__name__.encode(), records.dump(message))


def decode_message(line: bytes) -> Record:
    """What `encode_message` made; both ends are ours, so a bad one is a bug and raises."""
    kind, _, fields = line.partition(b" ")
    # Without the end of the line, or it is not what `dump` made, and takes the long way.
    return records.load(_MESSAGES[kind.decode()], fields.removesuffix(b"\n"))
