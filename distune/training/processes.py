"""Child processes that never outlive their parent, and what they printed last."""

from __future__ import annotations

import ctypes
import fcntl
import math
import os
import queue
import re
import selectors
import signal
import subprocess
import sys
import termios
import threading
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import psutil

from distune.study.study import Study
from distune.study.trial import Failure, Outcome, Record, Result
from distune.training.messages import (
    Assignment,
    InTurn,
    Prepare,
    Ready,
    SelfTest,
    decode_with_slot,
    encode_message,
    encode_stop,
)

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 2, 36
#: Helpers of libraries that live as long as the process they help.
_HELPERS = re.compile(r"multiprocessing[./](resource_tracker|forkserver)|compile_worker")
_UNKILLABLE_AFTER = 5.0  # seconds; a process that waits for a driver or a share may not die
_STACK_WITHIN = 0.5  # seconds for a hanging process to show where it is
_WALL = 0x40000000  # waitid(2): children of any kind
_TAIL_BYTES = 8192
_PIPE_BYTES = 65536
_COUNT_KILLS_EVERY = 1.0  # seconds
#: How many threads the numerical libraries start, as each of them reads it.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def die_with_parent(parent: int, sig: int = signal.SIGKILL) -> None:
    """Ask the kernel for `sig` when the parent dies (prctl(2), Linux); leave at once if it
    has died already. Elsewhere a child notices the end of its standard input.

    Args:
        parent: its pid, as it told the child.
    """
    _on_parents_death(sig)
    if os.getppid() != parent:
        os._exit(1)


def _on_parents_death(sig: int) -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0)


def _signal_on_parents_death() -> int:
    current = ctypes.c_int(0)
    if _libc is not None:
        _libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(current), 0, 0, 0)
    return current.value


def spawn(
    command: Sequence[str], *, sig: int = signal.SIGKILL, **options: Any
) -> subprocess.Popen[bytes]:
    """`subprocess.Popen` for a program that knows nothing of us: it dies with its parent."""
    parent = os.getpid()
    return subprocess.Popen(command, preexec_fn=lambda: die_with_parent(parent, sig), **options)


@contextmanager
def guarded(command: Sequence[str], grace: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, to be read from, in a process group that is ended with it: TERM, and
    KILL after `grace` seconds; also what it leaves behind when it ends by itself.

    Meanwhile the death of our parent does not kill us at once, or the program's own
    children would live on. The end of our input tells us instead (`end_session`).
    """
    process = spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, process_group=0)
    before = _signal_on_parents_death()
    _on_parents_death(0)
    try:
        yield process
    finally:
        if process.poll() is None:
            _ask_to_end(process, grace)
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        _on_parents_death(before)


def end_process(process: subprocess.Popen[bytes], grace: float) -> int | None:
    """Stop a session leader and all it has started: TERM, and KILL after `grace` seconds.

    Returns:
        Its exit status, as `subprocess` gives it; None if even KILL does not end it.
    """
    if grace > 0:
        _ask_to_end(process, grace)
    end_session(process.pid)
    try:
        return process.wait(_UNKILLABLE_AFTER)
    except subprocess.TimeoutExpired:
        return None


def _ask_to_end(process: subprocess.Popen[bytes], grace: float) -> None:
    """TERM to its group, and `grace` seconds of time for it."""
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        pass


def end_session(leader: int, within: float = 0.0) -> None:
    """Kill every process of a session, and every descendant of its leader, but the caller;
    wait up to `within` seconds until they are gone.
    """
    deadline = time.monotonic() + within
    while True:
        doomed = (_session_of(leader) | _descendants(leader)) - {os.getpid()}
        _kill(doomed)
        if not any(map(_is_alive, doomed)) or time.monotonic() >= deadline:
            return
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def _session_of(leader: int) -> set[int]:
    found = set()
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == leader:
                found.add(pid)
        except OSError:
            continue  # gone, or not ours
    return found


def _descendants(ancestor: int) -> set[int]:
    try:
        return {child.pid for child in psutil.Process(ancestor).children(recursive=True)}
    except psutil.Error:
        return set()


class Litter:
    """Processes that a trial starts and leaves behind: `Litter()` before it, `clear()` after.

    Orphans are handed to us from now on (prctl(2), Linux), so that a daemon of a trial's
    cannot hide in a session of its own.
    """

    def __init__(self) -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._before = self._mine()

    def _mine(self) -> set[int]:
        return _descendants(os.getpid()) if _has_children() else set()

    def clear(self) -> int:
        """Kill them; how many they were. Libraries' own helpers are let live."""
        left = {pid for pid in self._mine() - self._before if not _is_helper(pid)}
        _kill(left)
        living = 0
        for pid in left:
            try:
                dead, status = os.waitpid(pid, 0)  # no zombies either
                living += dead != 0 and os.WIFSIGNALED(status)
            except ChildProcessError:
                living += 1  # somebody else's child: a grandchild of ours
        return living


def _has_children() -> bool:
    """A look that costs next to nothing, because it is taken in every trial."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return False
    except (AttributeError, OSError):
        pass  # a system that does not tell
    return True


def _is_helper(pid: int) -> bool:
    try:
        return _HELPERS.search(" ".join(psutil.Process(pid).cmdline())) is not None
    except psutil.Error:
        return False


def memory_kills() -> int:
    """How many processes this machine's kernel has killed for want of memory (Linux)."""
    try:
        with open("/proc/vmstat", "rb") as statistics:
            return int(statistics.read().partition(b"\noom_kill ")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return 0


def _signal_group(group: int, sig: int) -> None:
    try:
        os.killpg(group, sig)
    except (ProcessLookupError, PermissionError):
        pass


def describe_exit(status: int | None) -> str:
    """`-9` is "was killed by SIGKILL"."""
    if status is None:
        return "cannot even be killed; it waits for a driver or a file system"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}"


class Tail:
    """The last few kilobytes of a stream, read by a thread so that its writer never waits; the
    thread closes it at its end.
    """

    def __init__(self, stream: IO[bytes], echo: Callable[[str], None] | None = None) -> None:
        self._stream = stream
        self._echo = echo
        self._bytes = bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stream, selectors.EVENT_READ)
            while True:
                selector.select()
                with self._lock:  # what is out of the pipe is in `_bytes`, see `catch_up`
                    piece = os.read(self._stream.fileno(), _TAIL_BYTES)
                    self._bytes += piece
                    del self._bytes[:-_TAIL_BYTES]
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > _TAIL_BYTES or not piece:
                    lines, rest = [*lines, *([rest] if rest else [])], b""
                if self._echo is not None:
                    for line in lines:
                        self._echo(line.decode(errors="replace"))
                if not piece:
                    break
        with self._lock:
            self._stream.close()

    def catch_up(self, seconds: float) -> None:
        """Wait until all that its writer has written by now is read, but no longer than that."""
        until = time.monotonic() + seconds
        unread = array("i", [0])
        while time.monotonic() < until:
            with self._lock:
                if self._stream.closed:
                    return
                fcntl.ioctl(self._stream.fileno(), termios.FIONREAD, unread)
            if not unread[0]:
                return
            time.sleep(0.005)

    def clear(self) -> None:
        with self._lock:
            self._bytes.clear()

    def text(self, wait: float = 0.0) -> str:
        """What it holds; `wait` seconds for the stream's end, if its writer is dead."""
        self._thread.join(wait)
        with self._lock:
            return self._bytes.decode(errors="replace")


