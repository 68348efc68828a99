"""The training process: `python -m distune.training.executor`, started and fed by a worker.

It takes assignments from its standard input, sends messages to a pipe, a line each, and stays
warm in between. What the objective prints goes to standard output, as anywhere.
"""

import faulthandler
import io
import os
import queue
import select
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import IO

from distune.errors import UserError
from distune.share.access import DENIED
from distune.study.study import Study
from distune.study.trial import (
    FAILURES,
    Failure,
    Outcome,
    Record,
    Report,
    Result,
)
from distune.training import children
from distune.training.assigned import context_of
from distune.training.code import Code, CurrentCode
from distune.training.context import Stopped
from distune.training.messages import (
    LONG_TURN,
    WAITED,
    Assignment,
    End,
    InTurn,
    Prepare,
    Ready,
    Saves,
    Spent,
    Stop,
    TrainingProgress,
    TrainingStarted,
    decode_request,
    encode_message,
)
from distune.training.objective import drive, find
from distune.training.offer import Objective, Offer
from distune.training.printed import end_of_output
from distune.training.requests import Requests
from distune.training.surroundings import Surroundings, by_name, show_stack_on_request
from distune.workloads import WORKLOADS
from distune.workloads.data import DATA_SETS
from distune.workloads.data.folders import DataFolders

_PROGRESS_EVERY = 0.3  # seconds
_UNSENT_FOR = 0.05  # seconds, at most, of what is said while trials are trained in turn
_REQUEST_BYTES = 65536
_STOPPED = Result(outcome=Outcome.RELEASED, failure=Failure(message="stopped by the master"))


