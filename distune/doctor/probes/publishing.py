"""Whether a name that is taken stays what it is."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from distune.doctor.measurements import Publishing
from distune.doctor.sandbox import Sandbox, WatchedFolder

_TAKEN, _CONTESTED, _PUBLISHERS = 5, 10, 4


def probe_publishing(sandbox: Sandbox) -> Publishing:
    """Publish over taken names; then let several publishers run for one name: one wins."""
    folder = sandbox.folder("publishing")
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
        How many publishers of a name were told that it is theirs.
    """
    start = threading.Barrier(len(versions))

    def publish_all(data: bytes) -> list[str]:
        mine = []
        for name in names:
            start.wait()
            try:
                folder.operations.retry(folder.publish, name, data)
                mine.append(name)
            except FileExistsError:
                pass
        return mine

    with ThreadPoolExecutor(len(versions)) as pool:
        return Counter(name for mine in pool.map(publish_all, versions) for name in mine)
