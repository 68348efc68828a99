"""A share in memory that misbehaves, and one client's mount of it."""

from __future__ import annotations

import errno
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distune.errors import ShareError
from distune.share import protocol, records
from distune.share.protocol import State
from tests.histories import LEASE

_RENAME_TAKES = 0.5  # seconds in which a listing may miss the name
_OLD_FOR = 1.0  # seconds in which a client may read of a file what it was before it grew
_STALE_FOR = 60.0  # seconds in which a client may still open by its old name what was moved


class Crash(BaseException):
    """The process that made this operation is dead."""


@dataclass
class Faults:
    """How likely what is, at each operation of an actor. All zero is a good day."""

    crash: float = 0.0  # before it, or after it
    fails: float = 0.0  # nothing happened, and it says so
    lies: float = 0.0  # it happened, but the answer says that it did not
    torn: float = 0.0  # an append writes a part and fails
    lag: float = 0.0  # a listing is old
    hides: float = 0.0  # a listing taken during a rename has neither of its names
    old: float = 0.0  # a file of an attempt is read as it was before it grew
    outage: float = 0.0  # the share is gone for this client, for a while
    freeze: float = 0.0  # the process is stopped, and goes on later
    stale: float = 0.0  # an append finds a file that another client has moved, where it is now
    late: float = 0.0  # other clients find a checkpoint some time after it has its name
    damage: float = 0.0  # of any checkpoint, at each step of the scheduler


