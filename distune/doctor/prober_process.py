"""The doctor's end of its prober, the process that touches the directory."""

from __future__ import annotations

import queue
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import Literal

from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.study.document import Document
from distune.training.children import python_command

_SILENCE = 30.0  # seconds beyond the patience; a prober says every half second that it lives
_GRACE = 5.0  # seconds for a prober to clear up


class Message(Document):
    """What the prober says, a line of JSON each.

    Attributes:
        kind: `phase` (what begins), `waits` (what has been waited for, and how long),
            `measured` (so far), `mistake` (of the user's), `result` (all there is; the prober
            then awaits the diagnosis, or an empty line), `end` (why the diagnosis was not
            written; empty if it was).
        leads: of two doctors, the one that writes the diagnosis.
    """

    kind: Literal["phase", "waits", "measured", "mistake", "result", "end"]
    text: str = ""
    seconds: float = 0.0
    hosts: list[HostMeasurements] = []
    pairs: list[PairMeasurements] = []
    leads: bool = True


class ProberProcess:
    """A prober, started with these arguments. It may never end; then it is left behind."""

    def __init__(self, arguments: list[str]) -> None:
        self._abandoned = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._process = subprocess.Popen(
            python_command("distune.doctor.prober", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._messages.put(Message.model_validate_json(line))
        self._messages.put(None)

    def hear(self, patience: float) -> Message | None:
        """Its next message, without those that it waits, unless it waits longer than `patience`
        (seconds); None if it ended, or stayed silent.
        """
        while True:
            try:
                message = self._messages.get(timeout=patience + _SILENCE)
            except queue.Empty:
                return None
            if message is None or message.kind != "waits" or message.seconds > patience:
                return message

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what it said last tells why
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def last_words(self) -> str:
        self._errors.seek(0)
        text = self._errors.read().decode(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"

    def abandon(self) -> None:
        """Kill it. What hangs in the kernel ends when the share answers, and is not waited for."""
        self._process.kill()
        self._abandoned = True

    def end(self) -> None:
        """Let it clear up, then kill it."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        if self._abandoned:
            return
        for sig, seconds in ((None, 0.5), (signal.SIGTERM, _GRACE), (signal.SIGKILL, 0.5)):
            if sig is not None:
                self._process.send_signal(sig)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                return
