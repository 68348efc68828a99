"""A deterministic world for the protocol: a share in memory that misbehaves, a clock that
only the scheduler moves, and a real master and real workers that live, crash and freeze in it.

Everything random comes from one seed, so that a history can be replayed:

    python -m tests.simulation --seeds 0:10000        # a soak
    python -m tests.simulation --seeds 4711 --trace   # one history, operation by operation
"""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec import UNSET

from distune.errors import ShareError, UserError
from distune.master.lock import Identity
from distune.master.master import Master
from distune.search.asked import trial_of
from distune.search.staged import make_sampler
from distune.share import protocol, records
from distune.share.protocol import AttemptName, Halt, State
from distune.share.store import Store, as_attempt
from distune.study.confirm import Confirm
from distune.study.space import FloatParameter
from distune.study.study import Limits, Study
from distune.study.trial import Checkpoint, Counted, Outcome, Purpose, Report
from distune.training.messages import Assignment
from distune.training.turns import TrialsInTurn
from distune.watch.observer import Observer
from distune.worker.context import WorkerIdentity
from distune.worker.limits import WorkerLimits
from distune.worker.slots import ExecutorLike
from distune.worker.worker import Worker
from tests.fake_executor import SimulatedExecutor, SimulatedProcess, value_of
from tests.histories import LEASE, asked_in, asked_trial, make_study, read_history
from tests.memory_folder import Crash, Faults, MemoryFolder, Share
from tests.simulated_race import RACING, check_place, check_race
from tests.simulated_training import Ledger, SharedCheckpoints, SimulatedCheckpoints, curve

TRAINING = 3.0  # seconds a simulated training takes at most


