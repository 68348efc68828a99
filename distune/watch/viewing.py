"""The loop around a viewer, and what all loops share: signals, and how long they wait."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

from distune.errors import ShareError
from distune.share.outages import Outage
from distune.watch.observer import Observer
from distune.watch.screen import Screen
from distune.watch.snapshot import Snapshot

LONGEST_WAIT = 1.0  # seconds between two looks at the share


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


def run_viewer(observer: Observer, screen: Screen) -> int:
    """Show a study until the viewer is interrupted or the study is over."""
    interrupt = Interrupt()
    outage = Outage()
    with screen:
        while interrupt.signal is None:
            looked = time.monotonic()
            try:
                snapshot: Snapshot = observer.look(curves=screen.wants_curves())
            except (ShareError, FileNotFoundError) as error:
                observer.blind()
                if outage.began is None:
                    screen.say(f"{error}; trying again")
                interrupt.event.wait(outage.pause(since=looked))
                continue
            lasted = outage.over()
            if lasted is not None:
                screen.say(f"the share is back after {lasted:.0f} s")
            screen.show(snapshot)
            if snapshot.finished is not None and not screen.live:
                break
            interrupt.event.wait(LONGEST_WAIT)
    return 0
