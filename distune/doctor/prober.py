"""The process that touches the directory: `python -m distune.doctor.prober`.

The doctor tells it what to do by a line of JSON and hears what it finds in lines of JSON, so
that whatever the prober waits for, the doctor, which does not wait, can say what that is.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distune.doctor.diagnosis import Diagnosis
from distune.doctor.measurements import HostMeasurements, PairMeasurements
from distune.doctor.messages import Message, Reply, Request
from distune.doctor.operations import Operations
from distune.doctor.peer.presence import Presence
from distune.doctor.peer.session import session_in, shared_folder
from distune.doctor.peer.together import examine_together
from distune.doctor.peer.waiting import PeerError
from distune.doctor.probes.catalogue import PROBES
from distune.doctor.probes.space import identify
from distune.doctor.sandbox import Sandbox, WatchedFolder
from distune.errors import BadRecord, ShareError
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import worker_id
from distune.study.document import Document

_SAY_EVERY = 0.5  # seconds


def main() -> None:
    """Do what the first line of the input says."""
    signal.signal(signal.SIGTERM, lambda sig, frame: sys.exit(128 + sig))
    request = Request.model_validate_json(sys.stdin.readline())
    output, operations = _Output(), Operations()

    def keep_saying() -> None:
        over = threading.Event()
        while not over.wait(_SAY_EVERY):
            what, seconds = operations.longest() or ("", 0.0)
            output.say("waits", text=what, seconds=seconds)

    threading.Thread(target=keep_saying, daemon=True).start()
    _Prober(request, output, operations).run()


class _Output:
    """Sends messages, from any thread."""

    def __init__(self) -> None:
        # Whatever else is printed by mistake must not be taken for a message.
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._lock = threading.Lock()

    def say(self, kind: str, **fields: Any) -> None:
        message = Message.model_validate({"kind": kind, **fields})
        with self._lock:
            try:
                self._out.write(message.model_dump_json() + "\n")
            except BrokenPipeError:
                os._exit(1)  # the doctor has gone

    def announce(self, phase: str) -> None:
        self.say("phase", text=phase)


class _Prober:
    def __init__(self, request: Request, output: _Output, operations: Operations) -> None:
        self._request = request
        self._logs = Path(request.logs)
        self._output = output
        self._operations = operations
        self._found: dict[str, Any] = {"host": socket.gethostname(), "troubles": {}}
        self._root: Path | None = None  # of this doctor's sandbox

    def run(self) -> None:
        try:
            with self._operations.doing(f"looking for {self._logs}"):
                problem = _problem_with(self._logs)
        except OSError:
            problem = None  # no mistake of the user's: making a sandbox will fail, too, and tell
        if problem is not None:
            self._output.say("mistake", text=problem)
            return
        pairs: list[PairMeasurements] = []
        leads = True
        with self._own_directory() as root:
            if root is not None:
                self._examine_alone(root)
            hosts = [self._measured()]
            if root is not None and self._request.peer:
                hosts, pairs, leads = self._examine_together(root)
        self._output.say("result", hosts=hosts, pairs=pairs, leads=leads)
        reply = Reply.model_validate_json(sys.stdin.readline() or "{}")
        self._output.say("end", text=self._leave(reply.diagnosis) if reply.diagnosis else "")

    # -- what was found ----------------------------------------------------------------

    def _measured(self) -> HostMeasurements:
        self._found["repeated"] = self._operations.repeated
        self._found["last_error"] = self._short(self._operations.last_error)
        return HostMeasurements.model_validate(self._found)

    def _trouble(self, probe: str, error: Exception) -> None:
        if isinstance(error, OSError) and error.filename:
            path = "/".join(Path(str(error.filename)).parts[-2:])
            error = ShareError(f"{path}: {error.strerror}")
        self._found["troubles"][probe] = self._short(str(error))

    def _short(self, text: str) -> str:
        """Without the long path that all of it has in common."""
        return text.replace(f"{self._root}/", "") if self._root else text

    # -- what is done ------------------------------------------------------------------

    @contextmanager
    def _own_directory(self) -> Iterator[Path | None]:
        """A directory of this doctor's own, gone afterwards; None if none can be made."""
        own = worker_id(socket.gethostname(), os.getpid(), secrets.token_hex(3))
        root = self._logs / protocol.DOCTOR_FOLDER / own
        try:
            with self._operations.doing(f"making {root}"):
                self._found.update(identify(self._logs))
                root.mkdir(parents=True)
                (root / "first").write_bytes(b"x")
            self._root = root
        except OSError as error:
            why = f"cannot write in {self._logs}: {error.strerror or error}"
            self._trouble("sandbox", ShareError(why))
        try:
            yield self._root
        finally:
            with self._operations.doing(f"clearing up {root}"):
                _clear(root)

    def _examine_alone(self, root: Path) -> None:
        sandbox = Sandbox(root, self._operations)
        for name, probe in PROBES.items():
            self._output.announce(name.replace("_", " "))
            try:
                found = probe(sandbox)
            except (OSError, ShareError, BadRecord) as error:
                self._trouble(name, error)
            else:
                self._found[name] = found.model_dump() if isinstance(found, Document) else found
            self._output.say("measured", hosts=[self._measured()])

    def _examine_together(
        self, root: Path
    ) -> tuple[list[HostMeasurements], list[PairMeasurements], bool]:
        """Hosts, what each saw of the other, and whether this doctor leads. The leader's comes
        first, so that both doctors have the same.
        """
        mine = self._measured()
        shared = root.parent
        lobby = WatchedFolder(shared_folder(shared), shared, self._operations)
        presence = Presence(shared_folder(shared), root.name, mine.host)
        self._output.announce(
            f"waiting for another host: distune doctor --logs {self._request.logs} --peer"
        )
        try:
            with session_in(
                lobby,
                presence,
                wait=self._request.wait,
                patience=self._request.patience,
                announce=self._output.announce,
            ) as session:
                other, ours, theirs = examine_together(session, mine)
        except PeerError as error:
            self._found["lonely"] = str(error)
            return [self._measured()], [], False
        except (OSError, ShareError, BadRecord) as error:
            self._trouble("peer", error)
            return [self._measured()], [], False
        both = [(self._measured(), ours), (other, theirs)]
        ordered = both if session.leads else both[::-1]
        return [host for host, _ in ordered], [pair for _, pair in ordered], session.leads

    def _leave(self, diagnosis: Diagnosis) -> str:
        """Put it into the directory; what went wrong, if it did."""
        folder = WatchedFolder(Folder(self._logs), self._logs, self._operations)
        data = records.encode_document(diagnosis)
        try:
            self._operations.retry(folder.replace, protocol.DOCTOR, data)
        except (ShareError, OSError) as error:
            return str(error)
        return ""


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


def _clear(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    try:
        root.parent.rmdir()
    except OSError:
        pass  # another doctor is at work


if __name__ == "__main__":
    main()
