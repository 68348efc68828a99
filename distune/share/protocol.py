"""Names of files, and the moves between them: the contract of PROTOCOL.md, as code.

One attempt, one file; its name says where it stands:

    000017.1.jsonl                      waiting
    000017.1.jsonl.gpu7-812-4f2a9c.taken   being trained by that worker
    000017.1.jsonl.gpu7-812-4f2a9c.done    finished, not yet counted
    000017.1.jsonl.gpu7-812-4f2a9c.lost    given up; the next attempt is a new file
    000017.1.jsonl.gpu7-812-4f2a9c.pruned  stopped by the master, not yet counted
    000017.1.jsonl.gpu7-812-4f2a9c.paused  at its rung; goes on if it is promoted
    000017.jsonl                        counted: the one name of trial 17
    000017.1.test.jsonl...              the winner's test, same moves

No other module knows a suffix or joins a path. Pure: nothing here touches a disk.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from distune.errors import BadRecord
from distune.study.trial import Checkpoint, Purpose, Trial

STUDY = "study.json"
HISTORY = "history.jsonl"
ASKED = "asked.jsonl"
DROPPED = "dropped.jsonl"
MASTER = "master.beat"
LOCK = "master.lock"
FINISHED = "finished.json"
BEST = "best.json"
#: The winner's weights, and where a test of a workload leaves those of its trial.
BEST_WEIGHTS = "artifacts/best.pt"
WEIGHTS = "weights.pt"
LEADERBOARD = "leaderboard.csv"
README = "README.txt"
TRIALS = "trials"
SEEN = "seen"
WORKERS = "workers"
QUARANTINE = "quarantine"
ARTIFACTS = "artifacts"
#: Made when the first one is saved.
CHECKPOINTS = "checkpoints"
LOCAL_LOGS = "local-workers"
#: Beside the studies: what `distune doctor` found, and where it tries things.
DOCTOR = "doctor.json"
DOCTOR_FOLDER = ".distune-doctor"

SEEN_PER_FOLDER = 1000
#: What every study's folder has in it.
FOLDERS = (TRIALS, SEEN, WORKERS, QUARANTINE, ARTIFACTS)


class State(StrEnum):
    """Where an attempt stands: the end of its file's name."""

    __hash__ = str.__hash__  # names are looked up many times a second

    WAITING = "waiting"
    TAKEN = "taken"
    DONE = "done"
    SEEN = "seen"
    LOST = "lost"
    PRUNED = "pruned"
    PAUSED = "paused"


class Actor(StrEnum):
    """What may make a move."""

    MASTER = "master"
    ANY_WORKER = "any worker"
    OWNER = "the worker in the name"


# A move is one rename, so it has one winner (P2). `waiting` comes from nothing, by publishing.
TRANSITIONS: dict[tuple[State, State], frozenset[Actor]] = {
    (State.WAITING, State.TAKEN): frozenset({Actor.ANY_WORKER}),
    (State.TAKEN, State.DONE): frozenset({Actor.OWNER}),
    (State.TAKEN, State.LOST): frozenset({Actor.OWNER, Actor.MASTER}),
    (State.TAKEN, State.PRUNED): frozenset({Actor.MASTER}),
    (State.TAKEN, State.PAUSED): frozenset({Actor.OWNER}),
    # It is promoted, or nobody will promote it: then it is counted as what was pruned is.
    (State.PAUSED, State.LOST): frozenset({Actor.MASTER}),
    # What it has reported is counted in a file of the master's own.
    (State.PRUNED, State.LOST): frozenset({Actor.MASTER}),
    (State.DONE, State.SEEN): frozenset({Actor.MASTER}),
    # A failed attempt that is tried again, or one of a trial that another attempt has ended.
    (State.DONE, State.LOST): frozenset({Actor.MASTER}),
}


class Halt(StrEnum):
    """What a person wants of a study: a mark in `trials/`, the stronger ones last. It lies there
    because everybody lists that folder anyway; it is the name that changes, never what is in it,
    because a file that is replaced is not noticed on some shares.
    """

    PAUSE = "pause"
    STOP = "stop"
    NOW = "stop-now"

    @property
    def path(self) -> str:
        return f"{TRIALS}/halt.{self}.json"

    @property
    def meaning(self) -> str:
        """For people, after the study's name."""
        return _MEANINGS[self]


