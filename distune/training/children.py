"""Child processes that never outlive their parent, and what becomes of them."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NoReturn

import psutil

from distune.signals import REQUESTS

_PR_SET_PDEATHSIG, _PR_GET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 2, 36
#: Helpers of libraries that live as long as the process they help.
_HELPERS = re.compile(r"multiprocessing[./](resource_tracker|forkserver)|compile_worker")
#: In the environment of whatever a worker's training processes have started.
MARK = "DISTUNE_MARK"
_WALL = 0x40000000  # waitid(2): children of any kind
_UNKILLABLE_AFTER = 5.0  # seconds; a process that waits for a driver or a share may not die
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


def die_with_parent(parent: int, sig: int = signal.SIGKILL) -> None:
    """Ask the kernel for `sig` when the parent dies (prctl(2), Linux); leave at once if it is no
    more of that pid. Elsewhere a child notices the end of its standard input.
    """
    _prctl(_PR_SET_PDEATHSIG, sig)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of those of this process's descendants whose own parent dies (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_adopted(own: Collection[int]) -> None:
    """Kill, with all that they have started, this process's children in other sessions but its
    `own`: leaders of sessions that have died had started them, be it in sessions of their own.
    """
    deadline = time.monotonic() + _UNKILLABLE_AFTER
    while time.monotonic() < deadline:
        children = {child.pid for child in psutil.Process().children()}
        adopted = children - set(own) - _session_of(os.getsid(0))
        if not adopted:
            return
        for pid in adopted:
            kill({pid, *descendants(pid)})
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.005)


def end_marked(mark: str, within: float) -> None:
    """Kill what has a mark in its environment; wait up to `within` seconds until it is gone."""
    deadline = time.monotonic() + within
    while doomed := {process.pid for process in psutil.process_iter() if _has(process, mark)}:
        kill(doomed)
        if time.monotonic() >= deadline:
            return
        time.sleep(0.02)


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark  # a zombie has none
    except (psutil.Error, OSError):
        return False  # gone, or another user's


def _prctl(option: int, value: Any) -> None:
    if _libc is not None:
        _libc.prctl(option, value, 0, 0, 0)


#: Puts the current directory last, where `PYTHONPATH` has it ("", or "."), and runs a module of the
#: very distune that has started this process.
_RUN_MODULE = """\
import os, sys
from importlib.util import module_from_spec, spec_from_file_location
here = os.getcwd() if os.path.exists(".") else "."
sys.path.sort(key=("", ".", here).__contains__)
folder = sys.argv.pop(1)
spec = spec_from_file_location("distune", folder + "/__init__.py",
                               submodule_search_locations=[folder])