@dataclass
class Actor:
    """A process: it is made anew each time it has crashed."""

    name: str
    folder: MemoryFolder
    training: MemoryFolder  # that its training process has, on the same host
    process: Master | Worker | None = None
    wakes_at: float = 0.0
    lives: int = 0
    ends_at: float = math.inf  # when a worker's own time limit is over


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
        remembers: bool = False,
        broken: int = 0,
        failing: float = 0.0,
        training: float = TRAINING,
        slots: int = 1,
        halts: bool = False,
        drains: float = 0.0,
        dies: float = 0.0,
        worker_lasts: float = math.inf,
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
        self.tears = faults.torn > 0
        self.remembers = remembers  # each host its own heartbeats: no master sees the other's
        self.halts = halts  # a person pauses, stops and resumes it, and starts masters again
        self.drains = drains  # how likely a worker is asked to end, at each of its steps
        self.dies = dies  # how likely a host is, at each step that it trains
        self.worker_lasts = worker_lasts  # seconds, until a worker's own time limit is over
        self._person = random.Random(f"person {seed}")
        self._accident = random.Random(f"accident {seed}")
        self.ledger = Ledger(self.share)
        self.learns = False  # the sampler, so that two masters get two answers: see `_meanwhile`
        self.meddled = False  # a test has deleted files
        self.thawed = False  # those that slept through the end have woken up
        self.ended_at = -math.inf  # when a master ended it last, that saw all there was
        self.healed = False
        self.broken = {f"worker{i}" for i in range(broken)}  # hosts on which all trials fail
        default_study, default_limits = make_study(trials)
        self.study = study or default_study
        self.limits = limits or default_limits
        self._trace = trace or (lambda line: None)
        self.executors: list[SimulatedExecutor] = []
        Store(self._folder("setup", Faults())).create(self.study)
        names = [f"master{i}" for i in range(masters)] + [f"worker{i}" for i in range(workers)]
        self.actors = [
            Actor(name, self._folder(name, faults), self._folder(f"{name}'s training", faults))
            for name in names
        ]
        for actor in self.actors:
            actor.folder.meanwhile = partial(self._meanwhile, actor)
        for actor in self.actors:
            actor.wakes_at = self.rng.uniform(0, 5)
        self._between = random.Random(f"between {seed}")
        self._interrupted = False

    def _folder(self, name: str, faults: Faults) -> MemoryFolder:
        def trace(line: str) -> None:
            self._trace(f"{self.clock:8.2f} {name}: {line}")

        folder = MemoryFolder(self.share, self.rng, lambda: self.clock, faults, trace)
        folder.remembers = self.remembers
        return folder

    # -- the scheduler ------------------------------------------------------------------

    def run(self, faulty_seconds: float = 60.0, healthy_seconds: float = 600.0) -> World:
        """Let it happen, with faults and then without, until a master says it is over."""
        while (self.halts or not self._over()) and self.clock < faulty_seconds:
            self._advance()
            if self.halts:
                self._decide()
        self.healed = True
        if self.halts:
            self.resume()
        self.drains, self.dies, self.worker_lasts = 0.0, 0.0, math.inf
        for actor in self.actors:
            actor.folder.heal()
            actor.training.heal()
        while not self._over():
            if self.clock > faulty_seconds + healthy_seconds:
                raise AssertionError(f"seed {self.seed}: the study never ended: {self.describe()}")
            self._advance()
        return self

    def thaw(self) -> World:
        """Have those go on that slept through the end: what they do then is for nobody."""
        self.thawed = True
        asleep = [actor for actor in self.actors if actor.wakes_at > self.clock + LEASE / 2]
        for _ in range(4 if asleep else 0):
            for actor in asleep:
                self.clock = max(self.clock, actor.wakes_at)
                self._take_turn(actor)
        return self

    # -- a person -----------------------------------------------------------------------

    def halt(self, halt: Halt) -> None:
        """`distune pause`, or `distune stop`."""
        self._by_person().mark(halt, "desk")
        self._trace(f"{self.clock:8.2f} {halt}")

    def resume(self) -> None:
        """`distune resume`, and the master's command again."""
        self._by_person().resume()
        self._trace(f"{self.clock:8.2f} resume")
        self._start_masters_again()

    def _by_person(self) -> Store:
        store = Store(self._folder("person", Faults()))
        store.load()
        return store

    def _start_masters_again(self) -> None:
        for actor in self.actors:
            if isinstance(actor.process, Master) and actor.process.finished:
                actor.process = None

    def _decide(self) -> None:
        """Now and then."""
        if self._person.random() >= 0.03:
            return
        match self._person.choice([*Halt, None, None, "again"]):
            case Halt() as halt:
                self.halt(halt)
            case None:
                self.resume()
            case _:
                self._start_masters_again()  # as an engine may, whatever was asked for

    def _over(self) -> bool:
        masters = [a for a in self.actors if a.name.startswith("master")]
        return all(isinstance(a.process, Master) and a.process.finished for a in masters)

    def _advance(self) -> None:
        actor = min(self.actors, key=lambda a: a.wakes_at)
        self.clock = max(self.clock, actor.wakes_at)
        self._take_turn(actor)

    def _take_turn(self, actor: Actor) -> None:
        actor.wakes_at = self.clock + self.rng.uniform(0.05, 0.6)
        if not self.healed and self.rng.random() < actor.folder.faults.freeze:
            actor.wakes_at += self.rng.uniform(0.5, 3) * LEASE
            self._trace(f"{self.clock:8.2f} {actor.name}: frozen until {actor.wakes_at:.1f}")
        try:
            if actor.process is None:
                actor.process = self._start(actor)
            self._step(actor)
            self._damage(actor.folder.faults.damage)
        except (Crash, UserError):  # the latter: another master is there
            actor.process = None
            actor.wakes_at = self.clock + self.rng.uniform(0.1, 1.5 * LEASE)
        except (ShareError, FileNotFoundError):
            # Its start-up met an outage: it ends and is started again. A running master waits.
            if isinstance(actor.process, Master):
                actor.process.observer.blind()
            else:
                actor.process = None

    def _meanwhile(self, actor: Actor, path: str) -> None:
        """Have another master take its turn just before or after one of them asks."""
        if not self.learns or path != protocol.ASKED or self._interrupted:
            return
        others = [a for a in self.actors if isinstance(a.process, Master) and a is not actor]
        if others and self._between.random() < 0.3:
            self._interrupted = True
            other = self._between.choice(others)
            self._trace(f"{self.clock:8.2f} meanwhile {other.name}")
            self._take_turn(other)
            self._interrupted = False

    def _step(self, actor: Actor) -> None:
        process = actor.process
        if isinstance(process, Worker):
            process.step()
            asked = not process.idle and self._accident.random() < self.drains
            if asked or self.clock > actor.ends_at:
                self._trace(f"{self.clock:8.2f} {actor.name}: is asked to end")
                process.drain("it was asked to end", LEASE / 2)
                actor.process = None
                actor.wakes_at = self.clock + self._accident.uniform(0.1, LEASE)
        elif process is not None and not process.finished:
            process.step()
            if process.finished:
                self.ended_at = self.clock if self.healed else -math.inf

    def _sleep(self, seconds: float) -> None:
        """Of a worker, while all others wait, too."""
        self.clock += max(seconds, 0.05)

    def _damage(self, probability: float) -> None:
        """Something happens to a checkpoint that lies on the share."""
        if self._accident.random() >= probability:
            return
        paths = [path for path in self.share.files if path.startswith(protocol.CHECKPOINTS)]
        if not paths:
            return
        path = self._accident.choice(paths)
        data = self.share.files[path]
        place = self._accident.randrange(len(data)) if data else 0
        match self._accident.choice(["cut", "flipped", "gone", "another's"]):
            case "cut":
                self.share.files[path] = data[:place]
            case "flipped":
                flipped = bytes(byte ^ 1 for byte in data[place : place + 1])
                self.share.files[path] = data[:place] + flipped + data[place + 1 :]
            case "gone":
                del self.share.files[path]
            case "another's":
                self.share.files[path] = self.share.files[self._accident.choice(paths)]
        self.ledger.damaged.add(path)
        self._trace(f"{self.clock:8.2f} {path} is damaged")

    def _start(self, actor: Actor) -> Master | Worker:
        actor.lives += 1
        store = Store(actor.folder)
        # Every process has a monotonic clock of its own, and they are never compared.
        offset = self.rng.uniform(0, 1e6)

        def monotonic() -> float:
            return self.clock + offset

        if actor.name.startswith("master"):
            identity = Identity(actor.name, 1, f"{self.rng.randrange(16**8):08x}")
            return Master(store, self.limits, identity, monotonic=monotonic, wall=monotonic)

        worker = f"{actor.name}-{actor.lives}-{self.rng.randrange(16**6):06x}"
        lasts = self._accident.uniform(0.2, 1.0) * self.worker_lasts
        actor.ends_at = self.clock + lasts

        def make_checkpoints(
            assignment: Assignment, keep: Callable[[Checkpoint], None]
        ) -> SimulatedCheckpoints:
            return SimulatedCheckpoints(
                SharedCheckpoints(actor.training),
                self.ledger,
                worker,
                assignment.trial,
                limit=self.study.checkpoint_limit,
                keep=keep,
            )

        def make() -> SimulatedExecutor:
            executor = SimulatedExecutor(
                self.rng,
                lambda: self.clock,
                self.failing,
                self.training,
                actor.name in self.broken,
                make_checkpoints,
                lambda trial, step: self.ledger.made.append((trial, step)),
                lambda: self._accident.random() < self.dies,
            )
            self.executors.append(executor)
            return executor

        executor: ExecutorLike = make()
        if self.slots > 1:
            executor = TrialsInTurn(
                SimulatedProcess(make, self.rng),  # type: ignore[arg-type]
                slots=self.slots,
                # So slow that what is trained for seconds seems short.
                monotonic=lambda: self.clock / 10_000,
            )
        return Worker(
            WorkerIdentity(worker, actor.name, 1, "cpu"),
            lambda: {"s": store},
            [executor],
            forever=True,
            limits=WorkerLimits(ends=monotonic() + lasts),
            monotonic=monotonic,
            wall=monotonic,
            sleep=self._sleep,
            rng=random.Random(self.rng.random()),
        )

    # -- what must hold afterwards --------------------------------------------------------

    def attempts(self) -> Iterator[tuple[str, AttemptName]]:
        for path in self.share.files:
            if path.endswith(".json"):
                continue  # a mark
            if path.startswith((protocol.TRIALS, protocol.SEEN)):
                name = AttemptName.parse(path.rpartition("/")[2])
                yield path, as_attempt(name, records.parse_attempt(self.share.files[path]))

    def told_of(self) -> list[Checkpoint]:
        """The checkpoints of which the files of attempts tell."""
        files = [self.share.files[path] for path, _ in self.attempts()]
        lines = [one for data in files for one in records.decode_lines(data)]
        return [one for one in lines if isinstance(one, Checkpoint)]

    def describe(self) -> str:
        return ", ".join(sorted(path for path in self.share.files if "jsonl" in path))[:2000]

    def check(self, trials: int | None = None) -> None:
        """P1 to P5, on the share as it lies there at the end of the study."""
        expected = set(range(trials or self.limits.trials or 0))
        where = f"seed {self.seed}"
        by_key: dict[tuple[Purpose, int], list[AttemptName]] = {}
        open_ones = []
        for path, name in self.attempts():
            file = records.parse_attempt(self.share.files[path])
            assert (file.trial.number, file.trial.attempt) == (name.trial, name.attempt), path
            if path.startswith(protocol.TRIALS):
                open_ones.append(name)
            elif name.state is State.SEEN:
                by_key.setdefault(name.key, []).append(name)
        trained = {trial for purpose, trial in by_key if purpose is Purpose.TRAIN}
        if self.halts or (self.limits.time_limit is not None and self.masters > 1):
            # What has its best confirmed, stopped or out of time, may go on searching: resumed, or
            # by the other master.
            asked = asked_in(Store(self._folder("check", Faults())), self.study)
            lines = {number: asked.of(number) for number in trained}
            searched = {n for n, line in lines.items() if line and line.confirms is None}
            whole = self.limits.time_limit is None
            right = len(searched) == len(expected) or not whole
            assert right, f"{where}: P3: {searched} instead of {len(expected)}"
            expected = searched
        confirming = self._check_confirming(trained - expected, where)
        counted = trained & expected
        if self.limits.time_limit is not None:
            assert counted <= expected, f"{where}: P3: {counted}"
            expected = counted  # what it had no time for is not lost
        assert counted == expected, f"{where}: P3: lost {expected - counted}: {self.describe()}"
        expected = expected | confirming
        twice = {key: names for key, names in by_key.items() if len(names) > 1}
        assert not twice, f"{where}: P3: counted twice: {twice}"
        again = [path for path, times in self.share.published.items() if times > 1]
        # A trial may be trained once more for a reason; never for none.
        assert not again or self.masters > 1 or self.meddled, f"{where}: published twice: {again}"
        # A worker that slept through the end may still hold a file; no other process may.
        asleep = {State.TAKEN, State.LOST, State.DONE, *([State.PAUSED] if self.thawed else [])}
        left = [n for n in open_ones if n.state not in asleep]
        assert not left or self.masters > 1, f"{where}: left over: {left}"
        # Where an append may be torn, two masters glue lines together: what those asked for is none
        # of the study's then, and asked for again.
        aside = [n for n in self.share.names(protocol.QUARANTINE) if n[:6].isdigit()]
        explained = self.meddled or (self.masters > 1 and self.tears)
        assert not aside or explained, f"{where}: set aside, and nothing was wrong: {aside}"
        self._check_asked(where)
        self._check_curves(where)
        self._check_checkpoints(where)
        if self.study.pruner in RACING:
            check_race(self, where)
        self.ledger.check(where)
        self._check_history(expected, where)
        self._check_tests({trial for purpose, trial in by_key if purpose is Purpose.TEST}, where)

    def _check_asked(self, where: str) -> None:
        """P5: each attempt has the setting that was asked for, and that is the sampler's."""
        asked = asked_in(Store(self._folder("check", Faults())), self.study)
        for path, name in self.attempts():
            trial = records.parse_attempt(self.share.files[path]).trial
            line = asked.of(name.trial)
            assert line is not None, f"{where}: no master asked for {path}"
            wanted = trial_of(self.study, line, name.trial)
            same = {
                "attempt": 1,
                "failed_on": [],
                "purpose": name.purpose,
                "best": None,
                "checkpoints": [],
                "rungs": UNSET,
                "wasted": UNSET,
            }
            again = trial.replace(**same)
            assert again == wanted.replace(**same), f"{where}: P5: {path}"
            if not self.learns and wanted.confirms is None:
                # A study that was stopped has its best confirmed before it is gone on with.
                number = name.trial - sum(one < name.trial for one in asked.confirms.values())
                by_sampler = asked_trial(self.study, make_sampler(self.study), number)
                right = wanted.replace(number=number) == by_sampler
                assert right, f"{where}: P5: trial {name.trial}"

    def _check_confirming(self, beyond: set[int], where: str) -> set[int]:
        """What was trained beyond the search confirms its best, each with each seed once; and that
        was gone on with until there was a verdict.
        """
        asked = asked_in(Store(self._folder("check", Faults())), self.study)
        history = Observer(Store(self._folder("check", Faults()))).history
        assert beyond <= {*asked.confirms.values()}, f"{where}: P3: nobody asked for {beyond}"
        for number in beyond:
            fresh = asked.of(number)
            assert fresh is not None
            assert fresh.confirms is not None
            first = asked.of(fresh.confirms)
            assert first is not None
            assert (fresh.params, fresh.configuration) == (first.params, first.configuration), where
        confirmation = history.confirmation()
        finished = Store(self._folder("check", Faults())).read_finished()
        if confirmation is None or finished is None or finished.failed:
            return beyond
        assert confirmation.is_over, f"{where}: {confirmation.found}"
        assert len(beyond) <= confirmation.most, f"{where}: {confirmation.found}"
        assert finished.reason.endswith(confirmation.words()[0]), f"{where}: {finished.reason}"
        stopped = [c.trial for c in history.trials if c.result.outcome is Outcome.PRUNED]
        ahead = [trial for trial in stopped if trial.confirms is not None]
        assert all(trial.repeat >= confirmation.found.rounds for trial in ahead), where
        return beyond

    def _check_curves(self, where: str) -> None:
        """P13: what is counted has each step once, in its order, and what it would have if nobody
        had disturbed the training; of what was stopped before its end, that much of it.
        """
        for path, name in self.attempts():
            if name.state is not State.SEEN or name.purpose is Purpose.TEST:
                continue
            lines = list(records.decode_lines(self.share.files[path]))
            found = records.parse_attempt(self.share.files[path])
            trial, result = found.trial, found.result
            assert result is not None, f"{where}: {path}"
            value = value_of(self.study, trial)
            whole = curve(value, trial.params, trial.seed, self.study.metric)
            steps = [report.step for report in found.reports]
            assert steps == [*range(1, len(steps) + 1)], f"{where}: P13: {path}: {steps}"
            for line in lines:
                if isinstance(line, Report):
                    right = line.metrics == whole[line.step - 1]
                    assert right, f"{where}: P13: {path}: {line}"
            if result.outcome is Outcome.COMPLETE and not result.why:
                assert len(steps) == result.steps == len(whole), f"{where}: P13: {path}: {steps}"
                assert result.metrics == whole[-1], f"{where}: P13: {path}: {result}"

    def _check_checkpoints(self, where: str) -> None:
        """The master has removed those of trials that are counted: all but what has come since."""
        counted = {name.key for _, name in self.attempts() if name.state is State.SEEN}
        for name in self.share.names(protocol.CHECKPOINTS):
            path = f"{protocol.CHECKPOINTS}/{name}"
            key = protocol.key_of_checkpoint(name)
            assert key is not None, f"{where}: {path}"
            late = self.share.created[path] >= self.ended_at
            kept = self.study.checkpoint_keep > 0
            assert late or kept or key not in counted, f"{where}: {path} is left"

    def _check_tests(self, tested: set[int], where: str) -> None:
        """The winner alone is tested, once for each of its runs, if the study has a test."""
        history = Observer(Store(self._folder("check", Faults()))).history
        winner = history.winner() if self.study.has_test else None
        finished = Store(self._folder("check", Faults())).read_finished()
        assert finished is not None, where
        wanted = {run.trial.number for run in winner.to_test} if winner else set()
        wanted = set() if finished.failed else wanted
        # A study that was stopped has tested who was its winner then; and so has the first of two
        # masters whose time was over.
        earlier = self.halts or (self.masters > 1 and self.limits.time_limit is not None)
        assert wanted <= tested if earlier else wanted == tested, f"{where}: tested {tested}"
        assert {test.trial.number for test in history.tests} == tested, where

    def _check_history(self, expected: set[int], where: str) -> None:
        store = Store(self._folder("check", Faults()))
        if self.masters == 1:  # two could glue their lines together; seen/ is the truth then
            lines = read_history(store)
            assert {line.trial.number for line in lines} == expected, f"{where}: P3: {lines}"
        history = Observer(store).history
        for line in read_history(store):  # all of them, whichever master wrote them
            key = line.trial.purpose, line.trial.number
            file = store.read_ended(AttemptName.counted(key), seen=True)
            assert file.claim is not None
            counted = file.trial, file.claim.worker, file.result
            assert (line.trial, line.worker, line.result) == counted, f"{where}: P3: {line}"
        assert sorted(c.trial.number for c in history.trials) == sorted(expected), where
        searched = [one.trial for one in history.trials if one.trial.confirms is None]
        assert history.configurations == len({one.configuration for one in searched}), where
        first = {counted.trial.number: counted for counted in history.trials}
        for line in first.values():
            if line.result.why:
                self._check_reason(line, where)
            elif line.result.outcome is Outcome.COMPLETE:
                assert line.result.value == value_of(self.study, line.trial), f"{where}: wrong"
            elif line.result.outcome is Outcome.PRUNED:
                ended_early = self.limits.time_limit is not None or self.study.pruner is not None
                # Begun ahead of a round that did not come.
                ended_early |= line.trial.confirms is not None
                assert ended_early, f"{where}: {line.result}"
            else:
                assert self.failing > 0 or self.broken, f"{where}: {line.result}"

    def _check_reason(self, line: Counted, where: str) -> None:
        """What was stopped was so for a reason that its own curve bears out."""
        assert self.study.pruner is not None, f"{where}: {line.result}"
        assert line.result.outcome in (Outcome.PRUNED, Outcome.COMPLETE), f"{where}: {line.result}"
        if line.result.why.startswith("step 0;"):
            return  # a killed master's
        if self.study.pruner in RACING:
            check_place(line, where)
            return
        found = re.match(
            r"step (\d+): (no better for \d+ steps than )?(\S+[^\s,;])", line.result.why
        )
        assert found is not None, f"{where}: {line.result}"
        assert isinstance(line.curve, list), f"{where}: {line}"
        assert 1 <= int(found[1]) <= line.result.steps == len(line.curve[0]), f"{where}: {line}"
        stood = {f"{standing:.5g}" for standing in line.curve[2]}
        values = curve(value_of(self.study, line.trial), line.trial.params, line.trial.seed, "y")
        stood |= {f"{one['y']:.5g}" for one in values}
        assert found[3] in stood, f"{where}: {line.result.why}: {stood}"


