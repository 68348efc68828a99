"""A study in Python: `distune.load`, and a real study exported in every format."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pandas
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import distune
from distune.errors import ShareError, UserError
from distune.share.protocol import AttemptName
from distune.study.trial import Outcome, Purpose
from tests.conftest import Lab, wait_until
from tests.histories import (
    WORKER,
    counted,
    evaluated,
    history_file,
    lines_of,
    reports,
    study,
    write_study,
)
from tests.test_imports import HEAVY, loaded_by

OWN: dict[str, Any] = {"objective": "train:train", "metric": "loss", "direction": "minimize"}
DONE = Outcome.COMPLETE


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A logs directory with one study: trial 1 was pruned, trial 2 failed, 3 is the best."""
    of = study(params={"x": [1, 2, 3, 4]}, **OWN)
    many = [
        counted(0, {"x": 1}, 0.5, steps=2, metrics={"loss": 0.5}),
        counted(1, {"x": 2}, 0.75, Outcome.PRUNED, steps=1),
        counted(2, {"x": 3}, None, Outcome.FAILED, trial={"attempt": 3}),
        counted(3, {"x": 4}, 0.25, steps=2, metrics={"loss": 0.25, "acc": 0.9}),
    ]
    many.append(evaluated(many[3], test_loss=0.375))
    curves = {
        0: reports({"loss": 0.75}, {"loss": 0.5}),
        1: reports({"loss": 0.75}),
        3: reports({"loss": 0.5, "acc": 0.8}, {"loss": 0.25, "acc": 0.9}),
    }
    write_study(tmp_path / "logs" / "digits", of, many, curves)
    return tmp_path / "logs"


def seen_file(logs: Path, number: int) -> Path:
    return logs / "digits" / AttemptName.counted((Purpose.TRAIN, number)).seen_path


def test_a_study_is_loaded_from_its_folder_or_from_the_one_around_it(logs: Path) -> None:
    for found in (
        distune.load(logs / "digits"),
        distune.load(str(logs)),
        distune.load(f"{logs}/digits/"),
        distune.load(logs, "digits"),
    ):
        assert (found.name, found.metric, found.direction) == ("digits", "loss", "minimize")
        assert len(found.trials) == 4


