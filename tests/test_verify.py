"""Damage to what is counted: `distune verify` finds it, `--repair` and the master mend it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from distune.errors import UserError
from distune.master.lock import Identity, only_master
from distune.master.verification import Verification, in_words, repair, verify
from distune.share import protocol, records
from distune.share.folder import Folder
from distune.share.protocol import AttemptName
from distune.share.store import Store
from distune.study.trial import Asked, Counted, Outcome, Purpose, Record, trial_seed
from tests.conftest import Lab
from tests.damage import damage_study
from tests.garbage import Bench
from tests.histories import (
    counted,
    evaluated,
    read_history,
    reports,
    study,
    write_study,
)
from tests.test_earlier_layout import STUDIES, tree


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A study that is over."""
    one = Bench(tmp_path)
    one.run()
    return one


def counted_file(bench: Bench, number: int) -> Path:
    return bench.path / AttemptName.counted((Purpose.TRAIN, number)).seen_path


def look(bench: Bench) -> Verification:
    return verify(Store(Folder(bench.path)))


def mend(bench: Bench) -> Verification:
    return repair(bench.path, Store(Folder(bench.path)), Identity("h", 2))


def results(bench: Bench) -> dict[int, float | None]:
    return {one.trial.number: one.result.value for one in read_history(Store(Folder(bench.path)))}


def problems(done: Verification) -> list[str]:
    return [str(one.finding) for one in done.found]


# -- damage ------------------------------------------------------------------------------------


def flip(path: Path, at: int = -30) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def flip_file(bench: Bench) -> None:
    flip(counted_file(bench, 1))


def cut_file(bench: Bench) -> None:
    path = counted_file(bench, 1)
    path.write_bytes(path.read_bytes()[:-40])


def swap_files(bench: Bench) -> None:
    one, two = counted_file(bench, 1), counted_file(bench, 2)
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)


def delete_file(bench: Bench) -> None:
    counted_file(bench, 1).unlink()


def lines_in(bench: Bench, path: str) -> list[Record]:
    return list(records.decode_lines((bench.path / path).read_bytes()))


def lose_line(path: str, number: int) -> Callable[[Bench], None]:
    def lose(bench: Bench) -> None:
        lines = lines_in(bench, path)
        keeps = [one for one in lines if not _is_of(number, one)]
        assert len(keeps) < len(lines)
        (bench.path / path).write_bytes(b"".join(map(records.encode, keeps)))

    return lose


def _is_of(number: int, record: Record) -> bool:
    if isinstance(record, Counted):
        return record.trial.number == number
    return isinstance(record, Asked) and record.trial == number


def flip_history(bench: Bench) -> None:
    flip(bench.path / protocol.HISTORY, at=40)


def flip_asked(bench: Bench) -> None:
    flip(bench.path / protocol.ASKED, at=40)


def empty_asked(bench: Bench) -> None:
    (bench.path / protocol.ASKED).write_bytes(b"")


def other_params(bench: Bench) -> None:
    """As a restore from another copy leaves them: sealed, and not what was trained."""
    changed = [
        one.replace(params={"x": 0.123}) if _is_of(1, one) else one
        for one in lines_in(bench, protocol.ASKED)
    ]
    (bench.path / protocol.ASKED).write_bytes(b"".join(map(records.encode, changed)))


DAMAGES: dict[str, tuple[Callable[[Bench], None], str]] = {
    "a flipped bit in a file": (flip_file, "trial 1: its file cannot be read"),
    "a file cut short": (cut_file, "trial 1: its file cannot be read"),
    "two files swapped": (swap_files, "trial 2: its file cannot be read (it holds attempt 1"),
    "a file deleted": (delete_file, "trial 1: it has no file in seen/"),
    "a line of history gone": (lose_line(protocol.HISTORY, 2), "trial 2: history.jsonl lacks it"),
    "a flipped bit in the history": (flip_history, "history.jsonl: 1 line with a wrong checksum"),
    "a line of what was asked gone": (lose_line(protocol.ASKED, 2), "trial 2: asked.jsonl lacks"),
    "a flipped bit in what was asked": (flip_asked, "asked.jsonl: 1 line with a wrong checksum"),
    "all that was asked gone": (empty_asked, "trial 3: asked.jsonl lacks it"),
    "other params asked for": (other_params, "trial 1: asked.jsonl says otherwise"),
}
each = pytest.mark.parametrize(("damage", "found"), DAMAGES.values(), ids=list(DAMAGES))


