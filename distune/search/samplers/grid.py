"""Grid search: every combination, the last parameter changing fastest."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion
from distune.study.space import Parameter, holds, how_many
from distune.study.trial import Params, Scalar

#: Of the combinations suggested last: one that is asked for again is mostly among them.
_REMEMBERED = 1000
#: Values that are looked at only to tell the size of a grid, at most.
_MOST_COUNTED = 100_000
#: Excluded ones in a row after which a question is answered, so that its asker can do other
#: things: milliseconds.
_MOST_EXCLUDED = 10_000


class GridSampler(SpaceSampler):
    """All combinations of finitely many values; a parameter whose `when` does not hold is left
    out, so no combination comes twice. It leaves out what the space excludes.
    """

    endless = False
    exchangeable = False
    at_once = None
    label = "grid search"

    def _prepare(self) -> None:
        self._names = list(self._space.params)
        places = {name: place for place, name in enumerate(self._names)}
        #: Excluded combinations by the last parameter that each names: what begins with one of
        #: them is not walked.
        self._excluded: list[list[Mapping[str, Sequence[Scalar]]]] = [[] for _ in self._names]
        for combination in self._space.exclude:
            self._excluded[max(places[name] for name in combination)].append(combination)
        self._begin()

    @classmethod
    def check_params(cls, params: Mapping[str, Parameter]) -> None:
        for name, spec in params.items():
            if spec.grid() is None:
                raise ValueError(
                    f"params.{name}: a grid needs finitely many values: "
                    'give it a "step", or a list of values'
                )

    @cached_property
    def size(self) -> int | None:
        asked_about = [spec.when or {} for spec in self._space.params.values()]
        decisive = {name for named in (*asked_about, *self._space.exclude) for name in named}
        self._to_look_at = _MOST_COUNTED
        try:
            return self._combinations_from(0, {}, decisive)
        except OverflowError:
            return None

    def ask(self, question: Question) -> Suggestion | Nothing:
        if question.number < self._next - len(self._known):
            self._begin()  # seldom: a configuration is asked for that was suggested long ago
        in_vain = 0
        while self._next <= question.number:
            try:
                following = next(self._combinations)
            except StopIteration:
                return Nothing.NO_MORE
            if following is not None:
                self._known.append(following)
                self._next += 1
                in_vain = 0
            elif (in_vain := in_vain + 1) >= _MOST_EXCLUDED:
                return Nothing.STILL_LOOKING
        return Suggestion(dict(self._known[question.number - self._next]))

    def _begin(self) -> None:
        self._combinations = self._walk()
        self._next = 0
        self._known: deque[dict[str, Scalar]] = deque(maxlen=_REMEMBERED)

    def _walk(self) -> Iterator[dict[str, Scalar] | None]:
        """All combinations; None for all those that begin with an excluded one, together."""
        if not self._names:
            yield {}
            return
        chosen: dict[str, Scalar] = {}
        values = [self._settings_of(0, chosen)]  # of each parameter so far, those to come
        while values:
            place = len(values) - 1
            chosen.pop(self._names[place], None)
            for setting in values[-1]:
                chosen.update(setting)
                if self._is_excluded(place, chosen):
                    yield None
                elif len(values) == len(self._names):
                    yield dict(chosen)
                else:
                    values.append(self._settings_of(len(values), chosen))
                break
            else:
                values.pop()

    def _settings_of(self, place: int, chosen: Params) -> Iterator[dict[str, Scalar]]:
        """What a parameter may be, after those before it: one of its values, or left out."""
        name = self._names[place]
        if not self._space.params[name].is_active(chosen):
            return iter([{}])
        return ({name: value} for value in self._values(name))

    def _is_excluded(self, place: int, chosen: Params) -> bool:
        """Whether what is chosen up to a place is excluded, whatever follows."""
        return any(holds(combination, chosen) for combination in self._excluded[place])

    def _combinations_from(self, place: int, chosen: Params, decisive: set[str]) -> int:
        """How many there are that begin like this. Only parameters that conditions or exclusions
        ask about need a walk.

        Raises:
            OverflowError: it would be too long.
        """
        factor = 1
        for here in range(place, len(self._names)):
            name = self._names[here]
            if not self._space.params[name].is_active(chosen):
                continue
            values = self._values(name)
            if name not in decisive:
                factor *= how_many(values)
                continue
            total = 0
            for value in values:
                self._to_look_at -= 1
                if self._to_look_at < 0:
                    raise OverflowError
                following = {**chosen, name: value}
                if not self._is_excluded(here, following):
                    total += self._combinations_from(here + 1, following, decisive)
            return factor * total
        return factor

    def _values(self, name: str) -> Sequence[Scalar]:
        values = self._space.params[name].grid()
        if values is None:
            raise ValueError(f"{name} has no finite grid")
        return values
