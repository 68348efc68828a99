"""What a training process prints: the last of it, each trial's told from the others'."""

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import IO

from distune.share.records import OUTPUT_LIMIT
from distune.training.printed import END_OF_OUTPUT, take_in

_READ_BYTES = 8192  # at a time
_PIPE_HOLDS = 65536  # bytes
_TAIL_BYTES = OUTPUT_LIMIT
_LONGEST_ECHO = 8192  # bytes of a line
_REST = 0.05  # seconds; to be woken for each of many short trials would cost more than they do


class Tail:
    """The last few kilobytes of a stream. A thread reads, so that its writer never waits for long;
    who asks reads for himself what has been written by then.

    Args:
        stream: a pipe, which it closes at its end.
        echo: takes what is written, line by line.
    """

    def __init__(self, stream: IO[bytes], echo: Callable[[str], None] | None = None) -> None:
        self._stream = stream
        self._echo = echo
        self._unsaid = b""  # of a line that has not ended
        self._bytes = bytearray()
        self._ended: dict[int, bytes] = {}  # what trials have printed that are over, by slot
        self._lock = threading.Lock()
        os.set_blocking(stream.fileno(), False)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        poll = select.poll()  # `select` knows no descriptor above 1023
        poll.register(self._stream, select.POLLIN)
        while True:
            poll.poll()
            with self._lock:
                taken = self._read_on()
                if self._stream.closed:
                    return
            if taken < _READ_BYTES:  # else its writer may soon have to wait
                time.sleep(_REST)

    def _read_on(self) -> int:
        """Take in what has been written; how many bytes that was."""
        taken = 0
        while taken < _PIPE_HOLDS and not self._stream.closed:
            try:
                piece = os.read(self._stream.fileno(), _READ_BYTES)
            except BlockingIOError:
                break
            taken += len(piece)
            self._take_in(piece)
            self._show(piece)
            if not piece:
                self._stream.close()
        return taken

    def _take_in(self, piece: bytes) -> None:
        take_in(piece, self._bytes)
        while (end := END_OF_OUTPUT.search(self._bytes)) is not None:
            self._ended[int(end[1])] = bytes(self._bytes[: end.start()][-_TAIL_BYTES:])
            del self._bytes[: end.end()]
        del self._bytes[:-_TAIL_BYTES]

    def _show(self, piece: bytes) -> None:
        if self._echo is None:
            return
        shown = bytearray(self._unsaid)
        take_in(piece, shown)
        *lines, rest = bytes(shown).split(b"\n")
        if len(rest) > _LONGEST_ECHO or not piece:
            rest = END_OF_OUTPUT.sub(b"", rest)
            lines, rest = [*lines, *([rest] if rest else [])], b""
        self._unsaid = rest
        for line in lines:
            with contextlib.suppress(Exception):  # who prints waits for this thread to read on
                self._echo(END_OF_OUTPUT.sub(b"", line).decode(errors="replace"))

    def of_trial(self, slot: int) -> str:
        """What the trial in a slot has printed, below which its end is written: told once."""
        with self._lock:
            if slot not in self._ended:
                self._read_on()
            return self._ended.pop(slot, b"").decode(errors="replace")

    def clear(self) -> None:
        with self._lock:
            self._bytes.clear()
            self._ended.clear()

    def text(self, wait: float = 0.0) -> str:
        """What it holds; `wait` seconds for the stream's end, if its writer is dead."""
        self._thread.join(wait)
        with self._lock:
            self._read_on()
            return self._bytes.decode(errors="replace")
