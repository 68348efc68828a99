"""A doctor's visit: starts the process that touches the directory, listens to it, and judges.

This side never touches the directory, so it can always say what does not answer.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from distune import __version__
from distune.doctor.child import Answer, Order, Word
from distune.doctor.note import HostFacts, Note, PairFacts
from distune.doctor.verdict import judge
from distune.errors import DistuneError, UserError

_GRACE = 5.0  # seconds for a child to clear up


def visit(
    logs: Path,
    *,
    peer: bool,
    wait: float,
    patience: float,
    tell: Callable[[str], None],
) -> tuple[Note, str]:
    """Examine a directory.

    Args:
        logs: the directory; made if only it is missing.
        peer: with a second host that does the same at the same time.
        wait: seconds to wait for that one.
        patience: seconds after which an operation counts as one that never answers.
        tell: hears what is going on.

    Returns:
        The verdict, and where it was written; or why it was not.

    Raises:
        UserError: there is no such directory.
        DistuneError: the examination itself failed.
    """
    # Not resolved, not looked at: a path on a share that hangs would hang us.
    order = Order(logs=str(logs.absolute()), peer=peer, wait=wait, patience=patience)
    child = _Child()
    try:
        child.tell(order.model_dump_json())
        hosts: list[HostFacts] = [HostFacts(host="this host")]
        pairs: list[PairFacts] = []
        while True:
            word = child.hear(patience + 30.0)
            if word is None:
                raise DistuneError(f"the examination ended before its end: {child.last_words()}")
            match word.kind:
                case "phase":
                    tell(word.text)
                case "facts":
                    hosts = word.hosts
                case "waits" if word.seconds > patience:
                    child.abandon()
                    hang = hosts[0].model_copy(update={"hang": (word.text, word.seconds)})
                    return judge([hang], version=__version__, created=time.time()), ""
                case "mistake":
                    raise UserError(word.text)
                case "result":
                    hosts, pairs = word.hosts, word.pairs
                    break
        note = judge(hosts, pairs, version=__version__, created=time.time())
        # One that could not be completed says less than what may lie there already.
        complete = not any(host.lonely or host.troubles.get("room") for host in hosts)
        wanted = note if word.leads and complete else None
        child.tell(Answer(note=wanted).model_dump_json())
        return note, _wait_for_end(child, patience, wanted is not None)
    finally:
        child.end()


def _wait_for_end(child: _Child, patience: float, wanted: bool) -> str:
    while True:
        word = child.hear(patience + 30.0)
        if word is None:
            return "the note was not written"
        if word.kind == "waits" and word.seconds > patience:
            return f"the note was not written: {word.text} does not answer"
        if word.kind == "end":
            if word.text:
                return f"the note was not written: {word.text}"
            return "written" if wanted else ""


class _Child:
    """The process that touches the directory. It may never end; then it is left behind."""

    def __init__(self) -> None:
        self._abandoned = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distune.doctor.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._words: queue.SimpleQueue[Word | None] = queue.SimpleQueue()
        self._errors: list[bytes] = []
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        for target, pipe in (
            (self._listen, self._process.stdout), (self._collect, self._process.stderr)
        ):  # fmt: skip
            threading.Thread(target=target, args=(pipe,), daemon=True).start()

    def _listen(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._words.put(Word.model_validate_json(line))
        self._words.put(None)

    def _collect(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._errors[:] = [*self._errors[-20:], line]

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said last tells why

    def hear(self, seconds: float) -> Word | None:
        """Its next word; None if it has ended, or says nothing for so long."""
        try:
            return self._words.get(timeout=seconds)
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
