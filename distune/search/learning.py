"""What samplers that learn have in common: how they begin, and that nothing is tried twice."""

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import Field

from distune.search.drawing import draw_setting
from distune.search.optuna_bridge import OptunaStudy
from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion
from distune.study.space import Space, Strict
from distune.study.trial import Asked, Params, Scalar, params_key

#: If no proposal of the model is new, others near the first of them, then any.
_NEAR, _ANY = 200, 10_000


class _Options(Strict):
    n_startup_trials: Annotated[int, Field(ge=1, le=10**6)] = 10


class LearningSampler(SpaceSampler):
    """A sampler of Optuna's, after some random configurations. The seed of each answer follows from
    the study's and the configuration's number; what is in flight counts.

    Attributes:
        tries: how many proposals it may make until one is new.
        optuna_sampler, optuna_options: a class of `optuna.samplers`, and its arguments.
    """

    endless = True
    exchangeable = False
    size = None

    tries: ClassVar[int]
    options: ClassVar[type[Strict]] = _Options
    optuna_sampler: ClassVar[str]
    optuna_options: ClassVar[Mapping[str, Any]] = {}

    def _prepare(self) -> None:
        self._study: OptunaStudy | None = None

    def ask(self, question: Question) -> Suggestion | Nothing:
        in_flight = question.in_flight()
        tried = {params_key(one.params) for one in in_flight}
        for setting, how in self._proposals(question, in_flight):
            new = params_key(setting) not in tried and not question.history.has_tried(setting)
            if new and not self._space.excludes(setting):
                return Suggestion(setting, state={"by": how})
        return Nothing.NO_MORE

    def _proposals(
        self, question: Question, in_flight: Sequence[Asked]
    ) -> Iterator[tuple[dict[str, Scalar], str]]:
        rng = Random(f"distune {self._seed} {question.number}")
        if question.history.configurations >= self._options.n_startup_trials:
            if self._study is None:
                self._study = OptunaStudy(self._space, self.optuna_sampler, self.optuna_options)
            self._study.follow(question.history, in_flight)
            first: dict[str, Scalar] | None = None
            for _ in range(self.tries):
                setting = self._study.suggest(rng.getrandbits(32))
                if setting is not None:
                    yield setting, self.label
                    first = first or setting
            for _ in range(_NEAR if first else 0):
                yield _neighbour(self._space, first or {}, rng), "a neighbour"
        for _ in range(_ANY):
            yield draw_setting(self._space, rng), "random search"


def _neighbour(space: Space, setting: Params, rng: Random) -> dict[str, Scalar]:
    """A setting that differs in one parameter, and in those that are there only because of it."""
    changed = rng.choice([*space.params])
    return draw_setting(space, rng, {n: v for n, v in setting.items() if n != changed})
