"""Everything that two doctors try together."""

from __future__ import annotations

import fcntl
import time
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.doctor.peer.delays import measure_delays
from distune.doctor.peer.meeting import PeerError
from distune.doctor.peer.session import Session, await_name
from distune.doctor.peer.trials import claim_together, hand_over, publish_on_both
from distune.doctor.probes.files import heartbeat
from distune.doctor.probes.surroundings import lock
from distune.doctor.watched_folder import WatchedFolder
from distune.errors import ShareError

_HEARTBEATS = 20
_HEARTBEAT_EVERY = 0.5  # seconds
_LINES = 40  # of each host
_LOCKS = {"flock": fcntl.flock, "lockf": fcntl.lockf}


def examine_together(
    session: Session, mine: HostMeasurements
) -> tuple[HostMeasurements, PairMeasurements, PairMeasurements]:
    """Try everything; the other does the same at the same time.

    Returns:
        What the other host found alone; what this host saw of the other; what the other saw.

    Raises:
        PeerError: the other does not go on.
    """
    other = _checked(HostMeasurements, session.both("host", mine.model_dump(mode="json")))
    pair = PairMeasurements(
        host=mine.host,
        other=other.host,
        one_mount=bool(mine.boot) and (mine.boot, mine.device) == (other.boot, other.device),
        **_measure(session),
    )
    return (
        other,
        pair,
        _checked(PairMeasurements, session.both("pair", pair.model_dump(mode="json"))),
    )


def _checked(model: type[Any], fields: Any) -> Any:
    try:
        return model.model_validate(fields)
    except ValidationError:
        raise PeerError("the other doctor has another version of distune") from None


def _measure(session: Session) -> dict[str, Any]:
    """Fields of `PairMeasurements`. Both doctors have to go through them in one order."""
    found: dict[str, Any] = {**_compare_clocks(session), **measure_delays(session)}
    session.announce("each other's heartbeat")
    found |= {"beat_every": _HEARTBEAT_EVERY, "beat_gap": _watch_heartbeats(session)}
    session.announce("claiming the same trials on both hosts")
    found["claims"] = claim_together(session)
    found["publishing"] = publish_on_both(session)
    found["handed_over"] = hand_over(session)
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
