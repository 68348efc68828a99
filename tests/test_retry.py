"""`distune retry` and `distune drop`: what a person decides about trials that are counted."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distune.errors import UserError
from distune.master.lock import Identity, only_master
from distune.master.master import Master
from distune.master.revision import drop, retry
from distune.master.verification import verify
from distune.search.ranking import History
from distune.share import protocol, records
from distune.share.protocol import State
from distune.share.store import Store
from distune.study.trial import Claim, Dropped, Failure, Outcome, Result
from distune.watch.observer import Observer
from tests.conftest import Lab
from tests.histories import make_study
from tests.memory_folder import Crash, Faults, MemoryFolder, Share

ME = Identity("h", 1)


class Interrupted(MemoryFolder):
    """The mount of a process that dies in its n-th operation, before it or after it."""

    def dies(self, n: int, *, after: bool) -> None:
        self._left, self._after = n, after

    @property
    def lives(self) -> bool:
        """It has made fewer operations than that."""
        return self._left > 0

    def _operate(self, verb: str, path: str, act: Callable[[], None]) -> None:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Crash
        super()._operate(verb, path, act)
        if self._left == 0:
            raise Crash


class Studied:
    """A study in memory, and the lock of its master in a folder."""

    def __init__(
        self, folder: Path, trials: int = 4, share: Share | None = None, **changes: object
    ):
        self.path, self.share = folder, share or Share()
        self.study, self.limits = make_study(trials, max_attempts=1, **changes)  # type: ignore[arg-type]
        self.fails: Callable[[int], bool] = lambda number: False
        if share is None:
            self.store.create(self.study)

    def copy(self) -> Studied:
        share = copy.deepcopy(self.share)
        return Studied(self.path, self.limits.trials or 0, share, repeats=self.study.repeats)

    @property
    def store(self) -> Store:
        return Store(MemoryFolder(self.share, random.Random(0), lambda: 0.0, Faults()))

    def run(self) -> Master:
        """A master and a worker, to the study's end."""
        master = Master(self.store, self.limits, ME, monotonic=lambda: 0.0)
        for _ in range(100):
            master.step()
            if master.finished is not None:
                return master
            self._train()
        raise AssertionError(sorted(self.share.files))

    def _train(self) -> None:
        store = self.store
        for name in store.listing().attempts:
            if name.state is not State.WAITING:
                continue
            trial = store.read_attempt(name).trial
            taken = store.claim(name, "w-1")
            assert taken is not None
            value = float(trial.params["x"])  # type: ignore[arg-type]
            result = Result(outcome=Outcome.COMPLETE, value=value, metrics={"y": value}, steps=1)
            if self.fails(trial.number):
                result = Result(outcome=Outcome.FAILED, failure=Failure(message="oops"))
            claim = Claim(worker="w-1", host="h", device="cpu", time=0.0)
            store.append(taken, [claim, result])
            assert store.finish(taken)

    def retry(self, *numbers: int) -> dict[int, int]:
        return retry(self.path, self.store, ME, numbers)

    def drop(self, *numbers: int) -> bool:
        return drop(self.path, self.store, ME, numbers)

    @property
    def history(self) -> History:
        return Observer(self.store).history

    @property
    def standing(self) -> list[int]:
        return sorted(one.trial.number for one in self.history.standing)

    def check(self) -> None:
        """What is counted agrees, and the ranking has each trial that stands once."""
        done = verify(self.store)
        assert done.found == []
        ranked = [one.trial.number for found in self.history.ranking() for one in found.trials]
        assert sorted(ranked) == self.standing
        assert len(self.history.ranking()) == self.history.configurations
        assert sum(self.history.outcomes.values()) == len(ranked)


@pytest.fixture
def failed(tmp_path: Path) -> Studied:
    """A study that is over; two of its four trials have failed."""
    one = Studied(tmp_path)
    one.fails = lambda number: number in (1, 2)
    one.run()
    return one


def test_failed_trials_are_trained_again_and_ranked_instead(failed: Studied) -> None:
    assert failed.retry() == {1: 4, 2: 5}
    assert not failed.store.is_finished()
    assert failed.standing == [0, 1, 2, 3]  # until the others are counted
    finished = failed.run().finished
    assert finished is not None
    assert finished.reason == "all 4 trials are counted"
    history = failed.history
    assert (history.over, len(history.trials)) == (4, 6)
    assert history.outcomes[Outcome.COMPLETE] == 4
    assert history.outcomes[Outcome.FAILED] == 0
    assert failed.standing == [0, 3, 4, 5]
    failed.check()


