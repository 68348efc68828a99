"""What a long history costs: counted in bytes and lines, not in seconds."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distune.master.lock import Identity
from distune.master.master import Master
from distune.search.ranking import History
from distune.search.samplers.grid import GridSampler
from distune.search.staged import StagedSampler
from distune.share import records
from distune.share.folder import Folder
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.study.space import Space
from distune.study.study import Limits, Study
from distune.study.trial import Counted, Record
from distune.watch.observer import Observer
from scripts.bench_history import MOST_BYTES, traced
from tests.histories import counted, history_of, study, suggested, write_study

PARAMS = {
    "lr": {"type": "float", "low": 1e-5, "high": 1.0, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 256},
    "momentum": {"type": "float", "low": 0.0, "high": 0.99},
    "n": {"type": "int", "low": 1, "high": 64},
}
LONG = study(params=PARAMS, direction="maximize", metric="v", objective="m:f")


class Decoded:
    """How many lines were taken apart since."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        for name in ("decode", "decode_again"):
            patch.setattr(records, name, self._counting(getattr(records, name)))

    def _counting(self, real: Callable[[bytes], Record]) -> Any:
        def decode(line: bytes) -> Record:
            self.count += 1
            return real(line)

        return decode

    def since(self) -> int:
        count, self.count = self.count, 0
        return count


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    return Decoded(monkeypatch)


def a_trial(number: int, rng: random.Random) -> Counted:
    params = {"lr": rng.random(), "batch_size": rng.randrange(256), "momentum": rng.random()}
    value = rng.random()
    return counted(
        number,
        {**params, "n": rng.randrange(64)},
        value,
        metrics={"v": value},
        elapsed=number / 2,
        steps=1,
        trial={"seed": rng.getrandbits(31)},
    )


def some_trials(start: int, stop: int) -> list[Counted]:
    rng = random.Random(start)
    return [a_trial(number, rng) for number in range(start, stop)]


def test_a_counted_trial_takes_little_memory() -> None:
    assert traced(4000) < MOST_BYTES


def test_what_counting_a_trial_reads_does_not_grow_with_the_history(decoded: Decoded) -> None:
    history = History(LONG)
    costs = []
    for number in range(3000):
        history.add(a_trial(number, random.Random(number)))
        history.winner()
        history.ranking(10)
        costs.append(decoded.since())
    assert sum(costs[-1000:]) <= sum(costs[:1000]) + 100
    assert max(costs) <= 11


def test_counting_a_repeat_and_finding_its_place_reads_no_other_trial(decoded: Decoded) -> None:
    history = History(LONG.model_copy(update={"repeats": 4}))
    for number in range(2000):
        history.add(a_trial(number, random.Random(number // 4)))
        assert history.winner() is not None
    assert decoded.since() == 0


def test_a_setting_that_is_tried_over_and_over_costs_no_more_each_time(decoded: Decoded) -> None:
    history = History(LONG)
    numbers = list(range(2050))
    random.Random(0).shuffle(numbers)
    for number in numbers:
        history.add(counted(number, {"n": number % 2}, float(number), metrics={"v": 1.0}))
        assert history.winner() is not None
    assert decoded.since() == 0
    best = history.ranking()[0]
    assert [one.trial.number for one in best.trials] == list(range(1, 2050, 2))
    assert best.mean == 1025.0


def test_trials_are_read_from_their_lines_as_they_were_counted() -> None:
    trials = some_trials(0, 700)
    history = history_of(LONG, trials)
    assert list(history.trials) == trials
    assert history.trials[3] == trials[3]
    assert history.trials[-1] == trials[-1]
    assert history.trials[650:] == trials[650:]
    assert list(reversed(history.trials)) == trials[::-1]
    assert [history.get(one.key) for one in trials] == trials


def long_study(folder: Path, count: int, of: Study = LONG) -> Store:
    return write_study(folder, of, some_trials(0, count), {})


def a_master(store: Store) -> Master:
    return Master(Store(store.folder), Limits(trials=10**6), Identity("h", 1))


def test_a_start_reads_each_line_once_and_takes_no_known_name_apart(
    tmp_path: Path, decoded: Decoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = long_study(tmp_path / "s", 1200)
    parsed = []
    real = AttemptName.parse

    def parse(name: str) -> AttemptName:
        parsed.append(name)
        return real(name)

    monkeypatch.setattr(AttemptName, "parse", parse)
    encoded = count_calls(monkeypatch, "encode")
    a_master(store)
    asked_and_counted = 2 * 1200
    assert asked_and_counted <= decoded.since() <= asked_and_counted + 40  # some, for the pace
    assert parsed == []
    assert encoded == []


def count_calls(patch: pytest.MonkeyPatch, name: str) -> list[Any]:
    calls: list[Any] = []
    real = getattr(records, name)

    def counting(what: Any) -> Any:
        calls.append(what)
        return real(what)

    patch.setattr(records, name, counting)
    return calls


def test_a_masters_step_reads_as_much_of_a_long_history_as_of_a_short_one(
    tmp_path: Path, decoded: Decoded
) -> None:
    costs = []
    for count in (300, 3000):
        master = a_master(long_study(tmp_path / str(count), count))
        master.step()
        decoded.since()
        for number in range(count, count + 20):
            master._counting.add([a_trial(number, random.Random(number))])
            master.step()
        costs.append(decoded.since())
    assert costs[1] <= costs[0] + 20


def test_a_counted_trial_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    master = a_master(long_study(tmp_path / "s", 5))
    encoded = count_calls(monkeypatch, "encode")
    master._counting.add(some_trials(5, 8))
    assert [type(one) for one in encoded] == [Counted] * 3
    assert len(Observer(Store(Folder(tmp_path / "s"))).history) == 8


def test_a_look_at_the_end_of_a_history_does_not_read_its_beginning(tmp_path: Path) -> None:
    store = long_study(tmp_path / "s", 2000)
    viewer = Observer(store)
    read = []
    real = store.folder.read

    def reading(path: str, *arguments: Any, **options: Any) -> bytes:
        data = real(path, *arguments, **options)
        if path == "history.jsonl":
            read.append(len(data))
        return data

    store.folder.read = reading  # type: ignore[method-assign]
    viewer.look()
    assert sum(read) < 2000
    assert viewer.history_file.is_whole()


def test_a_sampler_of_stages_reads_only_what_is_new(decoded: Decoded) -> None:
    stages = [
        {"name": "one", "params": {"x": list(range(5000))}, "sampler": "grid"},
        {"name": "two", "params": {"y": [1, 2]}, "sampler": "grid"},
    ]
    of = study(
        params={"x": 1, "y": 1}, stages=stages, direction="maximize", metric="v", objective="m:f"
    )
    sampler, history = StagedSampler(of), History(of)
    for number in range(1500):
        history.add(counted(number, {"x": number, "y": 1}, 0.5))
        suggested(sampler, number, history)
        assert decoded.since() <= 2


def test_a_grid_does_not_remember_all_that_it_has_given() -> None:
    space = Space.model_validate({"params": {"x": list(range(100)), "y": list(range(100))}})
    sampler = GridSampler(space)
    tracemalloc.start()
    try:
        for number in range(8000):
            suggested(sampler, number)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert taken / 8000 < 50
    assert [suggested(sampler, n) for n in (0, 7999, 101, 10_000)] == [
        {"x": 0, "y": 0}, {"x": 79, "y": 99}, {"x": 1, "y": 1}, None
    ]  # fmt: skip
