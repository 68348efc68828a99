"""Samplers: what to try next.

A sampler is a callable: given the index of a configuration and the history so far, it
returns the configuration's params, or None when there are no more. Those here ignore
the history: configuration *i* depends on the study's seed and *i* alone (P5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distune.samplers.grid import GridSampler
from distune.samplers.listed import ListSampler
from distune.samplers.random import RandomSampler
from distune.study import Study
from distune.trial import Counted, Scalar

Sampler = Callable[[int, Sequence[Counted]], dict[str, Scalar] | None]


def make_sampler(study: Study) -> Sampler:
    """The sampler a study names."""
    match study.sampler:
        case "grid":
            return GridSampler(study.space)
        case "random":
            return RandomSampler(study.space, study.seed)
        case "list":
            return ListSampler(study.space, study.settings or [])
