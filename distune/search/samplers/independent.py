"""Samplers that ignore the history: configuration *i* depends on the seed and *i* alone (P5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from distune.search.samplers.grid import GridSampler
from distune.search.samplers.listed import ListSampler
from distune.search.samplers.random import RandomSampler
from distune.study.space import Space
from distune.study.trial import Counted, Scalar

Sampler = Callable[[int, Sequence[Counted]], dict[str, Scalar] | None]


def independent_sampler(
    kind: Literal["grid", "random", "list"],
    space: Space,
    seed: int,
    settings: Sequence[dict[str, Scalar]] | None,
) -> Sampler:
    """The sampler of that name; `seed` is for `random`, `settings` are for `list`."""
    match kind:
        case "grid":
            return GridSampler(space)
        case "random":
            return RandomSampler(space, seed)
        case "list":
            return ListSampler(space, settings or [])
