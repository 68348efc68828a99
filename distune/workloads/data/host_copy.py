"""One copy of a data set for all training processes of a user on a host.

It is a file that each of them maps into its memory, so that the pages are there once however
many train, belong to the page cache, and are there already when the next one starts: of MNIST's
45 MB a process has 5 of its own. The mappings are private: a process that wrote into its tensors
would change them for itself alone.

The file lies in `<temporary directory>/distune-<uid>`, which only that user may enter, under a
name made of what is in it: the data set, this version, and what is in the files it was made of.
One process writes it under another name while the others wait, and it has a checksum, so what can
be opened is complete. A copy that no process has opened for 30 days is deleted when another is
written. Where there is no such place (a full disk, a folder that belongs to another user) every
process keeps the data to itself.
"""

import hashlib
import itertools
import json
import mmap
import os
import stat
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock

from distune.workloads.data.data_set import Arrays

_FORMAT = 1
_ALIGNMENT = 64  # bytes: a line of a processor's cache
_HEADER = 4096  # bytes
_WAIT_S = 120.0  # for another process that writes it
_KEPT_S = 30 * 86_400.0


def read_host_copy(
    name: str, sources: Sequence[Path], read: Callable[[], list[Arrays]]
) -> list[Arrays]:
    """What `read` gives, from this host's copy, which is made if it is not there yet.

    Args:
        name: of the data set.
        sources: the files that it is read from.
        read: whatever it raises is passed on.
    """
    try:
        folder = _folder()
        path = folder / f"{name}-{_key(name, sources)}.data"
        with FileLock(path.with_suffix(".lock"), timeout=_WAIT_S):
            if not path.exists():
                print(f"distune: writing {path}, this host's copy of {name}", flush=True)
                arrays = read()
                _delete_old(folder)
                _write(path, arrays)
    except OSError as error:  # also: another process has kept the lock for too long
        print(f"distune: {name} is not shared with other processes: {error}", flush=True)
        return read()
    try:
        found = _open(path)
        os.utime(path)
        return found
    except (OSError, ValueError, LookupError, TypeError) as error:
        print(f"distune: {path} is deleted: {error}", flush=True)
        path.unlink(missing_ok=True)
        return read()


def _folder() -> Path:
    """The user's own, made if it is not there.

    Raises:
        OSError: it cannot be made, or others could have put something there.
    """
    folder = Path(tempfile.gettempdir()) / f"distune-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_mode & 0o077 == 0
    if not private or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is not a folder that only this user can enter")
    return folder


def _key(name: str, sources: Sequence[Path]) -> str:
    """Differs wherever what a copy holds, or how, could differ."""
    found = [(source, source.stat()) for source in sources]
    digests = [_digest(source, now.st_size, now.st_mtime_ns) for source, now in found]
    made_of = [_FORMAT, version("distune"), name, *digests]
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, arrays: list[Arrays]) -> None:
    """Header, then the arrays, each at a multiple of 64 bytes; complete or not at all."""
    staging = path.with_suffix(".part")  # we hold the lock: one that is there was left behind
    staging.unlink(missing_ok=True)
    described: list[dict[str, Any]] = []
    digest = hashlib.sha256()
    try:
        with staging.open("xb") as file:
            file.seek(_HEADER)
            for array in itertools.chain(*arrays):
                described.append(
                    {"type": array.dtype.str, "shape": array.shape, "offset": file.tell()}
                )
                padded = array.tobytes() + bytes(-array.nbytes % _ALIGNMENT)
                digest.update(padded)
                file.write(padded)
            header = {"arrays": described, "sha256": digest.hexdigest()}
            file.seek(0)
            file.write(json.dumps(header).encode().ljust(_HEADER))
        staging.chmod(0o400)
        staging.replace(path)
    except OSError:
        staging.unlink(missing_ok=True)
        raise


def _open(path: Path) -> list[Arrays]:
    """The arrays of a file that `_write` has made, mapped.

    Raises:
        OSError, ValueError, LookupError, TypeError: it cannot be read, or is not complete.
    """
    import numpy as np

    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    header = json.loads(mapped[:_HEADER])
    with memoryview(mapped) as whole, whole[_HEADER:] as body:
        if hashlib.sha256(body).hexdigest() != header["sha256"]:
            raise ValueError("it is damaged: its checksum is another")
    arrays = [
        np.ndarray(one["shape"], np.dtype(one["type"]), mapped, one["offset"])
        for one in header["arrays"]
    ]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def _delete_old(folder: Path) -> None:
    for path in folder.glob("*.data"):
        if time.time() - path.stat().st_mtime > _KEPT_S:
            path.unlink(missing_ok=True)
            path.with_suffix(".lock").unlink(missing_ok=True)
