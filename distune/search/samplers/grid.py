"""Grid search: every combination, the last parameter changing fastest."""

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion
from distune.study.space import Parameter, Space
from distune.study.trial import Params, Scalar

#: Of the combinations suggested last: one that is asked for again is mostly among them.
_REMEMBERED = 1000
#: A grid larger than this is not walked only to tell its size.
_MOST_COUNTED = 100_000


class GridSampler(SpaceSampler):
    """All combinations of finitely many values; a parameter whose `when` does not hold is left
    out, so no combination comes twice. It leaves out what the space excludes.
    """

    endless = False
    exchangeable = False
    label = "grid search"

    def __init__(
        self, space: Space, seed: int = 0, settings: Sequence[Params] | None = None
    ) -> None:
        self._space = space
        self._names = list(space.params)
        self._begin()

    @classmethod
    def check(cls, params: Mapping[str, Parameter], settings: Sequence[Params] | None) -> None:
        super().check(params, settings)
        for name, spec in params.items():
            if spec.grid() is None:
                raise ValueError(
                    f"params.{name}: a grid needs finitely many values: "
                    'give it a "step", or a list of values'
                )

    @cached_property
    def size(self) -> int | None:
        if not self._space.exclude:
            return self._combinations_of(self._names, {})
        walked = itertools.islice(self._walk({}, 0), _MOST_COUNTED + 1)
        counted = sum(1 for _ in walked)
        return counted if counted <= _MOST_COUNTED else None

    def ask(self, question: Question) -> Suggestion | Nothing:
        if question.number < self._next - len(self._known):
            self._begin()  # seldom: a configuration is asked for that was suggested long ago
        while self._next <= question.number:
            following = next(self._combinations, None)
            if following is None:
                return Nothing.NO_MORE
            self._known.append(following)
            self._next += 1
        return Suggestion(dict(self._known[question.number - self._next]))

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
        if not self._space.params[name].is_active(chosen):
            yield from self._walk(chosen, depth + 1)
            return
        for value in self._values(name):
            yield from self._walk({**chosen, name: value}, depth + 1)

    def _combinations_of(self, names: Sequence[str], chosen: Mapping[str, Scalar]) -> int:
        """How many there are. Only parameters that others ask about need a walk."""
        if not names:
            return 1
        name, rest = names[0], names[1:]
        if not self._space.params[name].is_active(chosen):
            return self._combinations_of(rest, chosen)
        values = self._values(name)
        if not any(name in (self._space.params[other].when or {}) for other in rest):
            return len(values) * self._combinations_of(rest, chosen)
        return sum(self._combinations_of(rest, {**chosen, name: value}) for value in values)

    def _values(self, name: str) -> Sequence[Scalar]:
        values = self._space.params[name].grid()
        if values is None:
            raise ValueError(f"{name} has no finite grid")
        return values
