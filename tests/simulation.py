"""A deterministic world for the protocol: a share in memory that misbehaves, a clock that
only the scheduler moves, and a real master and real workers that live, crash and freeze in it.

Everything random comes from one seed, so that a history can be replayed:

    python -m tests.simulation --seeds 0:10000        # a soak
    python -m tests.simulation --seeds 4711 --trace   # one history, operation by operation
"""

from __future__ import annotations

import argparse
import errno
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from distune.errors import BadRecord, ShareError
from distune.master.lock import Identity
from distune.master.master import Master
from distune.search.asked import trial_of
from distune.search.samplers.staged import make_sampler
from distune.share import protocol, records
from distune.share.protocol import COUNTED, AttemptName, State
from distune.share.store import Store
from distune.space_file.freeze import freeze as freeze_study
from distune.space_file.read import parse_space_file
from distune.study.study import Limits, Study
from distune.study.trial import FAILURES, Failure, Outcome, Params, Purpose, Record, Report, Result
from distune.training.messages import Assignment, Died, SelfTest, SelfTested
from distune.training.turns import TrialsInTurn
from distune.watch.observer import Observer
from distune.worker.context import WorkerIdentity
from distune.worker.slots import ExecutorLike
from distune.worker.worker import Worker
from tests.histories import asked_in, asked_trial, read_history

LEASE = 20.0  # seconds of the simulated clock
_RENAME_TAKES = 0.5  # seconds in which a listing may miss the name
TRAINING = 3.0  # seconds a simulated training takes at most


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
    outage: float = 0.0  # the share is gone for this client, for a while
    freeze: float = 0.0  # the process is stopped, and goes on later


