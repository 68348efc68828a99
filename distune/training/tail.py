"""What a training process printed last."""

from __future__ import annotations

import fcntl
import os
import select
import termios
import threading
import time
from array import array
from collections.abc import Callable
from typing import IO

_TAIL_BYTES = 8192


class Tail:
    """The last few kilobytes of a stream, read and closed by a thread: its writer never waits."""

    def __init__(self, stream: IO[bytes], echo: Callable[[str], None] | None = None) -> None:
        self._stream = stream
        self._echo = echo
        self._bytes = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while True:
            select.select([self._stream], [], [])
            with self._lock:  # what is out of the pipe is in `_bytes`, see `catch_up`
                piece = os.read(self._stream.fileno(), _TAIL_BYTES)
                self._bytes += piece
                del self._bytes[:-_TAIL_BYTES]
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > _TAIL_BYTES or not piece:
                lines, rest = [*lines, *([rest] if rest else [])], b""
            if self._echo is not None:
                for line in lines:
                    self._echo(line.decode(errors="replace"))
            if not piece:
                break
        with self._lock:
            self._stream.close()

    def catch_up(self, seconds: float) -> None:
        """Wait until all that its writer has written by now is read, but no longer than that."""
        until = time.monotonic() + seconds
        unread = array("i", [0])
        while time.monotonic() < until:
            with self._lock:
                if self._stream.closed:
                    return
                fcntl.ioctl(self._stream.fileno(), termios.FIONREAD, unread)
            if not unread[0]:
                return
            time.sleep(0.005)

    def clear(self) -> None:
        with self._lock:
            self._bytes.clear()

    def text(self, wait: float = 0.0) -> str:
        """What it holds; `wait` seconds for the stream's end, if its writer is dead."""
        self._thread.join(wait)
        with self._lock:
            return self._bytes.decode(errors="replace")
