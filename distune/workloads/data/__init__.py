"""The data sets that have files, or come with a package, by name."""

from distune.workloads.data.cifar_10 import CIFAR_10
from distune.workloads.data.data_set import DataSet
from distune.workloads.data.digits import DIGITS
from distune.workloads.data.house_prices import HOUSE_PRICES
from distune.workloads.data.mnist import FASHION_MNIST, MNIST
from distune.workloads.data.usps import USPS

_ALL = (MNIST, FASHION_MNIST, USPS, CIFAR_10, HOUSE_PRICES, DIGITS)
DATA_SETS: dict[str, DataSet] = {data_set.name: data_set for data_set in _ALL}
