"""A second process beside a worker, which gives its trials back should it be killed: else they
would wait for the lease to run out, two minutes on a network file system.

The guardian sleeps until the pipe from its worker ends. If the worker has not said goodbye, it
is dead: the guardian ends its training processes, whatever they have started included, and only
then gives the files back (P7). Where everything dies at once, there is still the lease.
"""

import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from distune import streams
from distune.errors import BadRecord, ShareError
from distune.share.folder import Folder
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.signals import REQUESTS
from distune.study.trial import Failure, Outcome, Result
from distune.training import children

_ENDED_WITHIN = 5.0  # seconds for training processes to be gone
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0  # seconds between two tries


class Guardian:
    """A worker's end: `Guardian(say)`, as early as possible, because it forks; then tell it.

    Args:
        say: takes a line for people, in the guardian's process.

    Attributes:
        mark: for the environment of the worker's training processes: what bears it ends with the
            worker, wherever it hides.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.mark = secrets.token_hex(8)
        sys.stdout.flush()
        sys.stderr.flush()
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(writing)
                _guard(reading, self.mark, say)
                status = 0
            finally:
                streams.last_words()
                os._exit(status)  # nothing of what this process began as is to be run
        os.close(reading)
        self._pipe = writing

    def tell(self, what: str, value: str | int | None) -> None:
        """Tell it of the `worker` whose files it gives back, of a `study`, a folder in which they
        may lie, of the pid of a training process, a session's leader, that has `started` and has
        to end first, or has `ended`: its number may be another's one day.
        """
        line = json.dumps([what, value]) + "\n"
        with contextlib.suppress(OSError):  # the guardian was killed: then the lease has to do
            os.write(self._pipe, line.encode())

    def dismiss(self) -> None:
        """The worker ends orderly."""
        self.tell("goodbye", None)
        with contextlib.suppress(OSError):
            os.close(self._pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _guard(reading: int, mark: str, say: Callable[[str], None]) -> None:
    """The guardian's whole life."""
    os.setsid()  # what is sent to the worker's group is not meant for the guardian
    for sig in REQUESTS:  # Slurm finds it in its new session, too
        signal.signal(sig, signal.SIG_IGN)
    worker, studies, training = "", dict[str, None](), set[int]()
    with os.fdopen(reading, "rb") as pipe:
        for line in pipe:
            match json.loads(line):
                case ["worker", str(name)]:
                    worker = name
                case ["study", str(folder)]:
                    studies[folder] = None  # in their order, once
                case ["started", int(pid)]:
                    training.add(pid)
                case ["ended", int(pid)]:
                    training.discard(pid)
                case _:
                    return
    for pid in training:
        children.end_session(pid, within=_ENDED_WITHIN)
    children.end_marked(mark, within=_ENDED_WITHIN)
    for folder in studies:
        _give_back(Path(folder), worker, say)


def _give_back(folder: Path, worker: str, say: Callable[[str], None]) -> None:
    """Release all that a worker holds in a study; try for as long as its lease could take."""
    store = Store(Folder(folder))
    pause = _SHORTEST_PAUSE
    until: float | None = None
    while until is None or time.monotonic() < until:
        try:
            until = until or time.monotonic() + 2 * store.load().lease
            for name in store.listing().attempts:
                if name.worker == worker and name.state is State.TAKEN:
                    said = _release(store, name)
                    say(f"trial {name.label}: {said}, because worker {worker} was killed")
            store.remove_beat(worker)
            return
        except (ShareError, FileNotFoundError):
            until = until or time.monotonic() + _LONGEST_PAUSE
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        except BadRecord:
            return  # not even study.json can be read


def _release(store: Store, name: AttemptName) -> str:
    """End one attempt in the worker's name, which no process uses any more."""
    with contextlib.suppress(BadRecord):
        result = store.read_attempt(name).result
        if result is not None:  # it had only the rename left to do
            if result.outcome is Outcome.PAUSED:
                store.pause(name)
                return "paused"
            store.finish(name)
            return "finished"
    failure = Failure(message="its worker was killed")
    store.distrust_tail(name.live_path)  # it may have died in the middle of a line
    with contextlib.suppress(FileNotFoundError):
        store.append(name, [Result(outcome=Outcome.RELEASED, failure=failure)])
    store.lose(name, Actor.OWNER)
    return "given back"