@dataclass
class Share:
    """The truth: files by path. `past` has recent listings, for caches that lag."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {""})
    past: dict[str, list[tuple[float, list[str]]]] = field(default_factory=dict)
    published: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, tuple[float, object]] = field(default_factory=dict)

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
        self._now = now
        self._trace = trace
        self._out_until = -math.inf
        self._fresh_until: dict[str, float] = {}

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._rng.random() < probability

    def _operate(self, verb: str, path: str, act: Callable[[], None]) -> None:
        """Do a changing operation, or not, and tell the truth about it, or not."""
        self.operations[verb] += 1
        self._before(verb, path)
        act()
        self._trace(f"{verb} {path}")
        if self._happens(self.faults.crash):
            self._trace("  crash after it")
            raise Crash
        if self._happens(self.faults.lies):
            self._trace("  and says it failed")
            if verb == "move" and self._rng.random() < 0.5:
                raise FileNotFoundError(errno.ENOENT, "lost reply", path)
            if verb == "publish" and self._rng.random() < 0.5:
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
        if path not in self.share.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", path)
        return self.share.files[path][offset : offset + limit]

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

        self._operate("move", f"{source} -> {target}", act)

    def append(self, path: str, data: bytes) -> None:
        def act() -> None:
            if path not in self.share.files:
                raise FileNotFoundError(errno.ENOENT, "no such file", path)
            if self._happens(self.faults.torn):
                self.share.files[path] += data[: self._rng.randrange(len(data))]
                raise ShareError(f"no space left for {path}")
            self.share.files[path] += data

        self._operate("append", path, act)

    def rewrite(self, path: str, data: bytes) -> None:
        def act() -> None:
            self.share.files[path] = data
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
    def drafts(self, contents: Mapping[str, bytes]) -> Iterator[Callable[[str], None]]:
        yield lambda path: self.publish(path, contents[path])

    def sync(self, folder: str) -> None:
        self._before("sync", folder)

    def rest(self) -> None:
        pass  # nothing is ever open


def objective(params: Params) -> float:
    """What a simulated training finds: a function of its params, so that a mix-up is seen."""
    x = params["x"]
    assert isinstance(x, float)
    return math.sin(12 * x) * (1 - x)


class SimulatedExecutor:
    """Trains in simulated time; two reports, then a result. Sometimes it fails or dies."""

    slots = 1

    def __init__(
        self,
        rng: random.Random,
        now: Callable[[], float],
        failing: float,
        longest: float,
        broken: bool = False,
    ) -> None:
        self._rng = rng
        self._broken = broken
        self._now = now
        self._longest = longest
        self._failing = failing
        self._due: list[tuple[float, Record | Died]] = []
        self.started = 0

    def takes(self, slot: int, study: Study) -> bool:
        return True

    def start(self, slot: int, assignment: Assignment) -> None:
        self.started += 1
        value = objective(assignment.trial.params)
        assert assignment.study is not None
        metrics = {assignment.study.metric: value}
        length = self._rng.uniform(0.1, self._longest)
        if self._broken:
            failure = Failure(message="no kernel image is available")
            self._due = [(self._now() + 0.05, Result(outcome=Outcome.FAILED, failure=failure))]
            return
        if self._rng.random() < self._failing:
            self._due = [(self._now() + length, Died("was killed by SIGKILL", ""))]
            return
        result = Result(outcome=Outcome.COMPLETE, value=value, metrics=metrics, seconds=length)
        self._due = [
            (self._now() + length / 3, Report(step=1, metrics={"y": -9.0}, seconds=length / 3)),
            (self._now() + length / 2, Report(step=2, metrics=metrics, seconds=length / 2)),
            (self._now() + length, result),
        ]

    def poll(self) -> Sequence[tuple[int, Record | Died]]:
        ready = [message for when, message in self._due if when <= self._now()]
        self._due = [(when, message) for when, message in self._due if when > self._now()]
        return [(0, message) for message in ready]

    def self_test(self, slot: int, test: SelfTest) -> None:
        problem = "the device is broken" if self._broken else None
        self._due = [(self._now() + 1.0, SelfTested(problem=problem))]

    def abort(self, slot: int) -> str:
        self._due = []
        return ""

    def stop(self, slot: int) -> None:
        self._due = [(self._now() + 0.5, Result(outcome=Outcome.RELEASED))]

    def terminate(self) -> None:
        self._due = []

    def end(self, slot: int, grace: float) -> None:
        del grace
        self._due = []

    def tail(self) -> str:
        return ""


_RELEASED = Result(outcome=Outcome.RELEASED, failure=Failure(message="it waited for another"))


class SimulatedProcess:
    """Trains several trials in turn, each as an executor would, and dies with one of them."""

    def __init__(self, make: Callable[[], SimulatedExecutor], rng: random.Random) -> None:
        self._make = make
        self._rng = rng
        self._slot = 0
        self._trains: SimulatedExecutor | None = None  # in that slot
        self._turns: list[Assignment] = []  # that have not come
        self._said: list[tuple[int, Record | Died]] = []

    def start(self, *assignments: Assignment) -> None:
        self._turns = list(assignments)
        self._next_turn()

    def _next_turn(self) -> None:
        if self._turns:
            assignment = self._turns.pop(0)
            self._slot, self._trains = assignment.slot, self._make()
            self._trains.start(0, assignment)

    def self_test(self, test: SelfTest) -> None:
        self._trains = self._make()
        self._trains.self_test(0, test)

    def poll(self) -> list[tuple[int, Record | Died]]:
        said, self._said = self._said, []
        if self._trains is None:
            return said
        said += [(self._slot, message) for _, message in self._trains.poll()]
        results = [one for _, one in said if isinstance(one, Result) and one is not _RELEASED]
        if any(isinstance(one, Died) for _, one in said):
            self.terminate()
        elif self._rng.random() < 0.02:  # the one that is trained takes long
            said += [(one.slot, _RELEASED) for one in self._turns]
            self._turns = []
        elif any(one.outcome in FAILURES for one in results):
            self._turns = []
        elif results:
            self._next_turn()
        return said

    def stop(self, slot: int) -> None:
        if slot == self._slot and self._trains is not None:
            self._trains.stop(0)
        else:
            self._said.append((slot, _RELEASED))
            self._turns = [one for one in self._turns if one.slot != slot]

    def abort(self) -> str:
        self.terminate()
        return ""

    def terminate(self) -> None:
        self._trains, self._turns, self._said = None, [], []

    def end(self, grace: float) -> None:
        del grace
        self.terminate()

    def tail(self) -> str:
        return ""


def make_study(trials: int = 6, *, repeats: int = 1, **changes: object) -> tuple[Study, Limits]:
    """A study of one parameter that `objective` understands."""
    file = parse_space_file(
        '{"objective": "o:o", "params": {"x": {"type": "float", "low": 0, "high": 1}},'
        ' "metric": "y", "direction": "maximize"}',
        "simulation",
    ).model_copy(update={"repeats": repeats, **changes})
    study = freeze_study(file, name="s", study_id="s-1", lease=LEASE, created=0.0)
    return study, Limits(trials=trials)


@dataclass
class Actor:
    """A process: it is made anew each time it has crashed."""

    name: str
    folder: MemoryFolder
    process: Master | Worker | None = None
    wakes_at: float = 0.0
    lives: int = 0


class World:
    """One history: `World(seed, faults).run()`."""

    def __init__(
        self,
        seed: int,
        faults: Faults,
        *,
        trials: int = 6,
        workers: int = 3,
        masters: int = 1,
        broken: int = 0,
        failing: float = 0.0,
        training: float = TRAINING,
        slots: int = 1,
        study: Study | None = None,
        limits: Limits | None = None,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.clock = 0.0
        self.share = Share()
        self.failing = failing
        self.training = training
        self.slots = slots  # for trials in turn, of each worker's process
        self.masters = masters
        self.learns = False  # the sampler, which never answers in the same way twice
        self.meddled = False  # a test has deleted files
        self.healed = False
        self.broken = {f"worker{i}" for i in range(broken)}  # hosts on which all trials fail
        default_study, default_limits = make_study(trials)
        self.study = study or default_study
        self.limits = limits or default_limits
        self._trace = trace or (lambda line: None)
        self.executors: list[SimulatedExecutor] = []
        Store(self._folder("setup", Faults())).create(self.study)
        names = [f"master{i}" for i in range(masters)] + [f"worker{i}" for i in range(workers)]
        self.actors = [Actor(name, self._folder(name, faults)) for name in names]
        for actor in self.actors:
            actor.wakes_at = self.rng.uniform(0, 5)

    def _folder(self, name: str, faults: Faults) -> MemoryFolder:
        def trace(line: str) -> None:
            self._trace(f"{self.clock:8.2f} {name}: {line}")

        return MemoryFolder(self.share, self.rng, lambda: self.clock, faults, trace)

    # -- the scheduler ------------------------------------------------------------------

    def run(self, faulty_seconds: float = 60.0, healthy_seconds: float = 600.0) -> World:
        """Let it happen, with faults and then without, until a master says it is over."""
        while not self._over() and self.clock < faulty_seconds:
            self._advance()
        self.healed = True
        for actor in self.actors:
            actor.folder.heal()
        while not self._over():
            if self.clock > faulty_seconds + healthy_seconds:
                raise AssertionError(f"seed {self.seed}: the study never ended: {self.describe()}")
            self._advance()
        return self

    def _over(self) -> bool:
        masters = [a for a in self.actors if a.name.startswith("master")]
        return all(isinstance(a.process, Master) and a.process.finished for a in masters)

    def _advance(self) -> None:
        actor = min(self.actors, key=lambda a: a.wakes_at)
        self.clock = max(self.clock, actor.wakes_at)
        actor.wakes_at = self.clock + self.rng.uniform(0.05, 0.6)
        if not self.healed and self.rng.random() < actor.folder.faults.freeze:
            actor.wakes_at += self.rng.uniform(0.5, 3) * LEASE
            self._trace(f"{self.clock:8.2f} {actor.name}: frozen until {actor.wakes_at:.1f}")
        try:
            if actor.process is None:
                actor.process = self._start(actor)
            self._step(actor.process)
        except Crash:
            actor.process = None
            actor.wakes_at = self.clock + self.rng.uniform(0.1, 1.5 * LEASE)
        except (ShareError, FileNotFoundError):
            # Its start-up met an outage: it ends and is started again. A running master waits.
            if isinstance(actor.process, Master):
                actor.process.observer.blind()
            else:
                actor.process = None

    def _step(self, process: Master | Worker) -> None:
        if isinstance(process, Master) and process.finished:
            return
        process.step()

    def _start(self, actor: Actor) -> Master | Worker:
        actor.lives += 1
        store = Store(actor.folder)
        # Every process has a monotonic clock of its own, and they are never compared.
        offset = self.rng.uniform(0, 1e6)

        def monotonic() -> float:
            return self.clock + offset

        if actor.name.startswith("master"):
            return Master(
                store, self.limits, Identity(actor.name, 1), monotonic=monotonic, wall=monotonic
            )

        def make() -> SimulatedExecutor:
            broken = actor.name in self.broken
            now = lambda: self.clock  # noqa: E731
            self.executors.append(
                SimulatedExecutor(self.rng, now, self.failing, self.training, broken)
            )
            return self.executors[-1]

        executor: ExecutorLike = make()
        if self.slots > 1:
            executor = TrialsInTurn(
                SimulatedProcess(make, self.rng),  # type: ignore[arg-type]
                slots=self.slots,
                # So slow that what is trained for seconds seems short.
                monotonic=lambda: self.clock / 10_000,
            )
        worker = f"{actor.name}-{actor.lives}-{self.rng.randrange(16**6):06x}"
        return Worker(
            WorkerIdentity(worker, actor.name, 1, "cpu"),
            lambda: {"s": store},
            [executor],
            forever=True,
            monotonic=monotonic,
            wall=monotonic,
            rng=random.Random(self.rng.random()),
        )

    # -- what must hold afterwards --------------------------------------------------------

    def attempts(self) -> Iterator[tuple[str, AttemptName]]:
        for path in self.share.files:
            if path.startswith((protocol.TRIALS, protocol.SEEN)):
                yield path, AttemptName.parse(path.rpartition("/")[2])

    def describe(self) -> str:
        return ", ".join(sorted(path for path in self.share.files if "jsonl" in path))[:2000]

    def check(self, trials: int | None = None) -> None:
        """P1 to P5, on the share as it lies there at the end of the study."""
        expected = set(range(trials or self.limits.trials or 0))
        where = f"seed {self.seed}"
        by_key: dict[tuple[Purpose, int], list[AttemptName]] = {}
        open_ones = []
        for path, name in self.attempts():
            try:
                file = records.parse_attempt(self.share.files[path])
            except BadRecord as error:
                raise AssertionError(f"{where}: P1: {path}: {error}") from None
            assert (file.trial.number, file.trial.attempt) == (name.trial, name.attempt), path
            if path.startswith(protocol.TRIALS):
                open_ones.append(name)
            elif name.state in COUNTED:
                by_key.setdefault(name.key, []).append(name)
        trained = {trial for purpose, trial in by_key if purpose is Purpose.TRAIN}
        counted = trained & expected
        assert counted == expected, f"{where}: P3: lost {expected - counted}: {self.describe()}"
        twice = {key: names for key, names in by_key.items() if len(names) > 1}
        # Two masters at once may have an attempt run twice; the ranking still counts one.
        assert not twice or self.masters > 1, f"{where}: P3: counted twice: {twice}"
        again = [path for path, times in self.share.published.items() if times > 1]
        # A trial may be trained once more for a reason; never for none.
        assert not again or self.masters > 1 or self.meddled, f"{where}: published twice: {again}"
        # A worker that slept through the end may still hold a file; no other process may.
        left = [n for n in open_ones if n.state not in (State.TAKEN, State.LOST, State.DONE)]
        assert not left or self.masters > 1, f"{where}: left over: {left}"
        self._check_asked(where)
        self._check_history(expected, where)
        self._check_tests({trial for purpose, trial in by_key if purpose is Purpose.TEST}, where)

    def _check_asked(self, where: str) -> None:
        """P5: each attempt has the setting that was asked for, and that is the sampler's."""
        asked = asked_in(Store(self._folder("check", Faults())), self.study)
        for path, name in self.attempts():
            trial = records.parse_attempt(self.share.files[path]).trial
            line = asked.of(name.trial)
            assert line is not None, f"{where}: nobody asked for {path}"
            wanted = trial_of(self.study, line, name.trial)
            same = {"attempt": name.attempt, "failed_on": [], "purpose": name.purpose, "best": None}
            again = trial.replace(**same)
            assert again == wanted.replace(**same), f"{where}: P5: {path}"
            if not self.learns:
                by_sampler = asked_trial(self.study, make_sampler(self.study), name.trial)
                assert wanted == by_sampler, f"{where}: P5: trial {name.trial}"

    def _check_tests(self, tested: set[int], where: str) -> None:
        """The winner alone is tested, once for each of its runs, if the study has a test."""
        history = Observer(Store(self._folder("check", Faults()))).history
        winner = history.winner() if self.study.has_test else None
        finished = Store(self._folder("check", Faults())).read_finished()
        assert finished is not None, where
        wanted = {run.trial.number for run in winner.complete} if winner else set()
        assert tested == (set() if finished.failed else wanted), f"{where}: tested {tested}"
        assert {test.trial.number for test in history.tests} == tested, where

    def _check_history(self, expected: set[int], where: str) -> None:
        store = Store(self._folder("check", Faults()))
        if self.masters == 1:  # two could glue their lines together; seen/ is the truth then
            lines = read_history(store)
            assert {line.trial.number for line in lines} == expected, f"{where}: P3: {lines}"
        history = Observer(store).history
        assert sorted(c.trial.number for c in history.trials) == sorted(expected), where
        assert history.configurations == len(expected) // self.study.repeats
        first = {counted.trial.number: counted for counted in history.trials}
        for line in first.values():
            if line.result.outcome is Outcome.COMPLETE:
                assert line.result.value == objective(line.trial.params), f"{where}: wrong result"
            else:
                assert self.failing > 0 or self.broken, f"{where}: {line.result}"


