"""An examination: starts the process that touches the directory, listens to it, and judges.

This side never touches the directory, so it can always say what does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from distune import __version__
from distune.doctor.diagnosis import Diagnosis
from distune.doctor.measurements import HostMeasurements
from distune.doctor.prober_process import Message, ProberProcess
from distune.doctor.verdict.judge import judge
from distune.errors import DistuneError, UserError


def examine(
    logs: Path, *, peer: bool, wait: float, patience: float, tell: Callable[[str], None]
) -> tuple[Diagnosis, str]:
    """Examine a directory.

    Args:
        logs: the directory; made if only it is missing.
        peer: with a second host that does the same at the same time.
        wait: seconds to wait for that one.
        patience: seconds after which an operation counts as one that never answers.
        tell: hears what is going on.

    Returns:
        The diagnosis; and `written`, why it was not, or nothing if that was not to be.

    Raises:
        UserError: there is no such directory.
        DistuneError: the examination itself failed.
    """
    # Not resolved, not looked at: a path on a share that hangs would hang us.
    arguments = [str(logs.absolute()), str(patience)]
    prober = ProberProcess([*arguments, str(wait)] if peer else arguments)
    try:
        heard = _listen(prober, patience, tell)
        diagnosis = judge(heard.hosts, heard.pairs, version=__version__, created=time.time())
        if heard.kind == "waits":
            return diagnosis, ""
        # An unfinished examination must not replace the diagnosis of a finished one.
        leave = heard.leads and not any(
            host.lonely or host.troubles.keys() & {"sandbox", "peer"} for host in heard.hosts
        )
        prober.tell(diagnosis.model_dump_json() if leave else "")
        end = prober.hear(patience)
        if end is None:
            problem = "the examination ended before its end"
        else:
            problem = f"{end.text} does not answer" if end.kind == "waits" else end.text
        if problem:
            return diagnosis, f"the diagnosis was not written: {problem}"
        return diagnosis, "written" if leave else ""
    finally:
        prober.end()


def _listen(prober: ProberProcess, patience: float, tell: Callable[[str], None]) -> Message:
    """Its result; or what it waits for in vain, with what it had measured until then."""
    measured = HostMeasurements(host="this host")
    while True:
        message = prober.hear(patience)
        if message is None:
            raise DistuneError(f"the examination ended before its end: {prober.last_words()}")
        match message.kind:
            case "phase":
                tell(message.text)
            case "measured":
                (measured,) = message.hosts
            case "waits":
                prober.abandon()
                hang = {"hang": (message.text, message.seconds)}
                return message.model_copy(update={"hosts": [measured.model_copy(update=hang)]})
            case "mistake":
                raise UserError(message.text)
            case _:
                return message
