"""Whether a rename moves, and at one instant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from distune.doctor.measurements import Renames
from distune.doctor.sandbox import Sandbox, WatchedFolder
from distune.errors import BadRecord, ShareError

_RENAMES = 20
_PAYLOAD = b"0123456789abcdef" * 4096  # 64 KiB: more than one request


def probe_renames(sandbox: Sandbox) -> Renames:
    """Source gone, target there, content whole at every moment."""
    folder = sandbox.folder("renames")
    left = missing = 0
    damaged: set[str] = set()
    with _looking_on(folder, damaged):
        for i in range(_RENAMES):
            source, target = f"a{i:03d}", f"b{i:03d}"
            folder.put(source, _PAYLOAD)
            folder.transfer(source, target)
            names = folder.names("")
            if source in names or target not in names:
                folder.poke("")
                names = folder.names("")
            left += source in names
            missing += target not in names
            if target in names and folder.operations.retry(folder.read, target) != _PAYLOAD:
                damaged.add(target)
    return Renames(tries=_RENAMES, source_left=left, target_missing=missing, damaged=len(damaged))


@contextmanager
def _looking_on(folder: WatchedFolder, damaged: set[str]) -> Iterator[None]:
    """Meanwhile, a thread reads the targets and adds those that are not whole to `damaged`."""
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
        yield
    finally:
        over.set()
        onlooker.join()