sys.modules["distune"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["distune"])
import runpy
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of distune's own in another process.

    Without `-P`, Python would look in the current directory before the libraries: a `queue.py`
    that another user left in a shared folder, or the user beside an objective, would run. With
    `-u` a line is there to be read as soon as it is printed.
    """
    folder = os.path.dirname(os.path.dirname(__file__))
    return [sys.executable, "-P", "-u", "-c", _RUN_MODULE, folder, module, *arguments]


def spawn(
    command: Sequence[str], *, sig: int = signal.SIGKILL, **options: Any
) -> subprocess.Popen[bytes]:
    """`subprocess.Popen` for a program that knows nothing of distune: it dies with its parent."""
    parent = os.getpid()
    return subprocess.Popen(command, preexec_fn=lambda: die_with_parent(parent, sig), **options)


@contextlib.contextmanager
def guarded(command: Sequence[str], grace: float) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, to be read from, in a process group that is ended with it: TERM, and
    KILL after `grace` seconds; also what it leaves behind when it ends by itself.

    Meanwhile the death of the worker does not kill this process at once, or the program's own
    children would live on. The end of its input tells it instead (`end_session`).
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = spawn(command, stdin=subprocess.DEVNULL, process_group=0, **pipes)
    before = ctypes.c_int(0)
    _prctl(_PR_GET_PDEATHSIG, ctypes.byref(before))
    _prctl(_PR_SET_PDEATHSIG, 0)
    try:
        yield process
    finally:
        if process.poll() is None:
            _ask_to_end(process, grace)
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        _prctl(_PR_SET_PDEATHSIG, before.value)


def end_process(process: subprocess.Popen[bytes], grace: float) -> int | None:
    """Stop a session leader and all it has started: TERM, and KILL after `grace` seconds.

    Returns:
        Its exit status, as `subprocess` gives it; None if even KILL does not end it.
    """
    if grace > 0:
        family = _family(process.pid)  # it may die, and they be orphans then, in other sessions
        _ask_to_end(process, grace)
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()
    end_session(process.pid)
    try:
        return process.wait(_UNKILLABLE_AFTER)
    except subprocess.TimeoutExpired:
        return None


def _ask_to_end(process: subprocess.Popen[bytes], grace: float) -> None:
    """TERM to its group, and `grace` seconds of time for it."""
    signal_group(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)


def end_session(leader: int, within: float = 0.0) -> None:
    """Kill every process of a session, and every descendant of its leader, but the caller;
    wait up to `within` seconds until they are gone.
    """
    deadline = time.monotonic() + within
    while True:
        doomed = (_session_of(leader) | descendants(leader)) - {os.getpid()}
        kill(doomed)
        if not any(map(_is_alive, doomed)) or time.monotonic() >= deadline:
            return
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _session_of(leader: int) -> set[int]:
    found = set()
    for pid in psutil.pids():
        with contextlib.suppress(OSError):  # gone, or another user's
            if os.getsid(pid) == leader:
                found.add(pid)
    return found


def descendants(ancestor: int) -> set[int]:
    return {process.pid for process in _family(ancestor)}


def _family(ancestor: int) -> list[psutil.Process]:
    try:
        return psutil.Process(ancestor).children(recursive=True)
    except psutil.Error:
        return []


#: Why a kernel killed that counted it: it counts those whose own limit was reached, too.
NO_MEMORY = "this machine, container or batch job is out of memory"


def memory_kills() -> int:
    """How many processes this machine's kernel has killed for want of memory (Linux)."""
    try:
        with open("/proc/vmstat", "rb") as statistics:
            return int(statistics.read().partition(b"\noom_kill ")[2].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return 0


def signal_group(group: int, sig: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, sig)


def request_of(status: int) -> signal.Signals | None:
    """Which of the `REQUESTS` a program has followed, by its exit status."""
    # Shells, and what handles the signal, end so. 129 is git's for a wrong option.
    by_convention = {128 + sig: sig for sig in REQUESTS if sig != signal.SIGHUP}
    return by_convention.get(status) or next((sig for sig in REQUESTS if status == -sig), None)


def die_of(sig: signal.Signals) -> NoReturn:
    """End this process by a signal, so that its parent sees which."""
    signal.signal(sig, signal.SIG_DFL)
    os.kill(os.getpid(), sig)
    os._exit(128 + sig)  # the signal is blocked


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


def last_line(output: bytes) -> str:
    """Of what a command of distune's own printed: its error message."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("distune: ") if lines else ""


class Leftovers:
    """Processes that a trial starts and leaves behind: `Leftovers()` before it, `clear()` after.
    Orphans become this process's children: no daemon of a trial's hides in a session of its own.
    """

    def __init__(self) -> None:
        adopt_orphans()
        self._before = self._mine()

    def _mine(self) -> set[int]:
        return descendants(os.getpid()) if _has_children() else set()

    def clear(self) -> int:
        """Kill them; how many they were. Libraries' own helpers are let live where they are known
        to bear the death of whatever else a trial has started.
        """
        left = {pid for pid in self._mine() - self._before if not _is_helper(pid)}
        if left:  # PyTorch's own handler would raise here that a worker of its loader was killed
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        kill(left)
        living = 0
        for pid in left:
            try:
                dead, status = os.waitpid(pid, 0)  # no zombies either
                living += dead != 0 and os.WIFSIGNALED(status)
            except ChildProcessError:
                living += 1  # a grandchild, whose parent has waited for it
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