def saving(seed: int, faults: Faults, *, trials: int = 4, **more: Any) -> World:
    """A study whose trainings save after each step."""
    study, limits = make_study(trials, checkpoint_every=1e-9, checkpoint_keep=0)
    return World(seed, faults, study=study, limits=limits, **more)


#: And options with which they have something to stop in a few trials of a few steps.
PRUNERS: list[tuple[str, dict[str, Any]]] = [
    ("median", {"n_startup_trials": 1}),
    ("percentile", {"n_startup_trials": 1, "percentile": 40.0}),
    ("patience", {"patience": 1}),
    ("threshold", {"lower": -4.0}),
]

ROUGH = Faults(
    crash=0.004,
    fails=0.02,
    lies=0.02,
    torn=0.02,
    lag=0.15,
    hides=0.1,
    old=0.1,
    outage=0.002,
    freeze=0.004,
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


def _race(rng: random.Random) -> dict[str, Any]:
    """A pruner with rungs."""
    options: dict[str, Any] = {"reduction_factor": rng.choice([2, 3])}
    if rng.random() < 0.3:
        options |= {"resource": "seconds", "min_resource": 0.3}
    if rng.random() < 0.3:
        return {"pruner": "hyperband", "pruner_options": {**options, "max_resource": 5}}
    return {"pruner": "asha", "pruner_options": options}


def _confirming(rng: random.Random) -> dict[str, Any]:
    """One study in four; of so few trainings a larger share than anybody would give."""
    if rng.random() >= 0.25:
        return {}
    return {"confirm": Confirm(share=0.6, min_difference=rng.choice([None, 0.0, 0.5]))}


def _learning(rng: random.Random, *, raced: bool) -> dict[str, Any]:
    """A sampler that learns; in every second study without a pruner a space so small that it
    suggests again what was tried, if no smaller than the limit: a study ends where all is tried.
    """
    found: dict[str, Any] = {"sampler": "tpe", "sampler_options": {"n_startup_trials": 1}}
    if raced:
        return found
    found["repeats"] = rng.choice([1, 2])
    if rng.random() < 0.5:
        x = FloatParameter(type="float", low=0, high=1, step=0.2)
        found |= {"params": {"x": x}, "duplicates": "repeat"}
    return found


def simulate(
    seed: int,
    trace: Callable[[str], None] | None = None,
    masters: int | None = None,
    *,
    learns: bool | None = None,
) -> World:
    """One history with everything in it that the seed says, checked. Locks always lie here: what
    keeps two masters apart, if there are two, is the share alone.

    Args:
        masters: how many there are, whatever the seed says; likewise
        learns: whether their samplers learn.
    """
    rng = random.Random(f"shape {seed}")
    workers = rng.randint(1, 4)
    faults = random_faults(rng)
    faults.old = random.Random(f"old {seed}").choice([0.0, 0.1, 0.5])
    more = random.Random(f"saving {seed}")
    faults.stale = more.choice([0.0, 0.5, 1.0])
    faults.late = more.choice([0.0, 0.0, 0.3, 1.0])
    faults.damage = more.choice([0.0, 0.0, 0.005, 0.02])
    # A generator of its own: other histories stay what they were. The workload's name is all
    # that is of it: what has one has a test.
    tested = random.Random(f"tested {seed}").random() < 0.25
    study, limits = make_study(
        rng.randint(1, 8),
        objective="mnist-cnn" if tested else "o:o",
        checkpoint_every=more.choice([0.0, 1e-9, 1e-9, 1e-9, 1e-9, 1.0]),
        checkpoint_limit=10**9 if more.random() < 0.9 else 2000,
        checkpoint_keep=random.Random(f"keeps {seed}").choice([0, 0, 3]),
        **_confirming(random.Random(f"confirms {seed}")),
    )
    if (chooses := random.Random(f"pruner {seed}")).random() < 0.25:
        name, options = chooses.choice(PRUNERS)
        study = study.model_copy(update={"pruner": name, "pruner_options": options})
    elif chooses.random() < 0.33:
        study = study.model_copy(update=_race(chooses))
        limits = limits.replace(trials=2 * (limits.trials or 1))
    if random.Random(f"learns {seed}").random() < 0.1 if learns is None else learns:
        update = _learning(random.Random(f"learning {seed}"), raced=study.pruner is not None)
        study = study.model_copy(update=update)
        trials = 6 if study.duplicates else limits.trials or 1
        limits = limits.replace(trials=trials * study.repeats)
    if more.random() < 0.15:
        limits = limits.replace(time_limit=more.uniform(5.0, 60.0))
    world = World(
        seed,
        faults,
        study=study,
        limits=limits,
        workers=workers,
        slots=random.Random(f"slots {seed}").choice([1, 1, 1, 3]),
        masters=masters or (2 if rng.random() < 0.8 else 1),
        remembers=random.Random(f"remembers {seed}").random() < 0.5,
        halts=random.Random(f"halts {seed}").random() < 0.25,
        drains=more.choice([0.0, 0.0, 0.05, 0.3]),
        dies=more.choice([0.0, 0.0, 0.0, 0.2]),
        worker_lasts=more.choice([math.inf, math.inf, 30.0]),
        training=more.choice([TRAINING, TRAINING, TRAINING, 3 * TRAINING]),
        failing=rng.choice([0.0, 0.0, 0.2]),
        broken=rng.choice([0, 0, 0, 1]) if workers > 1 else 0,
        trace=trace,
    )
    world.learns = study.sampler == "tpe"
    try:
        world.run()
        world.check()
        world.thaw().check()
    except AssertionError:
        again = f"--seeds {seed}" + (f" --masters {masters}" if masters else "")
        again += " --learning" if learns else ""
        print(f"\nreplay with: python -m tests.simulation {again} --trace", file=sys.stderr)
        raise
    return world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="one seed, or FROM:TO")
    parser.add_argument("--masters", type=int, help="as many in every history, without a lock")
    parser.add_argument("--learning", action="store_true", help="samplers that learn in all")
    parser.add_argument("--trace", action="store_true", help="print every operation")
    options = parser.parse_args()
    first, _, last = options.seeds.partition(":")
    seeds = range(int(first), int(last or int(first) + 1))
    operations: Counter[str] = Counter()
    lives = trained = resumed = 0
    for seed in seeds:
        trace = print if options.trace else None
        world = simulate(seed, trace, options.masters, learns=options.learning or None)
        lives += sum(actor.lives for actor in world.actors)
        trained += len(world.ledger.begun)
        resumed += sum(begun.after > 0 for begun in world.ledger.begun)
        for actor in world.actors:
            operations.update(actor.folder.operations + actor.training.operations)
    print(
        f"{len(seeds)} histories, {lives} processes started, "
        f"{sum(operations.values())} operations on the share, {resumed} of {trained} trainings "
        "went on from another's checkpoint: every trial counted once, nothing trained twice in vain"
    )


if __name__ == "__main__":
    main()
