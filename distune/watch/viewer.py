"""Watching a study on a screen, without a part in it: `distune top`."""

import time
from pathlib import Path

from distune.errors import ShareError
from distune.share.waiting import LONGEST_WAIT, Interrupt, Outage
from distune.watch.observer import Observer
from distune.watch.screen import Mode, Screen
from distune.watch.snapshot import Snapshot


def run_viewer(observer: Observer, screen: Screen) -> int:
    """Show a study until the viewer is interrupted or the study is over."""
    interrupt = Interrupt()
    outage = Outage()
    screen.browsing.quits, screen.browsing.attempts_of = True, observer.store.attempts_of
    snapshot: Snapshot | None = None
    with screen:
        while interrupt.signal is None:
            looked = time.monotonic()
            try:
                snapshot = observer.look(curves=screen.wants_curves())
            except (ShareError, FileNotFoundError) as error:
                observer.blind()
                if outage.began is None:
                    screen.say(f"{error}; trying again")
                if screen.wait(interrupt.event, outage.pause(since=looked)):
                    break
                continue
            lasted = outage.over()
            if lasted is not None:
                screen.say(f"the share is back after {lasted:.0f} s")
            screen.show(snapshot)
            if snapshot.finished is not None and screen.mode is not Mode.LIVE:
                break
            if screen.wait(interrupt.event, LONGEST_WAIT):
                break
    if screen.mode is Mode.LIVE and snapshot is not None and snapshot.finished is not None:
        screen.final(snapshot, Path(snapshot.logs) / snapshot.study.name)
    return 0
