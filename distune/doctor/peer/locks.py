"""What distune does without: locks between hosts, and two hosts that append to one file."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable
from contextlib import ExitStack

from distune.doctor.peer.session import Session
from distune.doctor.peer.waiting import await_name
from distune.doctor.probes.locks import lock
from distune.doctor.sandbox import WatchedFolder
from distune.errors import ShareError

_LOCKS: list[tuple[str, Callable[[int, int], object]]] = [
    ("flock", fcntl.flock), ("lockf", fcntl.lockf)
]  # fmt: skip
LINES = 40  # of each host


def append_to_one_file(session: Session) -> int:
    """Lines left whole of those that both append at once."""
    conversation = session.conversation
    folder = session.sandbox.folder("shared")
    if session.leads:
        folder.put("file")
    conversation.both("shared ready")
    await_name(folder, "file")
    conversation.both("shared go")
    for i in range(LINES):
        try:
            folder.append("file", f"{conversation.here} {i:04d}\n".encode())
        except (ShareError, FileNotFoundError):
            continue
    conversation.both("shared over")
    time.sleep(0.5)
    doctors = (conversation.here, conversation.there)
    whole = {f"{doctor} {i:04d}" for doctor in doctors for i in range(LINES)}
    return len(whole & set(folder.read("file").decode(errors="replace").splitlines()))


def try_locks(session: Session) -> dict[str, bool | None]:
    """Whether a lock that the other holds keeps this one out, by flock and by lockf."""
    folder = session.sandbox.folder("locks")
    if session.leads:
        for name, _ in _LOCKS:
            folder.put(name)
    session.conversation.both("locks ready")
    await_name(folder, "lockf")
    kept_out: dict[str, bool | None] = {}
    for leader_holds in (True, False):
        with ExitStack() as stack:
            if leader_holds is session.leads:
                session.conversation.say("locked", _lock_all(folder, stack))
                session.conversation.hear("tried")
                continue
            held = session.conversation.hear("locked")
            got = _lock_all(folder, stack)
        session.conversation.say("tried")
        kept_out = {name: not got[name] if held[name] else None for name in got}
    return kept_out


def _lock_all(folder: WatchedFolder, stack: ExitStack) -> dict[str, bool]:
    """Which locks could be had; they are held as long as the stack lives."""
    got = {}
    for name, how in _LOCKS:
        with folder.operations.doing(f"locking {folder.root / name}"):
            file = stack.enter_context((folder.root / name).open("r+b"))
            got[name] = lock(file.fileno(), how)
    return got
