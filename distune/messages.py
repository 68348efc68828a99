"""What a worker and its executor say to each other, a line each. Pure."""

from __future__ import annotations

import json

from distune.study import Study
from distune.trial import Record, Report, Result, Trial


class OfferRecord(Record):
    """An `Offer`, as it travels."""

    name: str
    path: str | None = None


class Prepare(Record):
    """First message to an executor: what it will be asked for."""

    device: str
    offers: list[OfferRecord] = []
    data_dir: str | None = None


class Assignment(Record):
    """A trial to train; of the same study as the one before, if `study` is None."""

    study: Study | None
    trial: Trial
    folder: str


class Check(Record):
    """A request to test oneself: device, data, places to write to."""

    study: Study
    folder: str


class Checked(Record):
    """The answer to `Check`; None if nothing is wrong."""

    problem: str | None = None


class Ready(Record):
    """The executor's answer to `Prepare`: the device it found, or what is wrong."""

    device: str = ""
    problem: str | None = None
    blames_offer: bool = False


class Began(Record):
    """The training begins: everything it needs is imported."""


class Moved(Record):
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
    return f"{type(message).__name__} {message.model_dump_json()}\n".encode()


def decode_message(line: bytes) -> Record:
    """What `encode_message` made; both ends are ours, so a bad one is a bug and raises."""
    kind, _, fields = line.decode().partition(" ")
    return _MESSAGES[kind].model_validate(json.loads(fields))
