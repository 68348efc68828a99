"""The views of a study: that they fit, say what they should, and cannot be tricked."""

from __future__ import annotations

import io
import json
import math
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyte
import pytest
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from distune.search.ranking import History
from distune.share.heartbeat import Beat, Finished, MasterBeat, Progress
from distune.share.protocol import AttemptName, State
from distune.share.records import AttemptFile
from distune.study.space import Space
from distune.study.study import Limits, Study
from distune.study.trial import Claim, Counted, Failure, Outcome, Purpose, Report, Result, Trial
from distune.watch.display import live
from distune.watch.display.configurations import varying_parameters
from distune.watch.display.json_data import snapshot_json, trial_json
from distune.watch.display.leaderboard import best_text, final_table
from distune.watch.display.live import render, status_text
from distune.watch.display.numbers import format_scalar, format_value, short_number
from distune.watch.display.state import (
    describe_state,
    eta_seconds,
    plain_event,
    plain_progress,
    planned_trials,
)
from distune.watch.display.text import clean, progress_bar, sparkline
from distune.watch.display.trial_detail import trial_detail
from distune.watch.display.wish import UNCHANGED, Order, Wish
from distune.watch.snapshot import Event, Snapshot, WorkerView

ROOT = Path(__file__).resolve().parent.parent
SIZES = [(80, 24), (60, 15), (40, 10), (120, 40), (200, 60), (20, 5), (100, 30), (79, 29), (3, 1)]
PARAMS: dict[str, Any] = {
    "lr": {"type": "float", "low": 0.01, "high": 0.32, "log": True},
    "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
    "optimizer": ["sgd", "adam", "rmsprop"],
    "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": "sgd"}},
    "n_filters": [16, 32, 64],
    "epochs": [12],
}


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# -- factories -----------------------------------------------------------------------------


def a_study(params: Mapping[str, Any] = MappingProxyType(PARAMS), **changes: Any) -> Study:
    fields: dict[str, Any] = {
        "id": "s1",
        "name": "mnist",
        "objective": "mnist-cnn",
        "params": Space.model_validate({"params": dict(params)}).params,
        "metric": "val_accuracy",
        "direction": "maximize",
        "lease": 20.0,
        **changes,
    }
    return Study.model_validate(fields)


