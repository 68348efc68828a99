"""What samplers that learn have in common: how they begin, and that nothing is tried twice."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Annotated, ClassVar, Protocol

from pydantic import Field

from distune.search.configuration import Tier
from distune.search.drawing import draw_setting
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Reached, SpaceSampler, Suggestion
from distune.study.space import Space, Strict
from distune.study.trial import Asked, Params, Scalar, is_of_search, params_key

#: If no proposal of the model is new, others near the first of them, then any.
_NEAR, _ANY = 200, 10_000


class Model(Protocol):
    """What learns. It may keep what it has worked out, but what it suggests depends on the seed, on
    the history and what is in flight, on their order, and on what the latter have reached alone.
    """

    def follow(self, history: History, in_flight: Sequence[Asked], reached: Reached) -> None:
        """Take in what has been counted, what is in flight, and what of that has come to rungs."""

    def suggest(self, seed: int) -> dict[str, Scalar] | None:
        """A setting of the space, which may exclude it; None if too little is known."""


class StartupOptions(Strict):
    """Of a sampler that begins with configurations that are drawn at random."""

    n_startup_trials: Annotated[int, Field(ge=1, le=10**6)] = 10


class PopulationOptions(Strict):
    """Of a sampler that goes from generation to generation; None: as its model chooses."""

    population_size: Annotated[int, Field(ge=4, le=10**6)] | None = None


class LearningSampler(SpaceSampler):
    """A model of the space, maybe after some random configurations. The seed of each answer follows
    from the study's and the configuration's number.

    Attributes:
        tries: how many proposals the model may make until one is new.
    """

    endless = True
    exchangeable = False
    size = None

    tries: ClassVar[int]
    options: ClassVar[type[Strict]] = StartupOptions

    def _prepare(self) -> None:
        self._model = self._make_model()

    @abstractmethod
    def _make_model(self) -> Model:
        """A model that knows of nothing so far."""

    @property
    def _startup(self) -> int:
        return getattr(self._options, "n_startup_trials", 0)

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        in_flight = question.in_flight()
        running = {params_key(one.params) for one in in_flight}
        tried = question.history.tried | running
        reached = question.reached()
        known = question.history.configurations + len(question.history.study.earlier)
        learns = known + len(reached) >= self._startup
        if learns:
            self._model.follow(question.history, in_flight, reached)

        def find() -> Suggestion | Nothing:
            for place, (setting, how) in enumerate(self._proposals(question.number, learns)):
                key = params_key(setting)
                if key not in tried and not self._space.excludes(setting):
                    return Suggestion(setting, state={"by": how})
                if place == 0 and how == self.label and key not in running:
                    first = _to_repeat(question, setting)
                    if first is not None:
                        return Suggestion(setting, state={"by": how}, adds_to=first)
            return Nothing.NO_MORE

        return find

    def ask(self, question: Question) -> Suggestion | Nothing:
        return self.begin(question)()

    def _proposals(self, number: int, learns: bool) -> Iterator[tuple[dict[str, Scalar], str]]:
        rng = Random(f"distune {self._seed} {number}")
        if learns:
            first: dict[str, Scalar] | None = None
            for _ in range(self.tries):
                setting = self._model.suggest(rng.getrandbits(32))
                if setting is not None:
                    yield setting, self.label
                    first = first or setting
            for _ in range(_NEAR if first else 0):
                yield _neighbour(self._space, first or {}, rng), "a neighbour"
        for _ in range(_ANY):
            yield draw_setting(self._space, rng), "random search"


def _to_repeat(question: Question, setting: Params) -> int | None:
    """The first trial of the configuration with this setting, of which nothing is in flight, if it
    is worth one more repeat: what has failed, or does not keep a constraint, is not.
    """
    known = question.history.known(setting)
    if known is None or known.tier(question.history.study.repeats) is not Tier.FULL:
        return None
    first = next((one.trial for one in known.trials if is_of_search(one.trial)), None)
    if first is None or not question.may_add_to(first.configuration):
        return None
    return first.number if first.adds_to is None else first.adds_to


def _neighbour(space: Space, setting: Params, rng: Random) -> dict[str, Scalar]:
    """A setting that differs in one parameter, and in those that are there only because of it."""
    changed = rng.choice([*space.params])
    return draw_setting(space, rng, {n: v for n, v in setting.items() if n != changed})
