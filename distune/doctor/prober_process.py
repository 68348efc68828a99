"""The doctor's end of its prober, the process that touches the directory."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from typing import IO

from distune.doctor.messages import Message
from distune.study.document import Document

_GRACE = 5.0  # seconds for a prober to clear up


class ProberProcess:
    """A prober. It may never end; then it is left behind."""

    def __init__(self) -> None:
        self._abandoned = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distune.doctor.prober"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._errors: list[bytes] = []
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        for target, pipe in (
            (self._listen, self._process.stdout), (self._collect, self._process.stderr)
        ):  # fmt: skip
            threading.Thread(target=target, args=(pipe,), daemon=True).start()

    def _listen(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._messages.put(Message.model_validate_json(line))
        self._messages.put(None)

    def _collect(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._errors[:] = [*self._errors[-20:], line]

    def tell(self, message: Document) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(message.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said last tells why

    def hear(self, seconds: float) -> Message | None:
        """Its next message; None if it ended, or stayed silent for that long."""
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def last_words(self) -> str:
        text = b"".join(self._errors).decode(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"

    def abandon(self) -> None:
        """Kill it. What hangs in the kernel ends when the share answers, and is not waited for."""
        self._process.kill()
        self._abandoned = True

    def end(self) -> None:
        """Let it clear up, then kill it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        if self._abandoned:
            return
        for sig, seconds in ((None, 0.5), (signal.SIGTERM, _GRACE), (signal.SIGKILL, 0.5)):
            if sig is not None:
                self._process.send_signal(sig)
            try:
                self._process.wait(seconds)
                break
            except subprocess.TimeoutExpired:
                continue