def settings(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    params: dict[str, Any] = {
        "lr": 10 ** rng.uniform(-2, -0.5),
        "batch_size": rng.randrange(16, 257),
        "optimizer": rng.choice(["sgd", "adam", "rmsprop"]),
        "n_filters": rng.choice([16, 32, 64]),
        "epochs": 12,
    }
    if params["optimizer"] == "sgd":
        params["momentum"] = rng.uniform(0, 0.99)
    return params


def a_trial(number: int, params: Mapping[str, Any] | None = None, **fields: Any) -> Trial:
    own = settings(number) if params is None else params
    return Trial(study="s1", number=number, params=dict(own), **{"attempt": 1, **fields})


def counted(
    number: int,
    value: float | None = 0.9,
    outcome: Outcome = Outcome.COMPLETE,
    params: Mapping[str, Any] | None = None,
    failure: Failure | None = None,
    **fields: Any,
) -> Counted:
    metrics = {"parameters": 160362.0} if value is None else {"parameters": 160362.0, "m": value}
    return Counted(
        trial=a_trial(number, params, **fields),
        worker="gpu7-812-4f2a9c",
        device="cuda:0",
        result=Result(
            outcome=outcome, value=value, metrics=metrics, seconds=61.5, steps=12, failure=failure
        ),
        elapsed=float(number),
    )


def a_test_of(number: int, accuracy: float, params: Mapping[str, Any] | None = None) -> Counted:
    return Counted(
        trial=a_trial(number, params, purpose=Purpose.TEST),
        worker="gpu7-812-4f2a9c",
        result=Result(outcome=Outcome.COMPLETE, metrics={"test_accuracy": accuracy}),
    )


def taken(number: int, worker: str, **fields: Any) -> AttemptName:
    return AttemptName(number, fields.pop("attempt", 1), worker=worker, state=State.TAKEN, **fields)


def a_file(
    number: int, values: list[float], result: Result | None = None, **fields: Any
) -> AttemptFile:
    reports = tuple(
        Report(step=i, metrics={"val_accuracy": v, "val_loss": 1 - v}, seconds=5.0 * (i + 1))
        for i, v in enumerate(values)
    )
    claim = Claim(worker="gpu7-812-4f2a9c", host="gpu7", device="cuda:0", time=0.0)
    return AttemptFile(a_trial(number, **fields), claim, reports, result)


def a_view(
    worker: str, running: list[Progress] | None = None, silence: float = 0.4, **fields: Any
) -> WorkerView:
    beat = Beat(
        **{
            "worker": worker,
            "host": worker.split("-")[0],
            "pid": 812,
            "device": "cuda:0",
            "jobs": 1,
            "counter": 5,
            "state": "working" if running else "idle",
            "running": running or [],
            **fields,
        }
    )
    return WorkerView(worker, beat, silence)


def progress_of(name: AttemptName, fraction: float | None, **fields: Any) -> Progress:
    defaults: dict[str, Any] = {"images_per_second": 8123.0, "seconds": 31.0}
    return Progress(file=name.filename, study="s1", fraction=fraction, **{**defaults, **fields})


def a_snapshot(
    study: Study | None = None, history: list[Counted] | None = None, **fields: Any
) -> Snapshot:
    study = study or a_study()
    known = History(study)
    known.extend(history or [])
    defaults: dict[str, Any] = {
        "limits": Limits(trials=40, time_limit=7200.0, target=0.995),
        "elapsed": 245.0,
        "trials_per_second": 0.052,
    }
    return Snapshot(study=study, history=known, **{**defaults, **fields})


def a_busy_snapshot(
    configurations: int = 12, running: int = 2, workers: int = 2, seed: int = 0, **changes: Any
) -> Snapshot:
    """A study in the middle, with everything that can happen having happened."""
    rng = random.Random(seed)
    study = a_study(**changes)
    history = []
    for number in range(configurations * study.repeats):
        outcome = rng.choices(
            [Outcome.COMPLETE, Outcome.DIVERGED, Outcome.PRUNED, Outcome.FAILED], [8, 1, 1, 1]
        )[0]
        value = None if outcome is Outcome.FAILED else 0.9 + 0.09 * rng.random()
        value = math.nan if outcome is Outcome.DIVERGED else value
        setting = settings(number // study.repeats)
        history.append(counted(number, value, outcome, setting, repeat=number % study.repeats))
    ids = [f"gpu{i}-{800 + i}-{rng.randrange(16**6):06x}" for i in range(workers)]
    first = len(history)
    names = [taken(first + i, ids[i % max(workers, 1)]) for i in range(running)]
    files = {
        n: a_file(n.trial, [0.99 - 0.6 * 0.7**e + 0.01 * rng.random() for e in range(3 + i % 30)])
        for i, n in enumerate(names)
    }
    views = [
        a_view(
            w,
            [
                progress_of(n, None if i % 5 == 4 else (i * 37 % 100) / 100)
                for i, n in enumerate(names)
                if n.worker == w
            ],
        )
        for w in ids
    ]
    waiting = [AttemptName(first + running + i, 1) for i in range(4)]
    events = [
        Event(1000.0 + 7 * i, kind, text)
        for i, (kind, text) in enumerate(
            [
                ("claimed", "trial 9 claimed by gpu7-812-4f2a9c"),
                ("complete", "trial 7 complete, val_accuracy 0.98712"),
                ("diverged", "trial 5 diverged, val_accuracy nan"),
                ("failed", "trial 6.2 failed on gpu7-812-4f2a9c: CUDA out of memory. Tried to a"),
                ("retried", "trial 6: attempt 3 published"),
                ("lost", "trial 4 lost: gpu3-99-77aa01 fell silent"),
                ("released", "trial 8 given back by gpu3-99-77aa01: its worker leaves"),
                ("pruned", "trial 10 pruned, val_accuracy 0.71"),
                ("trouble", "000012.1.jsonl.bak set aside in quarantine/: no name of an attempt"),
            ]
        )
    ]
    return a_snapshot(
        study,
        history,
        attempts=tuple(sorted([*names, *waiting], key=lambda n: n.filename)),
        files=files,
        workers=tuple(views),
        events=tuple(events),
    )


def text_of(renderable: RenderableType, width: int = 100) -> str:
    console = Console(width=width, height=50, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def screen_of(snapshot: Snapshot, width: int, height: int) -> list[str]:
    # On a wider console, which would show what is too wide instead of cutting it.
    return text_of(render(snapshot, width, height), width + 40).split("\n")[:-1]


def on_a_terminal(snapshots: list[tuple[Snapshot, int, int]]) -> list[str]:
    """What a terminal shows after a live view has drawn these, resized in between."""
    screen = pyte.Screen(1, 1)
    stream = pyte.Stream(screen)
    out = io.StringIO()
    console = Console(width=1, height=1, file=out, force_terminal=True)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for snapshot, width, height in snapshots:
            console.size = ConsoleDimensions(width, height)
            screen.resize(height, width)
            live.update(render(snapshot, width, height), refresh=True)
            stream.feed(out.getvalue().replace("\n", "\r\n"))  # as a terminal's driver does
            out.seek(out.truncate(0))
        return list(screen.display)


# -- it fits -------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize("size", [(0, 0, 0), (1, 1, 1), (12, 2, 2), (500, 100, 100)])
def test_the_live_view_is_never_taller_nor_wider_than_the_terminal(
    width: int, height: int, repeats: int, size: tuple[int, int, int]
) -> None:
    lines = screen_of(a_busy_snapshot(*size, repeats=repeats), width, height)
    assert 0 < len(lines) <= height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_text_from_the_share_is_too_long_to_fit(width: int, height: int) -> None:
    long = "wide 文字 " * 500
    study = a_study(
        name="w" * 100, metric=long, params={f"{long}{i}": ["a", "b"] for i in range(30)}, repeats=2
    )
    history = [counted(i, 1e300 * i, params={f"{long}0": long, "x": 10**300}) for i in range(4)]
    name = taken(9, "w" * 70 + "-1-abc")
    beat: dict[str, Any] = {
        "host": long,
        "device": long,
        "jobs": 10**12,
        "running": [progress_of(name, 0.5)],
    }
    snapshot = a_snapshot(
        study,
        history,
        attempts=(name,),
        workers=(a_view("w" * 70 + "-1-abc", **{**beat, "state": "working"}),),
        events=(Event(0.0, "failed", long),),
        finished=Finished(reason=long, trials=2, elapsed=1e300),
        limits=Limits(target=1e-300, time_limit=1e300),
        trials_per_second=1e-300,
    )
    lines = screen_of(snapshot, width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    for view in (final_table(snapshot, width), status_text(snapshot, width)):
        lines = [line.rstrip() for line in text_of(view, width + 40).split("\n")]
        assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 15), (40, 10), (120, 40)])
def test_a_real_terminal_shows_the_first_and_the_last_line(width: int, height: int) -> None:
    snapshot = a_busy_snapshot(500, 100, 100)
    shown = on_a_terminal([(snapshot, width, height)])
    assert shown[0].startswith(" mnist")
    assert [line.rstrip() for line in shown] == [
        line.rstrip() for line in screen_of(snapshot, width, height)
    ]


def test_after_a_resize_the_new_size_is_filled() -> None:
    snapshot = a_busy_snapshot(500, 100, 100)
    for before, after in [((80, 24), (120, 40)), ((120, 40), (60, 15))]:
        shown = on_a_terminal([(snapshot, *before), (snapshot, *after)])
        assert shown == [line.ljust(after[0]) for line in screen_of(snapshot, *after)]
        assert len(shown) == after[1]


def test_at_80_by_24_every_part_has_at_least_two_rows() -> None:
    lines = screen_of(a_busy_snapshot(30, 10, 10), 80, 24)
    titles = ["Ranking", "Running", "Workers", "Events"]
    starts = [next(i for i, line in enumerate(lines) if line.startswith(t)) for t in titles]
    rows = [b - a - 1 for a, b in zip(starts, [*starts[1:], len(lines)], strict=True)]
    assert rows[0] >= 6
    assert min(rows[1:]) >= 3
    assert len(lines) == 24


def test_a_taller_terminal_ranks_more_and_what_is_hidden_is_counted() -> None:
    snapshot = a_busy_snapshot(500, 100, 100)
    ranked = []
    for width, height in [(80, 24), (120, 40), (200, 60)]:
        lines = screen_of(snapshot, width, height)
        start = next(i for i, line in enumerate(lines) if line.startswith("Ranking"))
        after = ("Best so far", "Running")
        end = next(i for i, line in enumerate(lines) if line.startswith(after))
        rows = [line for line in lines[start + 2 : end] if line.strip()]
        assert f"and {500 - len(rows)} more" in lines[start]
        ranked.append(len(rows))
    assert ranked == sorted(set(ranked))


def test_nothing_jumps_when_results_come_in() -> None:
    def places(configurations: int) -> list[int]:
        lines = screen_of(a_busy_snapshot(configurations), 80, 24)
        return [i for i, line in enumerate(lines) if line.startswith(("Run", "Work", "Ev"))]

    assert places(0) == places(1) == places(12)


def test_five_hundred_trials_and_a_hundred_workers_are_drawn_quickly() -> None:
    snapshot = a_busy_snapshot(500, 100, 100)
    console = Console(width=200, height=60, file=io.StringIO())
    before = time.process_time()
    for _ in range(5):
        console.print(render(snapshot, 200, 60))
    assert (time.process_time() - before) / 5 < 0.25


def test_ten_thousand_trials_are_drawn_well_within_a_refresh() -> None:
    snapshot = a_busy_snapshot(10_000, 100, 100)
    console = Console(width=200, height=60, file=io.StringIO())
    before = time.process_time()
    for wish in (UNCHANGED, Wish(at=9_999), Wish(order=Order.NEWEST), Wish(failures=True)):
        console.print(render(snapshot, 200, 60, wish))
    assert (time.process_time() - before) / 4 < 0.25


def test_columns_that_do_not_fit_are_left_out_the_least_important_first() -> None:
    snapshot = a_busy_snapshot(12)
    header = {w: screen_of(snapshot, w, 40)[5].split() for w in (40, 60, 120)}
    assert header[120] == [
        *("#", "trial", "val_accuracy", "time", "weights"),
        *("lr", "batch_size", "optimizer", "momentum", "n_filters"),
    ]
    assert header[40] == ["#", "trial", "val_accuracy", "lr"]
    assert set(header[40]) < set(header[60]) < set(header[120])


# -- what it says --------------------------------------------------------------------------


def test_the_best_is_marked_and_only_the_best() -> None:
    history = [counted(i, v) for i, v in enumerate([0.91, 0.9871, 0.95])]
    lines = screen_of(a_snapshot(history=history), 100, 30)
    marked = [line for line in lines if "★" in line]
    assert len(marked) == 1
    assert marked[0].split()[:4] == ["★", "1", "1", "0.9871"]
    assert marked[0].split()[4:6] == ["1m02s", "160k"]


def test_no_configuration_is_marked_while_none_has_a_finite_value() -> None:
    history = [counted(0, math.nan, Outcome.DIVERGED), counted(1, None, Outcome.FAILED)]
    text = "\n".join(screen_of(a_snapshot(history=history), 100, 30))
    assert "★" not in text
    assert "diverged" in text
    assert "failed" in text
    assert "nan" not in text.lower()


def test_repeats_show_their_spread_and_how_many_are_complete() -> None:
    study = a_study(repeats=3)
    history = [counted(i, 0.95 + 0.01 * i, params={"lr": 0.05}, repeat=i) for i in range(3)]
    history += [counted(3, 0.99, params={"lr": 0.5})]
    lines = screen_of(a_snapshot(study, history), 120, 30)
    (best,) = [line for line in lines if "★" in line]
    assert " ".join(best.split()) == "★ 1 0–2 0.9600 ± 0.0100 3/3 1m02s 160k 0.05"
    (partial,) = [line for line in lines if "1/3" in line]
    assert partial.split()[:4] == ["2", "3", "0.9900", "1/3"]


def test_a_configuration_that_came_again_has_more_repeats_and_none_is_of_fewer() -> None:
    setting = {"lr": 0.05}
    history = [
        counted(i, 0.95, params=setting, configuration=i // 3, repeat=i % 3) for i in range(6)
    ]
    snapshot = a_snapshot(a_study(repeats=3), history)
    (best,) = [line for line in screen_of(snapshot, 120, 30) if "★" in line]
    assert best.split()[:7] == ["★", "1", "0–5", "0.9500", "±", "0.0000", "6"]
    assert "± 0.0000 over 6 repeats" in text_of(best_text(snapshot, 100))


def test_the_test_accuracy_has_a_column_once_there_is_one() -> None:
    history = [counted(0, 0.98), counted(1, 0.97)]
    assert "test" not in screen_of(a_snapshot(history=history), 120, 30)[5]
    lines = screen_of(a_snapshot(history=[*history, a_test_of(0, 0.9712)]), 120, 30)
    assert "test" in lines[5].split()
    assert "0.9712" in lines[6]
    assert "0.9712" not in "".join(lines[:6] + lines[7:])


def test_a_winner_s_test_is_judged_by_the_metric_that_ranks_its_workload() -> None:
    study = a_study(
        objective="house-prices", metric="val_loss", test_metric="test_loss", direction="minimize"
    )
    metrics = {"test_loss": 0.0024, "test_mse": 0.9}
    tested = Result(outcome=Outcome.COMPLETE, metrics=metrics)
    history = [counted(0, 0.0017), a_test_of(0, 0.5).replace(result=tested)]
    snapshot = a_snapshot(study, history)
    assert "test loss 0.0024" in text_of(final_table(snapshot, 100))
    assert snapshot_json(snapshot)["ranking"][0]["test_loss"] == 0.0024


def test_constants_have_no_column() -> None:
    assert varying_parameters(a_study()) == [
        *("lr", "batch_size", "optimizer", "momentum", "n_filters")
    ]
    listed = a_study(
        params={"epochs": [3]}, sampler="list", settings=[{"lr": 0.1, "b": 1}, {"lr": 0.2, "b": 1}]
    )
    assert varying_parameters(listed) == ["lr"]
    assert varying_parameters(listed, [{"epochs": 3}, {"epochs": 4}]) == ["epochs", "lr"]


def test_a_running_trial_shows_its_worker_progress_value_and_curve() -> None:
    name = taken(17, "gpu7-812-4f2a9c", attempt=2)
    snapshot = a_snapshot(
        attempts=(name,),
        files={name: a_file(17, [0.0, 0.9, 0.3])},
        workers=(a_view("gpu7-812-4f2a9c", [progress_of(name, 0.42)]),),
    )
    (line,) = [line for line in screen_of(snapshot, 100, 30) if line.startswith(" 17.2")]
    assert line.split()[1:3] == ["gpu7", "4f2a9c"]
    assert "━╸─" in line or "━─" in line
    assert line.split()[4:] == ["42%", "31s", "0.3000", "best", "0.9000", "▁▇▃"]


def test_what_waits_for_its_turn_stands_below_what_is_trained() -> None:
    names = [taken(number, "gpu7-812-4f2a9c") for number in (3, 4, 5)]
    running = [progress_of(one, None, begun=one is names[2]) for one in names]
    snapshot = a_snapshot(
        attempts=tuple(names), workers=(a_view("gpu7-812-4f2a9c", running, jobs=1),)
    )
    lines = [line for line in screen_of(snapshot, 100, 30) if "gpu7 4f2a9c" in line][:3]
    assert [line.split()[0] for line in lines] == ["5", "3", "4"]
    assert ["queued" in line for line in lines] == [False, True, True]
    begun = [one["begun"] for one in snapshot_json(snapshot)["running"]]
    assert begun == [True, False, False]


def test_what_has_failed_has_no_rank() -> None:
    history = [
        counted(0, None, Outcome.FAILED, settings(0)),
        counted(1, 0.9, params=settings(1)),
    ]
    snapshot = a_snapshot(history=history)
    assert [row["rank"] for row in snapshot_json(snapshot)["ranking"]] == [1, None]
    lines = [line.split() for line in text_of(final_table(snapshot, 100), 100).splitlines()]
    assert [line[0] for line in lines if "0.9000" in line or "failed" in line][:2] == ["★", "–"]


def test_the_reason_of_the_end_keeps_its_capital_letters() -> None:
    finished = Finished(study="s1", reason="its trial failed: OSError: No GPU", trials=1, elapsed=2)
    lines = text_of(final_table(a_snapshot(finished=finished), 100), 100).splitlines()
    assert any(line.strip() == "Finished: its trial failed: OSError: No GPU" for line in lines)


def test_unknown_progress_looks_like_neither_none_nor_all() -> None:
    assert progress_bar(None, 10).plain == "╌" * 10
    assert progress_bar(math.nan, 10).plain == "╌" * 10
    assert progress_bar(0.0, 10).plain == "─" * 10
    assert progress_bar(0.25, 10).plain == "━━╸" + "─" * 7
    assert progress_bar(1.0, 10).plain == "━" * 10
    assert progress_bar(math.inf, 10).plain == "━" * 10
    assert progress_bar(-1.0, 10).plain == "─" * 10


def test_workers_show_host_device_images_and_silence() -> None:
    names = [taken(1, "gpu7-812-4f2a9c"), taken(2, "gpu7-812-4f2a9c")]
    workers = (
        a_view("gpu7-812-4f2a9c", [progress_of(n, 0.5) for n in names], jobs=2),
        a_view("slow-1-aaaaaa", silence=5.0),
        a_view("dead-1-bbbbbb", silence=31.0),
        a_view("bad-1-cccccc", silence=4000.0, state="gave up", trouble="no CUDA\x1b[2J device"),
        a_view("ancient-1-dddddd", silence=2000.0),
        WorkerView("mute-12-eeeeee", None, 1.0),
    )
    lines = screen_of(a_snapshot(attempts=tuple(names), workers=workers), 100, 40)
    start = next(i for i, line in enumerate(lines) if line.startswith("Workers"))
    rows = [line.split() for line in lines[start + 1 : start + 6]]
    # In trouble first.
    assert [row[1] for row in rows] == ["bad", "slow", "gpu7", "mute", "dead"]
    assert "! bad cccccc cuda:0 1 job gave up: no CUDA�[2J device" in " ".join(rows.pop(0))
    assert rows[0][-2:] == ["silent", "5s"]
    assert " ".join(rows[1]).startswith(
        "● gpu7 4f2a9c cuda:0 2 jobs working 16.2k img/s seen 0s ago trials 1, 2"
    )
    assert rows[2][-6:-3] == ["eeeeee", "no", "beat"]
    assert rows[3][0] == "✗"
    assert not any("ancient" in line for line in lines)


def test_one_look_says_nothing_of_when_a_worker_or_the_master_was_last_heard() -> None:
    beat = MasterBeat(host="h", pid=1, counter=1, state="running", elapsed=1.0, limits=Limits())
    view = replace(a_view("gpu7-812-4f2a9c"), silence=0.0, heard=False)
    snapshot = a_snapshot(workers=(view,), master=beat, master_heard=False)
    text = text_of(status_text(snapshot, 100))
    assert "running, as its master said last" in text
    assert "Workers  1  as they said last" in text
    assert "ago" not in text
    assert snapshot_json(snapshot)["workers"][0]["silence"] is None
    # Of one that is watched, and was not heard, it is known how long.
    watched = replace(snapshot, workers=(replace(view, silence=9.0),))
    assert "silent 9s" in text_of(status_text(watched, 100))
    assert snapshot_json(watched)["workers"][0]["silence"] == 9.0


def test_events_have_the_time_of_day_and_the_newest_is_last() -> None:
    events = tuple(Event(3600.0 + i, "lost", f"event {i}") for i in range(200))
    lines = screen_of(a_snapshot(events=events), 80, 24)
    assert lines[-1].split() == ["01:03:19", "?", "event", "199"]
    assert lines[-2].split() == ["01:03:18", "?", "event", "198"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "waiting for workers"),
        ({"workers": (a_view("gpu7-812-4f2a9c"),)}, "running"),
        ({"attempts": (taken(1, "gpu7-812-4f2a9c"),)}, "running"),
        ({"attempts": (AttemptName(3, 1, Purpose.TEST),)}, "testing the winner"),
        ({"finished": Finished(reason="all 3", trials=3, elapsed=1.0)}, "finished: all 3"),
        (
            {"finished": Finished(reason="no luck", failed=True, trials=3, elapsed=1.0)},
            "failed: no luck",
        ),
        ({"master_silence": 45.0}, "master silent for 45s"),
        ({"master": "stopped", "master_silence": 45.0}, "master stopped"),
    ],
)
def test_the_state_of_a_study_in_words(changes: dict[str, Any], words: str) -> None:
    if "master" in changes:
        changes["master"] = MasterBeat(
            host="h", pid=1, counter=1, state=changes["master"], elapsed=1.0, limits=Limits()
        )
    snapshot = a_snapshot(**changes)
    assert describe_state(snapshot) == words
    assert screen_of(snapshot, 100, 30)[0].rstrip().endswith(f"● {words}")


