"""What a person decides about trials that are counted: `distune retry` and `distune drop`. Nothing
that was counted is altered. Both are done in the place of the study's master, when none runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distune.errors import UserError
from distune.master.lock import Identity, only_master
from distune.master.master import Master
from distune.share.store import Store
from distune.study.study import Limits
from distune.study.trial import FAILURES, Counted, Purpose


def retry(folder: Path, store: Store, identity: Identity, numbers: Sequence[int]) -> dict[int, int]:
    """Have counted trials trained again, with their own params and seeds, as new trials.

    Args:
        numbers: of the trials; without any, all that have failed.

    Returns:
        The number of each new trial, by that of the one that it is ranked instead of.

    Raises:
        UserError: a master is at work, or one of them cannot be tried again.
        ShareError: the share did not answer; do the same again.
    """
    with _as_master(folder, store, identity) as master:
        trials = _counted(master, numbers) if numbers else _failed(master)
        asked = master.try_again(trials) if trials else []
        if asked:  # a crash before this: the next master does it
            store.reopen()
            master.leave()
    return {one.trial.number: new.trial for one, new in zip(trials, asked, strict=True)}


def drop(folder: Path, store: Store, identity: Identity, numbers: Sequence[int]) -> bool:
    """Take counted trials out of the ranking for good. A study that was over is over again, if
    another winner has to be evaluated on no test set.

    Returns:
        Whether the study is over.

    Raises:
        UserError, ShareError: as above.
    """
    was_over = store.is_finished()
    with _as_master(folder, store, identity) as master:
        trials = _counted(master, numbers)
        for one in trials:
            if one.trial.number in master.observer.history.dropped:
                raise UserError(f"trial {one.trial.number} was dropped before")
        master.drop(trials)
        store.reopen()
        while was_over and master.finished is None and master.active:
            master.step()
        master.leave()
    return master.finished is not None


@contextmanager
def _as_master(folder: Path, store: Store, identity: Identity) -> Iterator[Master]:
    store.load().refuse_earlier()
    with only_master(folder, store, identity):
        before = store.read_master()
        limits = before.limits if before else Limits()
        yield Master(store, limits, identity, reopens=False)


def _counted(master: Master, numbers: Sequence[int]) -> list[Counted]:
    history, found = master.observer.history, []
    for number in dict.fromkeys(numbers):
        counted = history.get((Purpose.TRAIN, number))
        if number in master.tried_again:
            new = master.tried_again[number]
            done = "was tried" if history.is_replaced(number) else "is being tried"
            raise UserError(f"trial {number} {done} again as trial {new}: name that one")
        if counted is None:
            raise UserError(f"trial {number} is not counted; see which are: distune status")
        found.append(counted)
    return found


def _failed(master: Master) -> list[Counted]:
    standing = master.observer.history.standing
    failed = [one for one in standing if one.result.outcome in FAILURES]
    return sorted(
        (one for one in failed if one.trial.number not in master.tried_again),
        key=lambda one: one.trial.number,
    )
