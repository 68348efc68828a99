"""The loop around a viewer."""

from __future__ import annotations

import time

from distune.errors import ShareError
from distune.share.waiting import LONGEST_WAIT, Interrupt, Outage
from distune.watch.observer import Observer
from distune.watch.screen import Screen
from distune.watch.snapshot import Snapshot


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
