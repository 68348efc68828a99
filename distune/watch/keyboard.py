"""Keys that are pressed in a live view, each as soon as it is."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Self

_ARROWS = {"A": "up", "B": "down", "H": "home", "F": "end", "Z": "back tab"}
_NUMBERED = {"1": "home", "4": "end", "5": "page up", "6": "page down", "7": "home", "8": "end"}
_LETTERS = {"k": "up", "j": "down", "g": "home", "G": "end", " ": "page down", "\t": "tab",
            "\r": "enter", "\n": "enter", "\x1b": "escape", "\x7f": "backspace"}  # fmt: skip
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
    """`with Keyboard() as keyboard: keyboard.pressed()`; no keys where there is no terminal, nor
    while another program has it: to read then would stop this process.
    """

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    @property
    def is_there(self) -> bool:
        return self._before is not None

    def __enter__(self) -> Self:
        try:
            if os.isatty(0) and self._is_ours():
                self._before = termios.tcgetattr(0)
                tty.setcbreak(0)
        except (OSError, termios.error) as error:
            print(f"distune: no keys here: {error}", file=sys.stderr)
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(OSError, termios.error):  # the terminal is gone
            if self._before is not None and self._is_ours():
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def _is_ours(self) -> bool:
        return os.tcgetpgrp(0) == os.getpgrp()

    def pressed(self) -> list[str]:
        """Those that were pressed since this was asked last."""
        try:
            if self._before is None or not self._is_ours():
                return []
            if termios.tcgetattr(0)[3] & termios.ICANON:  # it was stopped, and is back
                tty.setcbreak(0)
            if not select.select([0], [], [], 0)[0]:
                return []
            data = os.read(0, _MOST_BYTES)
        except (OSError, termios.error):
            data = b""
        if not data:
            self._before = None  # the terminal is gone
        return list(named(data.decode(errors="replace")))
