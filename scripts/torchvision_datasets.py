"""The one place that imports torchvision, which the benchmarks alone need."""

from __future__ import annotations

import sys
import warnings
from types import ModuleType
from typing import Any

# torchvision attaches shape functions to these two operators without asking whether its
# compiled library, which defines them, could be loaded.
_OPERATORS = ("nms", "qnms")
_kept: list[Any] = []  # a torch Library takes its operators back when it is collected


def import_datasets() -> ModuleType:
    """`torchvision.datasets`, also where torchvision's compiled operators do not load.

    A torchvision built for CUDA beside a CPU-only torch cannot load its library, and
    `import torchvision` then dies with "operator torchvision::nms does not exist". Only
    in that case the missing operators are declared (schemas without code) and the import
    is tried again; data sets need none of them, and calling one still says what is wrong.

    Raises:
        ImportError, RuntimeError: torchvision is missing, or broken in another way.
    """
    with warnings.catch_warnings():
        # The same missing library, said by versions that only warn of it.
        warnings.filterwarnings("ignore", "Failed to load image Python extension", UserWarning)
        try:
            import torchvision.datasets as datasets
        except RuntimeError as error:
            if "operator torchvision::nms does not exist" not in str(error):
                raise
            _declare_operators()
            # The failed import took back the package but left its submodules behind, which
            # a new package would not have as attributes.
            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            import torchvision.datasets as datasets
    module: ModuleType = datasets
    return module


def _declare_operators() -> None:
    from torch.library import Library

    library: Any = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)