def test_the_estimate_takes_the_nearest_limit() -> None:
    history = [counted(i) for i in range(10)]
    limits = Limits(trials=40, time_limit=1000.0)
    snapshot = a_snapshot(history=history, limits=limits, elapsed=900.0, trials_per_second=0.1)
    assert eta_seconds(snapshot) == 100.0
    snapshot = a_snapshot(history=history, limits=limits, elapsed=100.0, trials_per_second=0.1)
    assert eta_seconds(snapshot) == pytest.approx(300.0)
    snapshot = a_snapshot(history=history, limits=Limits(target=1.0), trials_per_second=0.1)
    assert eta_seconds(snapshot) is None
    assert "ETA" not in "".join(screen_of(snapshot, 120, 40))


def test_so_many_trials_are_planned_as_the_sampler_or_the_limit_gives() -> None:
    repeated = a_study(repeats=2)
    assert planned_trials(a_snapshot(repeated, size=28, limits=Limits())) == 56
    assert planned_trials(a_snapshot(repeated, size=28, limits=Limits(trials=9))) == 9
    assert planned_trials(a_snapshot(limits=Limits())) is None


# -- it cannot be tricked ------------------------------------------------------------------

HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold red]x[/] \x9b31m\u202eabc\u2028\x00\x7f\ud800"


