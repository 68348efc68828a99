"""The built-in objectives, by name."""

from collections.abc import Iterable

from distune.extras import need_installed
from distune.workloads.coloured_digits import COLOURED_DIGITS
from distune.workloads.convnet import CONVNET
from distune.workloads.data import DATA_SETS
from distune.workloads.house_prices import HOUSE_PRICES
from distune.workloads.mnist_cnn import MNIST_CNN
from distune.workloads.spirals import SPIRALS
from distune.workloads.workload import Workload

__all__ = ["WORKLOADS", "Workload", "check_installed"]

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (MNIST_CNN, CONVNET, COLOURED_DIGITS, SPIRALS, HOUSE_PRICES)
}


def check_installed(objective: str | None, datasets: Iterable[str] = ()) -> None:
    """See that what a built-in objective is trained with is there: a user's own brings its own.

    Raises:
        UserError: it is not installed; says how to install it.
    """
    if objective in WORKLOADS:
        bundled = any(DATA_SETS[one].bundled_with for one in datasets if one in DATA_SETS)
        libraries = ["torch", "sklearn"] if bundled else ["torch"]
        need_installed(*libraries, extra="workloads", what=f"objective {objective}")
