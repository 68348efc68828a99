"""What one host can find out alone: each probe tries one thing and counts what went wrong.

Trials are published, claimed, written and finished by `Store`, so that what is tried is
what a study does. The few operations beside it are on files that no study ever has.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from distune.doctor.desk import Attended, Place
from distune.doctor.note import (
    Claims,
    HostFacts,
    Lines,
    Names,
    OwnListing,
    Publishing,
    Renames,
    Rewrites,
    Space,
    Speed,
    Times,
)
from distune.errors import BadRecord, ShareError
from distune.share import protocol
from distune.share.folder import file_system_of, is_network
from distune.share.protocol import Actor, AttemptName, State
from distune.share.records import AttemptFile
from distune.share.store import LOCAL_LEASE, NETWORK_LEASE, Store
from distune.study.document import Document
from distune.study.trial import Purpose, Report, Trial

_CLAIM_FILES, _CLAIMERS = 40, 4
_RENAMES = 20
_PAYLOAD = b"0123456789abcdef" * 4096  # 64 KiB: more than one request
_LINES = 30
_LINE_LIMIT = 2.0  # seconds until a line must be readable where it was written
_GRANULARITIES = [2.0, 1.0, 0.1, 0.01, 0.004, 0.001, 1e-6, 1e-7, 1e-9]  # seconds
#: The draft of the longest name the protocol makes.
_LONGEST_NAME = (
    f".{AttemptName(10**12 - 1, 10**6 - 1, Purpose.TEST, 'w' * 80, State.PRUNED).filename}.{0:012}"
)


def know_place(path: Path) -> dict[str, object]:
    """What kind of directory this is."""
    network = is_network(path)
    boot = Path("/proc/sys/kernel/random/boot_id")
    return {
        "host": socket.gethostname(),
        "boot": boot.read_text().strip() if boot.exists() else "",
        "device": os.stat(path).st_dev,
        "file_system": file_system_of(path),
        "network": network,
        "default_lease": NETWORK_LEASE if network else LOCAL_LEASE,
    }


def all_probes() -> dict[str, Callable[[Place], Document | bool | None]]:
    """The probes, by the name of what they find in `HostFacts`."""
    probes: dict[str, Callable[[Place], Document | bool | None]] = {
        "space": probe_space,
        "speed": probe_speed,
        "publishing": probe_publishing,
        "renames": probe_renames,
        "claims": probe_claims,
        "appending": probe_appending,
        "rewriting": probe_rewriting,
        "own_listing": probe_own_listing,
        "names": probe_names,
        "links": probe_links,
        "flock": probe_flock,
        "times": probe_times,
    }
    assert probes.keys() <= HostFacts.model_fields.keys()
    return probes


# -- the moves of the protocol -------------------------------------------------------------


def probe_renames(place: Place) -> Renames:
    """Source gone, target there, content whole at every moment."""
    folder = place.folder("renames")
    left = missing = 0
    damaged: set[str] = set()
    over = threading.Event()

    def look_on() -> None:
        while not over.wait(0.002):
            try:
                for name in folder.names(""):
                    if name.startswith("b") and folder.read(name) != _PAYLOAD:
                        damaged.add(name)
            except (FileNotFoundError, ShareError, BadRecord):
                continue

    onlooker = threading.Thread(target=look_on, daemon=True)
    onlooker.start()
    try:
        for i in range(_RENAMES):
            source, target = f"a{i:03d}", f"b{i:03d}"
            _publish(place, folder, source, _PAYLOAD)
            _move(place, folder, source, target)
            names = folder.names("")
            if source in names or target not in names:
                folder.poke("")
                names = folder.names("")
            left += source in names
            missing += target not in names
            if target in names and place.desk.patiently(folder.read, target) != _PAYLOAD:
                damaged.add(target)
    finally:
        over.set()
        onlooker.join()
    return Renames(tries=_RENAMES, source_left=left, target_missing=missing, damaged=len(damaged))


def _move(place: Place, folder: Attended, source: str, target: str) -> None:
    """A rename whose answer is not believed (P8)."""
    try:
        place.desk.patiently(folder.move, source, target)
    except FileNotFoundError:
        pass  # what lies there will tell


def _publish(place: Place, folder: Attended, path: str, data: bytes) -> None:
    try:
        place.desk.patiently(folder.publish, path, data)
    except FileExistsError:
        pass  # ours: the name is nobody else's, and the reply was lost


def example_trial(number: int) -> Trial:
    return Trial(study="doctor", number=number, attempt=1, params={"x": number})


def publish_trials(place: Place, store: Store, count: int) -> None:
    """Put so many waiting trials into a store of the doctor's own."""
    store.folder.make_folder(protocol.TRIALS)
    for number in range(count):
        place.desk.patiently(store.publish, example_trial(number))