_MEANINGS = {
    Halt.PAUSE: "is paused: nothing new is published or claimed",
    Halt.STOP: "is being stopped: what is trained goes on to its end, nothing new is claimed",
    Halt.NOW: "is being stopped: what is trained is given back at once",
}
#: By the names of their files in `trials/`.
HALTS = {halt.path.rpartition("/")[2]: halt for halt in Halt}

_WISH = re.compile(r"enqueue\.(?P<wish>[0-9a-f]{16})\.json", re.ASCII)


def wish_path(wish: str) -> str:
    """Where a setting lies that a person wants tried, until the master has asked for it."""
    return f"{TRIALS}/enqueue.{wish}.json"


def parse_wish(filename: str) -> str | None:
    """Which wish a file in `trials/` is; None if it is none."""
    match = _WISH.fullmatch(filename)
    return match["wish"] if match is not None else None


_RETRY = re.compile(r"retry\.(?P<trial>\d{6,12})\.json", re.ASCII)


def retry_path(trial: int) -> str:
    """Where it lies that a person wants a counted trial trained again, until the master has asked
    for that.
    """
    return f"{TRIALS}/retry.{trial:06d}.json"


def parse_retry(filename: str) -> int | None:
    """Which trial a file in `trials/` wants trained again; None if it is no such file."""
    match = _RETRY.fullmatch(filename)
    return int(match["trial"]) if match is not None else None


#: States in which an attempt may still become its trial's result.
LIVE = frozenset({State.WAITING, State.TAKEN, State.DONE, State.PRUNED, State.PAUSED})

_NAME = re.compile(
    r"(?P<trial>\d{6,12})\.(?P<attempt>[1-9]\d{0,5})(?P<test>\.test)?\.jsonl"
    r"(?:\.(?P<worker>[a-z0-9][a-z0-9-]{0,79})\.(?P<state>taken|done|seen|lost|pruned|paused))?",
    re.ASCII,
)
_COUNTED_NAME = re.compile(r"(?P<trial>\d{6,12})(?P<test>\.test)?\.jsonl", re.ASCII)
_WORKER = re.compile(r"[a-z0-9][a-z0-9-]{0,79}", re.ASCII)
_CHECKPOINT_NAME = re.compile(
    r"(?P<trial>\d{6,12})\.(?P<attempt>[1-9]\d{0,5})(?P<test>\.test)?\.(?P<number>[1-9]\d{0,8})"
    r"\.checkpoint(?P<part>\.part)?",
    re.ASCII,
)
_BEAT = ".beat"


class AttemptName(NamedTuple):
    """The name of an attempt's file, taken apart. Sorts by trial, then attempt."""

    trial: int
    attempt: int  # 0 in the name that says that a trial is counted; its file says which it was
    purpose: Purpose = Purpose.TRAIN
    worker: str = ""  # none, while it waits
    state: State = State.WAITING

    @classmethod
    @lru_cache(maxsize=4096)  # the next listing has most of the names of the last one
    def parse(cls, filename: str) -> AttemptName:
        """`AttemptName.parse("000017.1.jsonl")`.

        Raises:
            BadRecord: no file of the protocol is called so (P10).
        """
        if (match := _NAME.fullmatch(filename)) is not None:
            worker, state = match["worker"] or "", State(match["state"] or "waiting")
            name = cls(int(match["trial"]), int(match["attempt"]), _purpose(match), worker, state)
        elif (match := _COUNTED_NAME.fullmatch(filename)) is not None:
            name = cls.counted((_purpose(match), int(match["trial"])))
        else:
            raise BadRecord(f"{filename!r} is not the name of an attempt")
        if name.filename != filename:  # 0000017 and 000017 must not be two names of one trial
            raise BadRecord(f"{filename!r} is not the name of an attempt")
        return name

    @classmethod
    def waiting(cls, trial: Trial) -> AttemptName:
        return cls(trial.number, trial.attempt, trial.purpose)

    @classmethod
    def counted(cls, key: tuple[Purpose, int]) -> AttemptName:
        """The one name of a trial that says that it is counted, whichever attempt has won it."""
        purpose, trial = key
        return cls(trial, 0, purpose, "", State.SEEN)

    @property
    def filename(self) -> str:
        return _filename(self)

    @property
    def key(self) -> tuple[Purpose, int]:
        """What it is an attempt at."""
        return self.purpose, self.trial

    @property
    def label(self) -> str:
        """`17`, `17.2` for a second attempt, `17 test`: as people read it."""
        attempt = "" if self.attempt <= 1 else f".{self.attempt}"
        return f"{self.trial}{attempt}" + (" test" if self.purpose is Purpose.TEST else "")

    def moved(self, to: State, actor: Actor, worker: str | None = None) -> AttemptName:
        """The name after a move; `worker` is needed to claim.

        Raises:
            ValueError: the transition table has no such move for that actor.
        """
        if actor not in TRANSITIONS.get((self.state, to), frozenset()):
            raise ValueError(f"{actor} may not move {self.filename} to {to}")
        if to is State.TAKEN:
            if worker is None or not _WORKER.fullmatch(worker):
                raise ValueError(f"{worker!r} is not a worker's id")
            return self._replace(worker=worker, state=to)
        if to is State.SEEN:
            return AttemptName.counted(self.key)
        return self._replace(state=to)

    @property
    def live_path(self) -> str:
        """Where it lies until it is over and counted, or succeeded by another attempt."""
        return f"{TRIALS}/{self.filename}"

    @property
    def seen_path(self) -> str:
        """Where it lies from then on."""
        return f"{seen_folder(self.trial)}/{self.filename}"


