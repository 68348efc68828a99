"""Where a study is shown: a live view on a terminal, plain lines elsewhere, or JSON."""

import json
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live

from distune.errors import ShareError
from distune.share import protocol
from distune.share.waiting import LONGEST_WAIT, Interrupt, Outage
from distune.watch.display.json_data import snapshot_json
from distune.watch.display.leaderboard import final_table
from distune.watch.display.live import render
from distune.watch.display.state import plain_event, plain_progress
from distune.watch.display.text import clean
from distune.watch.display.wish import Wish
from distune.watch.keyboard import Keyboard
from distune.watch.observer import Observer
from distune.watch.snapshot import Event, Snapshot

_REFRESH = 0.5  # seconds between two pictures
_PROGRESS_LINE_EVERY = 30.0  # seconds between two plain progress lines


class Mode(StrEnum):
    """How to show it."""

    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"


@dataclass
class Screen:
    """`with Screen(console, mode) as screen: screen.show(snapshot)`, again and again."""

    console: Console
    mode: Mode
    wish: Wish | None = None  # of a viewer, who may change it by keys
    _live: Live | None = None
    _next_picture: float = 0.0
    _next_line: float = 0.0
    _last_event: Event | None = None
    _said: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        if self.mode is Mode.LIVE:
            self._live = Live(console=self.console, screen=True, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self.say(*self._said)  # while the live view covered the terminal
        self._said.clear()

    def wants_curves(self) -> bool:
        """Whether the next picture is due and would show learning curves."""
        return self.mode is not Mode.PLAIN and time.monotonic() >= self._next_picture

    def show(self, snapshot: Snapshot) -> None:
        """Show it, if it is time to."""
        now = time.monotonic()
        if self.mode is Mode.PLAIN:
            self._show_plain(snapshot, now)
        elif now >= self._next_picture:
            self._next_picture = now + _REFRESH
            if self._live is not None:
                self._draw(snapshot)
            else:
                self._print_json(snapshot)

    def _draw(self, snapshot: Snapshot) -> None:
        if self._live is not None:
            width, height = self.console.size
            self._live.update(render(snapshot, width, height, self.wish), refresh=True)

    def pressed(self, key: str, snapshot: Snapshot) -> None:
        """Show at once what a key asks for."""
        if self.wish is not None:
            self.wish = self.wish.after(key, snapshot.history.configurations)
            self._draw(snapshot)

    def _show_plain(self, snapshot: Snapshot, now: float) -> None:
        events, last = snapshot.events, self._last_event
        # All of them if the last one has scrolled away.
        new = next((events[i + 1 :] for i, one in enumerate(events) if one is last), events)
        if new:
            self.say(*map(plain_event, new))
            self._last_event = new[-1]
        if now >= self._next_line or snapshot.finished is not None:
            self._next_line = now + _PROGRESS_LINE_EVERY
            self.say(plain_progress(snapshot))

    def _print_json(self, snapshot: Snapshot) -> None:
        self.console.out(json.dumps(snapshot_json(snapshot), allow_nan=False), highlight=False)

    def say(self, *lines: str) -> None:
        """Lines for people."""
        if self._live is not None:
            self._said += lines
        elif lines and self.mode is not Mode.JSON:
            safe = "\n".join(clean(line, limit=len(line)) for line in lines)
            self.console.out(safe, highlight=False)

    def final(self, snapshot: Snapshot, folder: Path) -> None:
        """The last picture, which stays, and where everything is."""
        if self.mode is Mode.JSON:
            self._print_json(snapshot)
            return
        self.console.print(final_table(snapshot, self.console.width))
        best = [protocol.BEST] if snapshot.history.winner() is not None else []
        files = ", ".join([protocol.LEADERBOARD, *best, f"{protocol.SEEN}/ (every trial)"])
        self.say(f"everything is in {folder}: {files}")


def run_viewer(observer: Observer, screen: Screen) -> int:
    """Show a study until the viewer is interrupted or the study is over."""
    interrupt = Interrupt()
    outage = Outage()
    screen.wish = Wish()
    with screen, _keyboard(screen, interrupt) as keyboard:
        while interrupt.signal is None:
            looked = time.monotonic()
            try:
                snapshot = observer.look(curves=screen.wants_curves())
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
            if snapshot.finished is not None and screen.mode is not Mode.LIVE:
                break
            if _quits(keyboard, interrupt, screen, snapshot):
                break
    return 0


def _keyboard(screen: Screen, interrupt: Interrupt) -> AbstractContextManager[Keyboard | None]:
    return Keyboard(interrupt.event.set) if screen.mode is Mode.LIVE else nullcontext()


def _quits(
    keyboard: Keyboard | None, interrupt: Interrupt, screen: Screen, snapshot: Snapshot
) -> bool:
    """Wait for the next look and obey keys meanwhile; whether the viewer has had enough."""
    until = time.monotonic() + LONGEST_WAIT
    while interrupt.signal is None and (left := until - time.monotonic()) > 0:
        interrupt.event.wait(left)
        interrupt.event.clear()  # a signal has left its number
        for key in keyboard.pressed() if keyboard is not None else ():
            if key == "q":
                return True
            screen.pressed(key, snapshot)
    return False
