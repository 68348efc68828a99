"""The built-in objectives, by name."""

from distune.workloads.coloured_digits import COLOURED_DIGITS
from distune.workloads.convnet import CONVNET
from distune.workloads.house_prices import HOUSE_PRICES
from distune.workloads.mnist_cnn import MNIST_CNN
from distune.workloads.spirals import SPIRALS
from distune.workloads.workload import Workload

__all__ = ["WORKLOADS", "Workload"]

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (MNIST_CNN, CONVNET, COLOURED_DIGITS, SPIRALS, HOUSE_PRICES)
}