def test_clean_replaces_control_characters_and_nothing_else() -> None:
    assert clean("a\x1b[31mb\x07\x9b\u202e\x00\x7f") == "a�[31mb����" + "�"
    assert clean("one\ntwo\tthree") == "one two three"
    assert clean("日本 é ± [bold]x[/bold] :smile:") == "日本 é ± [bold]x[/bold] :smile:"
    assert len(clean("x" * 10**6)) < 1000


def test_nothing_from_the_share_is_taken_for_markup_or_control() -> None:
    study = a_study(metric=HOSTILE, params={"p": ["a", "b"], HOSTILE: ["a", "b"]}, repeats=1)
    counts = HOSTILE.encode(errors="replace").decode()  # half a surrogate is in no history
    failure = Failure(message=counts, traceback=counts, output=counts)
    failed = counted(1, None, Outcome.FAILED, {"p": "b"}, failure)
    good = counted(0, 0.5, params={"p": counts, counts: counts})
    name = taken(5, "gpu7-812-4f2a9c")
    view = a_view(
        "gpu7-812-4f2a9c",
        [progress_of(name, 0.5), Progress(file=HOSTILE, study="s1")],
        host=HOSTILE,
        device=HOSTILE,
    )
    snapshot = a_snapshot(
        study,
        [good, failed],
        attempts=(name,),
        workers=(view,),
        events=(Event(0.0, "failed", HOSTILE), Event(0.0, HOSTILE, HOSTILE)),
        finished=Finished(reason=HOSTILE, trials=2, elapsed=1.0),
    )
    file = a_file(1, [0.1], failed.result, params={"p": HOSTILE})
    lost = AttemptName(1, 1, worker="gpu7-812-4f2a9c", state=State.LOST)
    views: list[RenderableType] = [
        render(snapshot, 160, 40),
        final_table(snapshot, 160),
        final_table(a_snapshot(study, [failed]), 160),
        status_text(snapshot, 160),
        trial_detail(snapshot, [(lost, file)], 160),
    ]
    for view_ in views:
        out = io.StringIO()
        Console(width=160, height=60, file=out, color_system=None).print(view_)
        text = out.getvalue()
        assert not any(c in text for c in HOSTILE if not c.isprintable())
        assert "[bold red]x[/]" in text
        text.encode()  # a lone surrogate would raise
    lines = [plain_progress(snapshot), *map(plain_event, snapshot.events)]
    assert all(line.isprintable() for line in lines)


