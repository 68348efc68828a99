"""The training process: `python -m distune.training.executor`, started and fed by a worker.

It takes assignments from its standard input and sends messages to a pipe, one JSON
object a line, and stays warm in between: what an objective imports, loads and compiles
is paid for once. What the objective prints goes to standard output, as anywhere.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import queue
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO, Any

from distune.errors import UserError
from distune.study.study import Study
from distune.study.trial import FAILURES, Failure, Outcome, Record, Result
from distune.training import children
from distune.training.leftovers import Leftovers
from distune.training.messages import (
    Assignment,
    InTurn,
    Prepare,
    Ready,
    SelfTest,
    SelfTested,
    TrainingProgress,
    TrainingStarted,
    decode_message,
    decode_stop,
    encode_message,
)
from distune.training.objective import drive, find
from distune.training.offer import Objective, Offer
from distune.training.self_test import by_name, find_problem
from distune.training.trial_context import Stopped, TrialContext
from distune.workloads.data.folders import DataFolders

_PROGRESS_EVERY = 0.3  # seconds
_UNSENT_FOR = 0.05  # seconds, at most, of what is said while trials are trained in turn
_LONG_TURN = 0.5  # seconds of one of them, until the others go back to where they can be trained
_REQUEST_BYTES = 65536
_STOPPED = Result(outcome=Outcome.RELEASED, failure=Failure(message="stopped by the master"))
_WAITED = Result(
    outcome=Outcome.RELEASED,
    failure=Failure(message="another trial took longer than expected; this one can be tried now"),
)


class _Executor:
    def __init__(self, requests: IO[bytes], messages: IO[bytes]) -> None:
        self._requests = requests
        self._messages = messages
        self._inbox: queue.SimpleQueue[Record | Study] = queue.SimpleQueue()
        self._stops: set[int] = set()  # of the trials that are trained now
        self._prepared = Prepare(device="cpu")
        self._device = "cpu"
        self._data = DataFolders.of()
        self._study: Study | None = None
        self._loaded: dict[str, Objective] = {}
        self._problem: str | None = None
        self._last_progress = 0.0
        self._lock = threading.Lock()  # for the turns, and for what is said of them
        self._turns: deque[Assignment] = deque()  # that have not come
        self._rows = self._rows_over = 0  # of trials in turn: received, and trained
        self._turn_began = 0.0
        self._pid = os.getpid()

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            match self._inbox.get():
                case Prepare() as prepare:
                    self._prepare(prepare)
                case Study() as study:
                    self._study = study
                case Assignment() as assignment:
                    self._train(assignment)
                case InTurn(assignments=assignments):
                    self._train_in_turn(assignments)
                case SelfTest() as test:
                    assert self._study is not None  # it came before the test
                    problem = find_problem(self._study, test.folder, self._device, self._data)
                    self._say(SelfTested(problem=problem))

    def _listen(self) -> None:
        for line in self._lines():
            slot = decode_stop(line)
            if slot is not None:
                self._stops.add(slot)
            else:
                message = decode_message(line)
                # Cleared here, in the order of arrival: a stop meant for the attempt
                # before must not reach this one.
                self._stops.clear()
                if isinstance(message, InTurn):
                    self._turn_began = time.monotonic()
                    self._rows += 1
                self._inbox.put(message)
        children.end_session(os.getsid(0))  # the worker is gone, or wants this process gone
        os._exit(0)

    @property
    def _in_turn(self) -> bool:
        # Counted: the worker may have heard the end of a row, and sent the next, before it is noted
        # here.
        return self._rows != self._rows_over

    def _lines(self) -> Iterator[bytes]:
        """Requests, until there are no more; meanwhile sees to what is trained in turn."""
        rest = b""
        while True:
            while self._in_turn and not select.select([self._requests], [], [], _UNSENT_FOR)[0]:
                self._look_after_turns()
            piece = os.read(self._requests.fileno(), _REQUEST_BYTES)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def _look_after_turns(self) -> None:
        """Send what was said, and give back what waits for a trial that takes longer than it
        should: other workers may have time for it.
        """
        if time.monotonic() - self._turn_began >= _LONG_TURN:
            with self._lock:
                while self._turns:
                    self._say(_WAITED, self._turns.pop().slot)
        self._messages.flush()

    def _leave_if_forked(self) -> None:
        """An objective that forks, and whose child returns, must not double this process."""
        if os.getpid() != self._pid:
            os._exit(0)

    def _say(self, message: Record, slot: int = 0) -> None:
        self._leave_if_forked()
        self._messages.write(encode_message(message, slot))
        if not self._in_turn:
            self._messages.flush()

    def _prepare(self, prepare: Prepare) -> None:
        self._prepared = prepare
        self._data = DataFolders.of(prepare.data_dir)
        bad_offer = self._load_offers()
        self._problem = bad_offer or self._find_device()
        self._say(Ready(device=self._device, problem=self._problem, blames_offer=bool(bad_offer)))

    def _load_offers(self) -> str | None:
        """Load the user's objectives; what is wrong with one, if anything."""
        for offer in self._prepared.offers:
            try:
                self._loaded[offer.name] = Offer(offer.name, offer.path).load()
            except BaseException as error:
                return f"--objective {offer.name}: {type(error).__name__}: {error}"
        return None

    def _find_device(self) -> str | None:
        """Find the device; what is wrong with it, if anything."""
        self._device = self._prepared.device
        try:
            if self._device != "cpu":
                self._device = by_name("device").resolve(self._device)
        except UserError as error:
            return str(error)
        return None

    def _train_in_turn(self, assignments: Sequence[Assignment]) -> None:
        """Train short trials one after the other, and tell of all at the end."""
        with self._lock:
            self._turns.extend(assignments)
        while (assignment := self._next_turn()) is not None:
            if assignment.slot in self._stops:
                self._say(_STOPPED, assignment.slot)
            else:
                self._train(assignment)
        self._rows_over += 1
        self._messages.flush()

    def _next_turn(self) -> Assignment | None:
        with self._lock:
            self._turn_began = time.monotonic()
            return self._turns.popleft() if self._turns else None

    def _forget_turns(self) -> None:
        """After a failure the worker has the others assigned again: what they print here would
        stand below the output of the one that failed.
        """
        with self._lock:
            self._turns.clear()

    def _train(self, assignment: Assignment) -> None:
        """Train a trial; always ends with a result."""
        leftovers = Leftovers()
        slot = assignment.slot
        result = None
        try:
            for message in self._messages_of(assignment):
                if isinstance(message, Result):
                    result = message
                else:
                    self._say(message, slot)
        except Stopped:
            result = _STOPPED
        except Exception as error:  # not the objective's: it could not even be found
            failure = Failure(message=f"{type(error).__name__}: {error}")
            result = Result(outcome=Outcome.FAILED, failure=failure)
        assert result is not None  # `drive` ends with one
        # Before the result, so that the next trial finds the memory that they hold.
        self._leave_if_forked()
        left = leftovers.clear()
        if left:
            print(f"distune: killed {left} processes that the trial had left behind", flush=True)
        self._give_back()
        if result.outcome in FAILURES:
            self._forget_turns()
        self._say(result, slot)

    def _messages_of(self, assignment: Assignment) -> Iterator[Record]:
        if self._problem is not None:
            raise UserError(self._problem)
        study = self._study
        assert study is not None  # it came before the assignment
        objective = self._loaded.get(study.objective or "")
        if objective is None:
            objective = find(study, assignment.trial, {})
        context = self._context(study, assignment)
        yield TrainingStarted()
        stopped = partial(self._stops.__contains__, assignment.slot)
        yield from drive(objective, study, assignment.trial, context, stopped=stopped)

    def _context(self, study: Study, assignment: Assignment) -> TrialContext:
        return TrialContext(
            number=assignment.trial.number,
            attempt=assignment.trial.attempt,
            seed=assignment.trial.seed,
            device=self._device,
            folder=assignment.folder,
            max_seconds=study.max_seconds,
            data=self._data,
            report_progress=partial(self._progress, assignment.slot),
        )

    def _give_back(self) -> None:
        """The memory of a GPU that is kept for the next trial, but others may want now."""
        if self._device.startswith("cuda") and "torch" in sys.modules:
            by_name("device").give_back(self._device)

    def _progress(self, slot: int, fraction: float, images_per_second: float | None) -> None:
        if slot in self._stops:
            raise Stopped  # earlier than at the end of a long epoch
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = now
            self._say(
                TrainingProgress(fraction=fraction, images_per_second=images_per_second), slot
            )


def main(arguments: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m distune.training.executor")
    parser.add_argument("--messages", type=int, required=True, help="file descriptor to write to")
    parser.add_argument("--parent", type=int, required=True, help="pid of the worker")
    options = parser.parse_args(arguments)
    children.die_with_parent(options.parent)
    # A crash leaves its Python stack in the output, and SIGUSR1 (before a hanging trial is
    # killed) shows where it hangs.
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    # An objective that reads its standard input finds nothing there, and not the requests.
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    with os.fdopen(options.messages, "wb") as messages:
        _Executor(requests, messages).run()


if __name__ == "__main__":
    main()
