"""Samplers: what to try next. A new one is a file beside this and a line in `SAMPLERS`."""

from distune.search.sampler import SpaceSampler
from distune.search.samplers.cmaes import CmaEsSampler
from distune.search.samplers.gp import GpSampler
from distune.search.samplers.grid import GridSampler
from distune.search.samplers.listed import ListSampler
from distune.search.samplers.nsga2 import Nsga2Sampler
from distune.search.samplers.random import RandomSampler
from distune.search.samplers.sobol import SobolSampler
from distune.search.samplers.tpe import TpeSampler

#: By the name that a space file has for it.
SAMPLERS: dict[str, type[SpaceSampler]] = {
    "random": RandomSampler,
    "grid": GridSampler,
    "list": ListSampler,
    "sobol": SobolSampler,
    "tpe": TpeSampler,
    "gp": GpSampler,
    "cmaes": CmaEsSampler,
    "nsga2": Nsga2Sampler,
}
