"""`distune extend`: the best are trained further, from where they stopped."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from distune.errors import UserError
from distune.export.optuna_bridge import optuna_study
from distune.export.table import TrialTable
from distune.master.counting import lines_of
from distune.master.extending import Extended, extend
from distune.master.master import Master
from distune.search.further import parse_change
from distune.share import protocol, records
from distune.share.protocol import State
from distune.share.records import AttemptFile
from distune.share.store import Store
from distune.study.space import Space
from distune.study.stage import Stage
from distune.study.trial import (
    Checkpoint,
    Claim,
    Failure,
    Outcome,
    Purpose,
    Report,
    Result,
    Resumed,
    Trial,
)
from distune.training.checkpoints import Checkpoints
from distune.training.context import TrialContext
from tests.conftest import Lab
from tests.memory_folder import Crash, Faults, Share
from tests.test_checkpoints import SMALL, SavingTrial, file_of, saved_by_first, trained
from tests.test_retry import ME, Interrupted, Studied

ROOT = Path(__file__).resolve().parent.parent
_SIZE = 4  # bytes of a checkpoint here


class Saving(Studied):
    """Each trial leaves three checkpoints, and reaches `x` times its `steps`."""

    def __init__(
        self, folder: Path, trials: int = 5, share: Share | None = None, **changes: Any
    ) -> None:
        params = {
            "x": {"type": "float", "low": 0.1, "high": 1.0},
            "steps": 6,
            **changes.pop("params", {}),
        }
        changes["params"] = Space(params=params).params
        if "stages" in changes:
            changes["stages"] = [Stage(**stage) for stage in changes["stages"]]
        super().__init__(folder, trials, share, **changes)

    def copy(self) -> Saving:
        import copy

        return Saving(self.path, self.limits.trials or 0, copy.deepcopy(self.share))

    def _train(self) -> None:
        store = self.store
        for name in store.listing().attempts:
            if name.state is not State.WAITING:
                continue
            trial = store.read_attempt(name).trial
            taken = store.claim(name, "w-1")
            assert taken is not None
            lines = [Claim(worker="w-1", host="h", device="cpu", time=0.0)]
            lines += [self._save(trial, n) for n in (1, 2, 3)]  # type: ignore[misc]
            value = float(trial.params["x"]) * float(trial.params["steps"])  # type: ignore[arg-type]
            result = Result(
                outcome=Outcome.COMPLETE, value=value, metrics={"y": value}, steps=6, seconds=9.0
            )
            if self.fails(trial.number):
                result = Result(outcome=Outcome.FAILED, failure=Failure(message="oops"))
            store.append(taken, [*lines, result])
            assert store.finish(taken)

    def _save(self, trial: Trial, number: int) -> Checkpoint:
        saved = Checkpoint(
            attempt=trial.attempt, number=number, step=2 * number, size=_SIZE,
            sha256=hashlib.sha256(bytes(_SIZE)).hexdigest(),
        )  # fmt: skip
        name = protocol.checkpoint_name(*trial.key, saved)
        self.share.folders.add(protocol.CHECKPOINTS)
        self.share.files[f"{protocol.CHECKPOINTS}/{name}"] = bytes(_SIZE)
        return saved

    def extend(self, *numbers: int, top: int = 0, **wanted: float) -> list[Extended]:
        return extend(self.path, self.store, ME, wanted, numbers=numbers, top=top)

    @property
    def kept(self) -> list[int]:
        """The trials whose last checkpoint is there, and it alone."""
        found = sorted(self.store.checkpoints())
        assert all(name.endswith(".1.3.checkpoint") for name in found), found
        return [int(name.partition(".")[0]) for name in found]

    def best(self, count: int) -> list[int]:
        return sorted(one.first for one in self.history.ranking(count))

    def first_line(self, number: int) -> Trial:
        path = f"seen/000/{number:06d}.jsonl"
        return records.parse_attempt(bytes(self.share.files[path])).trial


@pytest.fixture
def over(tmp_path: Path) -> Saving:
    one = Saving(tmp_path)
    one.run()
    return one


def test_the_best_go_on_from_their_checkpoints_as_configurations_of_their_own(over: Saving) -> None:
    best = [one.first for one in over.history.ranking(2)]
    found = over.extend(top=2, steps=50)
    assert found == [Extended(best[0], 5, 6), Extended(best[1], 6, 6)]
    finished = over.run().finished
    assert finished is not None
    assert finished.reason == "all 7 trials are counted"
    assert [one.first for one in over.history.ranking(2)] == [5, 6]
    for one in found:
        new, old = over.first_line(one.by), over.first_line(one.trial)
        assert (new.extends, new.seed, new.repeat) == (old.number, old.seed, old.repeat)
        assert new.params == {**old.params, "steps": 50}
        assert [(c.trial, c.attempt, c.number) for c in new.checkpoints] == [(old.number, 1, 3)]
    assert over.standing == list(range(7))
    over.check()


def test_each_repeat_is_trained_further(tmp_path: Path) -> None:
    one = Saving(tmp_path, trials=6, repeats=3)
    one.run()
    assert len(one.extend(top=1, steps=7)) == 3
    one.run()
    assert one.history.configurations == 3
    (winner,) = one.history.ranking(1)
    assert [counted.trial.number for counted in winner.complete] == [6, 7, 8]
    one.check()


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_the_search_goes_on_as_if_nothing_had_been_extended(tmp_path: Path, sampler: str) -> None:
    params = {"x": {"type": "float", "low": 0.1, "high": 1.0, "step": 0.1}}
    found = []
    for extends in (False, True):
        one = Saving(tmp_path / str(extends), trials=3, sampler=sampler, params=params)
        one.path.mkdir()
        one.run()
        if extends:
            one.extend(top=2, steps=50)
            one.run()
        one.limits = one.limits.replace(trials=5)
        one.run()
        trials = [counted.trial for counted in one.history.trials]
        found.append([dict(t.params) | {"seed": t.seed} for t in trials if t.extends is None])
        one.check()
    assert len(found[0]) == 5
    assert found[0] == found[1]


@pytest.mark.parametrize("when", ["pending", "over"])
def test_what_is_extended_is_known_without_the_file_that_asked_for_it(
    over: Saving, when: str
) -> None:
    over.extend(top=2, steps=50)
    Master(over.store, over.limits, ME).step()  # published
    if when == "over":
        over.run()
    over.share.files[protocol.ASKED] = b""
    over.run()
    assert over.standing == list(range(7))
    assert {over.first_line(n).extends for n in (5, 6)} == set(over.best(4)) - {5, 6}
    over.check()


def test_an_extended_trial_that_failed_is_tried_again_from_the_same_place(over: Saving) -> None:
    (found,) = over.extend(top=1, steps=50)
    over.fails = lambda number: number == found.by
    over.run()
    over.fails = lambda number: False
    assert over.retry() == {5: 6}
    over.run()
    first, again = over.first_line(5), over.first_line(6)
    assert (again.replaces, again.extends) == (5, found.trial)
    assert (again.seed, again.params) == (first.seed, first.params)
    assert again.checkpoints == first.checkpoints
    assert over.standing == [0, 1, 2, 3, 4, 6]
    over.check()


def test_a_target_that_is_reached_does_not_end_what_is_extended(over: Saving) -> None:
    over.limits = over.limits.replace(target=0.0, trials=50)
    over.extend(top=2, steps=50)
    finished = over.run().finished
    assert finished is not None
    assert "target" in finished.reason
    assert over.standing == list(range(7))
    over.check()


def test_stages_do_not_know_of_what_is_extended(tmp_path: Path) -> None:
    stages = [{"name": n, "params": {n: [1.0, 2.0]}} for n in ("x", "a", "b")]
    params = {"x": 1.0, "a": 1.0, "b": 1.0}
    one = Saving(tmp_path, trials=2, params=params, stages=stages)
    one.run()
    one.extend(1, steps=50)
    one.limits = one.limits.replace(trials=None)
    snapshot = one.run().step()
    assert [view.trials for view in snapshot.stages] == [2, 2, 2]
    assert [view.counted for view in snapshot.stages] == [2, 2, 2]
    assert len(one.standing) == 7
    rows = TrialTable(one.history).rows
    assert [row.stage for row in rows if row.number == 2] == [None]
    one.check()


def test_where_nothing_has_a_result_nothing_is_trained_further(tmp_path: Path) -> None:
    one = Saving(tmp_path, trials=1)
    one.fails = lambda number: True
    one.run()
    with pytest.raises(UserError, match="nothing to train further: no trial of s has a result"):
        one.extend(top=3, steps=50)


# -- which checkpoints are kept ------------------------------------------------------------------


def test_of_the_best_the_last_checkpoint_is_kept_and_of_the_others_none(tmp_path: Path) -> None:
    one = Saving(tmp_path, trials=5)
    one.limits = one.limits.replace(trials=3)
    one.run()
    assert one.kept == [0, 1, 2]
    one.limits = one.limits.replace(trials=8)
    one.run()  # better ones push others out
    assert one.kept == one.best(3) != [0, 1, 2]
    dropped, *rest = one.kept
    one.drop(dropped)
    one.run()
    assert one.kept == rest


@pytest.mark.parametrize(
    ("changes", "kept"),
    [({"checkpoint_keep": 0}, 0), ({"checkpoint_keep": 9}, 5), ({"checkpoint_limit": 16}, 2)],
)
def test_how_many_checkpoints_are_kept(tmp_path: Path, changes: dict[str, Any], kept: int) -> None:
    one = Saving(tmp_path, **changes)
    one.run()
    assert one.kept == one.best(kept)


def test_what_is_being_extended_is_kept_as_long_as_that_takes(over: Saving) -> None:
    worst = next(n for n in range(5) if n not in over.kept)
    name = protocol.checkpoint_name(
        Purpose.TRAIN, worst, Checkpoint(attempt=1, number=3, step=6, size=4, sha256="0" * 64)
    )
    over.share.files[f"{protocol.CHECKPOINTS}/{name}"] = bytes(_SIZE)  # as if it were not cleared
    assert over.extend(worst, steps=7) == [Extended(worst, 5, 6)]
    master = Master(over.store, over.limits, ME, monotonic=lambda: 0.0)
    master.step()
    assert worst in over.kept
    over.run()
    assert over.kept == over.best(3)


def test_what_was_trained_further_makes_room(over: Saving) -> None:
    """It is in the longer training, and would be trained twice."""
    best = over.best(3)
    over.extend(top=3, steps=7)
    over.run()
    assert over.kept == [5, 6, 7]
    assert {one.trial for one in over.extend(top=3, steps=9)} == {5, 6, 7}
    assert not {5, 6, 7} & set(best)


def test_without_a_checkpoint_a_trial_is_trained_from_its_start(over: Saving) -> None:
    (best, *_) = over.kept
    for path in [path for path in over.share.files if path.startswith(protocol.CHECKPOINTS)]:
        del over.share.files[path]
    assert over.extend(best, steps=50) == [Extended(best, 5, None, "left no checkpoint")]
    over.run()
    assert over.first_line(5).checkpoints == []
    over.check()


def test_a_trials_file_that_is_written_anew_still_tells_what_it_has_saved(over: Saving) -> None:
    (best, *_) = over.kept
    counted = over.history.get((Purpose.TRAIN, best))
    assert counted is not None
    file = over.store.read_counted(counted)
    anew = records.parse_attempt(b"".join(map(records.encode, lines_of(counted, file))))
    assert len(anew.checkpoints) == 2
    assert (anew.checkpoints, anew.resumed) == (file.checkpoints, file.resumed)


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_leaves_what_can_be_extended(over: Saving, after: bool) -> None:
    crashes = 0
    while True:
        one = over.copy()
        mount = Interrupted(one.share, random.Random(0), lambda: 0.0, Faults())
        mount.dies(crashes + 1, after=after)
        try:
            extend(one.path, Store(mount), ME, {"steps": 50}, top=2)
        except Crash:
            pass
        else:
            break
        crashes += 1
        one.run()
        one.check()
        assert one.standing in (list(range(5)), list(range(7)))
        assert one.kept == (
            over.kept if len(one.standing) == 5 else sorted([*one.best(3)[1:], one.kept[0]])
        )
    assert crashes >= 3


@pytest.mark.parametrize("after", [False, True])
def test_a_master_that_dies_anywhere_leaves_no_file_behind_and_loses_none(
    tmp_path: Path, after: bool
) -> None:
    begun = Saving(tmp_path, trials=4, checkpoint_keep=2)
    master = Master(begun.store, begun.limits, ME, monotonic=lambda: 0.0)
    master.step()
    begun._train()
    crashes = 0
    while True:
        one = begun.copy()
        mount = Interrupted(one.share, random.Random(0), lambda: 0.0, Faults())
        mount.dies(crashes + 1, after=after)
        try:
            master = Master(Store(mount), one.limits, ME, monotonic=lambda: 0.0)
            while master.finished is None:
                master.step()
                one._train()
        except Crash:
            pass
        if mount.lives:
            break
        crashes += 1
        one.run()
        assert one.kept == one.best(2)
    assert crashes >= 20


# -- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "wanted", "said"),
    [
        ([9], {"steps": 9}, "trial 9 is not counted"),
        ([0], {"step": 9}, "trial 0 has no parameter 'step': did you mean 'steps'?"),
        ([0], {"steps": 5}, "trial 0 has steps 6 already: to train it further, give it more"),
        ([0], {"steps": 6.5}, r"steps is a whole number \(6\), and 6.5 is none"),
        ([0], {"steps": 6}, "trial 0 is that long already"),
        ([0], {"kind": 6}, 'kind is "a", and only a number can be raised'),
        ([1], {"steps": 9}, "trial 1 is failed: only a complete one is trained further"),
        ([], {"steps": 6}, "there is nothing to train further: trial . is that long already; "),
    ],
)
def test_a_mistake_changes_nothing(
    tmp_path: Path, numbers: list[int], wanted: dict[str, float], said: str
) -> None:
    one = Saving(tmp_path, params={"kind": "a"})
    one.fails = lambda number: number == 1
    one.run()
    before = dict(one.share.files)
    with pytest.raises(UserError, match=said):
        one.extend(*numbers, top=0 if numbers else 3, **wanted)
    assert one.share.files == before


def test_nothing_is_asked_for_twice(over: Saving) -> None:
    (found,) = over.extend(0, steps=9)
    with pytest.raises(UserError, match="trial 0 is trained further to that already, as trial 5"):
        over.extend(0, steps=9)
    assert {one.trial for one in over.extend(top=5, steps=9)} == {1, 2, 3, 4}
    assert found.by == 5


def test_what_max_seconds_has_ended_is_not_extended(tmp_path: Path) -> None:
    one = Saving(tmp_path, max_seconds=9.0)
    one.run()
    with pytest.raises(UserError, match=r"trial 0 was ended by max_seconds \(9\)") as error:
        one.extend(0, steps=9)
    assert "begin another study" in str(error.value)


def test_a_trial_that_names_one_that_is_not_counted_is_tried_again_from_its_start(
    over: Saving,
) -> None:
    """As only a hand can have written it."""
    over.extend(0, steps=9)
    path = "trials/000005.1.jsonl"
    Master(over.store, over.limits, ME).step()
    line = records.decode(bytes(over.share.files[path]))
    assert isinstance(line, Trial)
    over.share.files[path] = records.encode(line.replace(extends=77))
    over.share.files[protocol.ASKED] = b""
    over.fails = lambda number: number == 5
    over.run()
    over.fails = lambda number: False
    assert over.first_line(5).extends == 77
    assert over.retry(5) == {5: 6}
    over.run()
    assert over.first_line(6).checkpoints == []
    over.check()


@pytest.mark.parametrize("text", ["steps", "steps=", "=3", "steps=many", "steps=NaN", "a=1e999"])
def test_a_length_is_a_number(text: str) -> None:
    with pytest.raises(UserError, match="is not NAME=NUMBER, such as steps=500"):
        parse_change(text)
    assert parse_change("a.b=1.5") == ("a.b", 1.5)


# -- the last state ------------------------------------------------------------------------------


def _context(folder: Path, seconds: list[float], kept: list[Checkpoint]) -> TrialContext:
    trial = Trial(study="s", number=0, attempt=1, params={"epochs": 3})
    checkpoints = Checkpoints(str(folder), trial, keep=kept.append)
    return TrialContext(
        0, 1, 0, "cpu", "", checkpoints=checkpoints, checkpoint_every=10.0, last_step=3,
        last_within=60.0, monotonic=lambda: seconds[0], yields=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("took", "saved"),
    [([1.0, 2.0, 3.0], []), ([1.0, 11.0, 12.0], [2, 3]), ([1.0, 2.0, 11.0], [3])],
    ids=["short", "longer", "long at last"],
)
def test_the_last_state_is_saved_of_a_training_that_has_saved_one(
    tmp_path: Path, took: list[float], saved: list[int]
) -> None:
    seconds, kept = [0.0], list[Checkpoint]()
    context = _context(tmp_path / "checkpoints", seconds, kept)
    assert context.checkpoints is not None
    for step, now in enumerate(took, 1):
        seconds[0] = now
        context.reports.append(Report(step=step, metrics={}, seconds=now))
        context.save({"step": step})
        context.checkpoints.wait(60.0)  # or the next one may take its place
    assert [one.step for one in kept] == saved
    assert (tmp_path / "checkpoints").exists() == bool(saved)


def test_a_training_can_say_which_state_is_its_last(tmp_path: Path) -> None:
    seconds, kept = [0.0], list[Checkpoint]()
    context = _context(tmp_path, seconds, kept)
    assert context.checkpoints is not None
    for step, now in enumerate((11.0, 12.0), 1):
        seconds[0] = now
        context.reports.append(Report(step=step, metrics={}, seconds=now))
        context.save({"step": step}, last=step == 2)
        context.checkpoints.wait(60.0)
    assert [one.step for one in kept] == [1, 2]


def test_where_its_own_checkpoint_is_damaged_an_attempt_falls_back_to_that_of_the_trial_before(
    tmp_path: Path,
) -> None:
    kept = [one.replace(trial=17) for one in saved_by_first(tmp_path, b"of the one before")]
    trial = Trial(study="s", number=18, attempt=1, extends=17, params={}, checkpoints=kept)
    own = Checkpoint(attempt=1, number=1, step=9, size=9, sha256="0" * 64)
    file = AttemptFile(trial, None, (), None, checkpoints=(own,))
    again = trial.replace(attempt=2, checkpoints=file.checkpoints_for_the_next(failed=False))
    said: list[str] = []
    loaded = Checkpoints(str(tmp_path), again, code="c", say=said.append).load()
    assert loaded is not None
    assert (loaded.trial, loaded.attempt, loaded.step) == (17, 1, 1)
    assert loaded.state == b"of the one before"
    assert len(said) == 1


# -- resumed is uninterrupted --------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [{}, {"optimizer": "adam", "dropout": 0.5}, {"optimizer": "rmsprop", "l1": 1e-5}],
    ids=["sgd", "adam", "rmsprop"],
)
@pytest.mark.long
def test_a_built_in_training_that_is_extended_is_the_longer_one(more: dict[str, Any]) -> None:
    short, whole = SavingTrial(seed=3), SavingTrial(seed=3)
    begin = trained({**SMALL, **more, "epochs": 3}, short)
    curve = trained({**SMALL, **more, "epochs": 6}, whole)
    rest = trained({**SMALL, **more, "epochs": 6}, SavingTrial(seed=3, begin=short.saved[-1]))
    assert begin + rest == curve


def _weights(state: dict[str, Any]) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in state["weights"].items()}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.long
def test_a_built_in_study_is_extended_bit_for_bit_and_all_views_show_it(lab: Lab) -> None:
    """Six epochs to twelve, by processes, as a user would; and what has a schedule begins anew."""
    from distune.workloads import saved_state

    params = {**SMALL, "optimizer": "adam", "epochs": 6, "lr": 0.002}
    lab.write_space(
        objective="mnist-cnn", metric=None, direction=None, trials=None, checkpoint_every=0.001,
        params=params, sampler="list", settings=[{"schedule": "constant"}, {"schedule": "cosine"}],
    )  # fmt: skip
    master = ["master", "--space", "space.json", "--workers", "1", "--plain"]
    assert lab.run(*master).returncode == 0
    said = sorted(lab.run("extend", "space", "--top", "3", "--epochs", "12").stdout.splitlines())
    assert said[0].startswith("start the study's master again")
    assert "trial 0 is trained further as trial" in said[1]
    assert said[1].endswith("from step 6")
    assert said[2].endswith(
        "from its start: it learns by the schedule cosine, which spans its epochs"
    )
    assert lab.run(*master).returncode == 0
    by = {file_of(lab, number).trial.extends: number for number in (2, 3)}
    for old, new in by.items():
        file, whole = file_of(lab, new), SavingTrial(seed=file_of(lab, new).trial.seed)
        curve = [{k: v for k, v in one.metrics.items() if k != "seconds"} for one in file.reports]
        assert curve == trained(file.trial.params, whole)
        assert len(curve) == 12
        resumed = Resumed(attempt=1, step=6, trial=0)
        assert file.resumed == (resumed if old == 0 else None)
        left = file.trial.replace(checkpoints=[*file.checkpoints[-1:]])
        loaded = Checkpoints(str(lab.logs / "space" / "checkpoints"), left).load()
        assert loaded is not None
        assert _weights(loaded.state) == _weights(saved_state.read(whole.saved[-1]))
    tests = [path.read_bytes() for path in (lab.logs / "space" / "seen/000").glob("*.test.jsonl")]
    assert len(tests) == 2
    assert [records.parse_attempt(data).trial.checkpoints for data in tests] == [[], []]
    shown = lab.run("show", str(by[0])).stdout
    assert "trains trial 0 further" in shown
    assert "went on from the checkpoint of attempt 1 at trial 0 after step 6" in shown
    as_json = json.loads(lab.run("show", str(by[0]), "--json").stdout)
    assert as_json["extends"] == 0
    resumed_from = [one["resumed"] for one in as_json["attempts"] if one["purpose"] == "train"]
    assert resumed_from == [{"attempt": 1, "step": 6, "trial": 0}]
    assert (lab.status()["trials"]["counted"], lab.status()["trials"]["planned"]) == (4, 4)
    assert lab.run("report").returncode == 0
    assert lab.run("clean", "space").stdout == "removed: 2 checkpoints of space\n"


def file_of_study(lab: Lab, study: str, number: int) -> AttemptFile:
    path = lab.logs / study / f"seen/000/{number:06d}.jsonl"
    return records.parse_attempt(path.read_bytes())


def test_values_outside_of_the_space_are_exported_to_optuna(over: Saving) -> None:
    over.extend(top=1, steps=50)
    over.run()
    trials = optuna_study(TrialTable(over.history)).trials
    assert [trial.params["steps"] for trial in trials] == [6, 6, 6, 6, 6, 50]


OBJECTIVE = """\
import time

