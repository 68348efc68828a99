"""Training counted trials further: `distune extend`. Done in the place of the study's master."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distune.errors import UserError
from distune.master.lock import Identity
from distune.master.master import Master
from distune.master.revision import as_master, ask_for, counted_trials
from distune.search.asked import asked_further
from distune.search.further import longer, spanning_schedule
from distune.share.store import Store
from distune.study.trial import Asked, Counted, Outcome, Params


@dataclass(frozen=True)
class Extended:
    """A trial that is trained further.

    Attributes:
        trial: its number.
        by: the number of the one that does.
        step: after which that goes on; None if it begins at the start.
        why: it does that, if so.
    """

    trial: int
    by: int
    step: int | None = None
    why: str = ""


def extend(
    folder: Path,
    store: Store,
    identity: Identity,
    wanted: Mapping[str, float],
    *,
    numbers: Sequence[int] = (),
    top: int = 0,
) -> list[Extended]:
    """Have counted trials trained further, as new trials of other configurations.

    Args:
        wanted: the parameters that say how long a training is, and what they are to be.
        numbers: of the trials.
        top: or those of so many configurations, the best ones, but for those that are so long.

    Raises:
        UserError: a master is at work, or one of them cannot be trained further.
        ShareError: the share did not answer; do the same again.
    """
    with as_master(folder, store, identity) as master:
        trials = counted_trials(master.observer.history, master.asked, numbers) or list(
            _best(master, top)
        )
        asked: list[Asked] = []
        passed_over: list[str] = []
        for counted in trials:
            params = longer(master.study, counted, wanted)
            known = _already(master, counted, params)
            if known and numbers:
                raise UserError(known)
            if known:
                passed_over.append(known)
            elif params is not None:
                asked.append(_asked(master, counted, params, master.next_number + len(asked)))
        if not asked:
            why = "; ".join(passed_over) or f"no trial of {master.study.name} has a result"
            raise UserError(f"there is nothing to train further: {why}")
        found = [_extended(master, one) for one in asked]
        ask_for(master, asked)
    return found


def _best(master: Master, top: int) -> Iterator[Counted]:
    for configuration in master.observer.history.best(top):
        yield from configuration.complete


def _already(master: Master, counted: Counted, params: Params | None) -> str:
    """Why there is nothing to be done; "" if there is."""
    number, confirms = counted.trial.number, counted.trial.confirms
    if confirms is not None:
        return f"trial {number} confirms trial {confirms}: train that one further"
    if counted.result.outcome is not Outcome.COMPLETE:
        return f"trial {number} is {counted.result.outcome}: only a complete one is trained further"
    if params is None:
        return f"trial {number} is that long already"
    wanted = counted.trial.configuration, counted.trial.repeat, params
    for by in master.asked.extends:
        asked = master.asked.of(by)
        if asked is not None and (asked.configuration, asked.repeat, asked.params) == wanted:
            return f"trial {number} is trained further to that already, as trial {by}"
    return ""


def _asked(master: Master, counted: Counted, params: Params, number: int) -> Asked:
    asked = asked_further(master.study, counted.trial, number, params)
    first = counted.trial.replace(extends=counted.trial.number, params=asked.params)
    return asked.replace(checkpoints=master.keeping.begin_from(first))


def _extended(master: Master, asked: Asked) -> Extended:
    assert asked.extends is not None
    if asked.checkpoints:
        return Extended(asked.extends, asked.trial, asked.checkpoints[0].step)
    why = "left no checkpoint"
    if schedule := spanning_schedule(master.study, asked.params):
        why = f"learns by the schedule {schedule}, which spans its epochs"
    return Extended(asked.extends, asked.trial, why=why)
