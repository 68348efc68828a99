"""Two hosts at once: how two doctors find each other, talk, and what they try together.

Everything goes through the directory under examination. Each doctor writes only files of
its own: a heartbeat that says that it is here, and messages, each a new file. A reader of
messages changes the directory before each listing, which makes every file system that was
measured show what is new; what is *tried* is looked at as a study would, without that.

Clocks: whoever measures a delay says so and takes its own time; the other acts when it
hears that. So a delay is too long by what one message takes, and never too short.
"""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distune.doctor.desk import Attended, Place
from distune.doctor.note import Claims, Delay, HostFacts, Lines, PairFacts, Publishing
from distune.doctor.probes import (
    beat_of,
    contend,
    example_trial,
    judge_claims,
    lock,
    publish_together,
    publish_trials,
    read_again,
)
from distune.errors import BadRecord, DistuneError, ShareError
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.study.document import Count, Document
from distune.study.trial import Claim

_VERSION = 1
_LOOK_EVERY = 0.1  # seconds between two looks for a message
_BEAT_EVERY = 1.0  # seconds between two signs of life of a doctor
#: Longer than any cache that was measured: file attributes live up to 60 s on NFS.
LONGEST_LOOK = 90.0
_LONG_ROUND = 3.0  # seconds: what takes so long is not tried again
_ROUNDS = 3
_MISSED_LIMIT = 10.0  # seconds: nothing depends on it
_HEARTBEATS, _HEARTBEAT_EVERY = 20, 0.5
_FILES, _CLAIMERS = 60, 3
_HANDED, _SHARED = 5, 40
_LOCKS: list[tuple[str, Callable[[int, int], object]]] = [
    ("flock", fcntl.flock), ("lockf", fcntl.lockf)
]  # fmt: skip
_HERE = ".here"
_SIZE = 512


class PeerError(DistuneError):
    """The other host cannot be examined with this one; says why."""


class Here(Document):
    """A doctor's sign of life, rewritten in place. `partner`: whom it has chosen."""

    version: int = _VERSION
    doctor: str
    host: str
    counter: Count
    partner: str = ""


class Presence:
    """Says in the room that this doctor is here, again and again, from a thread of its own."""

    def __init__(self, room: Folder, doctor: str, host: str) -> None:
        self.doctor = doctor
        self.partner = ""
        self._room = room
        self._host = host
        self._counter = 0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def begin(self) -> None:
        self.say()
        self._thread.start()

    def say(self) -> None:
        with self._lock:
            self._counter += 1
            here = Here(
                doctor=self.doctor, host=self._host, counter=self._counter, partner=self.partner
            )
            data = records.encode_document(here).ljust(_SIZE - 1) + b"\n"
            self._room.rewrite(self.doctor + _HERE, data)

    def _go_on(self) -> None:
        while not self._over.wait(_BEAT_EVERY):
            try:
                self.say()
            except (ShareError, FileNotFoundError):
                continue  # the next one may arrive

    def end(self) -> None:
        """Stop, and take the sign away."""
        self._over.set()
        self._thread.join(_BEAT_EVERY)
        try:
            self._room.remove(self.doctor + _HERE)
        except (ShareError, FileNotFoundError):
            pass


def _look_around(room: Attended) -> dict[str, Here]:
    """The doctors whose signs lie in the room, dead ones too."""
    room.poke("")
    found = {}
    for name in room.names(""):
        if name.endswith(_HERE):
            try:
                here = records.decode_document(Here, room.read(name, limit=2**16))
            except (BadRecord, FileNotFoundError):
                continue
            if here.doctor + _HERE == name:
                found[here.doctor] = here
    return found


