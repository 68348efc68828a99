"""Everything that two doctors try together."""

import fcntl
import time
from collections import Counter
from contextlib import ExitStack, suppress
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import ValidationError

from distune.doctor.diagnosis import (
    Claims,
    HostMeasurements,
    Lines,
    PairMeasurements,
    Publishing,
)
from distune.doctor.peer.delays import measure_delays
from distune.doctor.peer.session import LONGEST_LOOK, PeerError, Session, await_name, watch
from distune.doctor.probes.files import heartbeat, publish_together
from distune.doctor.probes.surroundings import lock
from distune.doctor.probes.trials import (
    claims_in,
    contend,
    example_trial,
    judge_claims,
    list_afresh,
    publish_trials,
    read_again,
)
from distune.doctor.watched_folder import WatchedFolder
from distune.errors import ShareError
from distune.share import protocol
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.study.trial import Claim, Document

D = TypeVar("D", bound=Document)
_HEARTBEATS = 20
_HEARTBEAT_EVERY = 0.5  # seconds
_LINES = 40  # of each host
_LOCKS = {"flock": fcntl.flock, "lockf": fcntl.lockf}
_FILES, _CLAIMERS = 60, 3
_HANDED = 5
_SETTLES_WITHIN = 5.0  # seconds


def examine_together(
    session: Session, mine: HostMeasurements
) -> tuple[HostMeasurements, PairMeasurements, PairMeasurements]:
    """Try everything; the other does the same at the same time.

    Returns:
        What the other host found alone; what this host saw of the other; what the other saw.

    Raises:
        PeerError: the other does not go on.
    """
    other = _exchanged(session, "host", mine)
    pair = PairMeasurements(
        host=mine.host,
        other=other.host,
        one_mount=bool(mine.boot) and (mine.boot, mine.device) == (other.boot, other.device),
        **_measure(session),
    )
    return other, pair, _exchanged(session, "pair", pair)


def _exchanged(session: Session, word: str, mine: D) -> D:
    try:
        return type(mine).model_validate(session.both(word, mine.model_dump(mode="json")))
    except ValidationError:
        raise PeerError("the other doctor has another version of distune") from None


def _measure(session: Session) -> dict[str, Any]:
    """Fields of `PairMeasurements`. Both doctors have to go through them in one order."""
    found: dict[str, Any] = {**_compare_clocks(session), **measure_delays(session)}
    session.announce("each other's heartbeat")
    found |= {"beat_every": _HEARTBEAT_EVERY, "beat_gap": _watch_heartbeats(session)}
    session.announce("claiming the same trials on both hosts")
    found["claims"] = _claim_together(session)
    found["publishing"] = _publish_on_both(session)
    found["handed_over"] = _hand_over(session)
    session.announce("locks, and appending to one file")
    found |= {"shared_lines": 2 * _LINES, "shared_kept": _append_to_one_file(session)}
    return found | _try_locks(session)


def _compare_clocks(session: Session) -> dict[str, float]:
    """How far the other host's clock is ahead of this one's, and the margin of error."""
    session.both("clocks")
    before = time.time()
    theirs = float(session.both("clock", time.time()))
    after = time.time()
    return {"clock_ahead": theirs - (before + after) / 2, "clock_within": (after - before) / 2}


def _watch_heartbeats(session: Session) -> float | None:
    """Both beat and watch. The longest time between two changes seen; None: none was."""
    folder = session.sandbox.folder("beats")
    folder.rewrite(session.here, heartbeat(0))
    session.both("beats ready")
    await_name(folder, session.there)
    session.both("beats go")
    last, changed = folder.read(session.there), [time.monotonic()]
    for i in range(1, _HEARTBEATS + 1):
        folder.operations.retry(folder.rewrite, session.here, heartbeat(i))
        time.sleep(max(0.0, changed[0] + i * _HEARTBEAT_EVERY - time.monotonic()))
        with suppress(ShareError, FileNotFoundError):
            beat = folder.read(session.there)
            if beat != last:
                last = beat
                changed.append(time.monotonic())
    longest = max(b - a for a, b in pairwise([*changed, time.monotonic()]))
    session.both("beats over")
    return longest if len(changed) > 1 else None


def _claim_together(session: Session) -> Claims:
    """Claim the same trials on both hosts at once."""
    folder = session.sandbox.folder("race")
    store = publish_trials(folder, _FILES) if session.leads else Store(folder)
    session.both("race published")
    await_name(folder, protocol.TRIALS)
    if watch(lambda: len(list_afresh(store)) == _FILES, LONGEST_LOOK) is None:
        raise PeerError("the other host's trials are not in the listing here")
    session.both("race go")
    won, failed = contend(folder, _worker(session.leads), _CLAIMERS)
    their_won, their_failed = session.both("race over", [sorted(won), failed])
    won |= {(str(worker), number) for worker, number in their_won}
    watch(lambda: claims_in(list_afresh(store)) == won, _SETTLES_WITHIN)
    tried = Claims(files=_FILES, claimers=2 * _CLAIMERS)
    return judge_claims(store, tried, won, [*failed, *map(str, their_failed)])