class _Executor:
    def __init__(self, assignments: IO[bytes], messages: IO[bytes]) -> None:
        self._assignments = assignments
        self._messages = messages
        self._inbox: queue.SimpleQueue[Record | Study] = queue.SimpleQueue()
        self._stops: set[int] = set()  # of the trials that are trained now
        self._saves_before_stop: set[int] = set()
        self._devices: tuple[str, ...] = ("cpu",)  # of each trial
        self._data = DataFolders.of()
        self._study: Study | None = None
        self._surroundings: Surroundings | None = None  # when it is prepared
        self._objectives: dict[str, Objective] = {}
        self._codes: dict[str, str] = {}  # of these, as they were loaded
        self._program = CurrentCode(lambda: Code("", ()))  # of the study's command
        self._problem: str | None = None
        self._last_progress = 0.0
        self._lock = threading.Lock()  # for the turns, and for what is said of them
        self._turns: deque[Assignment] = deque()  # that have not come
        self._rows = self._rows_over = 0  # of trials in turn: received, and trained
        self._turn_began = 0.0
        self._pid = os.getpid()
        self._requests = Requests()
        self._output = os.dup(1)  # an objective may close its own
        self._prints = False  # a trial that has begun and is not over

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            match self._inbox.get():
                case Prepare() as prepare:
                    self._prepare(prepare)
                case Study() as study:
                    self._study = study
                    self._program = CurrentCode(partial(Code.of_command, study.command or ()))
                case Assignment() as assignment:
                    self._train(assignment)
                case InTurn(assignments=assignments):
                    self._train_in_turn(assignments)

    def _listen(self) -> None:
        for line in self._lines():
            slot, message = decode_request(line)
            if isinstance(message, Stop) and message.save:
                self._saves_before_stop.add(slot)
            elif isinstance(message, Stop):
                self._stops.add(slot)
            elif isinstance(message, End):
                if self._requests.is_followed:
                    os._exit(0)
            else:
                # Cleared here, in the order of arrival: a stop meant for the attempt
                # before must not reach this one.
                self._stops.clear()
                self._saves_before_stop.clear()
                if isinstance(message, InTurn):
                    self._turn_began = time.monotonic()
                    self._rows += 1
                self._inbox.put(message)
        children.end_session(os.getsid(0))  # the worker is gone, or wants this process gone
        os._exit(0)

    @property
    def _in_turn(self) -> bool:
        # The worker may have heard the end of a row, and sent the next, before it is noted here.
        return self._rows != self._rows_over

    def _lines(self) -> Iterator[bytes]:
        """Requests, until there are no more; meanwhile sees to what is trained in turn."""
        rest = b""
        while True:
            while self._in_turn and not select.select([self._assignments], [], [], _UNSENT_FOR)[0]:
                self._look_after_turns()
            piece = os.read(self._assignments.fileno(), _REQUEST_BYTES)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            yield from lines

    def _look_after_turns(self) -> None:
        """Send what was said, and give back what waits for a trial that takes too long."""
        if time.monotonic() - self._turn_began >= LONG_TURN:
            with self._lock:
                while self._turns:
                    self._say(WAITED, self._turns.pop().slot)
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
        self._devices = tuple(prepare.devices) or (prepare.device,)
        self._data = DataFolders.of(prepare.data_dir)
        bad_offer = self._load(prepare.offers)
        self._problem = bad_offer
        try:
            if bad_offer is None and prepare.device != "cpu":
                self._devices = tuple(map(by_name("device").resolve, self._devices))
        except UserError as error:
            self._problem = str(error)
        self._surroundings = Surroundings()
        self._say(
            Ready(device=self._devices[0], problem=self._problem, blames_offer=bool(bad_offer))
        )

    def _load(self, offers: Sequence[Offer]) -> str | None:
        """Load the user's objectives; what is wrong with one, if anything."""
        for offer in offers:
            try:
                before = Code.of_offer(offer).digest
                self._objectives[offer.name] = offer.load()
                after = Code.of_offer(offer).digest
                # What changed while it was loaded is neither.
                self._codes[offer.name] = after if before == after else f"{before}-{after}"
            except BaseException as error:
                return f"--objective {offer.name}: {type(error).__name__}: {error}"
        return None

    def _train_in_turn(self, assignments: Sequence[Assignment]) -> None:
        """Train short trials one after the other; what they say is sent together."""
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

    def _train(self, assignment: Assignment) -> None:
        """Train a trial; always ends with a result."""
        leftovers = children.Leftovers()
        self._requests.training, self._requests.saves = True, False
        try:
            result = self._result_of(assignment)
        except Stopped:
            result = _STOPPED
        except Exception as error:  # not the objective's: it could not even be found
            failure = Failure(message=f"{type(error).__name__}: {error}")
            result = Result(outcome=Outcome.FAILED, failure=failure)
        if (asked := self._requests.signal) and _may_be_followed(result):
            # Also what an objective makes of the end of a process of its own, which was asked, too.
            failure = Failure(message=f"its training process got {asked.name}")
            result = Result(outcome=Outcome.RELEASED, failure=failure)
        # Before the result, so that the next trial finds the memory that they hold.
        self._leave_if_forked()
        if left := leftovers.clear():
            left_behind = f"{left} process{'es' * (left > 1)} that the trial had left behind"
            _say_to_people(f"killed {left_behind}; the next one gets a fresh process")
        self._give_back()
        # What has failed may fail every other trial from now on, and a library whose helper was
        # killed may wait for it for ever.
        failed = result.outcome in FAILURES
        for_one = self._study is not None and self._study.fresh_process
        spent = left > 0 or (failed and not result.infeasible) or for_one
        if failed or spent:
            # The worker has the others assigned again: what they print here would stand below the
            # output of the one that failed.
            with self._lock:
                self._turns.clear()
        self._end_output(assignment.slot)
        if spent:
            self._say(Spent(), assignment.slot)
        self._say(result, assignment.slot)
        self._requests.training = False
        if asked := self._requests.signal:
            self._messages.flush()
            children.die_of(asked)

    def _end_output(self, slot: int) -> None:
        """Tell what the trial has printed from what the next one prints, if it began."""
        if not self._prints:
            return
        self._prints = False
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # whatever the objective has put there
                stream.flush()
        with suppress(OSError):
            os.write(self._output, end_of_output(slot))

    def _result_of(self, assignment: Assignment) -> Result:
        study = self._study
        assert study is not None  # it came before the assignment
        if assignment.self_test:
            problem = find_problem(study, assignment.folder, self._devices, self._data)
            if problem is None:
                return Result(outcome=Outcome.COMPLETE)
            return Result(outcome=Outcome.FAILED, failure=Failure(message=problem))
        if self._problem is not None:
            raise UserError(self._problem)
        trial, slot = assignment.trial, assignment.slot
        objective = find(study, trial, self._objectives)
        assert self._surroundings is not None
        self._surroundings.restore(trial.seed)
        code = self._code_of(study)  # of a command, where the trial before may have changed folders
        context = context_of(
            study,
            assignment,
            devices=self._devices,
            data=self._data,
            code=code,
            tell=partial(self._tell, slot),
            progress=partial(self._progress, slot),
            ends_when_saved=lambda: bool(slot in self._saves_before_stop or self._requests.signal),
            say=_say_to_people,
        )
        self._prints = True
        self._say(TrainingStarted(code=code), slot)
        message: Report | Result | None = None
        try:
            stopped = partial(self._stops.__contains__, slot)
            for message in drive(objective, study, trial, context, stopped=stopped):
                if isinstance(message, Report):
                    self._say(message, slot)
        finally:
            context.close()
        assert isinstance(message, Result)  # `drive` ends with one
        return message

    def _tell(self, slot: int, message: Record) -> None:
        if isinstance(message, Saves):
            self._requests.saves = True
        self._say(message, slot)

    def _code_of(self, study: Study) -> str:
        if study.command is not None:
            return self._program.digest  # a program is read when it is started
        return self._codes.get(study.objective or "", "")

    def _give_back(self) -> None:
        """The memory of a GPU that is kept for the next trial, but others may want now."""
        if self._devices[0].startswith("cuda") and "torch" in sys.modules:
            by_name("device").give_back(self._devices[0])

    def _progress(self, slot: int, fraction: float, images_per_second: float | None) -> None:
        if slot in self._stops:
            raise Stopped  # earlier than at the end of a long epoch
        now = time.monotonic()
        if now - self._last_progress >= _PROGRESS_EVERY:
            self._last_progress = now
            progress = TrainingProgress(fraction=fraction, images_per_second=images_per_second)
            self._say(progress, slot)


