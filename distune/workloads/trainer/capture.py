"""How a device is given the steps of a training: call by call, or captured once and replayed.

A step of a small network is dozens of kernels, each of which a GPU needs less time to run than
the host to launch. Captured in a CUDA graph they are launched as one. What may be captured reads
and writes tensors only that stay where they are, and never waits for a number in one of them.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

#: Train on the examples of these indices: int64, on the device.
Step = Callable[[Tensor], None]
#: How steps are captured on a device; None where they are not.
Capturing = Callable[[torch.device], "Capture | None"]

_WARM_UP = 3  # steps before a capture, as torch's documentation has it


class Capture(Protocol):
    """A device's way to record what is done, without doing it, and to do it again."""

    #: Steps from which on a training is worth a capture.
    worth: int

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Record what `run` does; calling what is returned does it, to the same tensors.

        Raises:
            RuntimeError: it cannot be recorded, and nothing has been done.
        """

    def free(self) -> None:
        """Let go of the memory of what was recorded."""


class CapturedStep:
    """`step` for batches of `size`, captured when it has been made a few times.

    Batches of any other size, and all of them if `step` cannot be captured, are trained on
    call by call, as all are without a `capture`; the results are the same.
    """

    def __init__(self, step: Step, size: int, capture: Capture | None) -> None:
        self._step = step
        self._size = size
        self._capture = capture
        self._warm_up = _WARM_UP
        self._captured: tuple[Tensor, Callable[[], None]] | None = None

    def __call__(self, batch: Tensor) -> None:
        if self._capture is not None and len(batch) == self._size:
            if self._captured is None and not self._warm_up:
                self._record(self._capture, batch)
            if self._captured is not None:
                indices, replay = self._captured
                indices.copy_(batch)
                replay()
                return
            self._warm_up -= 1  # the optimizer's state, made at the first step, is not captured
        self._step(batch)

    def _record(self, capture: Capture, batch: Tensor) -> None:
        indices = batch.clone()
        try:
            self._captured = indices, capture.record(lambda: self._step(indices))
        except RuntimeError as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"distune: the steps are not captured, but made one by one: {first}", flush=True)
            self._capture = None
            capture.free()

    def free(self) -> None:
        """No step is made after this."""
        if self._capture is not None:
            self._capture.free()
        self._captured = self._capture = None


class CudaCapture:
    """A CUDA graph of one step, on the current stream, which must not be the default one.

    The default generator belongs to what is captured: a replay draws the numbers that the step
    would have drawn, and goes on from there.
    """

    worth = 300  # a capture takes about as long as launching so many kernel by kernel (estimated)

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
