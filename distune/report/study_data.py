"""What was read of a study. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from distune.search.configuration import Configuration
from distune.search.ranking import History
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.study.figures import Figure
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Params, Report, is_of_search
from distune.watch.display.configurations import varying_parameters
from distune.watch.display.numbers import format_scalar
from distune.watch.display.text import clean
from distune.watch.snapshot import Snapshot

PARAMS_IN_WORDS = 12
#: Configurations, the best ones, of whose trials all is shown that their files say.
DETAILED = 20
#: What the stage of a trial is called among its parameters.
STAGE = "stage"


@dataclass(frozen=True)
class StudyData:
    """All that a report is made from."""

    snapshot: Snapshot
    #: Files of counted trials: those whose curves are drawn, and a few that show how clocks stand.
    files: Mapping[int, AttemptFile] = field(default_factory=dict)
    #: Attempts that did not end their trial, and what the files of the first of them say.
    given_up: Mapping[AttemptName, AttemptFile | None] = field(default_factory=dict)
    #: What the test of a winner's trial left, by the trial's number.
    figures: Mapping[int, Sequence[Figure]] = field(default_factory=dict)
    sampled: bool = False  # whether only some of the learning curves were read
    beside_report: Sequence[str] = ()  # how a preset's study stands to what it reproduces
    problems: Sequence[str] = ()  # what could not be read, for people

    @property
    def history(self) -> History:
        return self.snapshot.history

    @cached_property
    def trials(self) -> list[Counted]:
        """Those counted that are ranked, as they came; tests are not among them."""
        return list(self.history.standing)

    @property
    def study(self) -> Study:
        return self.snapshot.study

    @cached_property
    def varying(self) -> list[str]:
        """Names of the parameters that are not the same throughout."""
        return varying_parameters(self.study, (one.trial.params for one in self.trials))

    @cached_property
    def values(self) -> dict[int, float]:
        """What the trials reached that have a finite value, by their numbers."""
        values = {one.trial.number: value_of(one) for one in self.trials}
        return {number: value for number, value in values.items() if math.isfinite(value)}

    @property
    def good_direction(self) -> str:
        return "higher is better" if self.study.direction == "maximize" else "lower is better"

    def params_words(self, params: Params) -> str:
        """`lr 0.1, optimizer sgd`: those that vary; all, if none do."""
        names = [name for name in self.varying if name in params] or list(params)
        words = [f"{clean(n, 60)} {clean(format_scalar(params[n]), 60)}" for n in names]
        more = len(words) - PARAMS_IN_WORDS
        return ", ".join(words[:PARAMS_IN_WORDS]) + (f" and {more} more" if more > 0 else "")

    @cached_property
    def ranking(self) -> list[Configuration]:
        """All configurations, best first."""
        return self.history.ranking()

    @cached_property
    def stages(self) -> dict[str, list[int]]:
        """Numbers of the counted trials of each stage that has begun, by its name, in order."""
        configurations = {
            one.trial.number: one.trial.configuration
            for one in self.trials
            if is_of_search(one.trial)
        }
        return {
            view.stage.name: [n for n, c in sorted(configurations.items()) if view.has(c)]
            for view in self.snapshot.stages
            if view.state != "waiting"
        }

    @cached_property
    def curves(self) -> dict[int, tuple[Report, ...]]:
        """Reports of the trials that made more than one, by the trials' numbers."""
        return {
            number: file.reports
            for number, file in sorted(self.files.items())
            if len(file.reports) > 1
        }


def value_of(counted: Counted) -> float:
    """What a trial reached; NaN if it has no finite value or was stopped before its end."""
    value = counted.result.value
    if counted.result.outcome is not Outcome.COMPLETE or value is None:
        return math.nan
    return value if math.isfinite(value) else math.nan


def spent(counted: Counted) -> float:
    """Seconds of training; 0 if what stands there is no duration."""
    seconds = counted.result.seconds
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
