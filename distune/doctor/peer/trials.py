"""Trials between two hosts: claimed by both at once, and handed over as a study does."""

from __future__ import annotations

from collections import Counter
from functools import partial

from distune.doctor.measurements import Claims, Lines, Publishing
from distune.doctor.peer.meeting import PeerError
from distune.doctor.peer.session import LONGEST_LOOK, Session, await_name, watch
from distune.doctor.probes.files import publish_together
from distune.doctor.probes.trials import (
    contend,
    example_trial,
    judge_claims,
    list_afresh,
    publish_trials,
    read_again,
)
from distune.share import protocol
from distune.share.protocol import Actor, AttemptName, State
from distune.share.store import Store
from distune.study.trial import Claim

_FILES, _CLAIMERS = 60, 3
_HANDED = 5
_SETTLES_WITHIN = 5.0  # seconds


def claim_together(session: Session) -> Claims:
    """Claim the same trials on both hosts at once."""
    folder = session.sandbox.folder("race")
    store = publish_trials(folder, _FILES) if session.leads else Store(folder)
    session.both("race published")
    await_name(folder, protocol.TRIALS)
    if watch(lambda: len(list_afresh(store)) == _FILES, LONGEST_LOOK) is None:
        raise PeerError("the other host's trials are not in the listing here")
    session.both("race go")
    wins, failed = contend(folder, _worker(session.leads), _CLAIMERS)
    told = [{worker: sorted(won) for worker, won in wins.items()}, failed]
    their_wins, their_failed = session.both("race over", told)
    wins |= {str(worker): set(won) for worker, won in their_wins.items()}
    won_by = {(worker, number) for worker, won in wins.items() for number in won}

    def is_settled() -> bool:
        taken = [name for name in list_afresh(store) if name.state is State.TAKEN]
        return {(name.worker, name.trial) for name in taken} == won_by

    watch(is_settled, _SETTLES_WITHIN)
    return judge_claims(store, _FILES, wins, [*failed, *map(str, their_failed)])


def publish_on_both(session: Session) -> Publishing:
    """Publish the same names on both hosts at once."""
    folder = session.sandbox.folder("names")
    names = [f"n{i:02d}" for i in range(20)]
    data = {True: b"leader\n" * 2000, False: b"follower\n" * 2000}
    session.both("names go")
    won = publish_together(folder, names, [data[session.leads]])
    theirs = Counter(session.both("names over", list(won)))
    await_name(folder, names[-1])
    return Publishing(
        tries=len(names),
        damaged=sum(folder.read(name) not in data.values() for name in names),
        two_winners=sum(n > 1 for n in (won + theirs).values()),
    )


def hand_over(session: Session) -> Lines:
    """Publish here, claim and write there, read here: the way of every trial."""
    mine = publish_trials(session.sandbox.folder(f"hand-{session.here}"), _HANDED)
    theirs = Store(session.sandbox.folder(f"hand-{session.there}"))
    session.both("hand published")
    waiting = [AttemptName.waiting(example_trial(i)) for i in range(_HANDED)]
    for name in waiting:
        _train(session, theirs, name)
    session.both("hand over")
    delays = []
    for name in waiting:
        taken = name.moved(State.TAKEN, Actor.ANY_WORKER, _worker(not session.leads))
        done = taken.moved(State.DONE, Actor.OWNER)
        delays.append(watch(partial(_is_complete, mine, done), _SETTLES_WITHIN))
    slowest = max(took or 0.0 for took in delays)
    return Lines(lines=_HANDED, wrong=delays.count(None), slowest=slowest)


def _train(session: Session, store: Store, name: AttemptName) -> None:
    """Do with the other's trial what a worker does."""
    if watch(lambda: name in list_afresh(store), LONGEST_LOOK) is None:
        raise PeerError(f"{name.live_path}, made by the other host, is not listed here")
    retry = session.sandbox.operations.retry
    worker = _worker(session.leads)
    taken = retry(store.claim, name, worker)
    if taken is None:
        return  # the other host will count it as wrong
    retry(store.append, taken, [Claim(worker=worker, host="", device="", time=0.0)])
    retry(store.finish, taken)


def _is_complete(store: Store, name: AttemptName) -> bool:
    if name not in list_afresh(store):
        return False
    file = read_again(store, name)
    return (
        file.trial == example_trial(name.trial)
        and file.claim is not None
        and file.claim.worker == name.worker
    )


def _worker(leads: bool) -> str:
    return "leader" if leads else "follower"
