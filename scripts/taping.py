"""A CUDA graph's stand-in on a CPU: what is recorded is not done, and a replay repeats it.

Like a graph it knows torch's operators and the tensors they were given, and nothing of the Python
that called them: a number that was read on the way is repeated, a tensor that was replaced is
not seen. So what works on a tape reads and writes tensors that stay where they are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_READS = torch.ops.aten._local_scalar_dense.default


class Tape:
    """`distune.workloads.trainer.capture.Capture` on a CPU.

    Attributes:
        recorded, replayed, freed: how often.
        operators: of torch, in what was recorded.
    """

    worth = 1

    def __init__(self) -> None:
        self.recorded = self.replayed = self.freed = 0
        self.operators: list[str] = []

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """As a graph does, but that it notes by doing, and takes it back.

        Raises:
            RuntimeError: a number is read from a tensor, for which a GPU would have to wait.
        """
        state = torch.get_rng_state()
        recorder = _Recorder()
        try:
            with recorder:
                run()
        finally:
            recorder.undo()
            torch.set_rng_state(state)
        self.recorded += 1
        self.operators = [str(function) for function, *_ in recorder.calls]

        def replay() -> None:
            self.replayed += 1
            for function, args, kwargs, kept in recorder.calls:
                given = function(*args, **kwargs)
                if kept is None:
                    continue
                for old, new in zip(tree_leaves(kept), tree_leaves(given), strict=True):
                    if isinstance(old, Tensor):
                        old.copy_(new)

        return _without_gradients(replay)

    def free(self) -> None:
        self.freed += 1


@contextmanager
def capturable_on_cpu() -> Iterator[None]:
    """torch says that the steps of RMSprop can be captured on a GPU only; on a tape they can."""
    module: Any = importlib.import_module("torch.optim.rmsprop")
    before = module._get_capturable_supported_devices
    module._get_capturable_supported_devices = lambda: ["cpu"]
    try:
        yield
    finally:
        module._get_capturable_supported_devices = before


def _without_gradients(replay: Callable[[], None]) -> Callable[[], None]:
    def quietly() -> None:
        with torch.no_grad():
            replay()

    return quietly


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each call: function, arguments, and what it gave, if that is memory of its own."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self._before: list[tuple[Tensor, Tensor]] = []
        self._saved: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is _READS:
            raise RuntimeError("a number is read from a tensor in what is to be captured")
        if function.namespace == "profiler":  # torch's own note of where an optimizer begins
            return function(*args, **kwargs)
        schema = function._schema
        for i, argument in enumerate(schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[i] if i < len(args) else kwargs.get(argument.name)
                self._save(tree_leaves(given))
        if function is torch.ops.aten.native_batch_norm.default:
            self._save(list(args[3:5]))  # its schema does not say that it updates the statistics
        result = function(*args, **kwargs)
        own = not any(value.alias_info for value in schema.returns)
        self.calls.append((function, args, kwargs, result if own and schema.returns else None))
        return result

    def _save(self, tensors: list[Any]) -> None:
        for one in tensors:
            if isinstance(one, Tensor) and id(one) not in self._saved:
                self._saved.add(id(one))
                self._before.append((one, one.detach().clone()))

    def undo(self) -> None:
        with torch.no_grad():
            for tensor, before in reversed(self._before):
                tensor.copy_(before)
        self._before.clear()
