"""What a person decides about trials that are counted: `distune retry` and `distune drop`. Nothing
that was counted is altered. It is done in the place of the study's master, when none runs; one that
runs can be asked to have trials trained again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from distune.errors import UserError
from distune.master.asked import Remembered
from distune.master.lock import Identity, only_master
from distune.master.master import Master
from distune.search.asked import AskedSoFar, asked_again
from distune.search.ranking import History
from distune.share.store import Store
from distune.study.study import Limits
from distune.study.trial import FAILURES, Asked, Counted, Purpose
from distune.watch.observer import Observer


def retry(folder: Path, store: Store, identity: Identity, numbers: Sequence[int]) -> dict[int, int]:
    """Have counted trials trained again, with their own params and seeds, as new trials.

    Args:
        numbers: of the trials; without any, all that have failed.

    Returns:
        The number of each new trial, by that of the one that it is ranked instead of.

    Raises:
        HasMaster: a master is at work: see `ask_to_retry`.
        UserError: one of them cannot be tried again.
        ShareError: the share did not answer; do the same again.
    """
    with as_master(folder, store, identity) as master:
        trials = _to_retry(master.observer.history, master.asked, numbers)
        asked = [
            asked_again(master.study, one.trial, number, master.keeping.begin_from(one.trial))
            for number, one in enumerate(trials, master.next_number)
        ]
        ask_for(master, asked)
    return {one.trial.number: new.trial for one, new in zip(trials, asked, strict=True)}


def ask_to_retry(store: Store, host: str, numbers: Sequence[int]) -> list[int]:
    """Have the master that is at work do the same, at its next look.

    Args:
        host: where a person has asked for it.
        numbers: as above.

    Returns:
        Those that it is asked for.

    Raises:
        UserError: one of them cannot be tried again.
        ShareError: it may be asked for some of them; do the same again.
    """
    history = Observer(store).history
    asked = Remembered(store, history.study)
    asked.read(history)
    found = [one.trial.number for one in _to_retry(history, asked.so_far, numbers)]
    for number in found:
        store.wish_again(number, host)
    if found and store.is_finished():  # meanwhile
        store.reopen()
    return found


def drop(folder: Path, store: Store, identity: Identity, numbers: Sequence[int]) -> bool:
    """Take counted trials out of the ranking for good. A study that was over is over again, if
    another winner has to be evaluated on no test set.

    Returns:
        Whether the study is over.

    Raises:
        UserError, ShareError: as above.
    """
    was_over = store.is_finished()
    with as_master(folder, store, identity) as master:
        trials = counted_trials(master.observer.history, master.asked, numbers)
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
def as_master(folder: Path, store: Store, identity: Identity) -> Iterator[Master]:
    """Be the study's only master, and change what it has asked for.

    Raises:
        HasMaster: another one is at work.
    """
    store.load().refuse_earlier()
    with only_master(folder, store, identity):
        before = store.read_master()
        limits = before.limits if before else Limits()
        yield Master(store, limits, identity, reopens=False)


def ask_for(master: Master, asked: Sequence[Asked]) -> None:
    """Have trials trained that a person wants; the study goes on for them, if it was over."""
    if asked:  # a crash after the first of these: the next master does the others
        master.ask(asked)
        master.store.reopen()
        master.leave()


def counted_trials(history: History, asked: AskedSoFar, numbers: Sequence[int]) -> list[Counted]:
    """Those of these numbers.

    Raises:
        UserError: one of them is not counted, or another one is in its place.
    """
    found = []
    for number in dict.fromkeys(numbers):
        counted = history.get((Purpose.TRAIN, number))
        if number in asked.again:
            new = asked.again[number]
            done = "was tried" if history.is_replaced(number) else "is being tried"
            raise UserError(f"trial {number} {done} again as trial {new}: name that one")
        if counted is None:
            raise UserError(f"trial {number} is not counted; see which are: distune status")
        found.append(counted)
    return found


def _to_retry(history: History, asked: AskedSoFar, numbers: Sequence[int]) -> list[Counted]:
    """Those of these numbers; without any, all that have failed and are not tried again yet."""
    if numbers:
        return counted_trials(history, asked, numbers)
    failed = [one for one in history.standing if one.result.outcome in FAILURES]
    return sorted(
        (one for one in failed if one.trial.number not in asked.again),
        key=lambda one: one.trial.number,
    )