def probe_claims(place: Place) -> Claims:
    """Several threads claim the same trials: each has one owner, and everybody knows whom."""
    folder = place.folder("claims")
    store = Store(folder)
    publish_trials(place, store, _CLAIM_FILES)
    known = len(place.desk.failed_moves)
    wins = contend(place, folder.root.name, "doctor", _CLAIMERS)
    return judge_claims(store, _CLAIM_FILES, wins, place.desk.failed_moves[known:])


def contend(place: Place, name: str, worker: str, claimers: int) -> dict[str, set[int]]:
    """Claim what there is in a store with so many threads.

    Returns:
        The trials that each claimer believes to have got.
    """
    start = threading.Barrier(claimers)

    def claim_all(me: str) -> set[int]:
        store = Store(place.folder(name))
        waiting = [n for n in store.listing().attempts if n.state is State.WAITING]
        random.Random(0).shuffle(waiting)  # the same order: they shall run for the same files
        start.wait()
        won = set()
        for attempt in waiting:
            try:
                if place.desk.patiently(store.claim, attempt, me) is not None:
                    won.add(attempt.trial)
            except ShareError:
                continue  # nobody knows; a worker would adopt it later
        # As a worker does it with a claim that seemed to fail because its reply was lost.
        place.desk.patiently(store.folder.poke, protocol.TRIALS)
        listing = place.desk.patiently(store.listing_for, me)
        return won | {n.trial for n in listing.attempts if n.worker == me}

    workers = [f"{worker}-{i}" for i in range(claimers)]
    with ThreadPoolExecutor(claimers) as pool:
        return dict(zip(workers, pool.map(claim_all, workers), strict=True))


def judge_claims(
    store: Store, files: int, wins: Mapping[str, Collection[int]], failed: Iterable[str]
) -> Claims:
    """Compare what the claimers believe with what lies there."""
    store.folder.poke(protocol.TRIALS)
    names = {*store.listing().attempts, *store.listing().attempts}
    lying = Counter(name.trial for name in names)
    believed = Counter(number for won in wins.values() for number in won)
    taken = {(n.worker, n.trial) for n in names if n.state is State.TAKEN}
    claimed = {(worker, number) for worker, won in wins.items() for number in won}
    several = {n for n, k in lying.items() if k > 1} | {n for n, k in believed.items() if k > 1}
    damaged = 0
    for name in names:
        try:
            damaged += read_again(store, name).trial != example_trial(name.trial)
        except FileNotFoundError:
            pass  # counted as gone, or moved on
        except BadRecord:
            damaged += 1
    paths = {name.live_path for name in names}
    return Claims(
        files=files,
        claimers=len(wins),
        two_owners=len(several),
        gone=len(set(range(files)) - lying.keys()),
        damaged=damaged,
        misjudged=len({pair for pair in taken ^ claimed if pair[1] not in several}),
        lost_replies=len(set(failed) & paths),
    )


def read_again(store: Store, name: AttemptName) -> AttemptFile:
    """Read an attempt; once more if a share that was just changed shows old content."""
    try:
        return store.read_attempt(name)
    except BadRecord:
        time.sleep(0.5)
        return store.read_attempt(name)


def probe_publishing(place: Place) -> Publishing:
    """A name that is taken stays what it is; of several publishers of one name, one wins."""
    folder = place.folder("publishing")
    replaced = damaged = 0
    for i in range(5):
        name = f"p{i}"
        _publish(place, folder, name, b"first\n")
        try:
            place.desk.patiently(folder.publish, name, b"second\n")
            replaced += 1
        except FileExistsError:
            replaced += folder.read(name) != b"first\n"
    names = [f"q{i}" for i in range(10)]
    won = publish_together(place, "publishing", names, [b"%d\n" % i * 4096 for i in range(4)])
    contents = [b"%d\n" % i * 4096 for i in range(4)]
    damaged += sum(folder.read(name) not in contents for name in names)
    return Publishing(
        tries=len(names) + 5,
        replaced=replaced,
        damaged=damaged,
        two_winners=sum(count > 1 for count in won.values()),
    )