def meet(room: Attended, presence: Presence, wait: float) -> Here:
    """Wait for the one other doctor. Only one whose sign changes while we look is alive.

    Raises:
        PeerError: nobody came in `wait` seconds, or more than one.
    """
    deadline = time.monotonic() + wait
    first: dict[str, int] = {}
    others: list[Here] = []
    while True:
        try:
            others = []
            for doctor, here in _look_around(room).items():
                if doctor == presence.doctor:
                    continue
                if here.counter != first.setdefault(doctor, here.counter):
                    others.append(here)
        except ShareError:
            pass  # look again
        free = [here for here in others if here.partner in ("", presence.doctor)]
        if len(free) == 1:
            if free[0].version != _VERSION:
                raise PeerError(f"{free[0].host} has another version of distune")
            presence.partner = free[0].doctor
            presence.say()
            return free[0]
        if time.monotonic() >= deadline:
            break
        time.sleep(2 * _LOOK_EVERY)
    if len(free) > 1:
        hosts = ", ".join(sorted(here.host for here in free))
        raise PeerError(f"{len(free)} others are here ({hosts}): start it on two hosts, no more")
    if others:
        raise PeerError("two other doctors are at work here: wait until they are done")
    raise PeerError(
        "nobody came: start the same command on the other host within that time; if you did, "
        "the two do not see the same directory, or one sees old news of it"
    )


class Talk:
    """Messages between two doctors, heard in the order they were said.

    Args:
        folder: of the two alone.
        here, there: the two doctors.
        room: where their signs of life lie.
        patience: seconds of silence after which the other is taken for dead.
    """

    def __init__(
        self, folder: Attended, here: str, there: str, room: Attended, patience: float
    ) -> None:
        self._folder = folder
        self._here = here
        self._there = there
        self._room = room
        self._patience = patience
        self._said = self._heard = 0

    def say(self, word: str, value: Any = None) -> None:
        self._said += 1
        name = f"{self._here}.{self._said:05d}"
        data = json.dumps({"word": word, "value": value}).encode()
        for pause in (0.1, 0.5, 2.0, 5.0, None):
            try:
                self._folder.publish(name, data)
                return
            except FileExistsError:
                return  # said already: the reply was lost
            except ShareError:
                if pause is None:
                    raise
                time.sleep(pause)

    def hear(self, word: str) -> Any:
        """Wait for the other's next message, which has to be this one.

        Raises:
            PeerError: it is another one, or the other has been silent for too long.
        """
        self._heard += 1
        name = f"{self._there}.{self._heard:05d}"
        sign, since = None, time.monotonic()
        while True:
            try:
                self._folder.poke("")
                if name in self._folder.names(""):
                    message = json.loads(self._folder.read(name, limit=2**20))
                    break
                now = self._room.read(self._there + _HERE, limit=2**16)
                if now != sign:
                    sign, since = now, time.monotonic()
            except (ShareError, FileNotFoundError, BadRecord, ValueError):
                pass  # not there yet, or half of it
            if time.monotonic() - since > self._patience:
                raise PeerError(
                    f"the other doctor fell silent while this one waited for its {word!r}"
                )
            time.sleep(_LOOK_EVERY)
        match message:
            case {"word": "sorry", "value": why}:
                raise PeerError(f"the other doctor had to stop: {why}")
            case {"word": said, "value": value} if said == word:
                return value
        raise PeerError(f"the other doctor said {str(message)[:80]!r} where {word!r} was expected")

    def leave(self, *, leads: bool) -> bool:
        """Say goodbye. The leader hears it and is the last one here, who may clear up: what
        the other has not read yet must not be taken away.
        """
        if leads:
            self.hear("goodbye")
        else:
            self.say("goodbye")
        return leads

    def both(self, word: str, value: Any = None) -> Any:
        """Say it, and wait until the other has said it too."""
        self.say(word, value)
        return self.hear(word)


