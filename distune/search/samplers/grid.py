"""Grid search: every combination, the last parameter changing fastest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from distune.study.space import Space
from distune.study.trial import Counted, Scalar

#: Of the combinations given last: what is asked for again is mostly among them.
_REMEMBERED = 1000


class GridSampler:
    """All combinations of finitely many values; a parameter whose `when` does not hold
    is left out, so no combination comes twice. None is there that the space excludes.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._names = list(space.params)
        self._begin()

    def __call__(
        self, configuration: int, history: Sequence[Counted] = ()
    ) -> dict[str, Scalar] | None:
        if configuration < self._next - len(self._known):
            self._begin()  # seldom: a trial is asked for that was given long ago
        while self._next <= configuration:
            following = next(self._combinations, None)
            if following is None:
                return None
            self._known.append(following)
            self._next += 1
        return dict(self._known[configuration - self._next])

    def _begin(self) -> None:
        self._combinations = self._walk({}, 0)
        self._next = 0
        self._known: deque[dict[str, Scalar]] = deque(maxlen=_REMEMBERED)

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
