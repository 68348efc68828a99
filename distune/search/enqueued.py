"""Settings that a person wants tried first, and then a sampler."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from distune.search.drawing import draw_setting
from distune.search.sampler import Nothing, Question, Sampler, Suggestion
from distune.study.space import Space
from distune.study.trial import Params


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
    def at_once(self) -> int | None:
        return self._sampler.at_once

    @property
    def size(self) -> int | None:
        size = self._sampler.size
        return None if size is None else len(self._settings) + size

    def ask(self, question: Question) -> Suggestion | Nothing:
        number = question.number - len(self._settings)
        if number >= 0:
            return self._sampler.ask(replace(question, number=number))
        rng = Random(f"distune enqueued {self._seed} {question.number}")
        setting = draw_setting(self._space, rng, self._settings[question.number])
        return Suggestion(setting, state={"by": "enqueued"})