def publish_together(
    place: Place, folder: str, names: list[str], contents: list[bytes]
) -> Counter[str]:
    """Publish each name by one thread for each content.

    Returns:
        How many publishers of a name were told that it is theirs.
    """
    start = threading.Barrier(len(contents))
    target = place.folder(folder)

    def publish_all(data: bytes) -> list[str]:
        mine = []
        for name in names:
            start.wait()
            try:
                place.desk.patiently(target.publish, name, data)
                mine.append(name)
            except FileExistsError:
                pass
        return mine

    with ThreadPoolExecutor(len(contents)) as pool:
        return Counter(name for mine in pool.map(publish_all, contents) for name in mine)


# -- lines, heartbeats, listings -----------------------------------------------------------


def probe_appending(place: Place) -> Lines:
    """Whole lines, appended and fsynced to a file one owns, read back by opening it anew."""
    store = Store(place.folder("appending"))
    publish_trials(place, store, 1)
    name = AttemptName.waiting(example_trial(0))
    taken = place.desk.patiently(store.claim, name, "doctor")
    if taken is None:
        return Lines(lines=_LINES, wrong=_LINES)
    reports: list[Report] = []
    slowest = 0.0
    for i in range(_LINES):
        if slowest >= _LINE_LIMIT:
            break  # that is enough to know
        reports.append(Report(step=i, metrics={"y": i / 7}, seconds=float(i)))
        place.desk.patiently(store.append, taken, reports[-1:])
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


def beat_of(counter: int) -> bytes:
    """What a heartbeat looks like: always of one length, always another content."""
    return (b'{"counter": %d}' % counter).ljust(4095) + b"\n"


def probe_rewriting(place: Place) -> Rewrites:
    """A heartbeat, rewritten in place and read by opening anew."""
    folder = place.folder("rewriting")
    stale = 0
    for i in range(20):
        place.desk.patiently(folder.rewrite, "beat", beat_of(i))
        stale += folder.read("beat") != beat_of(i)
    return Rewrites(tries=20, stale=stale)


def probe_own_listing(place: Place) -> OwnListing:
    """A listing right after one's own change shows it, at the latest when this host was made
    to forget what it knows: else a claim whose reply was lost would not be noticed.
    """
    folder = place.folder("listing")
    stale = stubborn = tries = 0
    there: set[str] = set()

    def check() -> None:
        nonlocal stale, stubborn, tries
        tries += 1
        if set(folder.names("")) != there:
            stale += 1
            folder.poke("")
            stubborn += set(folder.names("")) != there

    folder.names("")
    for i in range(10):
        waiting = AttemptName(i, 1)
        taken = waiting.moved(State.TAKEN, Actor.ANY_WORKER, "doctor")
        first, second = waiting.filename, taken.filename
        for before, after in ((None, first), (first, second), (second, None)):
            if before is None and after is not None:
                _publish(place, folder, after, b"x")
            elif after is None and before is not None:
                place.desk.patiently(folder.remove, before)
            elif before is not None and after is not None:
                _move(place, folder, before, after)
            there -= {before or ""}
            there |= {after} if after else set()
            check()
    return OwnListing(tries=tries, stale=stale, stubborn=stubborn)


# -- beside the protocol -------------------------------------------------------------------


def probe_names(place: Place) -> Names:
    """The longest name the protocol makes, and whether letters keep their case."""
    folder = place.folder("names")
    longest, changed = 0, False
    for length in (40, 60, 80, 100, len(_LONGEST_NAME)):
        name = "x" * length
        try:
            folder.rewrite(name, b"x")
        except ShareError as error:
            if getattr(error.__cause__, "errno", None) not in (errno.ENAMETOOLONG, errno.EINVAL):
                raise
            break
        if name not in folder.names(""):
            changed = True
            break
        folder.remove(name)
        longest = length
    for name in ("Case", "case"):
        folder.rewrite(name, name.encode())
    sensitive = len(folder.names("")) == 2
    if folder.names("") not in (["Case", "case"], ["Case"], ["case"]):
        changed = True
    return Names(
        needed=len(_LONGEST_NAME), longest=longest, case_sensitive=sensitive, changed=changed
    )