def test_a_trial_is_tried_again_with_its_params_and_its_seed(tmp_path: Path) -> None:
    one = Studied(tmp_path, trials=6, repeats=3)
    one.run()
    assert one.retry(4, 2) == {4: 6, 2: 7}
    one.run()
    before = {n.trial.number: n.trial for n in one.history.trials}
    for old, new in ((4, 6), (2, 7)):
        assert before[new].replaces == old
        assert before[new].params == before[old].params
        assert before[new].seed == before[old].seed
        assert before[new].repeat == before[old].repeat
    assert one.history.configurations == 2
    one.check()


@pytest.mark.parametrize("when", ["pending", "over"])
def test_what_is_tried_again_is_known_without_the_file_that_asked_for_it(
    tmp_path: Path, when: str
) -> None:
    one = Studied(tmp_path, trials=6, repeats=3)
    one.run()
    one.retry(4)
    master = Master(one.store, one.limits, ME)
    master.step()  # published
    if when == "over":
        one.run()
    one.share.files[protocol.ASKED] = b""
    one.run()
    assert one.standing == [0, 1, 2, 3, 5, 6]
    one.check()


def test_failures_that_are_tried_again_do_not_stop_the_study(tmp_path: Path) -> None:
    one = Studied(tmp_path, trials=14)
    one.fails = lambda number: number < 14
    finished = one.run().finished
    assert finished is not None
    assert finished.failed
    many = len(one.history.trials)
    assert len(one.retry()) == many >= 10
    finished = one.run().finished
    assert finished is not None
    assert finished.reason == "all 14 trials are counted"
    one.check()


def test_trials_that_fail_once_more_can_be_tried_once_more(failed: Studied) -> None:
    failed.retry()
    failed.fails = lambda number: number == 5
    failed.run()
    with pytest.raises(UserError, match="trial 2 was tried again as trial 5: name that one"):
        failed.retry(2)
    assert failed.retry() == {5: 6}
    failed.run()
    assert failed.standing == [0, 3, 4, 6]
    failed.check()


def test_a_limit_counts_a_trial_once_however_often_it_is_tried(failed: Studied) -> None:
    failed.retry()
    failed.limits = failed.limits.replace(trials=6)
    failed.run()
    assert failed.standing == [0, 3, 4, 5, 6, 7]
    failed.retry(0)
    failed.limits = failed.limits.replace(trials=2)  # what is asked for by name is trained
    failed.run()
    assert failed.standing == [3, 4, 5, 6, 7, 8]
    failed.check()


def test_a_dropped_trial_is_ranked_no_more_and_not_trained_again(failed: Studied) -> None:
    viewer = Observer(failed.store)
    ranking = [one.first for one in viewer.look().history.ranking()]
    assert failed.drop(ranking[0])
    assert [one.first for one in viewer.look().history.ranking()] == ranking[1:]
    assert failed.store.is_finished()
    assert f'"trials": [\n      {ranking[1]}\n' in failed.share.files[protocol.BEST].decode()
    assert failed.history.over == 4
    assert failed.history.dropped == ranking[:1]
    failed.check()
    failed.run()
    assert failed.standing == sorted(ranking[1:])


def test_a_dropped_trial_can_be_trained_again(failed: Studied) -> None:
    failed.drop(0, 1)
    assert failed.retry(0) == {0: 4}
    failed.run()
    assert failed.standing == [2, 3, 4]
    assert failed.history.dropped == [1]
    with pytest.raises(UserError, match="trial 1 was dropped before"):
        failed.drop(1)
    failed.check()


@pytest.mark.parametrize(("worker", "standing"), [("w-1", [1, 2, 3]), ("w-2", [0, 1, 2, 3])])
def test_a_trial_that_was_trained_anew_is_not_what_was_dropped(
    failed: Studied, worker: str, standing: list[int]
) -> None:
    """As where a backup of the trials was put in the place of those that were dropped."""
    line = records.encode(Dropped(study="s-1", trial=0, attempt=1, worker=worker))
    failed.share.files[protocol.DROPPED] = line
    failed.run()
    assert failed.standing == standing


