"""Settings that a person wants tried: before a sampler's, or while it is at work."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from distune.search.asked import AskedSoFar
from distune.search.drawing import draw_allowed, draw_setting
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.study.space import Space
from distune.study.study import Study
from distune.study.trial import Asked, Params, Scalar


class EnqueuedFirst:
    """`EnqueuedFirst(settings, space, seed, sampler)`: its configurations are numbered from 0 by
    the sampler, too, so it leaves none of its own out.
    """

    def __init__(
        self, settings: Sequence[Params], space: Space, seed: int, sampler: Sampler
    ) -> None:
        self._settings = settings
        self._space = space
        self._seed = seed
        self._sampler = sampler
        self.endless = sampler.endless
        self.exchangeable = False
        self.label = sampler.label

    @property
    def slow(self) -> bool:
        return self._sampler.slow

    @property
    def at_once(self) -> int | None:
        return self._sampler.at_once

    @property
    def size(self) -> int | None:
        size = self._sampler.size
        return None if size is None else len(self._settings) + size

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        number = question.number - len(self._settings)
        if number >= 0:
            return self._sampler.begin(replace(question, number=number))
        found = self._enqueued(question)
        return lambda: found

    def ask(self, question: Question) -> Suggestion | Nothing:
        number = question.number - len(self._settings)
        if number >= 0:
            return self._sampler.ask(replace(question, number=number))
        return self._enqueued(question)

    def _enqueued(self, question: Question) -> Suggestion:
        setting = _completed(
            self._space, self._seed, question.number, self._settings[question.number]
        )
        return Suggestion(setting, state={"by": "enqueued"})


def asked_by_a_person(
    study: Study, so_far: AskedSoFar, wish: str, setting: Params, trial: int
) -> Asked:
    """The line that asks for a setting that a person wants tried while the study is under way. It
    uses up no number of the sampler's, and comes on top of the limit on trials.

    Args:
        wish: of that person, by which it is known again.
        trial: number of the first of its trials.

    Raises:
        ValueError: it can be none of the study's settings; `parameter: problem`.
    """
    study.space.check(setting)
    number = so_far.next_configuration
    return Asked(
        study=study.id,
        configuration=number,
        trial=trial,
        repeats=study.repeats,
        wish=wish,
        params=_completed(study.space, study.seed, number, setting),
        origin="enqueue",
    )


def _completed(space: Space, seed: int, number: int, setting: Params) -> dict[str, Scalar]:
    """A setting with what it leaves out, which is drawn: so that it is not excluded, if it can."""
    draws = f"distune enqueued {seed} {number}"
    allowed = draw_allowed(space, Random(draws), setting)
    return allowed or draw_setting(space, Random(draws), setting)