class Session:
    """What two doctors try together: `Session(...).examine()`, by both at the same time."""

    def __init__(
        self, place: Place, talk: Talk, here: str, there: str, phase: Callable[[str], None]
    ) -> None:
        self._place = place
        self._talk = talk
        self._here = here
        self._there = there
        self._leads = here < there
        self._phase = phase

    def examine(self, mine: HostFacts) -> tuple[HostFacts, PairFacts, PairFacts]:
        """Try everything.

        Returns:
            The other host's facts; what this host saw of the other; what the other saw.

        Raises:
            PeerError: the other does not go on.
        """
        other = _checked(HostFacts, self._talk.both("facts", mine.model_dump(mode="json")))
        one_mount = bool(mine.boot) and (mine.boot, mine.device) == (other.boot, other.device)
        ahead, within = self._clocks()
        found: dict[str, Any] = {}
        for name, what in (
            ("new_file", "a new file of the other's in a fresh listing"),
            ("new_file_poked", "the same after changing the directory"),
            ("missed_name", "the same by opening a name that was missed before"),
            ("appended", "lines that the other appends"),
            ("evicted", "a file that the other takes away"),
        ):
            self._phase(what)
            found[name] = self._delay(name)
        self._phase("each other's heartbeat")
        found["beat_gap"] = self._heartbeats()
        self._phase("claiming the same trials on both hosts")
        found["claims"] = self._claims()
        found["publishing"] = self._publishing()
        found["handed_over"] = self._hand_over()
        self._phase("locks, and appending to one file")
        found["shared_kept"] = self._share_file()
        found["flock"], found["lockf"] = self._locks()
        facts = PairFacts(
            host=mine.host,
            other=other.host,
            one_mount=one_mount,
            beat_every=_HEARTBEAT_EVERY,
            shared_lines=2 * _SHARED,
            clock_ahead=ahead,
            clock_within=within,
            **found,
        )
        theirs = self._talk.both("pair", facts.model_dump(mode="json"))
        return other, facts, _checked(PairFacts, theirs)

    # -- clocks ------------------------------------------------------------------------

    def _clocks(self) -> tuple[float, float]:
        self._talk.both("clocks")
        before = time.time()
        theirs = float(self._talk.both("clock", time.time()))
        after = time.time()
        return theirs - (before + after) / 2, (after - before) / 2

    # -- delays ------------------------------------------------------------------------

    def _delay(self, kind: str) -> Delay:
        """Up to three times: the other changes something, and this one looks for it."""
        mine, theirs = f"{kind}-{self._here}", f"{kind}-{self._there}"
        own, other = self._place.folder(mine), self._place.folder(theirs)
        limit = _MISSED_LIMIT if kind == "missed_name" else LONGEST_LOOK
        if kind == "appended":
            self._put(own, "file")
        if kind == "evicted":
            for i in range(_ROUNDS):
                self._put(own, f"taken{i}")
        self._talk.both(f"{kind} prepared")
        seconds: list[float] = []
        never = 0
        for i in range(_ROUNDS):
            if kind in ("appended", "evicted"):
                self._await_name(other, "file" if kind == "appended" else f"taken{i}")
            look = self._look_for(kind, own, other, i)
            look()  # so that whatever this host caches is cached
            self._talk.both(f"{kind} ready")
            begin = time.monotonic()
            self._talk.both(f"{kind} go")
            self._change(kind, own, other, i)
            took = _watch(look, begin, limit)
            if took is None:
                never += 1
            else:
                seconds.append(took)
            long_round = took is None or took > _LONG_ROUND or kind == "missed_name"
            if self._talk.both(f"{kind} seen", long_round) or long_round:
                break
        return Delay(seconds=seconds, never=never, limit=limit)

    def _put(self, folder: Attended, name: str) -> None:
        try:
            self._place.desk.patiently(folder.publish, name, b"x\n")
        except FileExistsError:
            pass  # nobody else makes it: the reply was lost

    def _await_name(self, folder: Attended, name: str) -> None:
        """Wait until a listing shows it, whatever that takes.

        Raises:
            PeerError: it does not come.
        """

        def look() -> bool:
            folder.poke("")
            return name in folder.names("")

        if _watch(look, time.monotonic(), LONGEST_LOOK) is None:
            raise PeerError(
                f"{folder.root / name}, made by the other host, is in no listing here after "
                f"{LONGEST_LOOK:.0f} s"
            )

    def _change(self, kind: str, own: Attended, other: Attended, i: int) -> None:
        if kind == "appended":
            line = b"line %d\n" % i
            self._place.desk.patiently(own.append, "file", line)
        elif kind == "evicted":
            try:
                self._place.desk.patiently(other.move, f"taken{i}", f"lost{i}")
            except FileNotFoundError:
                pass  # done, and the reply was lost; the owner will tell
        else:
            self._put(own, f"new{i}")

    def _look_for(self, kind: str, own: Attended, other: Attended, i: int) -> Callable[[], bool]:
        def poked() -> bool:
            other.poke("")
            return f"new{i}" in other.names("")

        def opened() -> bool:
            try:
                return bool(other.read(f"new{i}"))
            except FileNotFoundError:
                return False

        looks: dict[str, Callable[[], bool]] = {
            "new_file": lambda: f"new{i}" in other.names(""),
            "new_file_poked": poked,
            "missed_name": opened,
            "appended": lambda: b"line %d\n" % i in other.read("file"),
            "evicted": lambda: f"taken{i}" not in own.names(""),
        }
        return looks[kind]

    def _heartbeats(self) -> float | None:
        """Both beat and watch. The longest time between two changes seen; None: none was."""
        folder = self._place.folder("beats")
        folder.rewrite(self._here, beat_of(0))
        self._talk.both("beats ready")
        self._await_name(folder, self._there)
        self._talk.both("beats go")
        last, longest, changes = folder.read(self._there), 0.0, 0
        begin = changed = time.monotonic()
        for i in range(1, _HEARTBEATS + 1):
            self._place.desk.patiently(folder.rewrite, self._here, beat_of(i))
            time.sleep(max(0.0, begin + i * _HEARTBEAT_EVERY - time.monotonic()))
            try:
                beat = folder.read(self._there)
            except (ShareError, FileNotFoundError):
                continue
            now = time.monotonic()
            if beat != last:
                longest = max(longest, now - changed)
                last, changed = beat, now
                changes += 1
        longest = max(longest, time.monotonic() - changed)
        self._talk.both("beats over")
        return longest if changes else None

    # -- trials ------------------------------------------------------------------------

    def _claims(self) -> Claims:
        folder = self._place.folder("race")
        store = Store(folder)
        if self._leads:
            publish_trials(self._place, store, _FILES)
        self._talk.both("race published")
        self._await_name(folder, protocol.TRIALS)

        def all_here() -> bool:
            folder.poke(protocol.TRIALS)
            return len(store.listing().attempts) == _FILES

        if _watch(all_here, time.monotonic(), LONGEST_LOOK) is None:
            raise PeerError("the other host's trials are not in the listing here")
        known = len(self._place.desk.failed_moves)
        self._talk.both("race go")
        wins = contend(self._place, "race", self._worker(self._leads), _CLAIMERS)
        failed = self._place.desk.failed_moves[known:]
        theirs = self._talk.both("race over", [{k: sorted(v) for k, v in wins.items()}, failed])
        all_wins = {**wins, **{str(k): set(v) for k, v in theirs[0].items()}}
        _watch(partial(_settled, store, all_wins), time.monotonic(), 5.0)
        return judge_claims(store, _FILES, all_wins, [*failed, *map(str, theirs[1])])

    def _publishing(self) -> Publishing:
        folder = self._place.folder("names")
        names = [f"n{i:02d}" for i in range(20)]
        data = {True: b"leader\n" * 2000, False: b"follower\n" * 2000}
        self._talk.both("names go")
        won = publish_together(self._place, "names", names, [data[self._leads]])
        theirs = Counter(self._talk.both("names over", list(won)))
        self._await_name(folder, names[-1])
        damaged = sum(folder.read(name) not in data.values() for name in names)
        return Publishing(
            tries=len(names),
            damaged=damaged,
            two_winners=sum(n > 1 for n in (won + theirs).values()),
        )

    def _hand_over(self) -> Lines:
        """Publish here, claim and write there, read here: the way of every trial."""
        mine, theirs = (
            Store(self._place.folder(f"hand-{who}")) for who in (self._here, self._there)
        )
        publish_trials(self._place, mine, _HANDED)
        self._talk.both("hand published")
        worker = self._worker(self._leads)
        for i in range(_HANDED):
            name = AttemptName.waiting(example_trial(i))

            def listed(store: Store = theirs, wanted: AttemptName = name) -> bool:
                store.folder.poke(protocol.TRIALS)
                return wanted in store.listing().attempts

            if _watch(listed, time.monotonic(), LONGEST_LOOK) is None:
                raise PeerError(f"{name.live_path}, made by the other host, is not listed here")
            taken = self._place.desk.patiently(theirs.claim, name, worker)
            if taken is None:
                continue  # the owner will count it as wrong
            claim = Claim(worker=worker, host="", device="", time=0.0)
            self._place.desk.patiently(theirs.append, taken, [claim])
            self._place.desk.patiently(theirs.finish, taken)
        self._talk.both("hand over")
        wrong, slowest = 0, 0.0
        for i in range(_HANDED):
            waiting = AttemptName.waiting(example_trial(i))
            taken = waiting.moved(State.TAKEN, Actor.ANY_WORKER, self._worker(not self._leads))
            done = taken.moved(State.DONE, Actor.OWNER)
            took = _watch(partial(_complete, mine, done), time.monotonic(), 5.0)
            wrong += took is None
            slowest = max(slowest, took or 0.0)
        return Lines(lines=_HANDED, wrong=wrong, slowest=slowest)

    # -- what distune does not need ----------------------------------------------------

    def _share_file(self) -> int:
        """Lines left whole of those that both append to one file at once."""
        folder = self._place.folder("shared")
        if self._leads:
            self._put(folder, "file")
        self._talk.both("shared ready")
        self._await_name(folder, "file")
        self._talk.both("shared go")
        for i in range(_SHARED):
            line = f"{self._here} {i:04d}\n".encode()
            try:
                folder.append("file", line)
            except (ShareError, FileNotFoundError):
                continue
        self._talk.both("shared over")
        time.sleep(0.5)
        whole = {f"{who} {i:04d}" for who in (self._here, self._there) for i in range(_SHARED)}
        return len(whole & set(folder.read("file").decode(errors="replace").splitlines()))

    def _locks(self) -> tuple[bool | None, bool | None]:
        """Whether a lock that the other holds keeps this one out, by flock and by lockf."""
        folder = self._place.folder("locks")
        if self._leads:
            for name, _ in _LOCKS:
                self._put(folder, name)
        self._talk.both("locks ready")
        self._await_name(folder, "lockf")
        kept_out: list[bool | None] = []
        for leader_holds in (True, False):
            if leader_holds is self._leads:
                self._hold_locks(folder.root)
            else:
                kept_out = self._try_locks(folder.root)
        return kept_out[0], kept_out[1]

    def _hold_locks(self, root: Path) -> None:
        with ExitStack() as stack:
            self._talk.say("locked", self._lock_all(root, stack))
            self._talk.hear("tried")

    def _try_locks(self, root: Path) -> list[bool | None]:
        held = self._talk.hear("locked")
        with ExitStack() as stack:
            got = self._lock_all(root, stack)
        self._talk.say("tried")
        return [not mine if theirs else None for mine, theirs in zip(got, held, strict=True)]

    def _lock_all(self, root: Path, stack: ExitStack) -> list[bool]:
        """Which locks could be had, in the order of `_LOCKS`."""
        got = []
        for name, how in _LOCKS:
            with self._place.desk.doing(f"locking {root / name}"):
                file = stack.enter_context((root / name).open("r+b"))
                got.append(lock(file.fileno(), how))
        return got

    @staticmethod
    def _worker(leads: bool) -> str:
        return "leader" if leads else "follower"


