"""Stages, one after the other, each with a sampler of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from distune.search.configuration import Configuration
from distune.search.enqueued import EnqueuedFirst
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Sampler, SpaceSampler, Suggestion
from distune.search.samplers import SAMPLERS
from distune.study.stage import Stage, stage_space
from distune.study.study import Study
from distune.study.trial import Asked, Counted, Params, is_of_search

_MOST = 100_000  # configurations of one stage


def make_sampler(study: Study) -> Sampler:
    """The sampler that a study names; with stages, one for all of them."""
    if study.stages is not None:
        return StagedSampler(study)
    named = SAMPLERS[study.sampler]
    sampler = named(study.space, study.seed, study.settings, study.sampler_options)
    if study.enqueue:
        return EnqueuedFirst(study.enqueue, study.space, study.seed, sampler)
    return sampler


@dataclass(eq=False)
class StageView:
    """How a stage stands; what it will start from and have, while it waits."""

    stage: Stage
    begun: bool  # the stages before it are over
    first: int  # number of its first configuration
    configurations: int  # how many it has
    sampler: SpaceSampler = field(repr=False)
    start: Params  # the setting that it starts from
    history: History = field(repr=False)  # its own trials that are counted

    @property
    def state(self) -> Literal["waiting", "running", "over"]:
        if not self.begun:
            return "waiting"
        return "over" if self.counted >= self.trials else "running"

    @property
    def trials(self) -> int:
        return self.configurations * self.history.study.repeats

    @property
    def counted(self) -> int:
        return self.history.over

    @property
    def winner(self) -> Configuration | None:
        """Its best configuration, when it is over; None if none had a result."""
        return self.history.winner() if self.state == "over" else None

    def has(self, configuration: int) -> bool:
        """Whether a configuration of this number is one of its own."""
        return self.first <= configuration < self.first + self.configurations


def _of(view: StageView, question: Question) -> list[Asked]:
    """What is in flight of a stage."""
    return [asked for asked in question.in_flight() if view.has(asked.configuration)]


def _of_stage(name: str, find: Callable[[], Suggestion | Nothing]) -> Suggestion | Nothing:
    found = find()
    return replace(found, stage=name) if isinstance(found, Suggestion) else found


class StagedSampler:
    """Configurations of the first stage, then of the second, and so on.

    There is none of a stage before all trials of the one before are counted; it starts from the
    best of them or, if none has a result, from where they did. A history must only ever grow.
    """

    endless = False
    exchangeable = False

    def __init__(self, study: Study) -> None:
        self._study = study
        self._stages = study.stages or []
        self._read = 0
        self._begun: list[StageView] = []
        self._begin(0, study.space.constants)
        self.label = f"a search in {len(self._stages)} stages"

    @property
    def slow(self) -> bool:
        return self._begun[-1].sampler.slow

    @property
    def at_once(self) -> int | None:
        return self._begun[-1].sampler.at_once

    @property
    def size(self) -> int:
        return sum(view.configurations for view in self.views())

    def ask(self, question: Question) -> Suggestion | Nothing:
        return self.begin(question)()

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        self.follow(question.history.trials)
        for one in self._begun:
            if one.has(question.number):
                # A random stage must not draw again what an earlier one has drawn.
                number = question.number - (0 if one.sampler.endless else one.first)
                its_own = Question(number, one.history, partial(_of, one, question))
                return partial(_of_stage, one.stage.name, one.sampler.begin(its_own))
        none = Nothing.NOT_YET if self._to_come else Nothing.NO_MORE
        return lambda: none

    def follow(self, history: Sequence[Counted]) -> None:
        """Take in what is new in a history, and go on to the next stage if it is time."""
        for counted in history[self._read :]:
            self._read += 1
            self._count(counted)
        while self._to_come and (last := self._begun[-1]).state == "over":
            winner = last.winner
            first = last.first + last.configurations
            self._begin(first, winner.params if winner else last.start)
            for counted in history[: self._read]:
                self._count(counted)

    def views(self) -> list[StageView]:
        """All stages; those to come as they would be if nothing better was found."""
        return [*self._begun, *self._to_come]

    def stage_of(self, configuration: int) -> Stage | None:
        """The stage that a configuration belongs to; None if that has not begun."""
        return next((one.stage for one in self._begun if one.has(configuration)), None)

    def _begin(self, first: int, start: Params) -> None:
        """Begin the next stage; those to come would all start where it does."""
        views: list[StageView] = []
        for index in range(len(self._begun), len(self._stages)):
            views.append(self._view(index, not views, first, start))
            first += views[-1].configurations
        self._begun.append(views[0])
        self._to_come = views[1:]

    def _view(self, index: int, begun: bool, first: int, start: Params) -> StageView:
        study, stage = self._study, self._stages[index]
        space = stage_space(study.params, self._stages[: index + 1], start, study.exclude)
        sampler = SAMPLERS[stage.sampler](space, study.seed, stage.settings, stage.sampler_options)
        most = -(-stage.trials // study.repeats) if stage.trials else _MOST
        size = most if sampler.size is None else min(most, sampler.size)
        return StageView(stage, begun, first, size, sampler, start, History(study))

    def _count(self, counted: Counted) -> None:
        last = self._begun[-1]
        if not is_of_search(counted.trial):
            return  # it was trained for longer than what the stage compares, or confirms its best
        if last.has(counted.trial.configuration):
            last.history.add(counted)
