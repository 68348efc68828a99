"""An examination: starts the process that touches the directory, listens to it, and judges.

This side never touches the directory, so it can always say what does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from distune import __version__
from distune.doctor.diagnosis import Diagnosis
from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.doctor.messages import Message, Reply, Request
from distune.doctor.prober_process import ProberProcess
from distune.doctor.verdict.judge import judge
from distune.errors import DistuneError, UserError

_SILENCE = 30.0  # seconds beyond the patience; a prober says every half second that it lives


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
    prober = ProberProcess()
    try:
        # Not resolved, not looked at: a path on a share that hangs would hang us.
        prober.tell(Request(logs=str(logs.absolute()), peer=peer, wait=wait, patience=patience))
        heard = _listen(prober, patience, tell)
        diagnosis = _judge(heard.hosts, heard.pairs)
        if heard.kind == "waits":
            return diagnosis, ""
        # An unfinished examination must not replace the diagnosis of a finished one.
        complete = not any(host.lonely or "sandbox" in host.troubles for host in heard.hosts)
        leave = heard.leads and complete
        prober.tell(Reply(diagnosis=diagnosis if leave else None))
        problem = _wait_for_end(prober, patience)
        if problem:
            return diagnosis, f"the diagnosis was not written: {problem}"
        return diagnosis, "written" if leave else ""
    finally:
        prober.end()


def _judge(hosts: list[HostMeasurements], pairs: list[PairMeasurements]) -> Diagnosis:
    return judge(hosts, pairs, version=__version__, created=time.time())


def _listen(prober: ProberProcess, patience: float, tell: Callable[[str], None]) -> Message:
    """Its result; or what it waits for in vain, with what it had measured until then."""
    measured = [HostMeasurements(host="this host")]
    while True:
        message = prober.hear(patience + _SILENCE)
        if message is None:
            raise DistuneError(f"the examination ended before its end: {prober.last_words()}")
        match message.kind:
            case "phase":
                tell(message.text)
            case "measured":
                measured = message.hosts
            case "waits" if message.seconds > patience:
                prober.abandon()
                hang = {"hang": (message.text, message.seconds)}
                return message.model_copy(update={"hosts": [measured[0].model_copy(update=hang)]})
            case "mistake":
                raise UserError(message.text)
            case "result":
                return message


def _wait_for_end(prober: ProberProcess, patience: float) -> str:
    """What kept it from writing; empty if nothing did."""
    while True:
        message = prober.hear(patience + _SILENCE)
        if message is None:
            return "the examination ended before its end"
        if message.kind == "waits" and message.seconds > patience:
            return f"{message.text} does not answer"
        if message.kind == "end":
            return message.text