@pytest.mark.long
def test_what_cannot_be_read_of_the_dropped_trials_is_set_aside_and_said(failed: Studied) -> None:
    failed.drop(0)
    failed.share.files[protocol.DROPPED] += b"not a record\n"
    found = verify(failed.store).found
    assert [str(one.finding) for one in found] == ["dropped.jsonl: a line in it is no record"]
    events = failed.run().observer.events
    assert any("of the trials that were dropped 1 are known" in event.text for event in events)
    assert failed.standing == [1, 2, 3]
    failed.check()


def test_a_study_is_changed_only_while_no_master_runs(failed: Studied) -> None:
    before = dict(failed.share.files)
    with only_master(failed.path, failed.store, ME):
        with pytest.raises(UserError, match="has a master already"):
            failed.retry(1)
        with pytest.raises(UserError, match="has a master already"):
            failed.drop(1)
    assert failed.share.files == before


@pytest.mark.parametrize(
    ("numbers", "said"),
    [([9], "trial 9 is not counted"), ([1, 9], "trial 9 is not counted")],
)
def test_a_mistake_changes_nothing(failed: Studied, numbers: list[int], said: str) -> None:
    before = dict(failed.share.files)
    for change in (failed.retry, failed.drop):
        with pytest.raises(UserError, match=said):
            change(*numbers)
    assert failed.share.files == before


def test_where_none_has_failed_nothing_is_tried_again(tmp_path: Path) -> None:
    one = Studied(tmp_path)
    one.run()
    assert one.retry() == {}
    assert one.store.is_finished()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("command", ["retry", "drop"])
def test_a_crash_at_any_step_leaves_a_study_that_goes_on(
    failed: Studied, command: str, after: bool
) -> None:
    crashes = 0
    while True:
        one = failed.copy()
        mount = Interrupted(one.share, random.Random(0), lambda: 0.0, Faults())
        mount.dies(crashes + 1, after=after)
        try:
            if command == "retry":
                retry(one.path, Store(mount), ME, [])
            else:
                drop(one.path, Store(mount), ME, [0])
        except Crash:
            pass
        else:
            break
        crashes += 1
        one.run()
        one.check()
        assert one.history.over == 4
        assert one.standing in (
            ([0, 1, 2, 3], [0, 3, 4, 5]) if command == "retry" else ([0, 1, 2, 3], [1, 2, 3])
        )
    assert crashes >= 3


@pytest.mark.long
def test_the_way_out_of_a_failure_is_named_and_leads_out(lab: Lab) -> None:
    """A function is mended, its trials are trained again; one is dropped; a list grows."""
    code = lab.folder / "mine.py"
    code.write_text("def train(params):\n    return 1 / 0 if params['x'] < 3 else params['x']\n")
    settings = [{"x": 1.0}, {"x": 2.0}]
    fields: dict[str, Any] = {
        "objective": "mine:train",
        "sampler": "list",
        "trials": None,
        "max_attempts": 1,
    }

    def master() -> tuple[int, str]:
        lab.write_space(**fields, settings=settings)
        options = ["--objective", "mine.py:train", "--workers", "1"]
        done = lab.run("master", "--space", "space.json", *options)
        return done.returncode, done.stdout + done.stderr

    status, said = master()
    assert status == 1
    assert "distune retry space --failed --logs logs" in said
    assert master() == (1, said) or "distune retry space --failed --logs logs" in master()[1]
    code.write_text("def train(params):\n    return params['x']\n")
    done = lab.run("retry", "space", "--failed")
    assert done.stdout.startswith("to be trained again: trial 0 as 2, 1 as 3\n"), done.stderr
    settings.append({"x": 5.0})
    status, said = master()
    assert status == 0, said
    assert lab.counted() == [0, 1, 2, 3, 4]
    assert [row["trials"] for row in lab.status()["ranking"]] == [[2], [3], [4]]
    assert lab.run("drop", "space", "2").stdout == "dropped: 2\n"
    assert [row["trials"] for row in lab.status()["ranking"]] == [[3], [4]]
    assert lab.run("verify", "space").returncode == 0
    settings[0] = {"x": 9.0}
    status, said = master()
    assert status == 2
    assert "the first 3 must stay as they are" in said
    assert (
        lab.run("retry", "space").stderr == "distune: say which: numbers of trials, or --failed\n"
    )