@lru_cache(maxsize=4096)
def _filename(name: AttemptName) -> str:
    test = ".test" if name.purpose is Purpose.TEST else ""
    attempt = f".{name.attempt}" if name.attempt else ""
    base = f"{name.trial:06d}{attempt}{test}.jsonl"
    return base if not name.worker else f"{base}.{name.worker}.{name.state}"


def _purpose(match: re.Match[str]) -> Purpose:
    return Purpose.TEST if match["test"] else Purpose.TRAIN


def trained_trial(filename: str) -> int | None:
    """The trial of a name that is no test's; quicker than `AttemptName.parse`, not strict."""
    number = filename.partition(".")[0]
    return int(number) if number.isdecimal() and ".test." not in filename else None


def seen_folder(trial: int) -> str:
    """History in folders of a thousand, so that no listing grows with it (P11)."""
    return f"{SEEN}/{trial // SEEN_PER_FOLDER:03d}"


def parse_seen_folder(name: str) -> str:
    """The path of a folder of history, from its name in `seen/`.

    Raises:
        BadRecord: it is none.
    """
    if not re.fullmatch(r"\d{3,9}", name, re.ASCII) or f"{int(name):03d}" != name:
        raise BadRecord(f"{name!r} is not a folder of history")
    return f"{SEEN}/{name}"


def aside_name(path: str, token: str = "") -> str:
    """Where something is put that makes no sense: its own name; with a token if that is taken."""
    name = path.rpartition("/")[2]
    if not token:
        return name
    while len(name.encode(errors="surrogateescape")) + len(token) > 254:
        name = name[:-1]
    return f"{name}.{token}"


def artifacts_folder(trial: int, attempt: int) -> str:
    """Where an objective may leave files of its own."""
    return f"{ARTIFACTS}/{trial:06d}.{attempt}"


def checkpoint_name(purpose: Purpose, trial: int, checkpoint: Checkpoint) -> str:
    """The name of its file in `CHECKPOINTS`, for the trial that goes on from it."""
    if checkpoint.trial is not None:
        purpose, trial = Purpose.TRAIN, checkpoint.trial
    test = ".test" if purpose is Purpose.TEST else ""
    return f"{trial:06d}.{checkpoint.attempt}{test}.{checkpoint.number}.checkpoint"


def key_of_checkpoint(filename: str) -> tuple[Purpose, int] | None:
    """Which trial's it is; None if it is no checkpoint, complete or not."""
    match = _CHECKPOINT_NAME.fullmatch(filename)
    return (_purpose(match), int(match["trial"])) if match is not None else None


def beat_path(worker: str) -> str:
    return f"{WORKERS}/{worker}{_BEAT}"


def parse_beat(filename: str) -> str:
    """The worker whose heartbeat this is.

    Raises:
        BadRecord: it is no worker's.
    """
    worker = filename.removesuffix(_BEAT)
    if worker == filename or not _WORKER.fullmatch(worker):
        raise BadRecord(f"{filename!r} is not a heartbeat")
    return worker


def worker_id(host: str, pid: int, token: str) -> str:
    """Host for people, pid for `kill`, randomness because a restarted container keeps both."""
    readable = re.sub(r"[^a-z0-9]+", "-", host.split(".")[0].lower()).strip("-")[:40] or "host"
    return f"{readable}-{pid}-{token}"
