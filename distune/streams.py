"""Standard input, output and error, such that a line for people never stops the work: what cannot
be encoded has a stand-in, and what cannot be written is left out.
"""

import atexit
import codecs
import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from distune.errors import DistuneError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: What stands for the symbols of the views where the encoding has none; as wide as they are, so
#: that columns stay columns.
_SYMBOLS = "★◇●○✓✗▸•·×±–—…→↑↓›‹↻µ━╸╌─│╭╮╰╯▁▂▃▄▅▆▇█"
_STAND_INS = "*o@o+x>*.x~--~>^v><^u=-.-|..''_.-:=+*#"
_STAND_IN_OF = dict(zip(_SYMBOLS, _STAND_INS, strict=True))
ENCODING_ERRORS = "distune-stand-in"
_MOST_WAITING = 2**20  # bytes that wait for a reader
_TOGETHER = 0.05  # seconds: lines that come so soon after others are written at once
_LAST_WORDS = 1.0  # seconds for what is not written yet when the process ends

_patient: list["_Patient"] = []


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_STAND_IN_OF.get(character, "?") for character in text), error.end


class _Output(io.FileIO):
    """Standard output as what is asked for: if it cannot be written, the command has failed."""

    _failed = False

    def write(self, data: "ReadableBuffer", /) -> int:
        if self._failed:  # which has been said
            return len(memoryview(data))
        try:
            while (written := super().write(data)) is None:  # another program made it non-blocking
                select.select([], [self.fileno()], [])
            return written
        except OSError as error:
            self._failed = True
            if isinstance(error, BrokenPipeError):
                raise
            raise DistuneError(f"cannot write to standard output: {error.strerror}") from None


class _Forgiving(_Output):
    """What cannot be written is left out."""

    def write(self, data: "ReadableBuffer", /) -> int:
        with suppress(OSError, DistuneError):
            return super().write(data)
        return len(memoryview(data))


class _Patient(io.FileIO):
    """Written by a thread: a full disk, a closed terminal, a reader who has gone, stopped (Ctrl-S,
    a pager) or is slow, a share that hangs under the log: none is waited for.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._begin()
        # A forked process has none of the threads, and its parent writes what waits here.
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._waiting = bytearray()
        self._in_hand = 0  # bytes that the thread is writing
        self._left_out = 0
        self._thread: threading.Thread | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        size = len(memoryview(data))
        with self._changed:
            if len(self._waiting) + self._in_hand + size > _MOST_WAITING:
                self._left_out += size
                return size
            if self._left_out:
                note = f"\ndistune: {self._left_out} bytes are left out here: nobody read them\n"
                self._waiting += note.encode()
                self._left_out = 0
            wakes = not self._waiting
            self._waiting += data
            if wakes:
                self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()
        return size

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                piece, self._waiting = self._waiting, bytearray()
                self._in_hand = len(piece)
            self._put(piece)
            with self._changed:
                self._in_hand = 0
                self._changed.notify_all()
            time.sleep(_TOGETHER)

    def _put(self, piece: bytearray) -> None:
        rest = memoryview(piece)
        with suppress(OSError, ValueError):
            while rest:
                try:
                    rest = rest[os.write(self.fileno(), rest) :]
                except BlockingIOError:  # another program has set it so
                    select.select([], [self.fileno()], [])

    def drain(self, seconds: float) -> None:
        """Wait until all is written, but no longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._in_hand, seconds)


def make_reliable() -> None:
    """For every command, before it opens a file.

    Descriptors that are closed get something open, or a file of the study's would be taken for
    standard output. Standard error leaves out what it cannot write; standard output, which may be
    data, raises a `DistuneError` then, or `BrokenPipeError`.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    codecs.register_error(ENCODING_ERRORS, _stand_in)
    _replace(lambda: _Output(1, "w", closefd=False), lambda: _Forgiving(2, "w", closefd=False))


def never_wait() -> None:
    """For a command whose work goes on whatever becomes of its output."""
    _replace(lambda: _Patient(1), lambda: _Patient(2))
    atexit.register(last_words)


def print_data() -> None:
    """Standard output is for a program: UTF-8, whatever the terminal shows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def last_words() -> None:
    """Wait a moment for what is not written yet: the process is about to end."""
    until = time.monotonic() + _LAST_WORDS
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    for raw in _patient:
        raw.drain(max(0.0, until - time.monotonic()))


def _replace(output: Callable[[], io.FileIO], errors: Callable[[], io.FileIO]) -> None:
    """Have standard output and error written by these, if they are what Python made of them."""
    for name, descriptor, make in (("stdout", 1, output), ("stderr", 2, errors)):
        before = getattr(sys, name)
        with suppress(OSError, ValueError):  # a test's, which has no descriptor
            if before is None or before.fileno() == descriptor:
                setattr(sys, name, _text(before, make()))


def _text(before: TextIO | None, raw: io.FileIO) -> io.TextIOWrapper:
    if before is not None:
        before.flush()
    if isinstance(raw, _Patient):
        _patient.append(raw)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before is not None else "utf-8",
        errors=ENCODING_ERRORS,
        line_buffering=raw.fileno() == 2 or raw.isatty(),
    )
