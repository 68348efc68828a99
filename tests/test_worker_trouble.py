"""What a worker says and does while the share is in trouble."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from distune.errors import ShareError
from distune.share.folder import Folder
from distune.share.store import Store
from distune.study.trial import Trial
from distune.worker.context import WorkerIdentity
from distune.worker.worker import Worker
from tests.fake_executor import FakeExecutor
from tests.histories import LEASE, make_study


class Bench:
    """A worker on a real folder with a clock to turn by hand; `broken` names what fails."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.broken: set[str] = set()
        self.beats: list[float] = []
        self.folder = Folder(path, network=True)
        self.store = Store(self.folder)
        self.store.create(make_study()[0])
        for operation in ("names", "rewrite", "append"):
            setattr(self.folder, operation, self._fails(operation))
        self.worker = Worker(
            WorkerIdentity("w-1", "h", 1, "cpu"),
            self._find,
            [FakeExecutor()],
            say=self.said.append,
            monotonic=lambda: self.now,
            rng=random.Random(0),
        )

    def _fails(self, operation: str) -> Callable[..., object]:
        real = getattr(self.folder, operation)

        def maybe(*arguments: object) -> object:
            if operation in self.broken:
                raise ShareError(f"cannot {operation}")
            if operation == "rewrite":
                self.beats.append(self.now)
            return real(*arguments)

        return maybe

    def _find(self) -> Mapping[str, Store]:
        if "names" in self.broken:
            raise ShareError("cannot list")
        return {"s": self.store}

    def steps(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.worker.step()

    def counts(self) -> tuple[int, int]:
        """How often it said that there is trouble, and that it is over."""
        return (
            sum("trying again" in line for line in self.said),
            sum("is back" in line for line in self.said),
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_outage_is_said_once_where_it_is_met_and_once_when_it_is_over(bench: Bench) -> None:
    bench.steps(5.0)
    assert bench.counts() == (0, 0)
    bench.broken = {"names", "rewrite", "append"}
    bench.steps(60.0)
    said, back = bench.counts()
    assert 1 <= said <= 2  # the logs folder, and the study in it
    assert back == 0
    assert bench.worker.cut_off
    bench.broken = set()
    bench.steps(30.0)
    assert bench.counts() == (said, said)
    assert not bench.worker.cut_off


def test_a_disk_too_full_for_a_claim_is_said_once_though_heartbeats_succeed(bench: Bench) -> None:
    bench.steps(5.0)
    bench.broken = {"append"}
    bench.store.publish(Trial(study="s-1", number=0, attempt=1, params={"x": 0.5}))
    bench.beats.clear()
    bench.steps(60.0)
    assert bench.counts() == (1, 0)
    silences = [b - a for a, b in zip(bench.beats, bench.beats[1:], strict=False)]
    assert max(silences) < LEASE / 2
    bench.broken = set()
    bench.steps(30.0)
    assert bench.counts() == (1, 1)
    assert any("claimed" in line for line in bench.said)


def test_a_worker_beats_again_well_within_the_lease_when_the_share_is_back(bench: Bench) -> None:
    bench.steps(5.0)
    for outage in range(60, 90, 3):
        bench.broken = {"names", "rewrite", "append"}
        bench.steps(outage)
        bench.broken = set()
        bench.beats.clear()
        healed = bench.now
        bench.steps(LEASE)
        assert bench.beats
        assert bench.beats[0] - healed < LEASE / 2