def test_a_study_in_which_all_is_well_is_sound_and_left_as_it_is(bench: Bench) -> None:
    before = tree(bench.path)
    done = look(bench)
    assert (done.trials, done.tests, done.found) == (4, 0, [])
    assert tree(bench.path) == before


@each
def test_damage_is_found_and_nothing_is_changed(
    bench: Bench, damage: Callable[[Bench], None], found: str
) -> None:
    damage(bench)
    before = tree(bench.path)
    done = look(bench)
    assert not done.is_sound
    assert any(line.startswith(found) for line in problems(done)), problems(done)
    assert tree(bench.path) == before


@each
def test_repair_mends_it_and_no_result_is_another(
    bench: Bench, damage: Callable[[Bench], None], found: str
) -> None:
    before = results(bench)
    damage(bench)
    done = mend(bench)
    assert done.is_sound
    assert any(line.startswith(found) for line in problems(done)), problems(done)
    assert look(bench).found == []
    assert results(bench) == before


@each
def test_a_master_that_starts_again_mends_it_before_the_end(
    bench: Bench, damage: Callable[[Bench], None], found: str
) -> None:
    before = results(bench)
    damage(bench)
    bench.restart()
    bench.run()
    assert look(bench).found == []
    assert results(bench) == before


def test_what_was_damaged_is_kept(bench: Bench) -> None:
    cut_file(bench)
    damaged = counted_file(bench, 1).read_bytes()
    mend(bench)
    kept = [path.read_bytes() for path in (bench.path / protocol.QUARANTINE).iterdir()]
    assert kept == [damaged]


def test_what_no_two_agree_on_is_named_and_left(bench: Bench) -> None:
    cut_file(bench)
    lose_line(protocol.HISTORY, 1)(bench)
    before = tree(bench.path / "seen")
    done = mend(bench)
    assert not done.is_sound
    said = problems(done)
    assert any(line.startswith("trial 1: its file cannot be read") for line in said), said
    assert "finished.json: it says that 4 trials were counted; 3 are" in said
    assert tree(bench.path / "seen") == before
    assert sorted(results(bench)) == [0, 2, 3]


def test_whatever_is_in_a_name_what_is_said_of_it_is_one_line(bench: Bench) -> None:
    (counted_file(bench, 3).parent / "000003.1.jsonl\n\x1b[31m").write_bytes(b"x")
    said = [*map(str, look(bench).found), *map(str, mend(bench).found)]
    assert len(said) == 2
    assert all(line.isprintable() for line in said), said
    assert look(bench).is_sound


def test_a_line_of_a_curve_that_is_damaged_costs_that_line_only(tmp_path: Path) -> None:
    of = study(params={"x": [1, 2]}, metric="v", direction="maximize", objective="m:f")
    trial = {"seed": trial_seed(of.seed, 0, 0)}
    one = counted(0, {"x": 1}, 0.5, trial=trial, metrics={"v": 0.5}, steps=3)
    curve = {0: reports({"v": 0.1}, {"v": 0.3}, {"v": 0.5})}
    store = write_study(tmp_path / "s", of, [one], curve)
    assert verify(store).found == []
    path = tmp_path / "s" / AttemptName.counted(one.key).seen_path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"0.3", b"0.7"), *lines[4:]]))
    assert [str(m.finding) for m in verify(store).found] == [
        "trial 0: 1 line with a wrong checksum in its file"
    ]
    assert repair(tmp_path / "s", store, Identity("h", 1)).is_sound
    assert [report.metrics["v"] for report in store.read_counted(one).reports] == [0.1, 0.5]
    assert verify(store).found == []


