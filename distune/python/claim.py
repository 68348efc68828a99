"""`distune.claim`: a worker whose trials are trained by the loop that asks for them."""

import atexit
import os
import queue
import secrets
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from distune.errors import UserError
from distune.python.claimed import ClaimedTrial
from distune.share import access
from distune.share.file_system import is_network
from distune.share.find_studies import find_studies
from distune.share.protocol import worker_id
from distune.share.waiting import SHORTEST_WAIT, Stall
from distune.study.study import Study
from distune.study.trial import Outcome, Record, Result
from distune.training.messages import Assignment, Died
from distune.worker.context import WorkerIdentity, WorkerOptions
from distune.worker.ending import DRAIN_SECONDS, MEANWHILE, Ending
from distune.worker.limits import WorkerLimits
from distune.worker.worker import Worker
from distune.workloads import WORKLOADS

_SHORTEST_REST = 0.01  # seconds between two looks at a file system of one machine
_LEFT_WITHIN = 2 * DRAIN_SECONDS  # seconds


class Claims(Iterator[ClaimedTrial]):
    """Trials as they are claimed, until nothing is left. What is held when the loop is left goes
    back to the study: at the end of a `with`, at `close()`, or when the program ends.

    Args:
        options: of a worker; its `study` names the one that is trained.
        device: what the loop trains on, for views.
        say: takes a line for people.
    """

    def __init__(self, options: WorkerOptions, device: str, say: Callable[[str], None]) -> None:
        logs = options.logs.resolve()
        if not logs.exists() and not logs.parent.exists():
            raise UserError(f"{logs} does not exist, nor does the folder it is in")
        self._options = options
        self._logs = logs
        self._say = say
        self._woken = threading.Event()
        self._leaves = False
        self._error: BaseException | None = None
        self._hands = _Hands(device, say, self._woken.set)
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(device,), daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ClaimedTrial:
        """The next one; waits until there is one.

        Raises:
            StopIteration: nothing is left.
            UserError: the trial before it was not trained, or the study cannot be.
        """
        if self._hands.forget():
            self.close()
            raise UserError("a trial that is claimed is trained in `with trial:`")
        trial = self._hands.next(self._thread)
        if trial is not None:
            return trial
        self.close()
        if self._error is not None:
            raise self._error
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held, and stop claiming."""
        if os.getpid() == self._pid:  # and not in a process that the loop has forked
            self._leaves = True
            self._woken.set()
            self._thread.join(_LEFT_WITHIN)
            atexit.unregister(self.close)

    # -- the worker, in a thread of its own ---------------------------------------------------

    def _run(self, device: str) -> None:
        try:
            self._work(device)
        except BaseException as error:
            self._error = error
        finally:
            self._hands.are_empty()

    def _work(self, device: str) -> None:
        options, name, pid = self._options, socket.gethostname(), os.getpid()
        identity = WorkerIdentity(worker_id(name, pid, secrets.token_hex(3)), name, pid, device)
        ends = time.monotonic() + options.time_limit if options.time_limit else float("inf")
        limits = WorkerLimits(ends, options.max_trials or float("inf"))
        worker = Worker(
            identity,
            lambda: find_studies(self._logs, options.study),
            [self._hands],
            may_open=self._may_open,
            forever=options.forever,
            limits=limits,
            say=self._say,
            base=self._logs,
        )
        try:
            self._loop(worker, Ending(worker, options, limits, self._say))
        finally:
            worker.drain("its loop has ended", DRAIN_SECONDS)

    def _loop(self, worker: Worker, ending: Ending) -> None:
        stall = Stall(self._say, MEANWHILE, lambda: worker.cut_off)
        pause = shortest = SHORTEST_WAIT if is_network(self._logs) else _SHORTEST_REST
        while not self._leaves:
            self._woken.clear()
            with stall.watched():
                worker.step()
            if self._leaves or ending.has_come():
                return
            if worker.active:
                pause = SHORTEST_WAIT if worker.claiming.has_rivals else shortest
            else:
                worker.rest()
            self._woken.wait(pause)
            pause = min(pause * 1.5, worker.longest_pause)

    def _may_open(self, name: str, study: Study) -> bool:
        if study.command is not None or study.objective in WORKLOADS:
            raise UserError(
                f"its trials are trained by {study.objective_name}, and by no loop: start "
                "distune worker for it"
            )
        study.refuse_earlier()
        folder = self._logs / name
        if not self._options.any_owner:
            access.check_owner(folder)
        access.check_writable(folder)
        return True


class _Hands:
    """The executor of such a worker: a loop that asks for its next trial when it is ready."""

    slots = 1

    def __init__(self, device: str, say: Callable[[str], None], wake: Callable[[], None]) -> None:
        self._device = device
        self._say = say
        self._wake = wake
        self._lock = threading.RLock()
        self._asks = False  # the loop waits
        self._trial: ClaimedTrial | None = None  # that it trains
        self._claimed: queue.SimpleQueue[ClaimedTrial | None] = queue.SimpleQueue()
        self._said: deque[tuple[int, Record | Died]] = deque()

    # -- for the loop ------------------------------------------------------------------------

    def next(self, worker: threading.Thread) -> ClaimedTrial | None:
        """Wait for a trial; None if there is none any more."""
        self._asks = True
        self._wake()
        if not worker.is_alive() and self._claimed.empty():
            return None
        return self._claimed.get()

    def forget(self) -> bool:
        """Give back the trial before, if it was not trained; whether it was not."""
        with self._lock:
            trial = self._trial
            if trial is None or trial.is_over:
                return False
            trial.forget()
            return True

    def are_empty(self) -> None:
        """No trial comes any more."""
        self._claimed.put(None)

    def _hear(self, trial: ClaimedTrial, message: Record) -> None:
        with self._lock:
            if trial is not self._trial:
                return  # it is not the worker's any more
            self._said.append((0, message))
            if isinstance(message, Result):
                self._trial = None
        self._wake()

    # -- for the worker ----------------------------------------------------------------------

    def takes(self, slot: int, study: Study) -> bool:
        return self._asks and self._trial is None

    def start(self, slot: int, assignment: Assignment) -> None:
        assert assignment.study is not None
        with self._lock:
            if assignment.self_test:
                # The loop is where it is; the worker has seen that it can write.
                self._said.append((0, Result(outcome=Outcome.COMPLETE)))
                return
            self._asks = False
            study, device = assignment.study, self._device
            self._trial = ClaimedTrial(assignment, study, device, self._hear, self._say)
            self._claimed.put(self._trial)

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        with self._lock:
            said = list(self._said)
            self._said.clear()
        return said

    def stop(self, slot: int, *, save: bool = False) -> None:
        with self._lock:
            if self._trial is not None:
                self._trial.stop(save=save)

    def terminate(self) -> None:
        self.stop(0)

    def end(self, slot: int, grace: float) -> None:
        """Whatever the loop still says of its trial is not heard."""
        with self._lock:
            self.stop(slot)
            self._trial = None
            self._said.clear()

    def abort(self, slot: int) -> str:
        self.end(slot, grace=0.0)
        return ""

    def tail(self) -> str:
        return ""


def claim(
    logs: str | os.PathLike[str],
    study: str,
    *,
    device: str,
    time_limit: float | None,
    max_trials: int | None,
    forever: bool,
    any_owner: bool,
    quiet: bool,
) -> Claims:
    """See `distune.claim`."""
    options = WorkerOptions(
        logs=Path(logs),
        study=study,
        time_limit=time_limit,
        max_trials=max_trials,
        forever=forever,
        any_owner=any_owner,
    )
    return Claims(options, device, _silent if quiet else _print)


def _print(line: str) -> None:
    # `print` would write the end of a line by itself where Python buffers nothing, and what the
    # loop prints meanwhile would come between.
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def _silent(line: str) -> None:
    pass