def _complete(store: Store, name: AttemptName) -> bool:
    store.folder.poke(protocol.TRIALS)
    if name not in store.listing().attempts:
        return False
    try:
        file = read_again(store, name)
    except (BadRecord, FileNotFoundError, ShareError):
        return False
    return (
        file.trial == example_trial(name.trial)
        and file.claim is not None
        and file.claim.worker == name.worker
    )


def _settled(store: Store, wins: dict[str, set[int]]) -> bool:
    """Whether the listing shows what was won."""
    store.folder.poke(protocol.TRIALS)
    taken = {(n.worker, n.trial) for n in store.listing().attempts if n.state is State.TAKEN}
    return taken == {(worker, number) for worker, won in wins.items() for number in won}


def _watch(look: Callable[[], bool], begin: float, limit: float) -> float | None:
    """Seconds since `begin` until it is seen; None if it is not within `limit`."""
    while True:
        try:
            if look():
                return time.monotonic() - begin
        except (ShareError, FileNotFoundError, BadRecord):
            pass  # not seen
        if time.monotonic() - begin > limit:
            return None
        time.sleep(_LOOK_EVERY)


def _checked(model: type[Any], fields: Any) -> Any:
    try:
        return model.model_validate(fields)
    except ValidationError:
        raise PeerError("the other doctor has another version of distune") from None
