"""The process that touches the directory: `python -m distune.doctor.child`, started by `visit`.

It is told what to do by a line of JSON and says what it finds in lines of JSON, so that
whatever it waits for, somebody who does not wait can say what that is.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from distune.doctor import peer
from distune.doctor.desk import Attended, Desk, Place
from distune.doctor.note import HostFacts, Note, PairFacts
from distune.doctor.probes import all_probes, know_place
from distune.errors import BadRecord, ShareError
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import worker_id
from distune.study.document import Document

_SAY_EVERY = 0.5  # seconds


class Order(Document):
    """What a child shall do. `wait` and `patience` in seconds."""

    logs: str
    peer: bool
    wait: float
    patience: float


class Word(Document):
    """What a child says, a line each.

    Attributes:
        kind: `phase` (what begins), `waits` (what has been waited for, and how long),
            `facts` (so far), `mistake` (of the user's), `result` (all there is; a note is
            awaited then), `end` (whether the note was written, or why not).
        leads: of two doctors, the one that writes the note.
    """

    kind: Literal["phase", "waits", "facts", "mistake", "result", "end"]
    text: str = ""
    seconds: float = 0.0
    hosts: list[HostFacts] = []
    pairs: list[PairFacts] = []
    leads: bool = True


class Answer(Document):
    """What a child is told at the end: the note to leave in the directory, if any."""

    note: Note | None = None


class _Mouth:
    """Says words, from any thread."""

    def __init__(self) -> None:
        # Whatever else is printed by mistake must not be taken for a word.
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say(self, kind: str, **fields: Any) -> None:
        word = Word.model_validate({"kind": kind, **fields})
        with self._lock:
            try:
                self._out.write(word.model_dump_json() + "\n")
            except BrokenPipeError:
                os._exit(1)  # nobody listens any more


def main() -> None:
    """Do what the first line of the input says."""
    signal.signal(signal.SIGTERM, lambda sig, frame: sys.exit(128 + sig))
    order = Order.model_validate_json(sys.stdin.readline())
    mouth, desk = _Mouth(), Desk()

    def keep_saying() -> None:
        over = threading.Event()
        while not over.wait(_SAY_EVERY):
            longest = desk.longest()
            if longest is None:
                mouth.say("waits")
            else:
                mouth.say("waits", text=longest[0], seconds=longest[1])

    threading.Thread(target=keep_saying, daemon=True).start()
    _Visit(order, mouth, desk).make()


class _Visit:
    def __init__(self, order: Order, mouth: _Mouth, desk: Desk) -> None:
        self._order = order
        self._mouth = mouth
        self._desk = desk
        self._facts: dict[str, Any] = {"host": socket.gethostname(), "troubles": {}}
        self._own: Path | None = None

    def make(self) -> None:
        logs = Path(self._order.logs)
        try:
            with self._desk.doing(f"looking for {logs}"):
                problem = _problem_with(logs)
        except OSError:
            problem = None  # no mistake of the user's: making a room will fail, too, and tell
        if problem is not None:
            self._mouth.say("mistake", text=problem)
            return
        pairs: list[PairFacts] = []
        hosts: list[HostFacts] = []
        leads = True
        with self._room(logs) as room:
            if room is None:
                hosts = [self._host_facts()]
            else:
                self._examine_alone(room)
                if self._order.peer:
                    hosts, pairs, leads = self._examine_together(room)
                else:
                    hosts = [self._host_facts()]
        self._mouth.say("result", hosts=hosts, pairs=pairs, leads=leads)
        answer = Answer.model_validate_json(sys.stdin.readline() or "{}")
        self._mouth.say("end", text=self._leave(logs, answer.note) if answer.note else "")

    def _begin(self, phase: str) -> None:
        self._mouth.say("phase", text=phase)

    def _host_facts(self) -> HostFacts:
        self._facts["repeated"] = self._desk.repeated
        self._facts["last_error"] = self._short(self._desk.last_error)
        return HostFacts.model_validate(self._facts)

    def _trouble(self, probe: str, error: Exception) -> None:
        if isinstance(error, OSError) and error.filename:
            path = "/".join(Path(str(error.filename)).parts[-2:])
            error = ShareError(f"{path}: {error.strerror}")
        self._facts["troubles"][probe] = self._short(str(error))

    def _short(self, text: str) -> str:
        """Without the long path that all of it has in common."""
        return text.replace(f"{self._own}/", "") if self._own else text

    @contextmanager
    def _room(self, logs: Path) -> Iterator[Path | None]:
        """A directory of this doctor's own, gone afterwards; None if none can be made."""
        own = worker_id(socket.gethostname(), os.getpid(), secrets.token_hex(3))
        room = logs / protocol.DOCTOR_ROOM / own
        try:
            with self._desk.doing(f"making {room}"):
                self._facts.update(know_place(logs))
                room.mkdir(parents=True)
                (room / "first").write_bytes(b"x")
        except OSError as error:
            self._trouble("room", ShareError(f"cannot write in {logs}: {error.strerror or error}"))
            with self._desk.doing(f"clearing up {room}"):
                _clear(room)
            yield None
            return
        self._own = room
        try:
            yield room
        finally:
            with self._desk.doing(f"clearing up {room}"):
                _clear(room)

    def _examine_alone(self, room: Path) -> None:
        place = Place(room, self._desk, Folder)
        for name, probe in all_probes().items():
            self._begin(name.replace("_", " "))
            try:
                found = probe(place)
            except (OSError, ShareError, BadRecord) as error:
                self._trouble(name, error)
            else:
                self._facts[name] = found.model_dump() if isinstance(found, Document) else found
            self._mouth.say("facts", hosts=[self._host_facts()])

    def _examine_together(self, room: Path) -> tuple[list[HostFacts], list[PairFacts], bool]:
        mine = self._host_facts()
        shared = room.parent
        # Other hosts look at it, so every listing needs the change before.
        door = partial(Folder, network=True)
        hall = Attended(door(shared), shared, self._desk)
        presence = peer.Presence(Folder(shared, network=True), room.name, mine.host)
        self._begin(f"waiting for another host: distune doctor --logs {self._order.logs} --peer")
        session: Path | None = None
        talk: peer.Talk | None = None
        last = False  # whether this doctor is the one to clear up behind both
        try:
            presence.begin()
            there = peer.meet(hall, presence, self._order.wait)
            self._begin(f"meeting {there.host}")
            here = room.name
            session = shared / "+".join(sorted((here, there.doctor)))
            place = Place(session, self._desk, door)
            patience = max(60.0, self._order.patience)
            talk = peer.Talk(place.folder("talk"), here, there.doctor, hall, patience)
            together = peer.Session(place, talk, here, there.doctor, self._begin)
            other, ours, theirs = together.examine(mine)
            last = talk.leave(leads=here < there.doctor)
        except peer.PeerError as error:
            last = True
            self._facts["lonely"] = str(error)
            return [self._host_facts()], [], False
        except (OSError, ShareError, BadRecord) as error:
            self._trouble("peer", error)
            if talk is not None:
                _apologise(talk, error)
            return [self._host_facts()], [], False
        except SystemExit as leaving:
            if talk is not None:
                _apologise(talk, leaving)
            raise
        finally:
            presence.end()
            if session is not None and last:
                with self._desk.doing(f"clearing up {session}"):
                    shutil.rmtree(session, ignore_errors=True)
        leads = here < there.doctor
        mine = self._host_facts()
        both = [(mine, ours), (other, theirs)]
        ordered = both if leads else both[::-1]
        return [host for host, _ in ordered], [pair for _, pair in ordered], leads

    def _leave(self, logs: Path, note: Note) -> str:
        """Put the note there; what went wrong, if it did."""
        folder = Attended(Folder(logs), logs, self._desk)
        try:
            self._desk.patiently(folder.replace, protocol.DOCTOR, records.encode_document(note))
        except (ShareError, OSError) as error:
            return str(error)
        return ""


def _apologise(talk: peer.Talk, why: BaseException) -> None:
    try:
        talk.say("sorry", str(why) or type(why).__name__)
    except (ShareError, OSError):
        pass  # then silence tells


def _problem_with(logs: Path) -> str | None:
    if logs.is_dir():
        return None
    if logs.exists():
        return f"{logs} is not a directory; check --logs"
    if not logs.parent.exists():
        return f"{logs} does not exist, nor does the folder it is in; check --logs"
    try:
        logs.mkdir(exist_ok=True)  # the other doctor may be as far
    except OSError as error:
        return f"cannot make {logs}: {error.strerror}; check --logs"
    return None


def _clear(room: Path) -> None:
    shutil.rmtree(room, ignore_errors=True)
    try:
        room.parent.rmdir()
    except OSError:
        pass  # another doctor is at work


if __name__ == "__main__":
    main()
