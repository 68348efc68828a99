"""Stages, one after the other, each with a sampler of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from distune.search.configuration import Configuration
from distune.search.ranking import History
from distune.search.sampler import Nothing, Question, Sampler, SpaceSampler, Suggestion
from distune.search.samplers import SAMPLERS
from distune.study.stage import Stage, stage_space
from distune.study.study import Study
from distune.study.trial import Counted, Params

_MOST = 100_000  # configurations of one stage


def make_sampler(study: Study) -> Sampler:
    """The sampler that a study names; with stages, one for all of them."""
    if study.stages is not None:
        return StagedSampler(study)
    return SAMPLERS[study.sampler](study.space, study.seed, study.settings)


@dataclass(frozen=True)
class StageView:
    """How a stage stands.

    Attributes:
        stage: which.
        state: what it does.
        first: number of its first configuration; as it looks now while it waits, like `trials`.
        configurations, trials: how many it has.
        start: the setting that it starts from.
        counted: how many of its trials are over.
        winner: its best configuration, when it is over; None if none had a result.
    """

    stage: Stage
    state: Literal["waiting", "running", "over"]
    first: int
    configurations: int
    trials: int
    start: Params
    counted: int = 0
    winner: Configuration | None = None

    def has(self, configuration: int) -> bool:
        """Whether a configuration of this number is one of its own."""
        return self.first <= configuration < self.first + self.configurations


@dataclass
class _Open:
    """A stage that has begun."""

    first: int  # of its configurations
    size: int  # configurations
    sampler: SpaceSampler
    start: Params
    history: History = field(repr=False)

    @property
    def is_over(self) -> bool:
        return len(self.history) >= self.size * self.history.study.repeats

    def has(self, configuration: int) -> bool:
        return self.first <= configuration < self.first + self.size


class StagedSampler:
    """Configurations of the first stage, then of the second, and so on.

    There is none of a stage before all trials of the one before are counted, however they
    ended; it starts from the best of them or, if none has a result, from where they did.
    What was read of a history is remembered: it must only ever grow.
    """

    endless = False
    exchangeable = False

    def __init__(self, study: Study) -> None:
        self._study = study
        self._stages = study.stages or []
        self._read = 0
        self._open = [self._opened(0, 0, study.space.constants)]
        self._to_come = self._expected()
        self.label = f"a search in {len(self._stages)} stages"

    @property
    def size(self) -> int:
        return sum(one.size for one in [*self._open, *self._to_come])

    def ask(self, question: Question) -> Suggestion | Nothing:
        self.follow(question.history.trials)
        for stage, one in zip(self._stages, self._open, strict=False):
            if one.has(question.number):
                # A random stage must not draw again what an earlier one has drawn.
                number = question.number - (0 if one.sampler.endless else one.first)
                found = one.sampler.ask(Question(number, one.history))
                if isinstance(found, Suggestion):
                    return Suggestion(found.params, stage.name, found.state)
                return found
        if len(self._open) < len(self._stages):
            return Nothing.NOT_YET
        return Nothing.NO_MORE

    def follow(self, history: Sequence[Counted]) -> None:
        """Take in what is new in a history, and go on to the next stage if it is time."""
        for counted in history[self._read :]:
            self._read += 1
            self._count(counted)
        while self._open[-1].is_over and len(self._open) < len(self._stages):
            last = self._open[-1]
            self._open.append(self._opened(len(self._open), last.first + last.size, _best(last)))
            self._to_come = self._expected()
            for counted in history[: self._read]:
                self._count(counted)

    def views(self) -> list[StageView]:
        """All stages; those to come as they would be if nothing better was found."""
        stages = [*self._open, *self._to_come]
        return [
            StageView(
                stage,
                "waiting" if i >= len(self._open) else "over" if one.is_over else "running",
                one.first,
                one.size,
                one.size * self._study.repeats,
                one.start,
                len(one.history),
                one.history.winner() if one.is_over else None,
            )
            for i, (stage, one) in enumerate(zip(self._stages, stages, strict=True))
        ]

    def stage_of(self, configuration: int) -> Stage | None:
        """The stage that a configuration belongs to; None if that has not begun."""
        for stage, one in zip(self._stages, self._open, strict=False):
            if one.has(configuration):
                return stage
        return None

    def _expected(self) -> list[_Open]:
        """The stages to come, which all would start where the last one did."""
        stages = [self._open[-1]]
        for index in range(len(self._open), len(self._stages)):
            last = stages[-1]
            stages.append(self._opened(index, last.first + last.size, last.start))
        return stages[1:]

    def _opened(self, index: int, first: int, start: Params) -> _Open:
        study, stage = self._study, self._stages[index]
        space = stage_space(study.params, self._stages[: index + 1], start, study.exclude)
        sampler = SAMPLERS[stage.sampler](space, study.seed, stage.settings)
        most = -(-stage.trials // study.repeats) if stage.trials else _MOST
        size = most if sampler.size is None else min(most, sampler.size)
        return _Open(first, size, sampler, start, History(study))

    def _count(self, counted: Counted) -> None:
        last = self._open[-1]
        if last.has(counted.trial.configuration):
            last.history.add(counted)


def _best(stage: _Open) -> Params:
    winner = stage.history.winner() if stage.is_over else None
    return winner.params if winner else stage.start
