"""Where a study is shown: a live view on a terminal, plain lines elsewhere, or JSON."""

import json
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live

from distune.share import protocol
from distune.watch.browsing import Browsing
from distune.watch.display.json_data import snapshot_json
from distune.watch.display.leaderboard import final_table
from distune.watch.display.live import render
from distune.watch.display.next_steps import next_steps
from distune.watch.display.state import plain_event, plain_progress
from distune.watch.display.text import clean
from distune.watch.keyboard import Keyboard
from distune.watch.snapshot import Event, Snapshot

_REFRESH = 0.5  # seconds between two pictures
_PROGRESS_LINE_EVERY = 30.0  # seconds between two plain progress lines
_KEYS_EVERY = 0.05  # seconds between two looks at the keyboard


class Mode(StrEnum):
    """How to show it."""

    LIVE = "live"
    PLAIN = "plain"
    JSON = "json"


@dataclass
class Screen:
    """`with Screen(console, mode) as screen: screen.show(snapshot)`, again and again.

    Attributes:
        browsing: where a viewer looks who has keys.
    """

    console: Console
    mode: Mode
    browsing: Browsing = field(default_factory=Browsing)
    _keyboard: Keyboard = field(default_factory=Keyboard)
    _live: Live | None = None
    _drawn: Snapshot | None = None
    _next_picture: float = 0.0
    _next_line: float = 0.0
    _last_event: Event | None = None
    _said: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        if self.mode is Mode.LIVE:
            self._live = Live(console=self.console, screen=True, auto_refresh=False)
            self._live.start()
            self._keyboard.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._keyboard.__exit__(*error)
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
            self._drawn = snapshot
            width, height = self.console.size
            wish = self.browsing.wish if self._keyboard.is_there else None
            page = self.browsing.page(snapshot, width)
            picture = render(snapshot, width, height, wish, page, self.browsing.quits)
            self._live.update(picture, refresh=True)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Until the event is set, or so long, obeying keys meanwhile; whether the viewer has had
        enough.
        """
        until = time.monotonic() + seconds
        while True:
            if self._obey(self._keyboard.pressed()):
                return True
            left = max(until - time.monotonic(), 0.0)
            if event.wait(min(left, _KEYS_EVERY) if self._keyboard.is_there else left) or not left:
                return False

    def _obey(self, keys: Sequence[str]) -> bool:
        """Show at once what keys ask for; whether one ends the view."""
        if self.browsing.quits and "q" in keys:
            return True
        if self._drawn is not None and keys:
            for key in keys:
                self.browsing.press(key, self._drawn, *self.console.size)
            self._draw(self._drawn)
        return False

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
        self.say(*next_steps(snapshot, _shortest(folder.parent), _kept(folder)))


def _shortest(path: Path) -> str:
    """As one would type it here."""
    near = os.path.relpath(path)
    return str(path) if near.startswith(os.pardir) else near


def _kept(folder: Path) -> list[str]:
    """What may be the winner's weights and checkpoints."""
    found = []
    with suppress(OSError):  # the share may choose this moment to go
        found += [protocol.BEST_WEIGHTS] if (folder / protocol.BEST_WEIGHTS).exists() else []
        names = sorted(os.listdir(folder / protocol.CHECKPOINTS))
        found += [f"{protocol.CHECKPOINTS}/{name}" for name in names]
    return found
