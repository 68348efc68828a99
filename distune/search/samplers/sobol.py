"""A scrambled Sobol sequence (Owen, 1998): random search that leaves no region out."""

from collections.abc import Mapping
from random import Random

from distune.search.drawing import Coordinates, draw_allowed, draw_setting
from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion
from distune.study.space import Parameter

_MOST_DIMENSIONS = 21201  # the direction numbers that SciPy has
_MOST_POINTS = 2**30


class SobolSampler(SpaceSampler):
    """Configuration *i* is point *i* of the sequence, each parameter a dimension; a point that the
    space excludes is drawn at random.
    """

    endless = True
    exchangeable = False
    at_once = None
    label = "a Sobol sequence"
    size = None

    @classmethod
    def check_params(cls, params: Mapping[str, Parameter]) -> None:
        if len(params) > _MOST_DIMENSIONS:
            raise ValueError(f"params: a Sobol sequence has {_MOST_DIMENSIONS} dimensions at most")

    def ask(self, question: Question) -> Suggestion | Nothing:
        if question.number < _MOST_POINTS:
            point = self._point(question.number)
            setting = draw_setting(self._space, Coordinates(point))
            if not self._space.excludes(setting):
                return Suggestion(setting)
        otherwise = draw_allowed(self._space, Random(f"distune {self._seed} {question.number}"))
        return Nothing.NO_MORE if otherwise is None else Suggestion(otherwise)

    def _point(self, number: int) -> list[float]:
        from scipy.stats.qmc import Sobol

        sequence = Sobol(max(1, len(self._space.params)), rng=self._seed)
        if number:
            sequence.fast_forward(number)
        found: list[float] = sequence.random(1)[0].tolist()
        return found
