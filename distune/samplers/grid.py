"""Grid search: every combination, the last parameter changing fastest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distune.space import Space
from distune.trial import Counted, Scalar


class GridSampler:
    """All combinations of finitely many values; a parameter whose `when` does not hold
    is left out, so no combination comes twice. None is there that the space excludes.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._names = list(space.params)
        self._combinations = self._walk({}, 0)
        self._known: list[dict[str, Scalar]] = []

    def __call__(
        self, configuration: int, history: Sequence[Counted] = ()
    ) -> dict[str, Scalar] | None:
        while len(self._known) <= configuration:
            following = next(self._combinations, None)
            if following is None:
                return None
            self._known.append(following)
        return dict(self._known[configuration])

    def _walk(self, chosen: dict[str, Scalar], depth: int) -> Iterator[dict[str, Scalar]]:
        if depth == len(self._names):
            if not self._space.excludes(chosen):
                yield dict(chosen)
            return
        name = self._names[depth]
        if not self._space.is_active(name, chosen):
            yield from self._walk(chosen, depth + 1)
            return
        values = self._space.params[name].grid()
        if values is None:
            raise ValueError(f"{name} has no finite grid")
        for value in values:
            yield from self._walk({**chosen, name: value}, depth + 1)
