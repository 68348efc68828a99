"""What masters and workers of the protocol's model see, given to the real ones: see
`protocol_model.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from distune.master import planner
from distune.master.actions import (
    Action,
    Ask,
    Count,
    Finish,
    Lose,
    Promote,
    Prune,
    Publish,
    PutAway,
    Replace,
    Withdraw,
    is_new,
)
from distune.master.attempts import LISTINGS_TO_VANISH
from distune.search.asked import AskedSoFar
from distune.search.judge import Judge
from distune.search.race import Verdicts
from distune.search.staged import make_sampler
from distune.share.heartbeat import Beat
from distune.share.protocol import AttemptName, Halt, State
from distune.share.records import AttemptFile
from distune.study.study import Limits
from distune.study.trial import Counted, Failure, Outcome, Purpose, Result, Trial
from distune.watch.snapshot import Snapshot, WorkerView
from tests.histories import LEASE, asked_from, asked_trial, history_of, make_study
from tests.protocol_rules import FAILURE, File, Listing, Op, View, decide

STUDY, _ = make_study()
SAMPLER = make_sampler(STUDY)
_OVER = frozenset({State.DONE, State.PRUNED, State.LOST, State.PAUSED})
_TIME_LIMIT = 60.0  # seconds
_KINDS = {
    Count: "count",
    Lose: "lose",
    Promote: "promote",
    Prune: "prune",
    PutAway: "put away",
    Withdraw: "withdraw",
}


class _Judge(Judge):
    """To whom all that has paused is among the best, or none of it."""

    def __init__(self, *, promotes: bool) -> None:
        super().__init__(STUDY)
        self._promotes = promotes

    def at_rest(
        self, paused: Mapping[AttemptName, AttemptFile], most: float, *, last: bool = False
    ) -> Verdicts:
        return Verdicts(promoted=[*paused] if self._promotes else [])


def decides_alike(view: View) -> bool:
    """Whether the planner does about a view what the master of the model does."""
    return planned(view) == [op._replace(content="") for op in decide(view)]


def planned(view: View) -> list[Op]:
    """What the planner does about what a master of the model sees, in the order of `Actions`."""
    judge = _Judge(promotes=view.promotes)
    actions = planner.plan(_snapshot(view), _asked(len(view.known)), SAMPLER, judge)
    actions = [action for action in actions if not isinstance(action, Ask | Finish)]
    counts = [action for action in actions if isinstance(action, Count)]
    new = [action for action in actions if is_new(action)]
    rest = [a for a in actions if not isinstance(a, Count) and not is_new(a)]
    return [_op(action) for action in [*counts, *new, *rest]]


def names_in(listing: Listing) -> list[AttemptName]:
    """The names of a listing, as the store yields them."""
    return [_name(trial, file) for trial, files in enumerate(listing) for file in files]


def _op(action: Action) -> Op:
    match action:
        case Publish(trial):
            kind = "publish" if trial.attempt == 1 else "succeed"
            return Op(kind, trial.number, trial.attempt)
        case Replace(trial):
            return Op("replace", trial.number)
        case (
            Count(name) | Lose(name) | Promote(name) | Prune(name) | PutAway(name) | Withdraw(name)
        ):
            return Op(_KINDS[type(action)], name.trial, name.attempt, name.state, name.worker)
    raise AssertionError(f"the model knows nothing of {action}")


def _snapshot(view: View) -> Snapshot:
    trials = range(len(view.known))
    counted = [(t, file) for t, file in enumerate(view.known) if file is not None]
    met = [t for t in trials if view.last[t] or view.known[t] is not None]
    next_number = max(met, default=-1) + 1
    names = sorted(names_in(view.files))
    return Snapshot(
        study=STUDY,
        limits=Limits(trials=len(trials), time_limit=_TIME_LIMIT),
        elapsed=_TIME_LIMIT if view.stop else 0.0,
        history=history_of(STUDY, [_counted(trial, file) for trial, file in counted]),
        attempts=tuple(names),
        files={
            _name(trial, file): _file(trial, file)
            for trial, files in enumerate(view.files)
            for file in files
            if file.state in _OVER and file not in view.unread[trial]
        },
        absent={
            (Purpose.TRAIN, trial): 0 if view.files[trial] else LISTINGS_TO_VANISH
            for trial in range(next_number)
            if view.known[trial] is None
        },
        next_number=next_number,
        halt=Halt(view.halt) if view.halt else None,
        workers=tuple(_worker(name.worker, view) for name in names if name.worker),
    )


def _name(trial: int, file: File) -> AttemptName:
    return AttemptName(trial, file.attempt, worker=file.worker, state=file.state)


def _worker(worker: str, view: View) -> WorkerView:
    # With room for more than there is: as much as possible is published.
    beat = Beat(worker=worker, host="h", pid=1, device="cpu", jobs=16, counter=1, state="working")
    return WorkerView(worker, beat, LEASE if worker in view.silent else 0.0)


def _file(trial: int, file: File) -> AttemptFile:
    ended = _result(file) if file.state in (State.DONE, State.PAUSED) else None
    return AttemptFile(_trial(trial, file.attempt), None, (), ended)


def _counted(trial: int, file: File) -> Counted:
    made = _trial(trial, file.attempt)
    return Counted(trial=made, worker=file.worker, result=_result(file))


def _result(file: File) -> Result:
    if file.content == FAILURE:
        return Result(outcome=Outcome.FAILED, failure=Failure(message="it broke"))
    if file.state is State.PAUSED:
        return Result(outcome=Outcome.PAUSED, value=1.0, steps=1)
    return Result(outcome=Outcome.COMPLETE, value=1.0)


@cache
def _trial(number: int, attempt: int) -> Trial:
    return asked_trial(STUDY, SAMPLER, number, attempt)


@cache
def _asked(many: int) -> AskedSoFar:
    known = AskedSoFar(STUDY)
    for one in asked_from(STUDY, SAMPLER, many):
        known.add(one)
    return known
