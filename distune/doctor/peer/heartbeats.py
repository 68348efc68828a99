"""How late each host sees the other's heartbeat."""

from __future__ import annotations

import time

from distune.doctor.peer.session import Session
from distune.doctor.peer.waiting import await_name
from distune.doctor.probes.lines import heartbeat
from distune.errors import ShareError

_HEARTBEATS = 20
HEARTBEAT_EVERY = 0.5  # seconds


def measure_heartbeats(session: Session) -> float | None:
    """Both beat and watch. The longest time between two changes seen; None: none was."""
    here, there = session.conversation.here, session.conversation.there
    folder = session.sandbox.folder("beats")
    folder.rewrite(here, heartbeat(0))
    session.conversation.both("beats ready")
    await_name(folder, there)
    session.conversation.both("beats go")
    last, longest, changes = folder.read(there), 0.0, 0
    begin = changed = time.monotonic()
    for i in range(1, _HEARTBEATS + 1):
        folder.operations.retry(folder.rewrite, here, heartbeat(i))
        time.sleep(max(0.0, begin + i * HEARTBEAT_EVERY - time.monotonic()))
        try:
            beat = folder.read(there)
        except (ShareError, FileNotFoundError):
            continue
        now = time.monotonic()
        if beat != last:
            longest = max(longest, now - changed)
            last, changed = beat, now
            changes += 1
    longest = max(longest, time.monotonic() - changed)
    session.conversation.both("beats over")
    return longest if changes else None