def test_numbers_from_the_share_that_are_no_numbers_break_nothing() -> None:
    name = taken(5, "gpu7-812-4f2a9c")
    nan, inf = math.nan, math.inf
    progress = progress_of(name, nan, images_per_second=inf, seconds=nan)
    history = [
        counted(0, 1e308, params={"lr": 1e308}),
        counted(1, -1e308, params={"lr": 5e-324}),
        counted(2, 5e-324, params={"lr": 10**400, "n": -(10**40)}),
    ]
    snapshot = a_snapshot(
        history=history,
        attempts=(name,),
        files={name: a_file(5, [nan, inf, -inf, 1e308, -1e308])},
        workers=(a_view("gpu7-812-4f2a9c", [progress]),),
        elapsed=nan,
        limits=Limits(target=nan, trials=3, time_limit=1e300),
        trials_per_second=nan,
    )
    for width, height in SIZES:
        assert len(screen_of(snapshot, width, height)) <= height
    text_of(final_table(snapshot, 100))
    plain_progress(snapshot)
    json.dumps(snapshot_json(snapshot), allow_nan=False)


# -- curves --------------------------------------------------------------------------------


def test_a_sparkline_goes_from_its_least_to_its_greatest_value() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([-300.0, 0.0, 300.0], 8) == "▁▅█"
    assert sparkline([3, 2, 1], 8) == "█▅▁"


