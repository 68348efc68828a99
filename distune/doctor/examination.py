"""An examination: starts the process that touches the directory, and listens to it.

This side never touches the directory, so it can always say what does not answer.
"""

from __future__ import annotations

import select
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from distune.doctor.diagnosis import Diagnosis, HostMeasurements
from distune.doctor.prober import NOT_WRITTEN, Message, diagnose
from distune.errors import DistuneError, UserError
from distune.training.children import python_command

_SILENCE = 30.0  # seconds beyond the patience; a prober says every half second that it lives
_GRACE = 5.0  # seconds for a prober to clear up


def examine(
    logs: Path, *, peer: bool, wait: float, patience: float, tell: Callable[[str], None]
) -> tuple[Diagnosis, str]:
    """Examine a directory.

    Args:
        logs: made if only it is missing.
        peer, wait: together with a second host, which is waited for so many seconds.
        patience: seconds after which an operation counts as one that never answers.
        tell: takes a line when something begins.

    Returns:
        The diagnosis; and `written`, why it was not, or nothing if that was not to be.

    Raises:
        UserError: there is no such directory.
        DistuneError: the examination itself failed.
    """
    # Not resolved, not looked at: a path on a share that hangs would hang us.
    arguments = [str(logs.absolute()), str(patience)]
    prober = _ProberProcess([*arguments, str(wait)] if peer else arguments)
    try:
        return _listen(prober, patience, tell)
    finally:
        prober.end()


def _listen(
    prober: _ProberProcess, patience: float, tell: Callable[[str], None]
) -> tuple[Diagnosis, str]:
    measured = HostMeasurements(host="this host")
    diagnosis: Diagnosis | None = None
    while message := prober.hear(patience):
        measured = message.measured or measured
        diagnosis = message.diagnosis or diagnosis
        match message.kind:
            case "phase":
                tell(message.text)
            case "mistake":
                raise UserError(message.text)
            case "waits":
                prober.abandon()
                if diagnosis is not None:
                    return diagnosis, f"{NOT_WRITTEN}: {message.text} does not answer"
                hang = {"hang": (message.text, message.seconds)}
                return diagnose([measured.model_copy(update=hang)], []), ""
            case "end" if diagnosis is not None:
                return diagnosis, message.text
    problem = "the examination ended before its end"
    if diagnosis is None:
        raise DistuneError(f"{problem}: {prober.last_words()}")
    return diagnosis, f"{NOT_WRITTEN}: {problem}"


class _ProberProcess:
    """A prober, started with these arguments. It may never end; then it is left behind."""

    def __init__(self, arguments: list[str]) -> None:
        self._abandoned = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._process = subprocess.Popen(
            python_command("distune.doctor.prober", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,  # what was read ahead, `select` would not see
            stderr=self._errors,
            start_new_session=True,
        )

    def hear(self, patience: float) -> Message | None:
        """Its next message, without those that it waits, unless it waits longer than `patience`
        (seconds); None if it ended, or stayed silent.
        """
        said = self._process.stdout
        assert said is not None
        while select.select([said], [], [], patience + _SILENCE)[0]:
            line = said.readline()
            if not line.endswith(b"\n"):
                break
            message = Message.model_validate_json(line)
            if message.kind != "waits" or message.seconds > patience:
                return message
        return None

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
        if self._abandoned:
            return
        for sig, seconds in ((None, 0.5), (signal.SIGTERM, _GRACE), (signal.SIGKILL, 0.5)):
            if sig is not None:
                self._process.send_signal(sig)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                return
