"""What anyone can put into a share to have the memory or the time of whoever looks: each meets a
limit. `python -m tests.fuzz --hostile` measures many more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from distune.errors import BadRecord, ShareError
from distune.share import find_studies, folder, protocol, records, study_documents
from distune.share.folder import Folder
from distune.share.protocol import AttemptName, State
from distune.share.store import Store
from distune.study.trial import Asked, Counted, Outcome, Record, Report, Result, Trial
from distune.watch import attempt_files, observer
from distune.watch.observer import Observer
from distune.worker import open_study
from tests.garbage import GHOST, Bench
from tests.histories import reports

LEAP = 1000


@pytest.fixture
def short_leaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "LONGEST_LEAP", LEAP)
    monkeypatch.setattr(attempt_files, "LONGEST_LEAP", LEAP)


@pytest.fixture(autouse=True)
def no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here waits for a disk."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def add_to(path: Path, lines: Iterable[Record]) -> None:
    with path.open("ab") as file:
        file.writelines(map(records.encode, lines))


def test_a_history_that_has_grown_by_gigabytes_fills_no_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step(4)
    os.truncate(bench.path / protocol.HISTORY, 3 * 2**30)
    tracemalloc.start()
    try:
        viewer = Observer(Store(Folder(bench.path)))
        viewer.look()
        bench.run()
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    bench.check()
    assert bench.lines_about(f"{protocol.HISTORY} set aside as quarantine/")


@pytest.mark.usefixtures("short_leaps")
def test_a_few_counted_trials_do_not_leap_to_a_trillion(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    numbers = [(LEAP - 10) * i for i in range(1, 60)]
    trials = [bench.trial(0).replace(number=n, configuration=n) for n in numbers]
    result = Result(outcome=Outcome.COMPLETE, value=0.5, metrics={"y": 0.5})
    counted = [Counted(trial=trial, worker=GHOST, result=result) for trial in trials]
    add_to(bench.path / protocol.HISTORY, counted)
    snapshot = Observer(Store(Folder(bench.path))).look()
    assert [one.trial.number for one in snapshot.history.trials] == [LEAP - 10]
    assert len(snapshot.absent) <= LEAP


@pytest.mark.usefixtures("short_leaps")
def test_names_of_trials_do_not_lead_a_viewer_to_a_trillion(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for i in range(1, 60):
        (bench.path / AttemptName((LEAP - 10) * i, 1).live_path).touch()
    viewer = Observer(Store(Folder(bench.path)))
    for _ in range(3):
        snapshot = viewer.look()
    assert len(snapshot.absent) <= LEAP
    assert len(snapshot.strangers) == 58


def test_a_trillion_trials_that_nobody_asked_for_are_not_asked_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step(2)
    far = Asked(study="s-1", configuration=9, trial=10**12 - 1, repeats=1, params={"x": 0.5})
    wide = Asked(study="s-1", configuration=10, trial=50, repeats=10**6, params={"x": 0.5})
    add_to(bench.path / protocol.ASKED, [far, wide])
    bench.restart()
    assert bench.lines_about(f"{protocol.ASKED}: a line in it asks for trials far beyond")
    bench.run()
    bench.check()


def test_too_many_names_are_said_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.step(2)
    monkeypatch.setattr(folder, "MOST_NAMES", 20)
    flood = [bench.path / protocol.TRIALS / f"stranger-{i}" for i in range(30)]
    for path in flood:
        path.touch()
    bench.step(3)
    assert bench.lines_about("/trials: there are more than 20 names in it: move what is not")
    for path in flood:
        path.unlink()
    bench.run()
    bench.check()
    lost = [name for name in bench.master.store.seen() if name.state is State.LOST]
    assert not lost, "no training was"


def test_a_flood_of_history_holds_up_nothing_but_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.step(2)
    monkeypatch.setattr(folder, "MOST_NAMES", 20)
    flood = [bench.path / protocol.SEEN / f"stranger-{i}" for i in range(30)]
    for path in flood:
        path.touch()
    bench.now += 100  # on patrol
    for _ in range(500):
        bench.step()
        if len(bench.master.observer.history) == bench.trials:
            break
    bench.step(3)
    assert bench.lines_about("/seen: there are more than 20 names in it")
    assert (len(bench.master.observer.history), bench.master.finished) == (bench.trials, None)
    for path in flood:
        path.unlink()
    bench.run()
    bench.check()


def test_a_flood_is_set_aside_without_listing_where_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    for i in range(30):
        (bench.path / protocol.QUARANTINE / f"before-{i}").touch()
        (bench.path / protocol.TRIALS / f"stranger-{i}").touch()
    listed: list[str] = []
    names = Folder.names

    def listens(folder: Folder, path: str) -> list[str]:
        listed.append(path)
        return names(folder, path)

    monkeypatch.setattr(Folder, "names", listens)
    bench.step_master()
    assert len(bench.quarantined()) == 60
    assert protocol.QUARANTINE not in listed


def test_too_many_folders_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_studies, "_MOST_FOLDERS", 5)
    bench = Bench(tmp_path)
    for i in range(20):
        (bench.logs / f"file-{i}").touch()
    assert [*find_studies.find_studies(bench.logs)] == ["s"], "files are no studies"
    for i in range(5):
        (bench.logs / f"folder-{i}").mkdir()
    with pytest.raises(ShareError, match=r"more than 5 folders in it: move"):
        find_studies.find_studies(bench.logs)
    assert [*find_studies.find_studies(bench.logs, "s")] == ["s"]


def test_heartbeats_meet_a_limit_all_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Bench(tmp_path).master.store
    monkeypatch.setattr(study_documents, "_BEATS_LIMIT", 10_000)
    for i in range(3):
        (tmp_path / "logs" / "s" / protocol.beat_path(f"w-{i}-a")).write_bytes(b" " * 4096)
    with pytest.raises(ShareError, match="remove those of no worker"):
        store.beats()


def test_an_attempt_with_more_reports_than_an_objective_makes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [Trial(study="s", number=0, attempt=1, params={}), *reports({"y": 0.5}, {"y": 0.25})]
    data = b"".join(map(records.encode, lines))
    size = 2 * records.size_of_report({"y": 0.5})
    monkeypatch.setattr(records, "REPORTS_LIMIT", size)
    twice = data + records.encode(lines[1])  # as a worker writes that is not sure
    assert len(records.parse_attempt(twice).reports) == 2
    monkeypatch.setattr(records, "REPORTS_LIMIT", size - 1)
    with pytest.raises(BadRecord, match="reports fill more than"):
        records.parse_attempt(data)


def test_a_report_with_more_metrics_than_an_objective_may_give_is_not_believed() -> None:
    trial = Trial(study="s", number=0, attempt=1, params={})
    for count, believed in ((records.MOST_METRICS, True), (records.MOST_METRICS + 1, False)):
        report = Report(step=1, metrics={f"m{i}": 0.0 for i in range(count)}, seconds=1.0)
        data = records.encode(trial) + records.encode(report)
        if believed:
            assert len(records.parse_attempt(data).reports[0].metrics) == count
        else:
            with pytest.raises(BadRecord, match="more than 1000 metrics"):
                records.parse_attempt(data)


def test_a_look_reads_no_more_of_running_trials_than_a_viewer_has_time_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    names = [AttemptName(i, 1, worker=GHOST, state=State.TAKEN) for i in range(3)]
    for name, steps in zip(names, (1, 1, 9), strict=True):
        lines = [bench.trial(name.trial), *reports(*[{"y": 0.5}] * steps)]
        (bench.path / name.live_path).write_bytes(b"".join(map(records.encode, lines)))
    size = (bench.path / names[0].live_path).stat().st_size
    monkeypatch.setattr(attempt_files, "_MOST_OF_CURVES", size)
    now = [0.0]
    viewer = Observer(Store(Folder(bench.path)), monotonic=lambda: now[0])
    shown = [sorted(one.trial for one in viewer.look(curves=True).files) for _ in range(2)]
    assert shown == [[0, 1], [0, 1]], "the third is too long to be read again and again"


def test_of_many_long_attempts_at_a_trial_the_last_ones_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    for attempt in range(1, 6):
        name = AttemptName(0, attempt, worker=GHOST, state=State.LOST)
        lines = [bench.trial(0, attempt), *reports({"y": 0.5}, {"y": 0.25})]
        (bench.path / name.live_path).write_bytes(b"".join(map(records.encode, lines)))
    room = 5 * records.size_of_report({"y": 0.5})
    monkeypatch.setattr(records, "REPORTS_LIMIT", room // 2)
    found = bench.master.store.attempts_of(0)
    assert [name.attempt for name, _ in found if name.state is State.LOST] == [4, 5]


def test_the_master_keeps_no_reports_of_attempts_that_are_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.step_master()
    path = bench.put(0, State.LOST)
    add_to(path, [Report(step=1, metrics={"y": 0.5}, seconds=1.0)])
    (file,) = bench.master.observer.look().files.values()
    assert (file.reports, file.trial.number) == ((), 0)


def test_a_look_reads_so_much_and_the_next_one_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, trials=6)
    bench.publish_all()
    for number in range(6):
        bench.put(number, State.DONE)
    monkeypatch.setattr(attempt_files, "_MOST_READ", 1)
    bench.step_master()
    assert len(bench.master.observer.history) == 1
    bench.run()
    bench.check()


def test_strange_trials_are_examined_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_files, "_MOST_EXAMINED", 3)
    bench = Bench(tmp_path)
    bench.step_master()
    for number in range(100, 110):
        (bench.path / AttemptName(number, 1).live_path).touch()
    for aside in (3, 6, 9, 10):
        bench.step_master()
        assert len(bench.quarantined()) == aside
    bench.run()
    bench.check()


def test_a_worker_reads_a_few_of_the_trials_that_wait_for_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_study, "_MOST_READ", 3)
    bench = Bench(tmp_path)
    bench.step_master()
    for attempt in range(2, 202):
        (bench.path / AttemptName(0, attempt).live_path).touch()
    read: list[AttemptName] = []
    ask = Store.read_attempt

    def listens(store: Store, name: AttemptName, *, seen: bool = False) -> records.AttemptFile:
        read.append(name)
        return ask(store, name, seen=seen)

    monkeypatch.setattr(Store, "read_attempt", listens)
    bench.worker.step()
    assert 0 < len(read) < 60


@pytest.mark.slow
def test_a_hostile_share_is_measured_and_stays_within_its_bounds() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--hostile", "history.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("MiB (") == 3
