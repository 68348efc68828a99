"""What a trial may change in its process, and the next one must not find changed."""

import contextlib
import faulthandler
import importlib
import os
import random
import signal
import sys
from typing import Any

_SIGNALS = [
    int(getattr(signal, name))
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM",
                 "SIGCHLD", "SIGPIPE")
]  # fmt: skip

# `signal.getsignal` makes names of numbers, which takes ten times as long.
_handler_of = importlib.import_module("_signal").getsignal


def by_name(module: str) -> Any:
    """One of `workloads`, which alone may import torch: by name, and only when needed."""
    return importlib.import_module(f"distune.workloads.{module}")


def show_stack_on_request() -> None:
    """Have SIGUSR1 (before a hanging trial is killed) show where it hangs."""
    faulthandler.unregister(signal.SIGUSR1)
    faulthandler.register(signal.SIGUSR1)


class Surroundings:
    """`Surroundings()` when the objectives are loaded; `restore(seed)` before each trial.

    What a module has changed when a trial imported it is undone too: for libraries that do not bear
    that, there is `fresh_process`.
    """

    def __init__(self) -> None:
        self._folder = _current_folder()
        self._argv = sys.argv, list(sys.argv)
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._environment, self._encoded = dict(os.environ), dict(_encoded_environment())
        self._handlers = {sig: _handler_of(sig) for sig in _SIGNALS}
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._torch = by_name("torch_state").TorchState.now() if "torch" in sys.modules else None

    def restore(self, seed: int) -> None:
        """Undo what has been changed, and begin everything random with a trial's seed.

        Raises:
            OSError: the current folder was there before, and is not any more.
        """
        if self._folder is not None and self._folder != _current_folder():
            os.chdir(self._folder)
        sys.argv, sys.argv[:] = self._argv
        sys.stdin, sys.stdout, sys.stderr = self._streams
        # Encoded as the system has them: to decode all of them takes as long as the rest of this.
        if _encoded_environment() != self._encoded:
            os.environ.clear()
            os.environ.update(self._environment)
        os.umask(self._umask)
        self._restore_handlers()
        random.seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed % 2**32)
        if "torch" in sys.modules:
            state = by_name("torch_state")
            # First imported in a trial, it was never seen as it had been before that.
            self._torch = self._torch or state.TorchState.at_first(self._environment)
            self._torch.restore(seed)

    def _restore_handlers(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)  # an alarm would kill the trial after it
        for sig, handler in self._handlers.items():
            if _handler_of(sig) != handler and handler is not None:
                signal.signal(sig, handler)
                if sig == signal.SIGUSR1:
                    show_stack_on_request()


def _current_folder() -> str | None:
    with contextlib.suppress(OSError):  # it was removed
        return os.getcwd()
    return None


def _encoded_environment() -> dict[bytes, bytes]:
    return os.environ._data  # type: ignore[attr-defined, no-any-return]
