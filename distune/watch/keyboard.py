"""Keys that are pressed in a live view, each as soon as it is."""

import os
import queue
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Self

_ARROWS = {"A": "up", "B": "down", "H": "home", "F": "end"}
_NUMBERED = {"1": "home", "4": "end", "5": "page up", "6": "page down", "7": "home", "8": "end"}
_LETTERS = {"k": "up", "j": "down", "g": "home", "G": "end", " ": "page down"}
_MOST_BYTES = 256


def named(text: str) -> Iterator[str]:
    """The keys that a terminal tells of: `up`, `page down`, `q`."""
    while text:
        if text[:2] in ("\x1b[", "\x1bO") and len(text) > 2:
            number, rest = text[2], text[3:]
            if number in _NUMBERED and rest[:1] == "~":
                yield _NUMBERED[number]
                rest = rest[1:]
            elif number in _ARROWS:
                yield _ARROWS[number]
            text = rest
        else:
            yield _LETTERS.get(text[0], text[0])
            text = text[1:]


class Keyboard:
    """`with Keyboard(wake) as keyboard: keyboard.pressed()`; no keys where there is no terminal, or
    where another program has it.

    Args:
        wake: called from another thread when a key was pressed.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._pressed: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        try:
            # To read in the background would stop this process.
            if os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp():
                self._before = termios.tcgetattr(0)
                tty.setcbreak(0)
                threading.Thread(target=self._listen, daemon=True).start()
        except (OSError, termios.error) as error:
            print(f"distune: no keys here: {error}", file=sys.stderr)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def _listen(self) -> None:
        while True:
            try:
                data = os.read(0, _MOST_BYTES)
            except OSError:
                return  # the terminal is gone
            if not data:
                return
            for key in named(data.decode(errors="replace")):
                self._pressed.put(key)
            self._wake()

    def pressed(self) -> Iterator[str]:
        """Those that were pressed since this was asked last."""
        while not self._pressed.empty():
            yield self._pressed.get()