ROUGH = Faults(
    crash=0.004, fails=0.02, lies=0.02, torn=0.02, lag=0.15, hides=0.1, outage=0.002, freeze=0.004
)


def random_faults(rng: random.Random) -> Faults:
    """Another mixture for every history: some kinds off, some frequent."""

    def some(most: float) -> float:
        return 0.0 if rng.random() < 0.3 else most * rng.random() ** 2

    return Faults(
        crash=some(0.03),
        fails=some(0.2),
        lies=some(0.2),
        torn=some(0.2),
        lag=some(0.6),
        hides=some(0.8),
        outage=some(0.01),
        freeze=some(0.03),
    )


def simulate(seed: int, trace: Callable[[str], None] | None = None) -> World:
    """One history with everything in it that the seed says, checked."""
    rng = random.Random(f"shape {seed}")
    workers = rng.randint(1, 4)
    faults = random_faults(rng)
    # A generator of its own: other histories stay what they were. The workload's name is all
    # that is of it: what has one has a test.
    tested = random.Random(f"tested {seed}").random() < 0.25
    study, limits = make_study(rng.randint(1, 8), objective="mnist-cnn" if tested else "o:o")
    world = World(
        seed,
        faults,
        study=study,
        limits=limits,
        workers=workers,
        slots=random.Random(f"slots {seed}").choice([1, 1, 1, 3]),
        masters=2 if rng.random() < 0.2 else 1,
        failing=rng.choice([0.0, 0.0, 0.2]),
        broken=rng.choice([0, 0, 0, 1]) if workers > 1 else 0,
        trace=trace,
    )
    try:
        world.run()
        world.check()
    except AssertionError:
        print(f"\nreplay with: python -m tests.simulation --seeds {seed} --trace", file=sys.stderr)
        raise
    return world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="one seed, or FROM:TO")
    parser.add_argument("--trace", action="store_true", help="print every operation")
    options = parser.parse_args()
    first, _, last = options.seeds.partition(":")
    seeds = range(int(first), int(last or int(first) + 1))
    operations: Counter[str] = Counter()
    lives = 0
    for seed in seeds:
        world = simulate(seed, print if options.trace else None)
        lives += sum(actor.lives for actor in world.actors)
        for actor in world.actors:
            operations.update(actor.folder.operations)
    print(
        f"{len(seeds)} histories, {lives} processes started, "
        f"{sum(operations.values())} operations on the share: every trial counted once"
    )


if __name__ == "__main__":
    main()
