"""Whether files are published, renamed, rewritten and listed as the protocol needs it."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from distune.doctor.diagnosis import OwnListing, Publishing, Renames, Rewrites
from distune.doctor.watched_folder import WatchedFolder
from distune.errors import BadRecord, ShareError
from distune.share.protocol import Actor, AttemptName, State

_TAKEN, _CONTESTED, _PUBLISHERS = 5, 10, 4
_RENAMES, _REWRITES, _LISTED = 20, 20, 10
_PAYLOAD = b"0123456789abcdef" * 4096  # 64 KiB: more than one request


def probe_publishing(folder: WatchedFolder) -> Publishing:
    """Publish over taken names; then let several publishers run for one name: one wins."""
    replaced = sum(_is_replaced(folder, f"p{i}") for i in range(_TAKEN))
    names = [f"q{i}" for i in range(_CONTESTED)]
    versions = [b"%d\n" % i * 4096 for i in range(_PUBLISHERS)]
    won = publish_together(folder, names, versions)
    return Publishing(
        tries=_CONTESTED + _TAKEN,
        replaced=replaced,
        damaged=sum(folder.read(name) not in versions for name in names),
        two_winners=sum(count > 1 for count in won.values()),
    )


def _is_replaced(folder: WatchedFolder, name: str) -> bool:
    folder.put(name, b"first\n")
    try:
        folder.operations.retry(folder.publish, name, b"second\n")
    except FileExistsError:
        return folder.read(name) != b"first\n"
    return True


def publish_together(
    folder: WatchedFolder, names: list[str], versions: list[bytes]
) -> Counter[str]:
    """Publish each name from one thread for each version of its content.

    Returns:
        By name, how many of its publishers the share answered that it is theirs.
    """
    start = threading.Barrier(len(versions))

    def publish_all(data: bytes) -> list[str]:
        mine = []
        for name in names:
            start.wait()
            with suppress(FileExistsError):
                folder.operations.retry(folder.publish, name, data)
                mine.append(name)
        return mine

    with ThreadPoolExecutor(len(versions)) as pool:
        return Counter(name for mine in pool.map(publish_all, versions) for name in mine)


def probe_renames(folder: WatchedFolder) -> Renames:
    """Source gone, target there, content whole at every moment: another thread looks on."""
    left = missing = 0
    damaged: set[str] = set()
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        onlooker = pool.submit(_look_on, folder, over)
        try:
            for i in range(_RENAMES):
                source, target = f"a{i:03d}", f"b{i:03d}"
                folder.put(source, _PAYLOAD)
                folder.transfer(source, target)
                names = folder.names("")
                if source in names or target not in names:
                    names = folder.fresh_names()
                left += source in names
                missing += target not in names
                if target in names and folder.operations.retry(folder.read, target) != _PAYLOAD:
                    damaged.add(target)
        finally:
            over.set()
    damaged |= onlooker.result()
    return Renames(tries=_RENAMES, source_left=left, target_missing=missing, damaged=len(damaged))


def _look_on(folder: WatchedFolder, over: threading.Event) -> set[str]:
    """The targets that were not whole when they were read."""
    damaged = set()
    while not over.wait(0.002):
        with suppress(FileNotFoundError, ShareError, BadRecord):
            for name in folder.names(""):
                if name.startswith("b") and folder.read(name) != _PAYLOAD:
                    damaged.add(name)
    return damaged


def heartbeat(counter: int) -> bytes:
    """What a heartbeat looks like: always of one length, always another content."""
    return (b'{"counter": %d}' % counter).ljust(4095) + b"\n"


def probe_rewriting(folder: WatchedFolder) -> Rewrites:
    """A heartbeat, rewritten in place and read by opening anew."""
    stale = 0
    for i in range(_REWRITES):
        folder.operations.retry(folder.rewrite, "beat", heartbeat(i))
        stale += folder.read("beat") != heartbeat(i)
    return Rewrites(tries=_REWRITES, stale=stale)


def probe_own_listing(folder: WatchedFolder) -> OwnListing:
    """A listing right after a change of this host's own shows it, at the latest once the host
    was made to forget what it knows: else a claim whose reply was lost would go unnoticed.
    """
    stale = stubborn = 0
    folder.names("")
    for i in range(_LISTED):
        waiting = AttemptName(i, 1)
        first = waiting.filename
        second = waiting.moved(State.TAKEN, Actor.ANY_WORKER, "doctor").filename
        for change, expected in (
            (partial(folder.put, first), {first}),
            (partial(folder.transfer, first, second), {second}),
            (partial(folder.operations.retry, partial(folder.remove, second)), set()),
        ):
            change()
            if set(folder.names("")) != expected:
                stale += 1
                stubborn += set(folder.fresh_names()) != expected
    return OwnListing(tries=3 * _LISTED, stale=stale, stubborn=stubborn)
