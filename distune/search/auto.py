"""Which sampler suits a study that names none, by rules that are written down. Pure."""

from typing import NamedTuple

from distune.search.samplers.grid import GridSampler
from distune.study.space import Space

#: Combinations that are all tried if nothing limits the trials.
_SMALL = 50
#: Configurations, twice as many as TPE draws at random before it learns. With hardly more of them,
#: and ten workers that ask before much is counted, it found nothing better than chance did.
_FEW = 20


class Choice(NamedTuple):
    """A sampler, and why it was chosen: the end of a sentence."""

    sampler: str
    why: str


def choose(space: Space, trials: int | None, repeats: int) -> Choice:
    """The sampler for a space; `trials`: the limit on them, repeats included, if there is one."""
    many = None if trials is None else -(-trials // repeats)
    size = _combinations(space)
    if size == 1:
        return Choice("random", "there is one combination, which is trained with seed after seed")
    if size is not None and size <= (_SMALL if many is None else many):
        room = "few" if trials is None else f"no more than {trials} trials can try"
        return Choice("grid", f"combinations of values: {size}, {room}")
    if many is not None and many < _FEW:
        return Choice("sobol", f"{many} configurations are too few to learn from: spread evenly")
    return Choice("tpe", "it learns from what is counted where the good ones are")


def _combinations(space: Space) -> int | None:
    """How many there are; None if a parameter is continuous, or there are too many to count."""
    if any(spec.grid() is None for spec in space.params.values()):
        return None
    return GridSampler(space).size
