"""The process that touches the directory: `python -m distune.doctor.prober DIRECTORY PATIENCE
[WAIT]`, the latter in seconds; with a WAIT for the other host, two examine it together.

The doctor hears what it finds in lines of JSON, so that whatever the prober waits for, the
doctor, which does not wait, can say what that is.
"""

import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from distune import __version__
from distune.doctor.diagnosis import Diagnosis, HostMeasurements, PairMeasurements
from distune.doctor.peer.session import PeerError, Session
from distune.doctor.peer.together import examine_together
from distune.doctor.probes import files, surroundings, trials
from distune.doctor.verdict.judge import judge
from distune.doctor.watched_folder import Operations, WatchedFolder
from distune.errors import BadRecord, ShareError
from distune.share import protocol, records
from distune.share.protocol import worker_id
from distune.study.trial import Document

_SAY_EVERY = 0.5  # seconds
NOT_WRITTEN = "the diagnosis was not written"

#: What one host tries alone, in this order, by the name of what it finds in `HostMeasurements`.
PROBES: dict[str, Callable[[WatchedFolder], object]] = {
    "space": surroundings.probe_space,
    "speed": surroundings.probe_speed,
    "publishing": files.probe_publishing,
    "renames": files.probe_renames,
    "claims": trials.probe_claims,
    "appending": trials.probe_appending,
    "rewriting": files.probe_rewriting,
    "own_listing": files.probe_own_listing,
    "names": surroundings.probe_names,
    "links": surroundings.probe_links,
    "flock": surroundings.probe_flock,
    "clock": surroundings.probe_clock,
}
assert PROBES.keys() <= HostMeasurements.model_fields.keys()


class Message(Document):
    """What the prober says, a line of JSON each.

    Attributes:
        kind: `phase` (what begins), `waits` (what has been waited for, and how long),
            `measured` (so far), `mistake` (of the user's), `diagnosis` (which it now writes,
            if it is to), `end` (`written`, why not, or nothing if that was not to be).
    """

    kind: Literal["phase", "waits", "measured", "mistake", "diagnosis", "end"]
    text: str = ""
    seconds: float = 0.0
    measured: HostMeasurements | None = None
    diagnosis: Diagnosis | None = None


def main() -> None:
    signal.signal(signal.SIGTERM, lambda sig, frame: sys.exit(128 + sig))
    logs, patience, *wait = sys.argv[1:]
    prober = _Prober(Path(logs), float(patience))
    threading.Thread(target=prober.keep_saying, daemon=True).start()
    prober.run(*map(float, wait))


def diagnose(hosts: list[HostMeasurements], pairs: list[PairMeasurements]) -> Diagnosis:
    return judge(hosts, pairs, version=__version__, created=time.time())


