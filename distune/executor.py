"""The training process: `python -m distune.executor`, started and fed by a worker.

It takes assignments from its standard input and sends messages to a pipe, one JSON
object a line, and stays warm in between: what an objective imports, loads and compiles
is paid for once. What the objective prints goes to standard output, as anywhere.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any

from distune import processes
from distune.errors import UserError
from distune.messages import STOP, Assignment, Moved, Prepare, Ready, decode_message, encode_message
from distune.objective import Objective, Offer, Stopped, TrialContext, drive, find
from distune.trial import Failure, Outcome, Record, Result

_PROGRESS_EVERY = 0.3  # seconds


class _Executor:
    def __init__(self, requests: IO[bytes], messages: IO[bytes]) -> None:
        self._requests = requests
        self._messages = messages
        self._inbox: queue.SimpleQueue[Record] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._prepared = Prepare(device="cpu")
        self._device = "cpu"
        self._loaded: dict[str, Objective] = {}
        self._problem: str | None = None
        self._last_progress = 0.0

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            match self._inbox.get():
                case Prepare() as prepare:
                    self._prepare(prepare)
                case Assignment() as assignment:
                    self._train(assignment)

    def _listen(self) -> None:
        for line in self._requests:
            if line == STOP:
                self._stop.set()
            else:
                message = decode_message(line)
                # Cleared here, in the order of arrival: a stop meant for the attempt
                # before must not reach this one.
                self._stop.clear()
                self._inbox.put(message)
        processes.end_session(os.getsid(0))  # our worker is gone, or wants us gone
        os._exit(0)

    def _say(self, message: Record) -> None:
        self._messages.write(encode_message(message))
        self._messages.flush()

    def _prepare(self, prepare: Prepare) -> None:
        self._prepared = prepare
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
                self._device = _resolve(self._device)
        except UserError as error:
            return str(error)
        return None

    def _train(self, assignment: Assignment) -> None:
        study, trial = assignment.study, assignment.trial
        context = TrialContext(
            number=trial.number,
            attempt=trial.attempt,
            seed=trial.seed,
            device=self._device,
            folder=assignment.folder,
            max_seconds=study.max_seconds,
            data_dir=self._prepared.data_dir,
            report_progress=self._progress,
        )
        try:
            if self._problem is not None:
                raise UserError(self._problem)
            if study.objective in self._loaded:
                objective = self._loaded[study.objective]
            else:
                objective = find(study, trial, {})
            for message in drive(objective, study, trial, context, stopped=self._stop.is_set):
                self._say(message)
        except Stopped:
            failure = Failure(message="stopped by the master")
            self._say(Result(outcome=Outcome.RELEASED, failure=failure))
        except Exception as error:  # not the objective's: it could not even be found
            failure = Failure(message=f"{type(error).__name__}: {error}")
            self._say(Result(outcome=Outcome.FAILED, failure=failure))

    def _progress(self, fraction: float, images_per_second: float | None) -> None:
        if self._stop.is_set():
            raise Stopped  # earlier than at the end of a long epoch
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = now
            self._say(Moved(fraction=fraction, images_per_second=images_per_second))


def _resolve(device: str) -> str:
    """Ask torch, which only `workloads` may import, and only when it is not the CPU."""
    import importlib

    resolve: Callable[[str], str] = importlib.import_module("distune.workloads.device").resolve
    return resolve(device)


def main(arguments: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m distune.executor")
    parser.add_argument("--messages", type=int, required=True, help="file descriptor to write to")
    parser.add_argument("--parent", type=int, required=True, help="pid of the worker")
    options = parser.parse_args(arguments)
    processes.die_with_parent(options.parent)
    # An objective that reads its standard input finds nothing there, and not our requests.
    requests = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    with os.fdopen(options.messages, "wb") as messages:
        _Executor(requests, messages).run()


if __name__ == "__main__":
    main()