def _may_be_followed(result: Result) -> bool:
    """Whether a trial may have ended so because its process, and its own, were asked to end."""
    ended = result.outcome is Outcome.RELEASED or result.outcome in FAILURES
    return ended and not result.infeasible


def _say_to_people(line: str) -> None:
    print(f"distune: {line}", flush=True)


def find_problem(
    study: Study, folder: str, devices: Sequence[str], data: DataFolders
) -> str | None:
    """What is wrong with this host, if anything."""
    try:
        _check_writing(folder)
        for device in dict.fromkeys(devices):
            if device != "cpu" or study.objective in WORKLOADS:
                by_name("device").check(device)
        for dataset in study.datasets:
            by_name("data.loading").check(DATA_SETS[dataset], data)
    except Exception as error:
        return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return None


def _check_writing(folder: str) -> None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(2**20))
    except OSError as error:
        raise UserError(f"cannot write in {tempfile.gettempdir()}: {error.strerror}") from None
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        # The share being away or full is no fault of this host's.
        if error.errno in DENIED:
            raise UserError(f"cannot write in {folder}: {error.strerror}") from None


def main(descriptor: int, parent: int) -> None:
    """Train what the worker of that pid asks for; answer to a file descriptor."""
    children.die_with_parent(parent)
    # A crash leaves its Python stack in the output.
    faulthandler.enable()
    show_stack_on_request()
    for stream in (sys.stdout, sys.stderr):
        # The worker reads UTF-8, whatever the terminal of its user shows.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    # An objective that reads its standard input finds nothing there, and not the requests.
    assignments = os.fdopen(os.dup(0), "rb", buffering=0)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    os.dup2(sys.stdin.fileno(), 0)
    with os.fdopen(descriptor, "wb") as messages:
        _Executor(assignments, messages).run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