def test_an_evaluation_on_the_test_set_is_mended_like_a_trial(tmp_path: Path) -> None:
    of = study(params={"x": [1, 2]}, metric="v", direction="maximize", objective="m:f")
    seed = {"seed": trial_seed(of.seed, 0, 0)}
    one = counted(0, {"x": 1}, 0.5, Outcome.COMPLETE, trial=seed)
    test = evaluated(one, test_accuracy=0.4)
    store = write_study(tmp_path / "s", of, [one, test], {})
    path = tmp_path / "s" / AttemptName.counted(test.key).seen_path
    path.unlink()
    assert [str(m.finding) for m in verify(store).found] == [
        "trial 0 test: it has no file in seen/"
    ]
    assert repair(tmp_path / "s", store, Identity("h", 1)).is_sound
    assert store.read_counted(test).result == test.result


def test_a_study_that_runs_is_sound_at_each_moment(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=12)
    while bench.master.finished is None:
        bench.step()
        assert problems(look(bench)) == []


def test_nothing_is_repaired_while_a_master_runs(bench: Bench) -> None:
    cut_file(bench)
    before = tree(bench.path / "seen")
    with (
        only_master(bench.path, Store(Folder(bench.path)), Identity("h", 1)),
        pytest.raises(UserError, match="has a master already"),
    ):
        mend(bench)
    assert tree(bench.path / "seen") == before


@pytest.mark.parametrize("name", ["finished", "running"])
def test_a_study_of_the_earlier_layout_is_verified_and_never_changed(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    shutil.copytree(STUDIES / name, folder)
    store = Store(Folder(folder))
    assert verify(store).found == []
    path = next(folder.glob("seen/000/*.1.jsonl.*.seen"))
    path.write_bytes(path.read_bytes()[:-20])
    before = tree(folder)
    (damaged,) = verify(store).found
    number = AttemptName.parse(path.name).trial
    assert str(damaged.finding).startswith(f"trial {number}: its file cannot be read")
    with pytest.raises(UserError, match="an earlier distune"):
        repair(folder, store, Identity("h", 1))
    assert tree(folder) == before


# -- the command -------------------------------------------------------------------------------


def test_the_command_says_what_is_wrong_and_with_repair_what_it_has_mended(
    lab: Lab, bench: Bench
) -> None:
    cut_file(bench)
    logs = ["--logs", str(bench.logs)]
    done = lab.run("verify", "s", *logs)
    assert (done.returncode, done.stderr) == (1, "")
    line, last = done.stdout.splitlines()
    assert line == "trial 1: its file cannot be read (there is no result in it): it can be mended"
    assert last == "s: 4 trials, each counted once; 1 thing is wrong: 1 can be mended (--repair)"
    done = lab.run("verify", *logs, "--repair", "--json")
    assert done.returncode == 0
    mended = json.loads(done.stdout)
    assert [(one["trial"], one["mended"]) for one in mended["found"]] == [(1, True)]
    study = Store(Folder(bench.path)).load()
    assert list(in_words(study, look(bench))) == [
        "s: 4 trials, each counted once; their files, history.jsonl and asked.jsonl agree, and "
        "all checksums are right"
    ]


# -- the master --------------------------------------------------------------------------------


def test_a_start_makes_a_file_again_that_the_history_has_a_line_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=12)
    while not counted_file(bench, 1).exists():
        bench.step()
    delete_file(bench)
    bench.restart()
    assert counted_file(bench, 1).exists()
    assert bench.lines_about("trial 1: it has no file in seen/: its file written anew")


def test_a_folder_of_counted_files_that_is_gone_is_made_again_with_all_of_them(
    bench: Bench,
) -> None:
    before = results(bench)
    shutil.rmtree(bench.path / "seen")
    bench.restart()
    assert look(bench).found == []
    assert results(bench) == before


def test_a_patrol_makes_a_file_again_that_cannot_be_read(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=12)
    while not counted_file(bench, 1).exists():
        bench.step()
    cut_file(bench)
    bench.now += 100
    bench.step_master()
    assert bench.master.finished is None
    assert bench.lines_about("trial 1: its file cannot be read")
    bench.run()
    bench.check()


def test_what_was_asked_for_and_is_not_over_is_written_again_from_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    lose_line(protocol.ASKED, 1)(bench)
    bench.master._asked.read_again()
    assert [one for one in lines_in(bench, protocol.ASKED) if _is_of(1, one)]


@pytest.mark.parametrize("seed", range(5))
def test_damage_while_masters_and_workers_are_killed_costs_no_other_trial(seed: int) -> None:
    damage_study(seed)