@dataclass(frozen=True)
class Died:
    """An executor's process is gone, and not because we ended it."""

    reason: str
    output: str
    out_of_memory: bool = False

    def as_result(self) -> Result:
        """Of an attempt that was trained there."""
        return Result(
            outcome=Outcome.OUT_OF_MEMORY if self.out_of_memory else Outcome.FAILED,
            failure=Failure(message=f"the training process {self.reason}", output=self.output),
        )


class ExecutorProcess:
    """A worker's end of one executor: `start(assignment)`, then `poll()` for messages.

    The process is started when it is first needed, and again when it has died.

    Args:
        prepare: what to tell it first.
        threads: for numerical libraries; more than there are free cores is a disaster.
        wake: called from another thread when there is something to poll.
        on_start, on_end: called with the process's pid.
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
    ) -> None:
        self._prepare = prepare
        self._threads = threads
        self._wake = wake
        self._on_start = on_start
        self._on_end = on_end
        self._echo = echo
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox: queue.SimpleQueue[tuple[int, Record] | None] = queue.SimpleQueue()
        self._tail: Tail | None = None
        self._study: Study | None = None  # the last one that the process was told of
        self._memory_kills = 0
        self._counted_kills = -math.inf  # when that was

    def _launch(self) -> subprocess.Popen[bytes]:
        reading, writing = os.pipe()
        command = [sys.executable, "-u", "-m", "distune.training.executor"]
        process = subprocess.Popen(
            [*command, "--messages", str(writing), "--parent", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            env=executor_environment(self._threads),
            start_new_session=True,  # Ctrl-C is the worker's business
        )
        os.close(writing)
        self._on_start(process.pid)
        self._study = None
        assert process.stdout is not None
        self._inbox = queue.SimpleQueue()
        self._tail = Tail(process.stdout, self._echo)
        messages = os.fdopen(reading, "rb", buffering=0)
        threading.Thread(target=self._listen, args=(messages, self._inbox), daemon=True).start()
        self._process = process
        self._send(encode_message(self._prepare))
        return process

    def _listen(
        self, messages: IO[bytes], inbox: queue.SimpleQueue[tuple[int, Record] | None]
    ) -> None:
        # Read here and kept in memory: a share that hangs must not make training wait (P9).
        rest = b""
        with messages:
            while piece := os.read(messages.fileno(), _PIPE_BYTES):
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    inbox.put(decode_with_slot(line))
                self._wake()  # once for all that came together
        inbox.put(None)
        self._wake()

    def _send(self, line: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            pass  # it has died; `poll` says so

    @property
    def device(self) -> str:
        return self._prepare.device

    def prepare(self, seconds: float) -> Ready | Died:
        """Start it now and wait until it is ready."""
        if self._process is None:
            self._launch()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                message = self._inbox.get(timeout=0.1)
            except queue.Empty:
                continue
            if message is None:
                return self._died()
            if isinstance(message[1], Ready):
                return message[1]
        raise TimeoutError

    def start(self, *assignments: Assignment) -> None:
        """Have it train a trial, or several short ones one after the other."""
        shortened = [self._shortened(one) for one in assignments]
        self._ask(shortened[0] if len(shortened) == 1 else InTurn(assignments=shortened))

    def self_test(self, test: SelfTest) -> None:
        """Have it test its host; it answers with `SelfTested`."""
        if self._process is None:
            self._launch()
        self._ask(test)

    def _ask(self, message: Record) -> None:
        assert self._tail is not None
        self._tail.clear()
        self._count_kills()
        self._send(encode_message(message))

    def _shortened(self, assignment: Assignment) -> Assignment:
        """Without the study that the process knows: it is ten times as long as a trial."""
        if self._process is None:
            self._launch()
        known, self._study = self._study, assignment.study
        return assignment.replace(study=None) if assignment.study is known else assignment

    def _count_kills(self) -> None:
        now = time.monotonic()
        if now >= self._counted_kills + _COUNT_KILLS_EVERY:
            self._memory_kills, self._counted_kills = memory_kills(), now

    def stop(self, slot: int = 0) -> None:
        """Ask it to stop a training between two steps; it answers with a result."""
        self._send(encode_stop(slot))

    def poll(self) -> list[tuple[int, Record | Died]]:
        """Messages, each with the slot of the trial it is about."""
        messages: list[tuple[int, Record | Died]] = []
        while not self._inbox.empty():
            message = self._inbox.get()
            messages.append((0, self._died()) if message is None else message)
        return messages

    def _died(self) -> Died:
        assert self._process is not None
        assert self._tail is not None
        status = end_process(self._process, grace=0.5)
        reason, no_memory = describe_exit(status), False
        if status == -signal.SIGKILL and memory_kills() > self._memory_kills:
            reason, no_memory = f"{reason}: this machine is out of memory", True
        died = Died(reason, self._tail.text(wait=0.5), no_memory)
        self._forget()
        return died

    def abort(self) -> str:
        """Kill it because it hangs; what it printed last, with the stack it hangs in."""
        if self._process is None or self._tail is None:
            return ""
        try:
            self._process.send_signal(signal.SIGUSR1)  # see `executor.main`
        except OSError:
            pass
        tail = self._tail
        self._wait_for_stack(tail)
        self.end(grace=0.0)
        return tail.text(wait=0.5)

    def _wait_for_stack(self, tail: Tail) -> None:
        before, until = tail.text(), time.monotonic() + _STACK_WITHIN
        while time.monotonic() < until and tail.text() == before:
            time.sleep(0.02)

    def terminate(self) -> None:
        """Ask the process to end, with all it has started; `end` makes sure."""
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGTERM)

    def end(self, grace: float) -> None:
        """Stop the process and all it has started; what it still says is not heard."""
        if self._process is not None:
            end_process(self._process, grace)
            self._forget()
        self._inbox = queue.SimpleQueue()

    def _forget(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._on_end(self._process.pid)
        self._process = None

    def tail(self) -> str:
        """What the objective printed last; its messages may have been faster than that."""
        if self._tail is None:
            return ""
        self._tail.catch_up(0.5)
        return self._tail.text()


# By its older name, which all versions of torch know.
_GPU_MEMORY = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}


def executor_environment(threads: int) -> dict[str, str]:
    """For an executor's process; what the user has set himself stays.

    Keeping freed memory (glibc gives large blocks back at once by default) made training
    up to 1.45 times faster at batch 500. On GPUs, segments that can grow leave fewer holes in a
    memory that several trials share, and cuBLAS computes the same each time only if its
    workspaces have a fixed size.
    """
    return {
        **({} if "PYTORCH_ALLOC_CONF" in os.environ else _GPU_MEMORY),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        **dict.fromkeys(_THREADS, str(threads)),
        "MALLOC_MMAP_THRESHOLD_": str(_largest_mmap_threshold()),
        "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        **os.environ,
    }


def _largest_mmap_threshold() -> int:
    """That every glibc of this version takes. One that is refused is worse than none: the other
    variable alone has every block of more than 128 KB given back at once.
    """
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = map(int, version.split(".")[:2])
    except (ValueError, OSError):  # not glibc, which is what reads it
        return 2**25
    return 2**30 if name == "glibc" and (major, minor) >= (2, 36) else 2**25


def end_all(executors: Iterable[ExecutorProcess]) -> None:
    """End them at once."""
    for executor in executors:
        executor.end(grace=0.0)
