"""A worker's end of one training process, and what that printed last."""

import contextlib
import math
import os
import platform
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO

from distune.signals import REQUESTS
from distune.study.study import Study
from distune.study.trial import Output, Record, Result
from distune.training import children
from distune.training.code import Code
from distune.training.messages import (
    Assignment,
    Died,
    End,
    InTurn,
    Prepare,
    Ready,
    Stop,
    TrainingStarted,
    decode_message,
    encode_message,
)
from distune.training.tail import Tail

_STACK_WITHIN = 0.5  # seconds for a hanging process to show where it is
_CLEAR_WITHIN = 0.5  # seconds until it is clear why a process is gone
_PIPE_BYTES = 65536
_LOOK_AT_CODE_EVERY = 0.5  # seconds
_COUNT_KILLS_EVERY = 1.0  # seconds
#: How many threads the numerical libraries start, as each of them reads it.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
# By its older name, which all versions of torch know.
_GPU_MEMORY = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


class ExecutorProcess:
    """A worker's end of one executor: `start(assignment)`, then `poll()` for messages. The process
    is started when it is first needed, and again when it has died.

    Args:
        prepare: what to tell it first.
        threads: for numerical libraries; more than there are free cores is a disaster.
        wake: called from another thread when there is something to poll.
        on_start, on_end: called with the process's pid.
        mark: in the environment of all that it starts, see `children.end_marked`.
        visible: its `CUDA_VISIBLE_DEVICES`; None for this process's.
        echo: takes what the objective prints, line by line.
    """

    def __init__(
        self,
        prepare: Prepare,
        *,
        threads: int = 1,
        wake: Callable[[], None] = lambda: None,
        on_start: Callable[[int], None] = lambda pid: None,
        on_end: Callable[[int], None] = lambda pid: None,
        echo: Callable[[str], None] | None = None,
        mark: str = "",
        visible: str | None = None,
    ) -> None:
        self.device = prepare.device
        self.pid: int | None = None  # while it runs
        self._own = {children.MARK: mark}  # of its environment
        if visible is not None:
            self._own["CUDA_VISIBLE_DEVICES"] = visible
        self._prepare = prepare
        self._threads = threads
        self._wake = wake
        self._on_start = on_start
        self._on_end = on_end
        self._echo = echo
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox: queue.SimpleQueue[tuple[int, Record] | None] = queue.SimpleQueue()
        self._tail: Tail | None = None
        self._study: Study | None = None  # the last one that the process knows
        self._codes: list[Code] = []  # of what is offered, as the process has loaded it
        self._next_look = 0.0  # at whether it has changed
        self._begun: set[int] = set()  # slots whose trial prints now
        self._memory_kills = 0
        self._counted_kills = -math.inf  # when that was
        self._gone: float | None = None  # since when nothing more is heard of the process

    def _launch(self) -> None:
        if self._process is not None:
            return
        self._codes = [Code.of_offer(offer) for offer in self._prepare.offers]
        reading, writing = os.pipe()
        options = [str(writing), str(os.getpid())]
        process = subprocess.Popen(
            children.python_command("distune.training.executor", *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            env={**executor_environment(self._threads), **self._own},
            start_new_session=True,  # Ctrl-C is the worker's business
        )
        os.close(writing)
        self.pid = process.pid
        self._on_start(process.pid)
        self._study = self._gone = None
        self._begun.clear()
        assert process.stdout is not None
        self._inbox = queue.SimpleQueue()
        self._tail = Tail(process.stdout, self._echo)
        messages = os.fdopen(reading, "rb", buffering=0)
        threading.Thread(target=self._listen, args=(messages, self._inbox), daemon=True).start()
        self._process = process
        self._send(encode_message(self._prepare))

    def _listen(
        self, messages: IO[bytes], inbox: queue.SimpleQueue[tuple[int, Record] | None]
    ) -> None:
        # Read here and kept in memory: a share that hangs must not make training wait (P9).
        rest = b""
        with messages:
            while piece := os.read(messages.fileno(), _PIPE_BYTES):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    inbox.put(decode_message(line))
                self._wake()  # once for all that came together
        inbox.put(None)
        self._wake()

    def _send(self, line: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has died; `poll` says so
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def prepare(self, seconds: float) -> Ready | Died:
        """Start it now and wait until it is ready."""
        self._launch()
        message = self._inbox.get(timeout=seconds)
        if message is None:
            return self._died()
        ready = message[1]
        assert isinstance(ready, Ready)  # the first thing that it says
        return ready

    def start(self, *assignments: Assignment) -> None:
        """Have it train a trial, or several short ones one after the other: in another process, if
        the user's code has changed since this one has loaded it.
        """
        if self._process is not None and self._has_new_code():
            self.end(grace=0.0)
        self._launch()
        study = assignments[0].study
        # Once, not with each trial: it is ten times as long (`bench_coordination.py speed`).
        if study is not None and study is not self._study:
            self._study = study
            self._send(encode_message(study))
        assert self._tail is not None
        self._tail.clear()
        if (now := time.monotonic()) >= self._counted_kills + _COUNT_KILLS_EVERY:
            self._memory_kills, self._counted_kills = children.memory_kills(), now
        shortened = [one.replace(study=None) for one in assignments]
        message = shortened[0] if len(shortened) == 1 else InTurn(assignments=shortened)
        self._send(encode_message(message))

    def _has_new_code(self) -> bool:
        if (now := time.monotonic()) < self._next_look:
            return False
        self._next_look = now + _LOOK_AT_CODE_EVERY
        for offer, code in zip(self._prepare.offers, self._codes, strict=True):
            if code.may_have_changed and Code.of_offer(offer).digest != code.digest:
                if self._echo is not None:
                    self._echo(f"distune: {offer.name} has changed: a fresh process trains it")
                return True
        return False

    def stop(self, slot: int = 0, *, save: bool = False) -> None:
        """Ask it to stop a training between two steps, or when it has saved its next state; it
        answers with a result.
        """
        self._send(encode_message(Stop(save=save), slot))

    def poll(self) -> list[tuple[int, Record | Died]]:
        """Messages, each with the slot of the trial it is about."""
        messages: list[tuple[int, Record | Died]] = []
        while not self._inbox.empty():
            message = self._inbox.get()
            if message is None:
                self._gone = time.monotonic()
            else:
                messages += self._with_output(*message)
        if self._gone is not None and self._is_clear(time.monotonic() - self._gone):
            messages.append((0, self._died()))
        return messages

    def _with_output(self, slot: int, message: Record) -> list[tuple[int, Record | Died]]:
        """A message; before a result what its trial has printed, if anything."""
        if isinstance(message, TrainingStarted):
            self._begun.add(slot)
        if not isinstance(message, Result) or slot not in self._begun or self._tail is None:
            return [(slot, message)]
        self._begun.discard(slot)
        printed = self._tail.of_trial(slot)
        if message.failure is not None and not message.failure.output:
            message = message.replace(failure=message.failure.replace(output=printed))
        return [*([(slot, Output(text=printed))] if printed else []), (slot, message)]

    def _is_clear(self, seconds: float) -> bool:
        """Whether it is why the process is gone, so long after. It may not have died yet; and who
        asked it to end asks its worker too, maybe a moment later.
        """
        assert self._process is not None
        status = self._process.poll()
        asked_to = status is not None and -status in REQUESTS
        return seconds >= _CLEAR_WITHIN or not (status is None or asked_to)

    def _died(self) -> Died:
        assert self._process is not None
        assert self._tail is not None
        by_itself = self._process.poll()
        status = children.end_process(self._process, grace=0.5)
        no_memory = status == -signal.SIGKILL and children.memory_kills() > self._memory_kills
        reason = children.describe_exit(status) + f": {children.NO_MEMORY}" * no_memory
        asked_to = by_itself is not None and -by_itself in REQUESTS
        died = Died(reason, self._tail.text(wait=0.5), no_memory, asked_to)
        self._forget()
        return died

    def abort(self) -> str:
        """Kill it because it hangs; what it printed last, with the stack it hangs in."""
        if self._process is None or self._tail is None:
            return ""
        tail = self._tail
        before, until = tail.text(), time.monotonic() + _STACK_WITHIN
        with contextlib.suppress(OSError):
            self._process.send_signal(signal.SIGUSR1)  # see `executor.main`
        while time.monotonic() < until and tail.text() == before:
            time.sleep(0.02)
        self.end(grace=0.0)
        return tail.text(wait=0.5)

    def terminate(self) -> None:
        """Ask the process to end, with all it has started; `end` makes sure."""
        if self._process is not None:
            self._send(encode_message(End()))
            children.signal_group(self._process.pid, signal.SIGTERM)

    def end(self, grace: float) -> None:
        """Stop the process and all it has started; what it still says is not heard."""
        if self._process is not None:
            if grace > 0:
                self._send(encode_message(End()))
            children.end_process(self._process, grace)
            self._forget()
        self._inbox, self._gone = queue.SimpleQueue(), None

    def renew(self) -> None:
        """End the process, and start the one that the next trial will find ready."""
        self.end(grace=0.0)
        self._launch()

    def _forget(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        ended, self.pid = self._process.pid, None
        self._process = self._gone = None
        self._on_end(ended)

    def tail(self) -> str:
        """What the objective printed last."""
        return self._tail.text() if self._tail is not None else ""


def threads_set_by_user() -> int | None:
    """How many threads `OMP_NUM_THREADS` says, if it says it as OpenMP reads it: `4`, or `4,2` for
    nested loops. Anything else (nothing, `auto`) OpenMP would take for all cores.
    """
    numbers = os.environ.get("OMP_NUM_THREADS", "").split(",")
    set_right = all(one.strip().isdecimal() and int(one) > 0 for one in numbers)
    return int(numbers[0]) if set_right else None


def executor_environment(threads: int) -> dict[str, str]:
    """For an executor's process; what the user has set stays.

    Keeping freed memory made training up to 1.45 times faster at batch 500. On GPUs, segments that
    can grow leave fewer holes in a memory that several trials share, and cuBLAS computes the same
    each time only if its workspaces have a fixed size.
    """
    found = dict(os.environ)
    if threads_set_by_user() is None:
        found.pop("OMP_NUM_THREADS", None)
    return {
        **({} if "PYTORCH_ALLOC_CONF" in os.environ else _GPU_MEMORY),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        **dict.fromkeys(_THREADS, str(threads)),
        "MALLOC_MMAP_THRESHOLD_": str(_largest_mmap_threshold()),
        "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        **found,
    }


def _largest_mmap_threshold() -> int:
    """That this glibc takes: one that it refuses is worse than none, because the other variable
    alone has every block of more than 128 KB given back at once.
    """
    library, version = platform.libc_ver()
    takes_more = library == "glibc" and [*map(int, version.split(".")[:2])] >= [2, 36]
    return 2**30 if takes_more else 2**25
