"""A training in simulated time that saves states and goes on from them, by the product's own code,
and what is remembered of all trainings, to be compared with what was promised.

Each step depends on all steps before, on the setting and on the seed: a step left out, made twice
or made from another trial's state is seen in every later one.
"""

from __future__ import annotations

import errno
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from distune.errors import ShareError
from distune.share import protocol, records
from distune.share.protocol import AttemptName
from distune.study.trial import (
    FAILURES,
    MOST_CHECKPOINTS,
    Checkpoint,
    Params,
    Purpose,
    Result,
    Resumed,
    Trial,
)
from distune.training.checkpoint_folder import CheckpointFolder
from distune.training.checkpoints import Checkpoints, Loaded
from distune.training.context import Stopped, TrialContext
from tests.memory_folder import Crash, MemoryFolder, Share

#: Seconds for which a training must have asked for a checkpoint on a share that does not answer,
#: until it may do without.
PATIENCE = 55.0


def steps_of(seed: int) -> int:
    """How many steps its training has."""
    return 3 + seed % 6


def _next(chain: int, params: Params) -> int:
    return zlib.crc32(f"{chain} {params['x']!r}".encode())


def curve(value: float, params: Params, seed: int, metric: str) -> list[dict[str, float]]:
    """What a training that nobody disturbs reports; at its end, the value, which is its best."""
    chain, found, last = seed, [], steps_of(seed)
    for step in range(1, last + 1):
        chain = _next(chain, params)
        found.append({metric: value - (last - step) * (1 + chain / 2**32), "chain": float(chain)})
    return found


def training(
    value: float, metric: str, made: Callable[[int], None]
) -> Callable[[dict[str, Any], TrialContext], Iterator[dict[str, float]]]:
    """An objective like a user's own. Of each step that it makes, `made` is told."""

    def train(params: dict[str, Any], trial: TrialContext) -> Iterator[dict[str, float]]:
        step, chain = trial.load() or (0, trial.seed)
        last = steps_of(trial.seed)
        saves_first = trial.seed % 2 == 0  # the state of a step that is about to be yielded
        while step < last:
            chain, step = _next(chain, params), step + 1
            made(step)
            if saves_first:
                trial.save([step, chain], step)
            yield {metric: value - (last - step) * (1 + chain / 2**32), "chain": float(chain)}
            if not saves_first:
                trial.save([step, chain])

    return train