def probe_links(place: Place) -> bool:
    """Whether there are hard links; publishing is exact with them."""
    folder = place.folder("links")
    folder.rewrite("one", b"x")
    path = folder.root / "one"
    with place.desk.doing("linking links/one"):
        try:
            os.link(path, folder.root / "two")
        except OSError:
            return False
    return folder.names("") == ["one", "two"]


def probe_flock(place: Place) -> bool | None:
    """Whether a second lock on a locked file is refused; None where there are no locks."""
    folder = place.folder("locks")
    folder.rewrite("lock", b"")
    path = folder.root / "lock"
    with place.desk.doing("locking locks/lock"), path.open("rb") as one, path.open("rb") as two:
        if not lock(one.fileno(), fcntl.flock):
            return None
        return not lock(two.fileno(), fcntl.flock)


def lock(fd: int, how: Callable[[int, int], object]) -> bool:
    """Whether a descriptor could be locked, without waiting."""
    try:
        how(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def probe_space(place: Place) -> Space:
    """Free bytes and inodes, for somebody who is not root."""
    folder = place.folder("space")
    with place.desk.doing(f"asking how full {folder.root} is"):
        status = os.statvfs(folder.root)
    return Space(
        bytes_free=status.f_bavail * status.f_frsize,
        inodes_free=status.f_favail if status.f_files else None,
    )


def probe_times(place: Place) -> Times:
    """The unit of file times, and whose clock makes them. Shown only: no clock is used (P6)."""
    folder = place.folder("times")
    stamps: list[int] = []
    ahead = 0.0
    for i in range(20):
        if i >= 16:  # whole seconds: even and odd ones have to be seen, however slow it is here
            if _unit(stamps) < 1.0 or (i > 16 and _unit(stamps) < 2.0):
                break
            time.sleep(1.01)
        before = time.time()
        folder.rewrite("file", beat_of(i))
        with place.desk.doing("reading the times of times/file"):
            stamp = os.stat(folder.root / "file").st_mtime_ns
        stamps.append(stamp)
        ahead = stamp / 1e9 - (before + time.time()) / 2
        time.sleep(0.0031)
    return Times(granularity=_unit(stamps), ahead=ahead)


def _unit(stamps: list[int]) -> float:
    """Seconds of which all these stamps (in nanoseconds) are multiples, or between two ticks."""
    unit = next((g for g in _GRANULARITIES if all(s % round(g * 1e9) == 0 for s in stamps)), 1e-9)
    # A clock that ticks: its tick counts, not its digits. Seconds may have been missed.
    if unit < 1.0 and len(set(stamps)) < len(stamps):
        steps = [b - a for a, b in pairwise(stamps) if b > a]
        unit = max([unit, *([min(steps) / 1e9] if steps else [])])
    return unit


def probe_speed(place: Place) -> Speed:
    """Seconds that each operation takes here, one after the other."""
    folder = place.folder("speed")
    numbers = range(15)
    line = b"x" * 200 + b"\n"
    medians = {}
    steps: dict[str, Callable[[int], object]] = {
        "publish": lambda i: _publish(place, folder, f"a{i}", line),
        "rename": lambda i: _move(place, folder, f"a{i}", f"b{i}"),
        "list": lambda i: folder.names(""),
        "read": lambda i: folder.read(f"b{i}"),
        "append": lambda i: place.desk.patiently(folder.append, f"b{i}", line),
        "rewrite": lambda i: place.desk.patiently(folder.rewrite, "beat", beat_of(i)),
    }
    for name, step in steps.items():
        medians[name] = statistics.median(_seconds(step, numbers))
    return Speed(**medians)


def _seconds(step: Callable[[int], object], numbers: Iterable[int]) -> Iterator[float]:
    for i in numbers:
        begin = time.perf_counter()
        step(i)
        yield time.perf_counter() - begin
