"""From an attempt's file to what the history keeps of its trial."""

from __future__ import annotations

from collections.abc import Callable

from distune.errors import BadRecord
from distune.search.ranking import History
from distune.share.protocol import COUNTED, AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Store
from distune.study.study import Study
from distune.study.trial import Counted, Failure, Outcome, Purpose, Result, Trial, summarize

#: A number so far beyond the known ones was not published by a master of this study.
LONGEST_LEAP = 100_000


def count_attempt(
    study: Study, name: AttemptName, file: AttemptFile, elapsed: float | None
) -> Counted:
    """What the history keeps of an attempt that ends its trial."""
    if name.state is State.PRUNED:
        best = summarize(file.reports, study.metric, study.direction, study.summary)
        result = Result(
            outcome=Outcome.PRUNED,
            value=best.metrics[study.metric] if best else None,
            metrics=best.metrics if best else {},
            seconds=file.reports[-1].seconds if file.reports else 0.0,
            steps=len(file.reports),
        )
    else:
        result = file.result or Result(
            outcome=Outcome.FAILED, failure=Failure(message="the file has no result")
        )
    return Counted(
        trial=file.trial,
        worker=name.worker,
        device=file.claim.device if file.claim else "",
        result=result,
        elapsed=elapsed,
    )


#: Why a trial is none that the study has asked for, if so, given what was counted before.
Refuse = Callable[[Trial, History], str | None]


def recover(store: Store, history: History, refuse: Refuse) -> list[Counted]:
    """Add to the history what `seen/` has and it lacks: a crash came between, or the cache is
    gone. Of two files of one trial (two masters raced) the lower attempt counts. What cannot
    be read there counts nothing: its trial is made again.

    Returns:
        What was added, each trial after those that it rests upon: by number, tests last.
    """
    found: list[Counted] = []
    reach = len(history)
    unknown = store.seen(history.counted)
    for name in sorted(unknown, key=lambda n: (n.purpose is Purpose.TEST, n.trial, n)):
        if name.state not in COUNTED or history.has(name.key):
            continue
        if name.trial > reach + LONGEST_LEAP:
            continue
        try:
            file = store.read_ended(name, seen=True)
        except (FileNotFoundError, BadRecord):
            continue
        if refuse(file.trial, history) is None:
            reach = max(reach, name.trial)
            found.append(count_attempt(history.study, name, file, None))
            history.add(found[-1])
    return found