def test_it_can_be_loaded_from_inside(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(logs / "digits")
    assert distune.load(".").name == "digits"


def test_trials_say_what_was_tried_and_what_came_of_it(logs: Path) -> None:
    first, pruned, failed, best = distune.load(logs).trials
    assert (first.number, first.params, first.value, first.outcome) == (0, {"x": 1}, 0.5, DONE)
    assert (pruned.outcome, pruned.value) == ("pruned", 0.75)
    assert (failed.outcome, failed.value, failed.attempt) == ("failed", None, 3)
    assert (best.metrics, best.test) == ({"loss": 0.25, "acc": 0.9}, {"test_loss": 0.375})
    assert (best.seconds, best.worker, best.device) == (1.5, WORKER, "cpu")


def test_the_curve_of_a_trial_is_read_from_its_file_when_it_is_asked_for(logs: Path) -> None:
    found = distune.load(logs)
    assert found.trials[3].curve == [
        {"step": 1, "seconds": 0.5, "loss": 0.5, "acc": 0.8},
        {"step": 2, "seconds": 1.0, "loss": 0.25, "acc": 0.9},
    ]
    assert [step["loss"] for step in found.trials[1].curve] == [0.75]
    assert found.trials[2].curve == []
    seen_file(logs, 0).unlink()  # it was not read before
    assert found.trials[0].curve == []
    assert found.curves.unreadable == [0]


@pytest.mark.parametrize("content", [b"", b"spoilt\n", b'{"kind":"trial"}\n'])
def test_a_spoilt_file_is_a_trial_without_a_curve(logs: Path, content: bytes) -> None:
    seen_file(logs, 3).write_bytes(content)
    found = distune.load(logs)
    assert found.trials[3].curve == []
    assert found.curves.unreadable == [3]


def test_no_worker_is_called_so_that_another_file_is_read(tmp_path: Path) -> None:
    one = counted(0, {}, 0.5, steps=1)
    store = write_study(tmp_path / "digits", study(**OWN), [one], {0: reports({"loss": 0.5})})
    bad = one.replace(worker="../../../other")
    history_file(store).write_anew(lines_of(bad))
    found = distune.load(tmp_path)
    assert (found.trials[0].curve, found.curves.unreadable) == ([], [0])


@pytest.mark.parametrize(
    ("direction", "values", "best"),
    [
        ("minimize", [0.5, 0.25, None, math.nan], 1),
        ("maximize", [0.5, 0.25, None, math.inf], 0),
        ("maximize", [None, math.nan], None),
        ("minimize", [], None),
    ],
)
def test_the_best_trial_is_the_first_of_the_ranking(
    tmp_path: Path, direction: str, values: list[float | None], best: int | None
) -> None:
    of = study(**{**OWN, "direction": direction})
    many = [
        counted(
            number, {"x": number}, value,
            Outcome.FAILED if value is None
            else DONE if math.isfinite(value) else Outcome.DIVERGED,
        )
        for number, value in enumerate(values)
    ]  # fmt: skip
    write_study(tmp_path / "digits", of, many, {})
    found = distune.load(tmp_path).best
    assert (found.number if found else None) == best


def test_with_repeats_it_is_the_best_one_of_the_best_configuration(tmp_path: Path) -> None:
    values = [0.0, 0.9, 0.4, 0.2]  # the first two are a lucky run and another
    many = [
        counted(n, {"x": n // 2}, value, trial={"repeat": n % 2}) for n, value in enumerate(values)
    ]
    write_study(tmp_path / "digits", study(repeats=2, **OWN), many, {})
    found = distune.load(tmp_path)
    assert found.best is not None
    assert (found.best.number, found.best.value) == (3, 0.2)
    assert repr(found) == "<study 'digits': minimize loss, 4 trials, best 0.2 in trial 3>"


def test_a_trial_that_was_pruned_is_not_the_best_where_another_is_complete(tmp_path: Path) -> None:
    many = [
        counted(0, {"x": 1}, 0.5),
        counted(1, {"x": 1}, 0.1, Outcome.PRUNED, trial={"repeat": 1}),
    ]
    write_study(tmp_path / "digits", study(repeats=2, **OWN), many, {})
    assert getattr(distune.load(tmp_path).best, "number", None) == 0


def test_a_study_without_trials_is_one(tmp_path: Path) -> None:
    write_study(tmp_path / "digits", study(params={"x": [1, 2]}, **OWN), [], {})
    found = distune.load(tmp_path)
    assert (found.trials, found.best) == ([], None)
    assert "params.x" in found.to_pandas()
    assert repr(found) == "<study 'digits': minimize loss, 0 trials>"


def test_a_frame_has_the_trials(logs: Path) -> None:
    frame = distune.load(logs).to_pandas()
    assert frame["params.x"].tolist() == [1, 2, 3, 4]
    assert frame.set_index("number").loc[3, "test.test_loss"] == 0.375
    assert frame["rank"].fillna(0).tolist() == [2, 3, 0, 1], "what has failed has none"


def test_what_cannot_be_loaded_is_said_with_what_there_is(logs: Path) -> None:
    write_study(logs / "letters", study("letters", **OWN), [], {})
    for path, name, why in (
        (logs, None, r"2 studies in \S+logs \(digits, letters\): load one, as in distune.load\('"),
        (logs, "digit", r"no study 'digit' in \S+logs \(there: digits, letters\)"),
        (logs / "digts", None, r"no study in \S+digts; \S+logs has digits, letters"),
        (logs / "nowhere" / "digits", None, r"no study in \S+nowhere/digits$"),
        (logs / "digits" / "seen", None, r"no study in \S+digits/seen$"),
    ):
        with pytest.raises(UserError, match=why):
            distune.load(path, name)
    with pytest.raises(ShareError, match="cannot list"):
        distune.load(logs / "digits" / "history.jsonl")
    (logs / "digits" / "study.json").write_text("{}")
    with pytest.raises(UserError, match=r"study\.json cannot be used: "):
        distune.load(logs, "digits")


def test_nothing_is_written_when_a_study_is_loaded(logs: Path) -> None:
    def state() -> list[Any]:
        return [(p, p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(logs.rglob("*"))]

    before = state()
    found = distune.load(logs)
    assert len([trial.curve for trial in found.trials]) == len(found.to_pandas()) == 4
    assert state() == before


def test_importing_and_loading_are_light(logs: Path) -> None:
    assert loaded_by("import distune") & {*HEAVY, "pydantic", "rich"} == set()
    code = f"import distune; distune.load({str(logs)!r}).best.curve[0]"
    assert loaded_by(code) & {*HEAVY, "pyarrow", "tensorboard", "rich"} == set()


# -- a real study --------------------------------------------------------------------------------

OBJECTIVE = """\
import math

def train(params, trial):
    x = params["x"]
    if params["kind"] == "fails":
        raise ValueError("=1+1 is too much")
    for step in range(1, 4):
        loss = math.nan if params["kind"] == "diverges" else (x - 0.3) ** 2 + 1 / step
        yield {"loss": loss, "val/acc": 1 - x}
"""
SPACE = {
    "x": {"type": "float", "low": 0.1, "high": 1.0, "log": True},
    "kind": ["works", "fails", "diverges"],
    "n": {"type": "int", "low": 1, "high": 3, "when": {"kind": "works"}},
}
SETTINGS = [
    {"x": 0.25, "kind": "works", "n": 1},
    {"x": 0.5, "kind": "works", "n": 3},
    {"x": 0.5, "kind": "fails"},
    {"x": 0.5, "kind": "diverges"},
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A study of eight trials, run by a master and a worker to its end."""
    one = Lab(tmp_path_factory.mktemp("real"))
    (one.folder / "train.py").write_text(OBJECTIVE)
    one.write_space(
        params=SPACE, sampler="list", settings=SETTINGS, repeats=2, trials=8, max_attempts=1
    )
    started = one.master(), one.worker()
    assert [process.wait(60) for process in started] == [0, 0], one.log_of(started[0])
    yield one
    one.end()


@pytest.fixture(scope="module")
def written(real: Lab) -> list[dict[str, list[Any]]]:
    """What the lines of each trial's file say, by their kind, as the files have them."""
    found = []
    for path in sorted((real.logs / "space" / "seen").rglob("??????.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        kinds: dict[str, list[Any]] = {}
        for line in lines:
            kinds.setdefault(line["kind"], []).append(line)
        found.append(kinds)
    assert len(found) == 8
    return found


def exported(real: Lab, format: str, name: str) -> str:
    out = str(real.folder / name)
    done = real.run("export", "--format", format, "--out", out)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.startswith("wrote 8 trials to ")
    assert out in done.stdout
    return out


def test_a_loaded_study_has_what_the_files_say(real: Lab, written: list[Any]) -> None:
    found = distune.load(real.logs / "space")
    for trial, kinds in zip(found.trials, written, strict=True):
        (asked,), (result,) = kinds["trial"], kinds["result"]
        assert (trial.number, trial.seed, trial.repeat, trial.params) == (
            asked["number"], asked["seed"], asked["repeat"], asked["params"]
        )  # fmt: skip
        assert (trial.outcome, trial.seconds) == (result["outcome"], result["seconds"])
        reported = kinds.get("report", [])
        assert repr(trial.curve) == repr(
            [
                {
                    "step": line["step"],
                    "seconds": line["seconds"],
                    **{name: float(value) for name, value in line["metrics"].items()},
                }
                for line in reported
            ]
        )
    assert [trial.outcome for trial in found.trials[::2]] == [
        "complete", "complete", "failed", "diverged"
    ]  # fmt: skip
    assert found.best is not None
    assert found.best.params == SETTINGS[0]


def test_csv_parquet_and_json_have_the_same_trials(real: Lab, written: list[Any]) -> None:
    frame = distune.load(real.logs).to_pandas()
    parquet = pandas.read_parquet(exported(real, "parquet", "t.parquet"))
    pandas.testing.assert_frame_equal(parquet, frame, check_exact=True)
    csv = pandas.read_csv(exported(real, "csv", "t.csv"), dtype=frame.dtypes.to_dict())
    pandas.testing.assert_frame_equal(csv, frame, check_exact=True)
    lines = Path(exported(real, "jsonl", "t.jsonl")).read_text().splitlines()
    for line, kinds in zip(map(json.loads, lines), written, strict=True):
        assert line["params"] == kinds["trial"][0]["params"]
        assert line["value"] == kinds["result"][0]["value"]  # also a NaN, which both write so
        assert len(line["curve"]) == len(kinds.get("report", []))
    assert frame["failure"].dropna().tolist() == ["ValueError: =1+1 is too much"] * 2


def test_optuna_has_the_same_trials(real: Lab, written: list[Any]) -> None:
    for name, storage in (
        ("t.db", f"sqlite:///{real.folder}/t.db"),
        ("t.log", JournalStorage(
            JournalFileBackend(str(real.folder / "t.log")))),
    ):  # fmt: skip
        exported(real, "optuna", name)
        found = optuna.load_study(study_name="space", storage=storage)
        for trial, kinds in zip(found.trials, written, strict=True):
            (asked,), (result,) = kinds["trial"], kinds["result"]
            assert trial.params == asked["params"]
            assert trial.value == (result["value"] if result["outcome"] == "complete" else None)
            assert repr(trial.intermediate_values) == repr(
                {line["step"]: float(line["metrics"]["loss"]) for line in kinds.get("report", [])}
            )
            if trial.value is not None:
                assert trial.user_attrs["metrics.val/acc"] == result["metrics"]["val/acc"]


def test_tensorboard_has_the_same_curves(real: Lab, written: list[Any]) -> None:
    folder = Path(exported(real, "tensorboard", "tb"))
    for number, kinds in enumerate(written):
        reader = EventAccumulator(str(folder / f"{number:06d}")).Reload()
        if reported := kinds.get("report"):
            for tag in ("loss", "val/acc"):
                points = [(point.step, point.value) for point in reader.Scalars(tag)]
                assert points == [
                    (line["step"], pytest.approx(float(line["metrics"][tag]), nan_ok=True))
                    for line in reported
                ]


def test_without_a_name_it_is_the_studys_and_a_pipe_has_nothing_but_the_trials(real: Lab) -> None:
    done = real.run("export")
    assert (done.returncode, done.stdout) == (0, "wrote 8 trials to space.csv\n")
    piped = real.run("export", "--out", "-")
    assert piped.stdout == (real.folder / "space.csv").read_text()
    lines = real.run("export", "--format", "jsonl", "--out", "-").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(8))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (
            ["--format", "xls"],
            "no format 'xls'; there are csv, parquet, jsonl, optuna, tensorboard",
        ),
        (["--study", "other"], "no study 'other' in logs (there: space); check --logs and --study"),
        (["--out", "no/t.csv"], "cannot write no/t.csv: there is no folder "),
        (["--out", "logs"], "logs is a folder: name a file in it with --out"),
        (["--format", "tensorboard", "--out", "logs"], "logs has something in it: remove it, or"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(real: Lab, arguments: list[str], why: str) -> None:
    done = real.run("export", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"distune: {why}")
    assert done.stderr.count("\n") == 1


def test_a_trial_whose_file_is_spoilt_is_exported_without_its_curve_and_named(
    real: Lab, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(real.logs, logs)
    (spoilt,) = (logs / "space" / "seen" / "000").glob("000001.*")
    spoilt.write_text("spoilt")
    done = real.run("export", "--logs", str(logs), "--format", "jsonl", "--out", "-")
    assert done.stderr == ("distune: without the curves of trials whose files cannot be read: 1\n")
    curves = [json.loads(line)["curve"] for line in done.stdout.splitlines()]
    assert [len(curve) for curve in curves] == [3, 0, 3, 3, 0, 0, 3, 3]


def test_a_study_can_be_loaded_and_exported_while_it_runs(lab: Lab) -> None:
    lab.write_space(
        trials=9999, params={"x": {"type": "float", "low": 0, "high": 1}, "pause": 0.02}
    )
    master, worker = lab.master(), lab.worker()
    wait_until(lambda: len(lab.seen()) >= 3, what="three trials")
    found = distune.load(lab.logs / "space")
    assert 3 <= len(found.trials) < 9999
    assert all(len(trial.curve) == 3 for trial in found.trials)
    done = lab.run("export", "--format", "jsonl", "--out", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(json.loads(line)["curve"]) == 3 for line in done.stdout.splitlines())
    assert (master.poll(), worker.poll()) == (None, None)
