"""What the loops of master, worker and viewer share: signals, and a silent share (P9)."""

import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from distune.signals import EXIT_DRAINED, on_request

SHORTEST_WAIT = 0.05  # seconds between two looks at the share
LONGEST_WAIT = 1.0
_COLLECT_AFTER = 20_000  # objects
_IMPATIENT_AFTER = 0.5  # seconds
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0  # seconds
_SILENT_BEFORE_SAYING = 10  # seconds


class Interrupt:
    """A request to end (`signals.REQUESTS`) as an event to wait for; one that comes later exits at
    once, also where the main thread hangs.

    Args:
        event: to be set, if others set it too.
        within: seconds after a request in which the process has to end by itself.
        too_late: called when it has not, before it exits.
    """

    def __init__(
        self,
        event: threading.Event | None = None,
        within: float | None = None,
        too_late: Callable[[], None] = lambda: None,
    ) -> None:
        self.event = event or threading.Event()
        self.signal: int | None = None
        self._came = 0.0
        self._within = within
        self._too_late = too_late
        on_request(self._take)

    def _take(self, sig: int) -> None:
        now = time.monotonic()
        if self.signal is None:
            self._came = now
            if self._within is not None:
                threading.Thread(target=self._see_to_it, args=(self._within,), daemon=True).start()
        # A terminal that is closed may say so twice: its shell does, and the kernel. At a job's end
        # Slurm sends SIGTERM twice within milliseconds.
        elif sig != signal.SIGHUP and now >= self._came + _IMPATIENT_AFTER:
            os._exit(128 + sig)  # children die with us
        self.signal = sig
        self.event.set()

    def _see_to_it(self, within: float) -> None:
        time.sleep(within)
        self._too_late()
        os._exit(EXIT_DRAINED)


def collect_seldom() -> None:
    """Have Python look for circles of objects seldom: hardly any come, and looking takes a
    twentieth of the time of short trials (`bench_coordination.py speed`).
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


class Stall:
    """Says so when a look at the share takes long. On a hard NFS mount nothing fails while
    the server is away, it waits, and so does the thread that looked (P9).

        stall = Stall(say, "training goes on")
        with stall.watched():
            worker.step()

    Args:
        say: takes a line for people; called from a thread, too.
        meanwhile: what this means for the work.
        failed: whether the look that is over has failed; then others have said so.
        after: seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        meanwhile: str,
        failed: Callable[[], bool] = lambda: False,
        after: int = _SILENT_BEFORE_SAYING,
    ) -> None:
        self._say = say
        self._meanwhile = meanwhile
        self._failed = failed
        self._after = after
        self._lock = threading.Lock()
        self._seconds: int | None = None
        self._known = False  # that the share does not answer
        threading.Thread(target=self._watch, daemon=True).start()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around a look at the share; an exception is a look that failed, and passes."""
        with self._lock:
            self._seconds = 0
        began = time.monotonic()
        failed = True
        try:
            yield
            failed = self._failed()
        finally:
            with self._lock:
                seconds, self._seconds = self._seconds or 0, None
                said = seconds >= self._after and not self._known
                self._known = failed
            if said and not failed:
                self._say(f"the share is back after {time.monotonic() - began:.0f} s")

    def _watch(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                if self._seconds is None:
                    continue
                # Counted, not measured: a process that was itself stopped blames no server.
                self._seconds += 1
                is_news = self._seconds == self._after and not self._known
            if is_news:
                self._say(
                    f"the share has not answered for {self._after} s; {self._meanwhile}, waiting"
                )


class Outage:
    """A share that does not answer, and how long to wait before asking it again (P9)."""

    def __init__(self) -> None:
        self.began: float | None = None
        self._pause = _SHORTEST_PAUSE

    def pause(self, since: float) -> float:
        """Seconds, longer each time; random, or all would come at once when it is back.

        Args:
            since: when the look that failed began.
        """
        if self.began is None:
            self.began = since
        pause = self._pause * random.uniform(0.5, 1.5)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def over(self) -> float | None:
        """It answers: seconds that it did not, if so."""
        began, self.began = self.began, None
        self._pause = _SHORTEST_PAUSE
        return None if began is None else time.monotonic() - began