def _publish_on_both(session: Session) -> Publishing:
    """Publish the same names on both hosts at once."""
    folder = session.sandbox.folder("names")
    names = [f"n{i:02d}" for i in range(20)]
    data = {True: b"leader\n" * 2000, False: b"follower\n" * 2000}
    session.both("names go")
    won = publish_together(folder, names, [data[session.leads]])
    theirs = Counter(session.both("names over", list(won)))
    await_name(folder, names[-1])
    return Publishing(
        tries=len(names),
        damaged=sum(folder.read(name) not in data.values() for name in names),
        two_winners=sum(n > 1 for n in (won + theirs).values()),
    )


def _hand_over(session: Session) -> Lines:
    """Publish here, claim and write there, read here: the way of every trial."""
    mine = publish_trials(session.sandbox.folder(f"hand-{session.here}"), _HANDED)
    theirs = Store(session.sandbox.folder(f"hand-{session.there}"))
    session.both("hand published")
    waiting = [AttemptName.waiting(example_trial(i)) for i in range(_HANDED)]
    for name in waiting:
        _train(session, theirs, name)
    session.both("hand over")
    delays = []
    for name in waiting:
        taken = name.moved(State.TAKEN, Actor.ANY_WORKER, _worker(not session.leads))
        done = taken.moved(State.DONE, Actor.OWNER)
        delays.append(watch(partial(_is_complete, mine, done), _SETTLES_WITHIN))
    slowest = max(took or 0.0 for took in delays)
    return Lines(lines=_HANDED, wrong=delays.count(None), slowest=slowest)


def _train(session: Session, store: Store, name: AttemptName) -> None:
    """Do with the other's trial what a worker does."""
    if watch(lambda: name in list_afresh(store), LONGEST_LOOK) is None:
        raise PeerError(f"{name.live_path}, made by the other host, is not listed here")
    retry = session.sandbox.operations.retry
    worker = _worker(session.leads)
    taken = retry(store.claim, name, worker)
    if taken is None:
        return  # the other host will count it as wrong
    retry(store.append, taken, [Claim(worker=worker, host="", device="", time=0.0)])
    retry(store.finish, taken)


def _is_complete(store: Store, name: AttemptName) -> bool:
    if name not in list_afresh(store):
        return False
    file = read_again(store, name)
    return (
        file.trial == example_trial(name.trial)
        and file.claim is not None
        and file.claim.worker == name.worker
    )


def _worker(leads: bool) -> str:
    return "leader" if leads else "follower"


def _folder_with(session: Session, name: str, *files: str) -> WatchedFolder:
    """A folder of both, with files that the leader puts there."""
    folder = session.sandbox.folder(name)
    for file in files if session.leads else ():
        folder.put(file)
    session.both(f"{name} ready")
    await_name(folder, files[-1])
    return folder


def _append_to_one_file(session: Session) -> int:
    """Lines left whole of those that both append at once, which distune never does."""
    folder = _folder_with(session, "shared", "file")
    session.both("shared go")
    for i in range(_LINES):
        with suppress(ShareError, FileNotFoundError):
            folder.append("file", f"{session.here} {i:04d}\n".encode())
    session.both("shared over")
    time.sleep(0.5)
    hosts = (session.here, session.there)
    whole = {f"{host} {i:04d}" for host in hosts for i in range(_LINES)}
    return len(whole & set(folder.read("file").decode(errors="replace").splitlines()))


def _try_locks(session: Session) -> dict[str, bool | None]:
    """Whether a lock that the other holds keeps this one out, by flock and by lockf; None where
    there is no such lock. Distune needs none.
    """
    folder = _folder_with(session, "locks", *_LOCKS)
    kept_out: dict[str, bool | None] = {}
    for leader_holds in (True, False):
        with ExitStack() as stack:
            if leader_holds is session.leads:
                session.say("locked", _lock_all(folder, stack))
                session.hear("tried")
                continue
            held = session.hear("locked")
            got = _lock_all(folder, stack)
        session.say("tried")
        kept_out = {name: not got[name] if held[name] else None for name in got}
    return kept_out


def _lock_all(folder: WatchedFolder, stack: ExitStack) -> dict[str, bool]:
    """Which locks could be had; they are held as long as the stack lives."""
    got = {}
    for name, how in _LOCKS.items():
        with folder.operations.doing(f"locking {folder.root / name}"):
            file = stack.enter_context((folder.root / name).open("r+b"))
            got[name] = lock(file.fileno(), how)
    return got