@dataclass
class Share:
    """The truth: files by path. `past` has recent listings, for caches that lag."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {""})
    past: dict[str, list[tuple[float, list[str]]]] = field(default_factory=dict)
    published: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, tuple[float, object]] = field(default_factory=dict)
    #: Of an attempt's file: when it grew, by which client, and what it was before.
    grown: dict[str, list[tuple[float, object, bytes]]] = field(default_factory=dict)
    #: Where files of attempts went, by the names that they had last; when, and by which client.
    moved: dict[str, tuple[float, object, str]] = field(default_factory=dict)
    #: What attempts' files had at the moment when they were given up, by the names since then.
    given_up: dict[str, bytes] = field(default_factory=dict)
    #: Checkpoints that others than the client that has made them do not find until then.
    hidden: dict[str, tuple[float, object]] = field(default_factory=dict)
    created: dict[str, float] = field(default_factory=dict)  # when; of checkpoints, half ones too

    def names(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        inside = {
            path[len(prefix) :].split("/")[0]
            for path in [*self.files, *self.folders]
            if path.startswith(prefix) and len(path) > len(prefix)
        }
        return sorted(inside)


class MemoryFolder:
    """One client's mount of a `Share`, with the operations of `distune.share.folder.Folder`."""

    root = Path("/logs/s")
    network = True

    def __init__(
        self,
        share: Share,
        rng: random.Random,
        now: Callable[[], float],
        faults: Faults,
        trace: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.share = share
        self.faults = faults
        self.operations: Counter[str] = Counter()
        self._rng = rng
        self._clock = now
        self.ahead = (
            0.0  # seconds that the process which uses it has waited, while nothing else moves
        )
        self._trace = trace
        self._out_until = -math.inf
        self._fresh_until: dict[str, float] = {}
        #: What this client has written in place; where it `remembers`, it reads that for ever.
        self._written: dict[str, bytes] = {}
        self.remembers = False
        #: Called before and after each change, with the path: what others do meanwhile.
        self.meanwhile: Callable[[str], None] = lambda path: None

    def _now(self) -> float:
        return self._clock() + self.ahead

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._rng.random() < probability

    def _operate(self, verb: str, path: str, act: Callable[[], None]) -> None:
        """Do a changing operation, or not, and tell the truth about it, or not."""
        self.operations[verb] += 1
        self.meanwhile(path)
        self._before(verb, path)
        act()
        self.meanwhile(path)
        self._trace(f"{verb} {path}")
        if self._happens(self.faults.crash):
            self._trace("  crash after it")
            raise Crash
        if self._happens(self.faults.lies):
            self._trace("  and says it failed")
            if verb in ("move", "move_new") and self._rng.random() < 0.5:
                raise FileNotFoundError(errno.ENOENT, "lost reply", path)
            if verb in ("publish", "move_new") and self._rng.random() < 0.5:
                raise FileExistsError(errno.EEXIST, "lost reply", path)
            raise ShareError(f"lost reply to {verb} {path}")

    def _before(self, verb: str, path: str) -> None:
        if self._happens(self.faults.crash):
            self._trace(f"crash before {verb} {path}")
            raise Crash
        if self._happens(self.faults.outage):
            self._out_until = self._now() + self._rng.uniform(1, 2 * LEASE)
            self._trace(f"outage until {self._out_until:.1f}")
        if self._now() < self._out_until or self._happens(self.faults.fails):
            raise ShareError(f"no answer to {verb} {path}")

    def heal(self) -> None:
        self.faults = Faults()
        self._out_until = -math.inf

    # -- the operations ---------------------------------------------------------------

    def names(self, folder: str) -> list[str]:
        self.operations["names"] += 1
        self._before("list", folder)
        if folder not in self.share.folders:
            raise FileNotFoundError(errno.ENOENT, "no such folder", folder)
        fresh = [n for n in self.share.names(folder) if not self._is_hidden(f"{folder}/{n}")]
        past = self.share.past.setdefault(folder, [])
        past.append((self._now(), fresh))
        del past[:-20]
        if self._happens(self.faults.lag) and self._now() >= self._fresh_until.get(folder, 0.0):
            old = [names for when, names in past if when > self._now() - LEASE / 4]
            return list(self._rng.choice(old))
        return fresh

    def sizes(self, folder: str) -> dict[str, int]:
        files = self.share.files
        paths = {name: f"{folder}/{name}" for name in self.names(folder)}
        return {name: len(files[path]) for name, path in paths.items() if path in files}

    def _is_hidden(self, path: str) -> bool:
        """Whether another client was renaming this file while we listed: once at most."""
        when, client = self.share.renamed.get(path, (-math.inf, None))
        if client is self or self._now() - when > _RENAME_TAKES:
            return False
        if not self._happens(self.faults.hides):
            return False
        del self.share.renamed[path]
        self._trace(f"  the listing misses {path}")
        return True

    def read(
        self, path: str, offset: int = 0, limit: int = records.SIZE_LIMIT, part: bool = False
    ) -> bytes:
        del part
        self.operations["read"] += 1
        self._before("read", path)
        if self.remembers and path in self._written:
            return self._written[path][offset : offset + limit]
        until, maker = self.share.hidden.get(path, (-math.inf, None))
        if path not in self.share.files or (maker is not self and self._now() < until):
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return self._content(path)[offset : offset + limit]

    def _content(self, path: str) -> bytes:
        """What a file has, or had a moment ago, before another client made it longer."""
        since = self._now() - _OLD_FOR
        old = [was for when, who, was in self.share.grown.get(path, []) if when > since]
        if old and self.share.grown[path][-1][1] is not self and self._happens(self.faults.old):
            self._trace(f"  and {path} is read as it was")
            return self._rng.choice(old)
        return self.share.files[path]

    def publish(self, path: str, data: bytes) -> None:
        def act() -> None:
            if path in self.share.files:
                raise FileExistsError(errno.EEXIST, "exists", path)
            self.share.files[path] = data
            self.share.published[path] += 1

        self._operate("publish", path, act)

    def move(self, source: str, target: str) -> None:
        def act() -> None:
            if (
                source not in self.share.files
                or target.rpartition("/")[0] not in self.share.folders
            ):
                raise FileNotFoundError(errno.ENOENT, "no such file", source)
            self.share.files[target] = self.share.files.pop(source)
            self.share.renamed[target] = self._now(), self
            self.share.grown[target] = self.share.grown.pop(source, [])
            self.share.moved[source] = self._now(), self, target
            if target.startswith(protocol.TRIALS) and target.endswith(f".{State.LOST}"):
                self.share.given_up.setdefault(target, self.share.files[target])
            if target.startswith(protocol.CHECKPOINTS):
                self.share.created[target] = self._now()
                if self._happens(self.faults.late):
                    self.share.hidden[target] = self._now() + self._rng.uniform(0, 3), self

        self._operate("move", f"{source} -> {target}", act)

    def move_new(self, source: str, target: str) -> None:
        """A rename that replaces nothing; or a second name and then the first removed, as on NFS,
        where a crash may come in between.
        """
        linked = self._happens(self.faults.crash * 10)

        def act() -> None:
            if (
                source not in self.share.files
                or target.rpartition("/")[0] not in self.share.folders
            ):
                raise FileNotFoundError(errno.ENOENT, "no such file", source)
            if target in self.share.files:
                raise FileExistsError(errno.EEXIST, "exists", target)
            self.share.files[target] = self.share.files[source]
            self.share.grown[target] = self.share.grown.get(source, [])
            if linked:
                self._trace(f"crash between {target} and {source}, which are one file")
                raise Crash
            del self.share.files[source]
            self.share.renamed[target] = self._now(), self

        self._operate("move_new", f"{source} -> {target}", act)

    def create(self, path: str, data: bytes) -> None:
        """A new file, which is not whole yet if the writer dies."""

        def act() -> None:
            if path in self.share.files:
                raise FileExistsError(errno.EEXIST, "exists", path)
            self.share.files[path] = data[: self._rng.randrange(len(data))]
            self.share.created[path] = self._now()
            if self._happens(self.faults.crash):
                raise Crash
            if self._happens(self.faults.torn):
                raise ShareError(f"no space left for {path}")
            self.share.files[path] = data

        self._operate("create", path, act)

    def size(self, folder: str) -> int:
        """Bytes of all files in a folder, which is made if there is none."""
        if folder not in self.share.folders:
            self.make_folder(folder)
        self.operations["size"] += 1
        self._before("size", folder)
        prefix = f"{folder}/"
        return sum(len(d) for path, d in self.share.files.items() if path.startswith(prefix))

    def _stale(self, path: str) -> str:
        """Where a file is that this client opens by a name that it has not any more (P7)."""
        when, mover, target = self.share.moved.get(path, (-math.inf, None, ""))
        young = mover is not self and self._now() - when < _STALE_FOR
        if path in self.share.files or not young or not self._happens(self.faults.stale):
            return path
        while target not in self.share.files and target in self.share.moved:
            target = self.share.moved[target][2]
        self._trace(f"  {path} is opened as {target}")
        return target

    def append(self, path: str, data: bytes) -> None:
        path = self._stale(path)

        def act() -> None:
            if path not in self.share.files:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            if path.startswith(protocol.TRIALS):
                was = self._now(), self, self.share.files[path]
                self.share.grown.setdefault(path, []).append(was)
            if self._happens(self.faults.torn):
                self.share.files[path] += data[: self._rng.randrange(len(data))]
                raise ShareError(f"no space left for {path}")
            self.share.files[path] += data

        self._operate("append", path, act)

    def rewrite(self, path: str, data: bytes) -> None:
        def act() -> None:
            self.share.files[path] = self._written[path] = data
            if self._happens(self.faults.torn):
                self.share.files[path] = data[: self._rng.randrange(len(data))]
                raise Crash  # only a crash leaves half of a small overwrite

        self._operate("rewrite", path, act)

    def replace(self, path: str, data: bytes) -> None:
        self._operate("replace", path, lambda: self.share.files.__setitem__(path, data))

    def remove(self, path: str) -> None:
        def act() -> None:
            if path not in self.share.files:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            del self.share.files[path]

        self._operate("remove", path, act)

    def make_folder(self, path: str) -> None:
        self._operate("make_folder", path, lambda: self.share.folders.add(path))

    def poke(self, folder: str) -> None:
        self._before("poke", folder)
        self._fresh_until[folder] = self._now() + 1.0

    @contextmanager
    def drafts(self, files: Mapping[str, bytes], /) -> Iterator[Callable[[str], None]]:
        yield lambda path: self.publish(path, files[path])

    def sync(self, folder: str) -> None:
        self._before("sync", folder)

    def rest(self) -> None:
        pass  # nothing is ever open