def test_a_constant_sparkline_is_in_the_middle() -> None:
    assert sparkline([0.5, 0.5, 0.5], 8) == "▄▄▄"
    assert sparkline([0.5], 8) == "▄"
    assert sparkline([], 8) == ""
    assert sparkline([1, 2], 0) == ""


def test_a_sparkline_marks_what_is_not_finite_and_scales_by_the_rest() -> None:
    nan, inf = math.nan, math.inf
    assert sparkline([0.0, nan, 1.0, inf, -inf], 8) == "▁×█××"
    assert sparkline([nan, inf], 8) == "××"
    assert sparkline([-1.7e308, 0.0, 1.7e308], 8) == "▁▅█"


def test_a_long_curve_is_thinned_to_the_width() -> None:
    line = sparkline([float(i) for i in range(1000)], 16)
    assert len(line) == 16
    assert list(line) == sorted(line)
    assert (line[0], line[-1]) == ("▁", "█")
    assert sparkline([0.0, 0.0, 1.0, math.nan], 2) == "▁█"


# -- numbers -------------------------------------------------------------------------------


def test_numbers_are_as_long_as_they_are_worth() -> None:
    assert [short_number(n) for n in (0, 512, 8123, 160362, 999_950, 2.5e6, 3e9)] == [
        *("0", "512", "8.12k", "160k", "1.00M", "2.50M", "3.00G")
    ]
    assert [format_value(v) for v in (0.98712, 12.3456, 0.00381234, -1.5, None)] == [
        *("0.9871", "12.346", "0.003812", "-1.5000", "–")
    ]
    assert [format_scalar(v) for v in (0.0512345, 1e-05, 160, True, None, "sgd", "")] == [
        *("0.05123", "1e-05", "160", "true", "null", "sgd", '""')
    ]


def test_a_small_value_is_not_shown_as_zero() -> None:
    values = (4.468e-09, 0.000912345, 0.00012, -2e-05, 0.0)
    assert [format_value(v) for v in values] == [
        *("4.468e-09", "0.0009123", "0.0001200", "-2e-05", "0.0000")
    ]
    assert [format_value(v, 4) for v in (*values[:2], 0.9871, 0.0123)] == [
        *("4.468e-09", "0.0009123", "0.9871", "0.0123")
    ]


@pytest.mark.parametrize("best", [4.468e-09, 0.0])
def test_values_of_very_different_sizes_can_stand_in_one_column(best: float) -> None:
    study = a_study(metric="loss", direction="minimize")
    history = [counted(i, v) for i, v in enumerate([0.0381, 4.468e-09, 0.0009, best])]
    snapshot = a_snapshot(study, history)
    text = text_of(final_table(snapshot, 100))
    shown = "4.468e-09" if best else "0.0000"
    assert f"Best: loss {shown}" in text
    rows = [line.replace("★", "").split() for line in text.split("\n") if "160k" in line]
    assert [row[2] for row in rows] == [shown, "4.468e-09", "0.0009", "0.0381"]
    assert f"best loss {shown}" in plain_progress(snapshot)


def test_a_spread_has_the_decimals_of_its_value_unless_they_show_nothing() -> None:
    def shown(values: list[float]) -> str:
        history = [counted(i, v, params={"lr": 0.05}, repeat=i) for i, v in enumerate(values)]
        return text_of(best_text(a_snapshot(a_study(repeats=2), history), 100))

    assert "0.9871 ± 0.0007 over" in shown([0.9866, 0.9876])
    assert "0.9871 ± 1.4e-05 over" in shown([0.98711, 0.98713])
    assert "4.468e-09 ± 1.4e-10 over" in shown([4.368e-09, 4.568e-09])


