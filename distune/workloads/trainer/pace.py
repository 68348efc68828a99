"""How far a host may run ahead of the device that it gives steps to."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_MARK_EVERY = 16  # steps
_MOST_MARKS = 4  # that the device may be behind: 64 steps


class Pace:
    """Which of the issued steps are over: on a CPU all of them.

    A device with a `mark` works on while the host goes ahead, but at most 64 steps. The host only
    asks for marks it set earlier, and waits for one that is at least 48 steps old: the device
    never runs dry for it. A time limit, which the host's clock measures, is so missed by 64 steps
    at most.

    Args:
        mark: sets a `torch.cuda.Event` in what the device has been given to do.

    Attributes:
        steps, examples: completed so far.
    """

    def __init__(self, mark: Callable[[], Any] | None = None) -> None:
        self.steps = self.examples = 0
        self._mark = mark
        self._issued = (0, 0)
        self._marks: deque[tuple[int, int, Any]] = deque()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the steps of an epoch; what was issued is over at its end."""
        yield

    def issued(self, examples: int) -> None:
        """A step of so many examples was."""
        self._issued = self._issued[0] + 1, self._issued[1] + examples
        if self._mark is None:
            self.all_over()
        elif self._issued[0] % _MARK_EVERY == 0:
            self._marks.append((*self._issued, self._mark()))
            while self._marks and self._marks[0][2].query():
                self._pass()
            if len(self._marks) >= _MOST_MARKS:
                self._marks[0][2].synchronize()
                self._pass()

    def _pass(self) -> None:
        self.steps, self.examples, _ = self._marks.popleft()

    def wait(self) -> None:
        """Until all that was issued is over."""
        self.all_over()

    def all_over(self) -> None:
        """Everything that was issued is known to be over."""
        self.steps, self.examples = self._issued
        self._marks.clear()


class CudaPace(Pace):
    """On a stream of its own, because no default stream can be captured."""

    def __init__(self, device: torch.device) -> None:
        # Blocking: a host that waits leaves its core to the other trainings.
        super().__init__(self._set_mark)
        self._device = device
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def _set_mark(self) -> Any:
        mark = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        mark.record(self._stream)
        return mark

    @contextmanager
    def working(self) -> Iterator[None]:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        try:
            with torch.cuda.stream(self._stream):
                yield
        finally:
            # Also if it broke off: memory that is given back must not be written to any more.
            self.wait()

    def wait(self) -> None:
        self._stream.synchronize()
        self.all_over()


def pace_for(device: torch.device) -> Pace:
    return CudaPace(device) if device.type == "cuda" else Pace()
