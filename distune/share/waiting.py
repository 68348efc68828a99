"""What the loops around a master, a worker and a viewer share: signals, and how long they wait."""

from __future__ import annotations

import gc
import os
import signal
import threading
from types import FrameType

SHORTEST_WAIT = 0.05  # seconds between two looks at the share
LONGEST_WAIT = 1.0
_COLLECT_AFTER = 20_000  # objects


class Interrupt:
    """`SIGINT` and `SIGTERM` as an event to wait for; the second one exits at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signal: int | None = None
        for sig in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sig, self._handle)

    def _handle(self, sig: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + sig)  # children die with us
        self.signal = sig
        self.event.set()


def collect_seldom() -> None:
    """Have Python look for circles of objects seldom: hardly any come, and looking takes a
    twentieth of the time of short trials (`bench_coordination.py speed`).
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
