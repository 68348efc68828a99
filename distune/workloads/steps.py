"""How the steps of a training are issued: call by call, or captured once and replayed.

A step of a small network is dozens of kernels, each of which a GPU needs less time to run than
the host to launch. Captured in a CUDA graph they are launched as one. What may be captured reads
and writes tensors only that stay where they are, and never waits for a number in one of them.

This module knows the devices; what a step is, is the trainer's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

#: Train on the examples of these indices: int64, on the device.
Step = Callable[[Tensor], None]

_WARM_UP = 3  # steps before a capture, as torch's documentation has it
_MARK_EVERY = 16  # steps
_MOST_MARKS = 4  # that the device may be behind: 64 steps
# A capture takes about as long as launching so many steps kernel by kernel (an estimate).
_WORTH_CAPTURING = 300


class Capture(Protocol):
    """A device's way to note what is done, without doing it, and to do it again."""

    #: Steps from which on a training is worth a capture.
    worth: int

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Note what `run` does; calling what is returned does it, to the same tensors.

        Raises:
            RuntimeError: it cannot be noted, and nothing has been done.
        """

    def free(self) -> None:
        """Let go of the memory of what was recorded."""


class CapturedStep:
    """`step` for batches of `size`, captured when it has been made a few times.

    Batches of any other size, and all of them if `step` cannot be captured, are trained on
    call by call; the results are the same.
    """

    def __init__(self, step: Step, size: int, capture: Capture, say: Callable[[str], None]) -> None:
        self._step = step
        self._size = size
        self._capture: Capture | None = capture
        self._say = say
        self._warm_up = _WARM_UP
        self._indices: Tensor | None = None
        self._replay: Callable[[], None] | None = None

    def __call__(self, batch: Tensor) -> None:
        if self._replay is None and self._capture is not None and len(batch) == self._size:
            if self._warm_up:  # what is made at the first step, the optimizer's state, is no part
                self._warm_up -= 1
            else:
                self._record(self._capture, batch)
        if self._replay is None or self._indices is None or len(batch) != self._size:
            self._step(batch)
        else:
            self._indices.copy_(batch)
            self._replay()

    def _record(self, capture: Capture, batch: Tensor) -> None:
        indices = batch.clone()
        try:
            self._replay = capture.record(lambda: self._step(indices))
            self._indices = indices
        except RuntimeError as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            self._say(f"distune: the steps are not captured, but made one by one: {first}")
            self._capture = None
            capture.free()

    def free(self) -> None:
        """No step is made after this."""
        if self._capture is not None:
            self._capture.free()
        self._replay = self._indices = self._capture = None


class CudaCapture:
    """A CUDA graph of one step, on the current stream, which must not be the default one.

    The default generator belongs to what is captured: a replay draws the numbers that the step
    would have drawn, and goes on from there.
    """

    worth = _WORTH_CAPTURING

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graph: torch.cuda.CUDAGraph | None = None

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        generator = torch.cuda.default_generators[torch.cuda.current_device()]
        state = generator.get_state()
        try:
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                run()
        except RuntimeError:
            # A capture that broke off leaves its generator in it, and eager steps would find
            # that it "encountered an offset increment outside graph capture".
            fresh = torch.Generator(self._device)
            fresh.set_state(state)
            generator.graphsafe_set_state(fresh.graphsafe_get_state())
            raise
        self._graph = graph
        return graph.replay

    def free(self) -> None:
        if self._graph is not None:
            self._graph.reset()
            self._graph = None


def capture_for(device: torch.device) -> Capture | None:
    """How steps are captured on a device; None where they are not."""
    return CudaCapture(device) if device.type == "cuda" else None


# -- the host and the device -------------------------------------------------------------------


class Pace:
    """Which of the issued steps are over: all of them, as on a CPU.

    Attributes:
        steps, examples: completed so far.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.examples = 0

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the steps of an epoch; what was issued is over at its end."""
        yield

    def issued(self, examples: int) -> None:
        """A step of so many examples was."""
        self.steps += 1
        self.examples += examples


class Mark(Protocol):
    """A place in what a device has been given to do: `torch.cuda.Event`."""

    def query(self) -> bool:
        """Whether it has come there."""

    def synchronize(self) -> None:
        """Wait until it has."""


class Behind(Pace):
    """Of a device that works on while the host goes ahead, but at most 64 steps.

    The host only asks for marks it set earlier, and waits for one that is at least 48 steps
    old: the device never runs dry for it. A time limit, which the host's clock measures, is so
    missed by 64 steps at most.
    """

    def __init__(self, mark: Callable[[], Mark]) -> None:
        super().__init__()
        self._mark = mark
        self._issued = (0, 0)
        self._marks: deque[tuple[int, int, Mark]] = deque()

    def issued(self, examples: int) -> None:
        steps, before = self._issued
        self._issued = steps + 1, before + examples
        if self._issued[0] % _MARK_EVERY:
            return
        self._marks.append((*self._issued, self._mark()))
        while self._marks and self._marks[0][2].query():
            self._pass()
        if len(self._marks) >= _MOST_MARKS:
            self._marks[0][2].synchronize()
            self._pass()

    def _pass(self) -> None:
        self.steps, self.examples, _ = self._marks.popleft()

    def all_over(self) -> None:
        """Everything that was issued is known to be over."""
        self.steps, self.examples = self._issued
        self._marks.clear()


class CudaPace(Behind):
    """The same on a stream of its own, because no default stream can be captured."""

    def __init__(self, device: torch.device) -> None:
        # Blocking: a host that waits leaves its core to the other trainings.
        super().__init__(self._set_mark)
        self._device = device
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def _set_mark(self) -> Mark:
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
            self._stream.synchronize()
            self.all_over()


def pace_for(device: torch.device) -> Pace:
    return CudaPace(device) if device.type == "cuda" else Pace()