def test_attempts_that_came_to_nothing_are_counted_by_why() -> None:
    history = [
        counted(0, attempt=4, failed_on=["w-1"]),
        counted(1, attempt=2, failed_on=["w-1"]),
        counted(2),
    ]
    again = [counted(0, attempt=9), a_test_of(0, 0.9)]
    snapshot = a_snapshot(history=[*history, *again])
    assert (snapshot.history.taken_back, snapshot.history.retried) == (2, 2)
    text = "\n".join(screen_of(snapshot, 120, 30))
    assert "3 complete · 2 lost or given back · 2 failed and tried again" in text


# -- the end -------------------------------------------------------------------------------


def test_the_final_table_names_the_ten_best_and_the_winner() -> None:
    setting = {"lr": 0.0512345, "batch_size": 64, "optimizer": "sgd", "epochs": 12}
    study = a_study(repeats=2)
    history = [counted(i, 0.5 + i / 100, params={"lr": i / 100}) for i in range(12)]
    history += [counted(20 + i, 0.98 + 0.01 * i, params=setting, repeat=i) for i in range(2)]
    history += [counted(30, None, Outcome.FAILED, {"lr": 0.9}), a_test_of(20, 0.9812, setting)]
    text = text_of(final_table(a_snapshot(study, history), 100))
    assert "and 4 more" in text
    lines = text.split("\n")
    header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["#", "trial"])
    assert lines[header + 11].strip() == "and 4 more"
    assert "Best: val_accuracy 0.9850 ± 0.0071 over 2 repeats, test accuracy 0.9812" in text
    assert "lr 0.05123, batch_size 64, optimizer sgd, epochs 12" in text
    assert "trials 20, 21, trained by gpu7-812-4f2a9c (cuda:0) in 1m02s each" in text
    assert "15/40 trials in 4m05s: 14 complete · 1 failed" in text


def test_the_final_table_of_a_study_that_failed_says_why() -> None:
    failure = Failure(message="ValueError: no such optimizer")
    history = [counted(i, None, Outcome.FAILED, failure=failure) for i in range(3)]
    done = Finished(reason="all failed", failed=True, trials=3, elapsed=9.0)
    snapshot = a_snapshot(history=history, finished=done)
    text = text_of(final_table(snapshot, 100))
    assert text_of(best_text(snapshot, 100)) in text
    assert "No configuration has a result." in text
    assert "The last failure: ValueError: no such optimizer" in text
    assert "Failed: all failed" in text
    assert "★" not in text


def test_a_status_shows_all_that_runs_however_much_it_is() -> None:
    text = text_of(status_text(a_busy_snapshot(50, 60, 55), 100))
    assert "and 30 more" in text
    assert text.count("img/s") == 55 + 1
    running = text.split("Running")[1].split("Workers")[0].split("\n")[1:-2]
    assert [int(line.split()[0]) for line in running] == list(range(50, 110))


def test_a_status_of_thousands_says_how_many_more_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "_MOST_ROWS", 5)
    text = text_of(status_text(a_busy_snapshot(3, 60, 55), 100))
    assert ("and 55 more" in text, "and 50 more" in text) == (True, True)
    assert text.count("img/s") == 5 + 1


def test_a_trials_detail_tells_each_attempts_story() -> None:
    failure = Failure(
        message="boom", traceback="Traceback:\n\tline 3", output="epoch 1\r\nepoch 2\n"
    )
    failed = Result(outcome=Outcome.FAILED, steps=2, seconds=9.0, failure=failure)
    good = Result(outcome=Outcome.COMPLETE, value=0.97, steps=30, seconds=61.0)
    params = {"lr": 0.05, "epochs": 12}
    attempts = [
        (
            AttemptName(7, 1, worker="gpu7-812-4f2a9c", state=State.LOST),
            a_file(7, [0.1, 0.5], failed, params=params),
        ),
        (
            AttemptName(7, 2, worker="gpu3-9-bbbbbb", state=State.SEEN),
            a_file(7, [0.97, *(i / 100 for i in range(29))], good, params=params, attempt=2),
        ),
    ]
    shown = text_of(trial_detail(a_snapshot(), attempts, 100))
    text = "\n".join(line.rstrip() for line in shown.split("\n"))
    assert "Trial 7 of mnist" in text
    assert "lr 0.05, epochs 12" in text
    assert "Attempt 1  given up, failed, by gpu7-812-4f2a9c (cuda:0)" in text
    assert "boom" in text
    assert "   Traceback:\n       line 3" in text
    assert "   epoch 1\n   epoch 2" in text
    assert "Attempt 2  counted, complete, by gpu3-9-bbbbbb" in text
    assert "▁█" in text
    assert any(line.split()[:3] == ["★", "0", "0.9700"] for line in text.split("\n"))
    assert "17 earlier steps left out" in text
    assert "complete, val_accuracy 0.9700, 30 steps in 1m01s" in text


def test_a_trial_under_way_and_a_waiting_one_have_a_detail_too() -> None:
    name = taken(7, "gpu7-812-4f2a9c")
    snapshot = a_snapshot(
        attempts=(name,), workers=(a_view("gpu7-812-4f2a9c", [progress_of(name, 0.5)]),)
    )
    text = text_of(trial_detail(snapshot, [(name, a_file(7, [0.1]))], 80))
    assert "Attempt 1  running, by gpu7-812-4f2a9c (cuda:0)" in text
    assert "50%" in text
    unclaimed = AttemptFile(a_trial(8), None, (), None)
    text = text_of(trial_detail(snapshot, [(AttemptName(8, 1), unclaimed)], 80))
    assert "Attempt 1  waiting" in text


# -- for logs and programs -----------------------------------------------------------------


