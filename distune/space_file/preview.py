"""What a study would do, told before it is started."""

from __future__ import annotations

import json
from collections.abc import Iterator

from distune.errors import UserError
from distune.search.ranking import History
from distune.search.sampler import Question, Suggestion
from distune.search.staged import StagedSampler, make_sampler
from distune.study.study import Limits, Study

#: More trials than this are as good as no limit.
_MOST_COUNTED = 100_000


def check_there_is_something(study: Study) -> None:
    """See that a study has anything to try.

    Raises:
        UserError: it has not.
    """
    if not isinstance(make_sampler(study).ask(Question(0, History(study))), Suggestion):
        raise UserError(
            f"study {study.name}: there is no setting to try: exclude leaves none; take out some "
            "of it"
        )


def preview(study: Study, limits: Limits, samples: int) -> Iterator[str]:
    """What a study would do, in lines for people.

    Args:
        study: as it would be published.
        limits: that end it.
        samples: how many of its settings to show.

    Raises:
        UserError: there is nothing to try.
    """
    check_there_is_something(study)
    sampler = make_sampler(study)
    yield f"objective  {study.objective_name}, {study.direction} {study.metric}"
    total = limits.trials
    if sampler.size is not None:
        everything = sampler.size * study.repeats
        total = everything if total is None else min(total, everything)
    endless = total is None or (limits.trials is None and total >= _MOST_COUNTED)
    how_many = "without a limit on trials" if endless else f"{total} trials"
    repeats = f", {study.repeats} repeats of each configuration" if study.repeats > 1 else ""
    yield f"trials     {sampler.label}, {how_many}{repeats}"
    if isinstance(sampler, StagedSampler):
        for view in sampler.views():
            tunes = ", ".join(view.stage.params)
            yield f"stage      {view.stage.name}: {view.trials} trials of {tunes}"
    for number in range(samples):
        found = sampler.ask(Question(number, History(study)))
        if isinstance(found, Suggestion):
            yield f"for example {json.dumps(found.params)}"