# -- what must be true -----------------------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """A training has begun: after which step, from the state of which attempt; and after which it
    should have, at least: what no accident has damaged must be there.
    """

    trial: Trial
    worker: str
    after: int
    of: int
    at_least: int


@dataclass
class Ledger:
    """All that was trained in a history, and whether that was what was promised (P12)."""

    share: Share
    made: list[tuple[Trial, int]] = field(default_factory=list)  # steps
    begun: list[Begun] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)  # checkpoints, by accidents
    early: list[Checkpoint] = field(default_factory=list)  # told of before they were there
    _saved: dict[str, str] = field(default_factory=dict)  # what each had, when it was told of

    def has_saved(self, trial: Trial, checkpoint: Checkpoint) -> None:
        """A training tells of a checkpoint."""
        path = _path(trial, checkpoint)
        if _digest(self.share.files.get(path, b"")) != checkpoint.sha256:
            self.early.append(checkpoint)
        if path in self._saved:
            self.damaged.add(path)  # two masters: two workers have one attempt
        self._saved[path] = checkpoint.sha256

    def has_begun(
        self, trial: Trial, worker: str, loaded: Loaded | None, files: SharedCheckpoints
    ) -> None:
        if AttemptName.counted(trial.key).seen_path in self.share.files:
            return  # two masters: it is over, and this is for nothing
        left = self.left_by(trial.key, trial.attempt - 1)
        whole = [
            one.step
            for one in left
            if _path(trial, one) not in self.damaged and files.would_read(one, trial)
        ]
        after, of = (loaded.step, loaded.attempt) if loaded is not None else (0, 0)
        self.begun.append(Begun(trial, worker, after, of, whole[0] if whole else 0))

    def left_by(self, key: tuple[Purpose, int], attempt: int) -> list[Checkpoint]:
        """What the attempts up to this one had said to have saved when they were given up, the
        newest first. Where two masters without a lock have had one trained under one name by two
        workers, nobody can say.
        """
        given_up = self._given_up(key, attempt)
        if not given_up and attempt > 1:
            return self.left_by(key, attempt - 1)
        if len(given_up) != 1:
            return []
        lines = list(records.decode_lines(given_up[0]))
        own = {one.number: one for one in lines if isinstance(one, Checkpoint)}
        results = [one for one in lines if isinstance(one, Result)]
        before = self.left_by(key, attempt - 1)
        # Its failure may have come of what it had begun with.
        failed = any(one.outcome in FAILURES for one in results[:1])
        if failed and not own and any(isinstance(one, Resumed) for one in lines):
            before = before[1:]
        # As many as each attempt tells the next one of.
        newest = [*(own[number] for number in sorted(own, reverse=True)), *before]
        return newest[:MOST_CHECKPOINTS]

    def _given_up(self, key: tuple[Purpose, int], attempt: int) -> list[bytes]:
        found = []
        for path, data in self.share.given_up.items():
            name = AttemptName.parse(path.rpartition("/")[2])
            if (name.key, name.attempt) == (key, attempt):
                found.append(data)
        return found

    def check(self, where: str) -> None:
        """P12: no attempt has begun before the last step that its predecessor had saved, and none
        with a state of which no line of an attempt at the same trial tells.
        """
        assert not self.early, f"{where}: told of before it is there: {self.early}"
        for begun in self.begun:
            assert begun.after >= begun.at_least, f"{where}: P12: {begun}"
            if begun.of:
                told = {(one.attempt, one.step) for one in begun.trial.checkpoints}
                assert (begun.of, begun.after) in told, f"{where}: P12: nobody told of it: {begun}"
                assert begun.of < begun.trial.attempt, f"{where}: P12: its own: {begun}"


def _path(trial: Trial, checkpoint: Checkpoint) -> str:
    name = protocol.checkpoint_name(trial.purpose, trial.number, checkpoint)
    return f"{protocol.CHECKPOINTS}/{name}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- files -----------------------------------------------------------------------------------


class SharedCheckpoints(CheckpointFolder):
    """The checkpoints on the simulated share, as a training process of one host has them.

    Attributes:
        crashed: the host has died, while the training used the share.
        asked: for each file that could not be read, since when, and when last.
    """

    def __init__(self, folder: MemoryFolder) -> None:
        super().__init__(protocol.CHECKPOINTS)
        self.crashed = False
        self.asked: dict[str, tuple[float, float]] = {}
        self._folder = folder
        folder.ahead = 0.0  # another may have died while it waited

    def _do(self, operation: Callable[[], Any]) -> Any:
        try:
            return operation()
        except ShareError as error:
            raise OSError(errno.EIO, str(error)) from None
        except Crash:
            self.crashed = True
            raise Stopped from None  # which no training catches

    def read(self, name: str, most: int) -> bytes:
        path = f"{protocol.CHECKPOINTS}/{name}"
        first, _ = self.asked.get(name, (self._folder.ahead, 0.0))
        self.asked[name] = first, self._folder.ahead
        data: bytes = self._do(lambda: self._folder.read(path, limit=most))
        del self.asked[name]
        return data

    def size(self) -> int:
        size: int = self._do(lambda: self._folder.size(protocol.CHECKPOINTS))
        return size

    def write(self, name: str, data: bytes) -> None:
        path = f"{protocol.CHECKPOINTS}/{name}"
        try:
            self._do(lambda: self._folder.create(f"{path}.part", data))
            self._do(lambda: self._folder.move(f"{path}.part", path))
        except OSError:
            try:
                self._do(lambda: self._folder.remove(f"{path}.part"))
            except OSError:
                pass
            raise

    def wait(self, seconds: float) -> None:
        self._folder.ahead += seconds

    def wait_no_more(self) -> None:
        self._folder.ahead = 0.0

    def would_read(self, checkpoint: Checkpoint, trial: Trial) -> bool:
        """Whether the share would have given one to who asks again for a while."""
        name = protocol.checkpoint_name(trial.purpose, trial.number, checkpoint)
        first, last = self.asked.get(name, (0.0, 0.0))
        return last - first < PATIENCE


class SimulatedCheckpoints(Checkpoints):
    """Written when the executor has time for it, and not by a thread."""

    def __init__(
        self,
        files: SharedCheckpoints,
        ledger: Ledger,
        worker: str,
        trial: Trial,
        keep: Callable[[Checkpoint], None],
        limit: int,
    ) -> None:
        def told(checkpoint: Checkpoint) -> None:
            ledger.has_saved(trial, checkpoint)
            keep(checkpoint)

        super().__init__(protocol.CHECKPOINTS, trial, pause=files.wait, keep=told, limit=limit)
        self._files = self.files = files
        self._ledger = ledger
        self._worker = worker

    def load(self) -> Loaded | None:
        loaded = super().load()
        self._ledger.has_begun(self._trial, self._worker, loaded, self.files)
        self.files.wait_no_more()
        return loaded

    @property
    def to_be_written(self) -> bool:
        return self._writes

    def _start_writing(self) -> None:
        pass

    def write_now(self) -> None:
        if self._writes:
            self._write_all()

    def wait(self, seconds: float) -> None:
        del seconds
        self.write_now()
