"""Heartbeats, and when silence has lasted too long (P6). Pure: time is an argument."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Literal

from msgspec import Meta

from distune.errors import BadRecord
from distune.share import records
from distune.study.study import Limits
from distune.study.trial import Count, Record, Scalar

_BEAT_SIZE = 4096

Seconds = Annotated[float, Meta(ge=0)]


class Progress(Record, frozen=True, kw_only=True):
    """How far a worker is with one attempt, between two reports."""

    file: str
    study: str
    begun: bool = True  # it does not wait for a turn
    fraction: float | None = None  # of the whole training, in [0, 1]; None if that is not known
    images_per_second: float | None = None
    seconds: float = 0.0


BeatState = Literal["idle", "working", "paused", "gave up"]
#: States of a worker that claims what it can.
WILLING = frozenset({"idle", "working"})


class Beat(Record, frozen=True, kw_only=True):
    """A worker's heartbeat: one small file, rewritten in place, so that it changes."""

    worker: str
    host: str
    pid: int
    device: str
    jobs: Count  # trials that it trains at a time
    counter: Count
    state: BeatState
    running: list[Progress] = []
    completed: Count = 0  # of its attempts in this study, like `failed`
    failed: Count = 0
    trouble: str = ""  # why it has paused or given up, for people
    unreported: list[str] = []  # metrics of which a training has not reported any yet, and should


class MasterBeat(Record, frozen=True, kw_only=True):
    """The master's heartbeat."""

    study: str = ""  # its id
    host: str
    pid: int
    token: str = ""  # random: hosts and pids are not unique
    term: Count = 0  # one more than that of the beat which this master found when it started
    counter: Count
    state: Literal["running", "stopped", "finished"]
    elapsed: Seconds  # that masters have run it, in sum
    limits: Limits
    code: str = ""  # digest of the objective that this master was given; empty if of none


class Finished(Record, frozen=True, kw_only=True):
    """`finished.json`: the study of that id is over, and workers may go."""

    study: str = ""
    reason: str
    failed: bool = False
    stopped: bool = False  # by a person: there is more to do
    trials: Count
    elapsed: Seconds


class WishedFor(Record, frozen=True, kw_only=True):
    """A setting that a person wants tried; what it leaves out is drawn."""

    study: str  # its id
    host: str  # where somebody has asked for it, for people
    params: dict[str, Scalar]


class Mark(Record, frozen=True, kw_only=True):
    """What is in a file whose name says what a person wants of a study."""

    study: str  # its id
    host: str  # where somebody has asked for it, for people


class Watch:
    """How long each worker has been silent, by the watcher's own monotonic clock. Time in which it
    could not look (the share was gone, or it was itself stopped) is no silence: a look counts at
    most `longest_step` seconds, and `blind()` makes the next one count nothing.

    Attributes:
        said: the last whole heartbeat of each worker.
        heard: those that beat while they were watched. Of others a watcher knows only that they
            have not beaten for so long as it has looked, be it no time at all.
    """

    def __init__(self, longest_step: float) -> None:
        self._longest_step = longest_step
        self._last: float | None = None
        self._beats: dict[str, bytes | None] = {}
        self._silence: dict[str, float] = {}
        self.said: dict[str, Beat] = {}
        self.heard: set[str] = set()

    def blind(self) -> None:
        """The share could not be read."""
        self._last = None

    def look(
        self, beats: Mapping[str, bytes], now: float, holders: Iterable[str] = ()
    ) -> dict[str, float]:
        """Seconds of silence by worker, holders without any heartbeat included."""
        step = 0.0 if self._last is None else min(max(now - self._last, 0.0), self._longest_step)
        self._last = now
        workers = set(beats) | set(holders)
        for worker in workers:
            # One that cannot be read just now is no news, good or bad.
            beat = beats.get(worker, self._beats.get(worker))
            if worker not in self._silence or beat != self._beats[worker]:
                if worker in self._silence:
                    self.heard.add(worker)
                self._silence[worker] = 0.0
                self._read(worker, beat or b"")
            else:
                self._silence[worker] += step
            self._beats[worker] = beat
        for worker in self._silence.keys() - workers:
            del self._silence[worker], self._beats[worker]
            self.said.pop(worker, None)
            self.heard.discard(worker)
        return dict(self._silence)

    def _read(self, worker: str, beat: bytes) -> None:
        with suppress(BadRecord):  # in the middle of a rewrite: what it said before stands
            said = records.decode_document(Beat, beat)
            if said.worker == worker:
                self.said[worker] = said


def padded(record: Record) -> bytes:
    """A heartbeat as it is written: always of the same length, so that it is rewritten in place."""
    return records.encode_document(record).ljust(_BEAT_SIZE - 1) + b"\n"
