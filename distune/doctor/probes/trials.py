"""Whether each trial gets one owner, each claimer knows what it owns, and lines stay."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Set
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from distune.doctor.diagnosis import Claims, Lines
from distune.doctor.watched_folder import WatchedFolder
from distune.errors import BadRecord, ShareError
from distune.share import protocol
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import Store
from distune.study.trial import Report, Trial

_FILES, _CLAIMERS = 40, 4
_LINES = 30
_LINE_LIMIT = 2.0  # seconds until a line must be readable where it was written


def example_trial(number: int) -> Trial:
    return Trial(study="doctor", number=number, attempt=1, params={"x": number})


def publish_trials(folder: WatchedFolder, count: int) -> Store:
    """A store in that folder, with that many waiting trials."""
    store = Store(folder)
    folder.make_folder(protocol.TRIALS)
    for number in range(count):
        folder.operations.retry(store.publish, example_trial(number))
    return store


def list_afresh(store: Store) -> list[AttemptName]:
    """The attempts in a listing that no cache answers."""
    store.folder.poke(protocol.TRIALS)
    return list(store.listing().attempts)


def read_again(store: Store, name: AttemptName) -> AttemptFile:
    """Read an attempt; once more if a share that was just changed shows old content."""
    try:
        return store.read_attempt(name)
    except BadRecord:
        time.sleep(0.5)
        return store.read_attempt(name)


def probe_claims(folder: WatchedFolder) -> Claims:
    """Several threads claim the same trials."""
    store = publish_trials(folder, _FILES)
    won, failed = contend(folder, "doctor", _CLAIMERS)
    return judge_claims(store, Claims(files=_FILES, claimers=_CLAIMERS), won, failed)


#: A claimer, and a trial that it has.
Claimed: TypeAlias = tuple[str | None, int]


def contend(folder: WatchedFolder, worker: str, claimers: int) -> tuple[set[Claimed], list[str]]:
    """Claim the trials of a folder from that many threads.

    Returns:
        What each claimer believes to have got; the targets of the renames that answered with a
        failure.
    """
    start = threading.Barrier(claimers)
    retry = folder.operations.retry
    known = len(folder.operations.failed_moves)

    def claim_all(me: str) -> set[Claimed]:
        store = Store(folder.folder(""))  # with descriptors of its own
        waiting = [n for n in store.listing().attempts if n.state is State.WAITING]
        random.Random(0).shuffle(waiting)  # the same order: they shall run for the same files
        start.wait()
        won: set[Claimed] = set()
        for attempt in waiting:
            try:
                if retry(store.claim, attempt, me) is not None:
                    won.add((me, attempt.trial))
            except ShareError:
                continue  # the answer is unknown; a worker would adopt the trial later
        # As a worker does it with a claim that seemed to fail because its reply was lost.
        retry(store.folder.poke, protocol.TRIALS)
        return won | {one for one in claims_in(retry(store.listing).attempts) if one[0] == me}

    with ThreadPoolExecutor(claimers) as pool:
        won = set().union(*pool.map(claim_all, [f"{worker}-{i}" for i in range(claimers)]))
    return won, folder.operations.failed_moves[known:]


def claims_in(names: Iterable[AttemptName]) -> set[Claimed]:
    return {(name.worker, name.trial) for name in names if name.state is State.TAKEN}


def judge_claims(store: Store, tried: Claims, won: Set[Claimed], failed: Iterable[str]) -> Claims:
    """Compare what claimers believe, as `contend` returns it, with what is in the folder."""
    names = {*list_afresh(store), *store.listing().attempts}
    lying = Counter(name.trial for name in names)
    believed = Counter(number for _, number in won)
    several = {n for n, k in lying.items() if k > 1} | {n for n, k in believed.items() if k > 1}
    faults = {
        "two_owners": len(several),
        "gone": len(set(range(tried.files)) - lying.keys()),
        "damaged": sum(_is_damaged(store, name) for name in names),
        "misjudged": len({one for one in claims_in(names) ^ won if one[1] not in several}),
        "lost_replies": len(set(failed) & {name.live_path for name in names}),
    }
    return tried.model_copy(update=faults)


def _is_damaged(store: Store, name: AttemptName) -> bool:
    try:
        return read_again(store, name).trial != example_trial(name.trial)
    except FileNotFoundError:
        return False  # counted as gone, or moved on
    except BadRecord:
        return True


def probe_appending(folder: WatchedFolder) -> Lines:
    """Whole lines, appended and fsynced to a file one owns, read back by opening it anew."""
    retry = folder.operations.retry
    store = publish_trials(folder, 1)
    taken = retry(store.claim, AttemptName.waiting(example_trial(0)), "doctor")
    if taken is None:
        return Lines(lines=_LINES, wrong=_LINES)
    reports: list[Report] = []
    slowest = 0.0
    while len(reports) < _LINES and slowest < _LINE_LIMIT:  # which is enough to know
        i = len(reports)
        reports.append(Report(step=i, metrics={"y": i / 7}, seconds=float(i)))
        retry(store.append, taken, reports[-1:])
        begin = time.monotonic()
        while not _says(store, taken, reports[-1]) and time.monotonic() - begin < _LINE_LIMIT:
            time.sleep(0.05)
        slowest = max(slowest, time.monotonic() - begin)
    wrong = sum(not _says(store, taken, report) for report in reports)
    return Lines(lines=len(reports), wrong=wrong, slowest=slowest)


def _says(store: Store, name: AttemptName, report: Report) -> bool:
    try:
        return report in store.read_attempt(name).reports
    except (BadRecord, FileNotFoundError):
        return False
