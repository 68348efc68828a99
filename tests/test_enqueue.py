"""`distune enqueue`, `distune retry`: what persons want tried while the master is at work."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from distune.errors import UserError
from distune.master.master import Master
from distune.master.revision import ask_to_retry
from distune.share import protocol, records
from distune.share.doubts import PATIENCE
from distune.share.folder import Folder
from distune.share.heartbeat import Mark
from distune.share.protocol import Halt
from distune.share.store import Store
from distune.study.space import Space
from distune.study.trial import Counted, Purpose
from tests.conftest import Lab, wait_until
from tests.histories import make_study
from tests.memory_folder import Crash, Faults
from tests.test_retry import ME, Interrupted, Studied

WISH, OTHER = "0" * 16, "1" * 16
PARAMS: dict[str, Any] = {
    "x": {"type": "float", "low": 0.1, "high": 1.0, "step": 0.1},
    "b": [1, 2, 3],
}


class Wished(Studied):
    """Four trials; `wish` asks for one more at once."""

    def __init__(self, folder: Path, trials: int = 4, **changes: object) -> None:
        super().__init__(folder, trials, **{"params": Space(params=PARAMS).params, **changes})  # type: ignore[arg-type]

    def wish(self, *wishes: str, **setting: object) -> None:
        store = self.loaded
        for wish in wishes or (WISH,):
            store.enqueue(wish, setting, "desk")  # type: ignore[arg-type]

    @property
    def loaded(self) -> Store:
        store = self.store
        store.load()
        return store

    @property
    def wished(self) -> list[Counted]:
        return [one for one in self.history.trials if one.trial.wish is not None]

    @property
    def searched(self) -> list[tuple[dict[str, object], int]]:
        found = [one.trial for one in self.history.trials if one.trial.wish is None]
        return [(dict(trial.params), trial.configuration) for trial in found]


@pytest.fixture
def begun(tmp_path: Path) -> Wished:
    """A study of which a part is counted, and no master runs."""
    one = Wished(tmp_path)
    master = Master(one.store, one.limits.replace(trials=2), ME, monotonic=lambda: 0.0)
    for _ in range(3):
        master.step()
        one._train()
    return one


def killed_at_each_operation(begun: Wished, *, after: bool) -> Iterator[Wished]:
    """The study at its end, after a master was killed at its first operation, or after it; at its
    second one; and so on.
    """
    for operation in itertools.count(1):
        one = Wished.__new__(Wished)
        one.__dict__.update(begun.__dict__, share=copy.deepcopy(begun.share))
        mount = Interrupted(one.share, random.Random(0), lambda: 0.0, Faults())
        mount.dies(operation, after=after)
        with suppress(Crash, FileNotFoundError):
            master = Master(Store(mount), one.limits, ME, monotonic=lambda: 0.0)
            for _ in range(3):
                master.step()
        if mount.lives:
            return
        one.run()
        yield one


def test_what_is_enqueued_is_tried_once_and_on_top_of_the_limit(begun: Wished) -> None:
    begun.wish(WISH, x=0.5)
    finished = begun.run().finished
    assert finished is not None
    assert finished.reason == "all 5 trials are counted"
    (one,) = begun.wished
    assert (one.trial.params["x"], one.trial.wish) == (0.5, WISH)
    assert one.trial.params["b"] in (1, 2, 3)
    assert begun.store.listing().wishes == ()
    assert len(begun.run().observer.history) == 5  # another master does not ask again
    begun.check()


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_the_search_goes_on_as_if_nothing_had_been_enqueued(tmp_path: Path, sampler: str) -> None:
    found = []
    for wishes in ([], [WISH, OTHER]):
        one = Wished(tmp_path / str(len(wishes)), trials=3, sampler=sampler)
        one.path.mkdir()
        if wishes:
            one.wish(*wishes, x=1.0)
        one.run()
        one.limits = one.limits.replace(trials=9)
        one.run()
        assert len(one.wished) == len(wishes)
        found.append([params for params, _ in one.searched])
        one.check()
    assert len(found[0]) == 9
    assert found[0] == found[1]


def test_each_has_the_repeats_of_the_study_and_seeds_of_its_own(tmp_path: Path) -> None:
    one = Wished(tmp_path, trials=6, repeats=3)
    one.wish(WISH, OTHER, x=0.5, b=2)
    one.run()
    assert len(one.wished) == 6
    assert len({trial.trial.seed for trial in one.wished}) == 6
    assert {trial.trial.repeat for trial in one.wished} == {0, 1, 2}
    one.check()


def test_what_is_enqueued_when_the_study_is_over_is_tried_by_the_next_master(
    tmp_path: Path,
) -> None:
    one = Wished(tmp_path)
    one.limits = one.limits.replace(target=0.1)
    finished = one.run().finished
    assert finished is not None
    assert "the target 0.1 is reached" in finished.reason
    before = len(one.history)
    one.wish(x=0.5)
    one.run()
    assert [trial.trial.number for trial in one.wished] == [before]
    one.check()


def test_a_paused_study_keeps_what_is_enqueued_until_it_goes_on(begun: Wished) -> None:
    begun.wish(x=0.5)
    begun.loaded.mark(Halt.PAUSE, "desk")
    master = Master(begun.store, begun.limits, ME, monotonic=lambda: 0.0)
    for _ in range(3):
        master.step()
    assert begun.store.listing().wishes == (WISH,)
    begun.loaded.resume()
    begun.run()
    assert len(begun.wished) == 1
    begun.check()


def test_a_stopped_study_keeps_it_too(begun: Wished) -> None:
    begun.wish(x=0.5)
    begun.loaded.mark(Halt.STOP, "desk")
    begun.run()
    assert begun.store.listing().wishes == (WISH,)
    begun.loaded.resume()
    begun.run()
    assert len(begun.wished) == 1
    begun.check()


@pytest.mark.parametrize("when", ["pending", "over"])
def test_it_is_known_without_the_file_that_asked_for_it(begun: Wished, when: str) -> None:
    begun.wish(x=0.5)
    Master(begun.store, begun.limits, ME, monotonic=lambda: 0.0).step()  # published
    if when == "over":
        begun.run()
    begun.share.files[protocol.ASKED] = b""
    begun.run()
    assert len(begun.wished) == 1
    assert len(begun.standing) == 5
    assert sorted(number for _, number in begun.searched) == [0, 1, 3, 4]
    begun.check()


def test_one_that_is_trained_again_is_still_the_same_wish(begun: Wished) -> None:
    begun.wish(x=0.5)
    begun.fails = lambda number: number == 2
    begun.run()
    begun.fails = lambda number: False
    assert begun.retry() == {2: 5}
    begun.run()
    assert [one.trial.number for one in begun.wished] == [2, 5]
    assert begun.standing == [0, 1, 3, 4, 5]
    begun.check()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"{}\n", "checksum"),
        (None, "0.55 is none of its values"),
    ],
)
def test_what_nobody_can_have_enqueued_is_set_aside(
    begun: Wished, data: bytes | None, why: str
) -> None:
    begun.wish(x=0.55)
    path = protocol.wish_path(WISH)
    if data is not None:
        begun.share.files[path] = data
    clock = itertools.count(step=PATIENCE)
    master = Master(begun.store, begun.limits, ME, monotonic=lambda: next(clock))
    for _ in range(3):
        master.step()
    assert path not in begun.share.files
    assert f"quarantine/enqueue.{WISH}.json" in begun.share.files
    assert any(why in event.text for event in master.observer.events), master.observer.events
    begun.run()
    assert begun.wished == []


@pytest.mark.parametrize("after", [False, True])
def test_a_master_that_is_killed_at_any_operation_has_it_tried_once(
    begun: Wished, after: bool
) -> None:
    begun.wish(x=0.5)
    operations = 0
    for one in killed_at_each_operation(begun, after=after):
        operations += 1
        assert len(one.wished) == 1
        assert len(one.standing) == 5
        one.check()
    assert operations >= 10


def test_two_masters_ask_for_it_once(begun: Wished) -> None:
    """Where locks lie."""
    begun.wish(x=0.5)
    first, second = (Master(begun.store, begun.limits, ME, monotonic=lambda: 0.0) for _ in range(2))
    first._next_beat = second._next_beat = 1e9  # neither looks for the other
    first.step()
    second.step()
    begun._train()
    begun.run()
    assert len(begun.wished) == 1
    begun.check()


# -- trained again ---------------------------------------------------------------------------------


@pytest.fixture
def failing(tmp_path: Path) -> Wished:
    """A study of which the first two trials have failed, and no master runs."""
    one = Wished(tmp_path)
    one.fails = lambda number: number < 2
    master = Master(one.store, one.limits, ME, monotonic=lambda: 0.0)
    while len(one.history) < 2:
        master.step()
        one._train()
        master.step()
    return one


def ask_again(one: Wished, *numbers: int) -> list[int]:
    return ask_to_retry(one.store, "desk", numbers)


def test_a_master_at_work_has_trials_trained_again(failing: Wished) -> None:
    assert ask_again(failing, 1) == [1]
    master = failing.run()
    assert master.finished is not None
    assert master.finished.reason == "all 4 trials are counted"
    assert failing.standing == [0, 2, 3, 4]
    (again,) = (one.trial for one in failing.history.trials if one.trial.replaces is not None)
    first = failing.history.get((Purpose.TRAIN, 1))
    assert first is not None
    assert (again.number, again.replaces) == (4, 1)
    assert (again.params, again.seed) == (first.trial.params, first.trial.seed)
    assert failing.store.listing().retries == ()
    said = [event.text for event in master.observer.events]
    assert "trial 1: trained again as trial 4, asked for by hand" in said
    assert len(failing.run().observer.history) == 5  # another master does not ask again
    failing.check()


def test_of_all_that_have_failed_none_is_asked_for_that_is_tried_again_already(
    failing: Wished,
) -> None:
    assert ask_again(failing) == [0, 1]
    Master(failing.store, failing.limits, ME, monotonic=lambda: 0.0).step()
    assert ask_again(failing) == []
    with pytest.raises(UserError, match="trial 0 is being tried again as trial 4: name that one"):
        ask_again(failing, 0)
    failing.run()
    with pytest.raises(UserError, match="trial 0 was tried again as trial 4: name that one"):
        ask_again(failing, 0)
    failing.check()


def test_a_study_that_reached_its_target_goes_on_for_what_is_trained_again(
    failing: Wished,
) -> None:
    failing.limits = failing.limits.replace(trials=20, target=0.1)
    finished = failing.run().finished
    assert finished is not None
    assert "the target 0.1 is reached" in finished.reason
    failing.fails = lambda number: False
    assert ask_again(failing) == [0, 1]
    assert not failing.store.is_finished()
    failing.run()
    assert not {0, 1} & set(failing.standing)
    failing.check()


def test_a_paused_study_trains_again_what_is_wanted_when_it_goes_on(failing: Wished) -> None:
    failing.loaded.mark(Halt.PAUSE, "desk")
    ask_again(failing, 0)
    master = Master(failing.store, failing.limits, ME, monotonic=lambda: 0.0)
    for _ in range(3):
        master.step()
    assert failing.store.listing().retries == (0,)
    failing.loaded.resume()
    failing.run()
    assert failing.standing == [1, 2, 3, 4]
    failing.check()


@pytest.mark.parametrize(
    ("trial", "data", "why"),
    [
        (0, b"{}\n", "checksum"),
        (7, None, "trial 7 is not counted"),
        (999_999_999_999, None, "is not counted"),
    ],
)
def test_what_nobody_can_have_wanted_again_is_set_aside(
    failing: Wished, trial: int, data: bytes | None, why: str
) -> None:
    failing.loaded.wish_again(trial, "desk")
    path = protocol.retry_path(trial)
    if data is not None:
        failing.share.files[path] = data
    clock = itertools.count(step=PATIENCE)
    master = Master(failing.store, failing.limits, ME, monotonic=lambda: next(clock))
    for _ in range(3):
        master.step()
    assert path not in failing.share.files
    assert path.replace("trials", "quarantine") in failing.share.files
    assert any(why in event.text for event in master.observer.events), master.observer.events
    failing.run()
    assert failing.standing == [0, 1, 2, 3]


def test_what_is_wanted_of_another_study_is_none_of_its_own(failing: Wished) -> None:
    failing.loaded.wish_again(0, "desk")
    mark = Mark(study="another", host="desk")
    failing.share.files[protocol.retry_path(0)] = records.encode_document(mark)
    clock = itertools.count(step=PATIENCE)
    master = Master(failing.store, failing.limits, ME, monotonic=lambda: next(clock))
    for _ in range(3):
        master.step()
    assert "quarantine/retry.000000.json" in failing.share.files
    failing.run()
    assert failing.standing == [0, 1, 2, 3]


@pytest.mark.parametrize("after", [False, True])
def test_a_master_that_is_killed_at_any_operation_has_it_trained_again_once(
    failing: Wished, after: bool
) -> None:
    ask_again(failing, 0)
    operations = 0
    for one in killed_at_each_operation(failing, after=after):
        operations += 1
        assert one.standing == [1, 2, 3, 4]
        assert len(one.history.trials) == 5
        one.check()
    assert operations >= 10


def test_two_masters_have_it_trained_again_once(failing: Wished) -> None:
    """Where locks lie; the second knows nothing of the setting that the first one asked for."""
    first, second = (
        Master(failing.store, failing.limits, ME, monotonic=lambda: 0.0) for _ in range(2)
    )
    first._next_beat = second._next_beat = 1e9  # neither looks for the other
    failing.wish(WISH, x=0.5)
    ask_again(failing, 0)
    first.step()
    failing.loaded.wish_again(0, "desk")  # that the second one has seen, too
    second.step()
    asked = second.asked.of(4), second.asked.of(5)
    assert [one and (one.wish, one.replaces) for one in asked] == [(WISH, None), (None, 0)]
    failing._train()
    failing.run()
    assert failing.standing == [1, 2, 3, 4, 5]
    assert [one.trial.number for one in failing.wished] == [4]
    assert len(failing.history.trials) == 6
    failing.check()


def test_a_trial_is_trained_again_by_real_processes_while_the_master_runs(lab: Lab) -> None:
    broken = lab.folder / "broken"
    broken.touch()
    (lab.folder / "mine.py").write_text(
        "import pathlib\n"
        "def train(params):\n"
        f"    if pathlib.Path({str(broken)!r}).exists(): raise OSError('no disk')\n"
        "    return params['x']\n"
    )
    settings = [{"x": 1.0}, {"x": 3.0}, {"x": 4.0}]
    fields: dict[str, Any] = {"sampler": "list", "settings": settings, "params": {}, "trials": None}
    lab.write_space(objective="mine:train", max_attempts=1, **fields)
    master = lab.master()
    worker = ("worker", "--objective", "mine:train", "--jobs", "1")
    assert lab.start(*worker, "--max-trials", "1").wait(60) == 0
    wait_until(lab.counted, what="the trial that failed is counted")
    (failed,) = lab.counted()
    broken.unlink()
    done = lab.run("retry", "space", "--failed")
    assert done.stdout.splitlines() == [
        f"to be trained again: trial {failed}",
        "the study's master sees to it at its next look",
    ]
    lab.start(*worker)
    assert master.wait(60) == 0
    assert lab.counted() == [0, 1, 2, 3]
    again = json.loads(lab.run("show", "3", "--json").stdout)
    assert again["params"] == settings[failed]
    assert lab.status()["trials"]["outcomes"]["complete"] == 3


def test_it_is_tried_by_real_processes_while_the_master_runs(lab: Lab) -> None:
    lab.write_space(trials=2)
    master = lab.master()
    wait_until(lambda: len(lab.names()) == 2, what="two trials wait")
    done = lab.run("enqueue", "space", '{"x": 0.75}', "{}")
    assert done.stdout == "2 settings are tried next\n"
    lab.worker()
    assert master.wait(60) == 0
    assert lab.seen() == [f"{number:06d}.jsonl" for number in range(4)]
    best = lab.run("show", "2", "--json")
    assert json.loads(best.stdout)["params"] == {"x": 0.75}


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ('{"x": 3}', "s.x: 3 is none of its values"),
        ('{"x": 0.3', "is no JSON"),
        ("[1]", "is no JSON object"),
        ('{"z": 1}', "s.z: there is no such parameter; it has x"),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(lab: Lab, setting: str, why: str) -> None:
    folder = lab.logs / "space"
    folder.mkdir(parents=True)
    params = Space(params={"x": PARAMS["x"]}).params
    Store(Folder(folder)).create(make_study(params=params)[0])
    done = lab.run("enqueue", "space", '{"x": 0.5}', setting)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert lab.names() == []