def train(params, trial):
    state = trial.load() or {"done": 0, "total": 0.0}
    for step in range(state["done"], params["length"]):
        state = {"done": step + 1, "total": state["total"] + step * params["x"]}
        time.sleep(0.002)
        yield {"loss": -state["total"]}
        trial.save(state, last=step + 1 == params["length"])
"""


@pytest.mark.long
def test_what_is_the_users_own_goes_on_from_what_it_has_saved(lab: Lab) -> None:
    """A function, with what `trial.load` gives it; a program, with the file that it named."""
    (lab.folder / "mine.py").write_text(OBJECTIVE)
    program = [sys.executable, str(ROOT / "examples" / "resume.py"), "--lr", "{x}", "--steps"]
    program += ["{length}", "--seconds", "0.01", "--dir", "{trial_dir}", "--resume"]
    common: dict[str, Any] = {
        "trials": 1,
        "checkpoint_every": 0.001,
        "params": {"x": 0.1, "length": 20},
    }
    lab.write_space("function.json", objective="mine:train", **common)
    lab.write_space(
        "program.json",
        objective=None,
        command=[*program, "{trial_resume}"],
        summary="last",
        **common,
    )
    for study, agreed in (
        ("function", ["--objective", "mine:train"]),
        ("program", ["--allow-commands"]),
    ):
        master = ["master", "--space", f"{study}.json", "--workers", "1", *agreed]
        done = lab.run(*master)
        assert done.returncode == 0, done.stdout + done.stderr
        lacks = ["0"] if study == "program" else ["--epochs", "30"]
        done = lab.run("extend", study, *lacks)
        assert done.returncode == 2
        assert done.stderr.startswith(
            "distune: say how far" if "0" in lacks else "distune: say which"
        )
        done = lab.run("extend", study, "0", "--set", "length=30")
        assert done.stdout.startswith("trial 0 is trained further as trial 1, from "), done.stderr
        done = lab.run(*master)
        assert done.returncode == 0, done.stdout + done.stderr
        before, file = (file_of_study(lab, study, n) for n in (0, 1))
        assert len(file.reports) == 30
        assert file.reports[:20] == before.reports
        assert file.resumed == Resumed(attempt=1, step=20, trial=0)
        if study == "program":
            losses = [report.metrics["loss"] for report in file.reports]
            assert losses == pytest.approx([100 * 0.8 ** (2 * n) for n in range(1, 31)])
        else:
            totals = [-sum(range(n + 1)) * 0.1 for n in range(30)]
            assert [one.metrics["loss"] for one in file.reports] == pytest.approx(totals)