def test_the_plain_line_says_how_the_study_stands() -> None:
    history = [counted(i, 0.9 + i / 1000) for i in range(11)] + [counted(11, 0.98712)]
    names = (taken(12, "gpu7-812-4f2a9c"), taken(13, "gpu3-9-bbbbbb"))
    snapshot = a_snapshot(
        history=history,
        attempts=names,
        workers=(a_view("gpu7-812-4f2a9c"), a_view("gpu3-9-bbbbbb")),
    )
    assert plain_progress(snapshot) == (
        "12/40 trials, best val_accuracy 0.9871 (trial 11), 2 running, 2 workers, "
        "3.1 trials/min, ETA 9m, elapsed 4m05s"
    )
    assert plain_progress(a_snapshot(limits=Limits(), trials_per_second=None)) == (
        "0 trials, 0 running, 0 workers, elapsed 4m05s, waiting for workers"
    )


def test_a_plain_event_is_one_line() -> None:
    assert plain_event(Event(3661.0, "lost", "trial 17\nlost")) == (
        "01:01:01 lost     trial 17 lost"
    )


def test_the_json_is_strict_and_says_what_the_view_says() -> None:
    study = a_study(repeats=2)
    name = taken(9, "gpu7-812-4f2a9c")
    history = [
        counted(0, 0.98, params={"lr": 0.1}),
        counted(1, 0.96, params={"lr": 0.1}, repeat=1),
        counted(2, math.nan, Outcome.DIVERGED, params={"lr": 0.7}),
        a_test_of(0, 0.97, {"lr": 0.1}),
    ]
    snapshot = a_snapshot(
        study,
        history,
        attempts=(name, AttemptName(10, 1)),
        files={name: a_file(9, [0.1, math.nan, 0.3])},
        workers=(a_view("gpu7-812-4f2a9c", [progress_of(name, 0.25)]),),
        events=(Event(1.0, "claimed", "trial 9 claimed"),),
    )
    shown = json.loads(json.dumps(snapshot_json(snapshot), allow_nan=False))
    assert (shown["study"], shown["metric"], shown["direction"]) == (
        "mnist",
        "val_accuracy",
        "maximize",
    )
    assert (shown["state"], shown["reason"]) == ("running", None)
    assert shown["trials"] == {
        "counted": 3,
        "planned": 40,
        "waiting": 1,
        "running": 1,
        "paused": 0,
        "outcomes": {
            "complete": 2,
            "diverged": 1,
            "pruned": 0,
            "failed": 0,
            "timeout": 0,
            "out-of-memory": 0,
        },
        "dropped": [],
        "versions": {},
    }
    first, last = shown["ranking"]
    assert first == {
        "rank": 1,
        "params": {"lr": 0.1},
        "value": pytest.approx(0.97),
        "spread": pytest.approx(0.0141, abs=1e-4),
        "repeats": 2,
        "confirmed": 0,
        "search_saw": None,
        "standing": "complete",
        "reason": None,
        "test_accuracy": 0.97,
        "seconds": 61.5,
        "parameters": 160362.0,
        "trials": [0, 1],
    }
    assert (last["standing"], last["value"], last["params"]) == ("diverged", None, {"lr": 0.7})
    (running,) = shown["running"]
    assert (running["fraction"], running["value"]) == (0.25, 0.3)
    assert running["curve"] == [0.1, None, 0.3]
    assert shown["workers"][0]["images_per_second"] == 8123.0
    assert shown["events"] == [{"at": 1.0, "kind": "claimed", "text": "trial 9 claimed"}]


def test_a_trial_as_json_tells_all_of_each_attempt_and_is_strict() -> None:
    failure = Failure(message="boom", traceback="line 3")
    failed = Result(outcome=Outcome.FAILED, value=math.nan, steps=2, seconds=9.0, failure=failure)
    name = AttemptName(7, 1, worker="gpu7-812-4f2a9c", state=State.LOST)
    attempts = [
        (name, a_file(7, [0.1, math.inf], failed, params={"lr": 0.05})),
        (AttemptName(7, 2), AttemptFile(a_trial(7, attempt=2), None, (), None)),
    ]
    shown = json.loads(json.dumps(trial_json(attempts), allow_nan=False))
    assert (shown["trial"], shown["params"]) == (7, {"lr": 0.05})
    first, second = shown["attempts"]
    assert (first["state"], first["worker"]) == ("lost", "gpu7-812-4f2a9c")
    assert first["reports"][1]["metrics"]["val_accuracy"] is None
    assert first["result"]["outcome"] == "failed"
    assert first["result"]["failure"]["message"] == "boom"
    assert (second["state"], second["claim"], second["result"]) == ("waiting", None, None)


def test_the_json_has_as_many_configurations_as_asked_for() -> None:
    snapshot = a_busy_snapshot(50)
    assert len(snapshot_json(snapshot)["ranking"]) == 20
    assert len(snapshot_json(snapshot, top=3)["ranking"]) == 3
    assert len(snapshot_json(snapshot, top=None)["ranking"]) == 50
    assert snapshot_json(snapshot)["configurations"] == 50


def test_importing_it_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, distune.watch.display; print({'torch', 'numpy', 'optuna'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ},
    )
    assert done.stdout.strip() == "set()"


def test_every_key_of_the_json_is_described_and_no_other() -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    study, trial = (part.split("\n## ")[0] for part in page.split("\n## ")[1:3])
    tree = snapshot_json(a_busy_snapshot())
    assert f"**`version` is {tree['version']}.**" in page
    parts = [tree, *(tree[name][0] for name in ("ranking", "running", "workers"))]
    described = [re.findall(r"^\| (`.*?) \|", part, re.M) for part in study.split("\nEach of ")]
    for part, rows in zip(parts, described, strict=False):
        names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        assert names == list(dict.fromkeys(names))
        assert set(names) == set(part), sorted(set(names) ^ set(part))
    attempt = AttemptName.parse("000003.1.jsonl")
    rows = re.findall(r"^\| (`.*?) \|", trial, re.M)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(trial_json([(attempt, a_file(3, []))])) == sorted(names)
