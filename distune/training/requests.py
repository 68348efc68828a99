"""What a training process makes of a signal that asks it to end: its worker, which gets it too
where a whole tree of processes does, ends the training when its last state is saved.
"""

import faulthandler
import os
import queue
import signal
import threading
import time
from types import FrameType

from distune.signals import REQUESTS
from distune.training import children

#: Seconds after which the worker would have asked, too: then the signal was for this one alone.
_ALONE_AFTER = 1.0
_SAVED_WITHIN = 2.5  # seconds more, for a training that saves states
_IMPATIENT_AFTER = 0.5  # seconds


class Requests:
    """`Requests()` in the main thread: this process follows a request as any other does, but while
    `training`. Then it goes on until its worker ends it, or, if that was not asked, for a moment.

    What an objective forks or starts follows signals as if there were no handlers here, and its own
    handlers replace these. SIGUSR1 shows the stack (`show_stack_on_request`).

    Attributes:
        training: a trial is trained.
        saves: it saves states.
        signal: the request that has come meanwhile, if one has.
    """

    def __init__(self, alone_after: float = _ALONE_AFTER) -> None:
        self.training = self.saves = False
        self.signal: signal.Signals | None = None
        self._came = 0.0
        self._alone_after = alone_after
        self._news: queue.SimpleQueue[signal.Signals] = queue.SimpleQueue()
        threading.Thread(target=self._end_if_alone, daemon=True).start()
        for sig in REQUESTS:
            # What is ignored here, as under `nohup`, stays so.
            if sig != signal.SIGUSR1 and signal.getsignal(sig) is not signal.SIG_IGN:
                signal.signal(sig, self._handle)
        os.register_at_fork(after_in_child=self._begin_fork)

    @property
    def is_followed(self) -> bool:
        """Whether SIGTERM is for this to follow, and for no handler of the objective's."""
        return signal.getsignal(signal.SIGTERM) == self._handle

    def _handle(self, sig: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.training or (self.signal and now >= self._came + _IMPATIENT_AFTER):
            children.die_of(signal.Signals(sig))
        if self.signal is None:
            self._came, self.signal = now, signal.Signals(sig)
            self._news.put(self.signal)  # which never waits, and so may interrupt anything

    def _end_if_alone(self) -> None:
        sig = self._news.get()
        time.sleep(self._alone_after)
        if self.saves:
            time.sleep(_SAVED_WITHIN)
        os.kill(os.getpid(), sig)  # for the second time

    def _begin_fork(self) -> None:
        for sig in REQUESTS:
            if signal.getsignal(sig) == self._handle:
                signal.signal(sig, signal.SIG_DFL)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            faulthandler.unregister(signal.SIGUSR1)
