"""Non-dominated sorting (Goldberg 1989): which of many points no other one dominates. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


def fronts(points: Sequence[Sequence[float]]) -> Iterator[list[int]]:
    """The places of the points that none dominates, then of those that none of the rest does, and
    so on, each front in the order of the points. Less is better; a point dominates another if it is
    nowhere worse, and somewhere better. So equal points share a front.

    All numbers have to be finite. One front of n points costs n comparisons for each of its members
    at most.
    """
    if not points:
        return
    import numpy as np  # slow to import, and needed only where there are several objectives

    given = np.asarray(points, dtype=float)
    # By the first number, of equal ones by the second, ...: then no point is dominated by a later.
    left = np.lexsort(given.T[::-1])
    while len(left):
        found: list[int] = []
        rest, later = left, np.empty(0, dtype=left.dtype)
        while len(rest):
            first, values = given[rest[0]], given[rest]
            equal = (values == first).all(axis=1)
            found += rest[equal].tolist()
            free = (values < first).any(axis=1)  # as the first does not dominate it
            later = np.concatenate((later, rest[~free & ~equal]))
            rest = rest[free]
        yield sorted(found)
        left = later[np.lexsort(given[later].T[::-1])]


class Remembered(Generic[T]):
    """What an iterator gives, to be iterated over more than once: no more of it is worked out than
    somebody has wanted.
    """

    def __init__(self, source: Iterable[T]) -> None:
        self._source = iter(source)
        self._known: list[T] = []

    def __iter__(self) -> Iterator[T]:
        place = 0
        while True:
            if place == len(self._known):
                try:
                    self._known.append(next(self._source))
                except StopIteration:
                    return
            yield self._known[place]
            place += 1