class _Prober:
    def __init__(self, logs: Path, patience: float) -> None:
        self._logs = logs
        self._patience = patience
        own = worker_id(socket.gethostname(), os.getpid(), secrets.token_hex(3))
        self._root = logs / protocol.DOCTOR_FOLDER / own  # of this doctor's sandbox
        # Whatever else is printed by mistake must not be taken for a message.
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self._operations = Operations()
        self._found: dict[str, Any] = {"host": socket.gethostname(), "troubles": {}}

    def run(self, wait: float | None = None) -> None:
        """Examine; together with another host if there is a time to wait for it."""
        problem = None
        # An error is no mistake of the user's: making a sandbox will fail, too, and tell.
        with suppress(OSError), self._operations.doing(f"looking for {self._logs}"):
            problem = _problem_with(self._logs)
        if problem is not None:
            self._say("mistake", text=problem)
            return
        try:
            diagnosis, leave = self._examine(wait)
        finally:
            with self._operations.doing(f"clearing up {self._root}"):
                shutil.rmtree(self._root, ignore_errors=True)
                with suppress(OSError):  # another doctor is at work
                    self._root.parent.rmdir()
        self._say("diagnosis", diagnosis=diagnosis)
        self._say("end", text=self._leave(diagnosis) if leave else "")

    def keep_saying(self) -> None:
        """Say again and again what is waited for, from a thread of its own."""
        while True:
            time.sleep(_SAY_EVERY)
            what, seconds = self._operations.longest() or ("", 0.0)
            self._say("waits", text=what, seconds=seconds)

    def _say(self, kind: str, **fields: Any) -> None:
        message = Message.model_validate({"kind": kind, **fields})
        with self._lock:
            try:
                self._out.write(message.model_dump_json() + "\n")
            except BrokenPipeError:
                os._exit(1)  # the doctor has gone

    def _announce(self, phase: str) -> None:
        self._say("phase", text=phase)

    def _measured(self) -> HostMeasurements:
        self._found["repeated"] = self._operations.repeated
        self._found["last_error"] = self._short(self._operations.last_error)
        return HostMeasurements.model_validate(self._found)

    def _alone(self) -> Diagnosis:
        return diagnose([self._measured()], [])

    def _trouble(self, probe: str, error: Exception) -> None:
        text = str(error)
        if isinstance(error, OSError) and error.filename:
            text = f"{'/'.join(Path(str(error.filename)).parts[-2:])}: {error.strerror}"
        self._found["troubles"][probe] = self._short(text)

    def _short(self, text: str) -> str:
        """Without the long path that all of it has in common."""
        return text.replace(f"{self._root}/", "")

    def _examine(self, wait: float | None) -> tuple[Diagnosis, bool]:
        """The diagnosis, and whether to leave it here: one of an examination that came to no end
        must not replace an older one.
        """
        try:
            with self._operations.doing(f"making {self._root}"):
                self._found.update(surroundings.identify(self._logs))
                self._root.mkdir(parents=True)
                (self._root / "first").write_bytes(b"x")
        except OSError as error:
            why = f"cannot write in {self._logs}: {error.strerror or error}"
            self._found["troubles"]["sandbox"] = why
            return self._alone(), False
        sandbox = WatchedFolder(self._root, self._operations)
        for name, probe in PROBES.items():
            self._announce(name.replace("_", " "))
            try:
                self._found[name] = probe(sandbox.folder(name))
            except (OSError, ShareError, BadRecord) as error:
                self._trouble(name, error)
            self._say("measured", measured=self._measured())
        return (self._alone(), True) if wait is None else self._examine_together(wait)

    def _examine_together(self, wait: float) -> tuple[Diagnosis, bool]:
        """What the leader found comes first, so that both doctors have the same; it is the one
        that leaves it here.
        """
        mine = self._measured()
        self._announce(f"waiting for another host: distune doctor --logs {self._logs} --peer")
        try:
            session = Session(
                self._root, mine.host, self._operations, self._patience, self._announce
            )
            with session.held(wait):
                other, ours, theirs = examine_together(session, mine)
        except PeerError as error:
            self._found["lonely"] = str(error)
            return self._alone(), False
        except (OSError, ShareError, BadRecord) as error:
            self._trouble("peer", error)
            return self._alone(), False
        order = 1 if session.leads else -1
        hosts, pairs = [self._measured(), other], [ours, theirs]
        return diagnose(hosts[::order], pairs[::order]), session.leads

    def _leave(self, diagnosis: Diagnosis) -> str:
        """Put it into the directory: `written`, or what went wrong."""
        folder = WatchedFolder(self._logs, self._operations)
        try:
            data = records.encode_document(diagnosis)
            self._operations.retry(folder.replace, protocol.DOCTOR, data)
        except (ShareError, OSError) as error:
            return f"{NOT_WRITTEN}: {error}"
        return "written"


def _problem_with(logs: Path) -> str | None:
    if logs.is_dir():
        return None
    if logs.exists():
        return f"{logs} is not a directory; check --logs"
    if not logs.parent.exists():
        return f"{logs} does not exist, nor does the folder it is in; check --logs"
    try:
        logs.mkdir(exist_ok=True)  # the other doctor may be making it too
    except OSError as error:
        return f"cannot make {logs}: {error.strerror}; check --logs"
    return None


if __name__ == "__main__":
    main()
