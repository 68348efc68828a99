"""CSV, JSON lines, Parquet and data frames are read back, and have what the history has."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distune.errors import UserError
from distune.export.files import complete, data_frame, write_csv, write_jsonl, write_parquet
from distune.export.formats import export_table
from distune.export.table import Kind, TrialTable, curve_of, span, trial_rows
from distune.search.ranking import History
from distune.study.trial import Counted, Failure, Outcome, Report
from tests.histories import counted, evaluated, history_of, reports, study

OWN: dict[str, Any] = {"objective": "train:train", "metric": "loss", "direction": "minimize"}
SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "layers": {"type": "int", "low": 1, "high": 4},
    "momentum": {"type": "float", "low": 0.0, "high": 1.0, "when": {"optimizer": "sgd"}},
    "width": {"type": "int", "low": 1, "high": 9, "when": {"optimizer": "adam"}},
    "optimizer": ["sgd", "adam"],
    "nesterov": [True, False],
    "mixed": [1, True, "a", None, 0.5],
    "part": [0.5, 1],
}


def odd_history() -> History:
    """Whatever a history can have: one trial of each kind."""
    sgd = {"lr": 0.1, "layers": 2, "momentum": 0.9, "optimizer": "sgd", "nesterov": True,
           "mixed": True, "part": 1}  # fmt: skip
    adam = {"lr": 2, "layers": 3, "width": 7, "optimizer": "adam", "nesterov": False,
            "mixed": 1, "part": 0.5}  # fmt: skip
    many = [
        counted(0, sgd, 0.25, elapsed=9.5, steps=2, metrics={"loss": 0.25, "val/acc": 0.9}),
        counted(1, adam, math.nan, Outcome.DIVERGED, metrics={"loss": math.nan}),
        counted(2, adam, None, Outcome.FAILED, failure=Failure(message='=1+1, "no"\nmemory')),
        counted(3, {**sgd, "lr": 0.2}, 0.5, Outcome.PRUNED, trial={"attempt": 3}),
        counted(4, adam, math.inf, Outcome.DIVERGED, trial={"repeat": 1}),
        counted(5, {}, -math.inf, Outcome.DIVERGED, seconds=math.inf),
        counted(6, {**sgd, "mixed": "a"}, 0.125, metrics={"loss": 0.125, "=x": 1e-300}),
    ]
    made = history_of(study(params=SPACE, **OWN), many)
    made.add(evaluated(many[6], test_loss=0.5))
    return made


CURVES: dict[int, Sequence[Report]] = {
    0: reports({"loss": 0.5, "val/acc": 0.8}, {"loss": 0.25, "val/acc": 0.9}),
    1: reports({"loss": math.nan}, {"loss": math.inf}, {"loss": -math.inf}),
}


def same(a: object, b: object) -> bool:
    """Equal, where NaN equals itself, and 1, 1.0 and True are three."""
    return type(a) is type(b) and (a == b or (a != a and b != b))


# -- rows and columns --------------------------------------------------------------------------


def test_a_row_says_of_a_trial_what_the_history_does() -> None:
    row = trial_rows(odd_history())[6]
    assert (row.number, row.configuration, row.rank, row.outcome) == (6, 6, 1, "complete")
    assert (row.value, row.seconds, row.worker, row.device) == (
        0.125,
        1.5,
        "gpu7-812-4f2a9c",
        "cpu",
    )
    assert (row.metrics, row.test) == ({"loss": 0.125, "=x": 1e-300}, {"test_loss": 0.5})


def test_repeats_are_rows_of_one_configuration_in_the_order_of_their_numbers() -> None:
    runs = [counted(n, {"x": n // 2}, float(value)) for n, value in enumerate([4, 5, 1, 2])]
    rows = trial_rows(history_of(study(repeats=2, **OWN), reversed(runs)))
    assert [(r.number, r.configuration, r.rank) for r in rows] == [
        (0, 0, 2), (1, 0, 2), (2, 2, 1), (3, 2, 1),
    ]  # fmt: skip


def staged_history(repeats: int = 1) -> History:
    """Two settings of the first stage, then two of the second."""
    fine = {"type": "float", "low": 0.5, "high": 4.0, "log": True}
    stages = [
        {"name": "rate", "params": {"lr": [1, 2]}},
        {"name": "fine rate", "params": {"lr": fine}, "sampler": "random", "trials": 2 * repeats},
    ]
    of = study(params={"lr": 1, "layers": 2}, stages=stages, repeats=repeats, **OWN)
    rates = [lr for lr in (1, 2, 1.5, 1.75) for _ in range(repeats)]
    trials = [
        counted(
            number,
            {"lr": lr, "layers": 2},
            float(lr),
            trial={"configuration": number // repeats, "repeat": number % repeats},
        )
        for number, lr in enumerate(rates)
    ]
    return history_of(of, trials)


def test_a_trial_says_which_stage_it_belongs_to_and_without_stages_none() -> None:
    stages = ["rate"] * 2 + ["fine rate"] * 2
    assert [row.stage for row in trial_rows(staged_history())] == stages
    twice = [row.stage for row in trial_rows(staged_history(repeats=2))]
    assert twice == [stage for stage in stages for _ in range(2)]
    assert {row.stage for row in trial_rows(odd_history())} == {None}


def test_the_stage_is_in_every_file_and_empty_without_stages(tmp_path: Path) -> None:
    made, out = staged_history(), io.StringIO()
    stages = ["rate", "rate", "fine rate", "fine rate"]
    write_parquet(TrialTable(made), tmp_path / "t.parquet")
    write_jsonl(TrialTable(made), out)
    assert [row["stage"] for row in csv.DictReader(io.StringIO(as_csv(made)))] == stages
    assert pandas.read_parquet(tmp_path / "t.parquet")["stage"].tolist() == stages
    assert [json.loads(line)["stage"] for line in out.getvalue().splitlines()] == stages
    assert data_frame(TrialTable(made))["stage"].tolist() == stages
    assert {row["stage"] for row in csv.DictReader(io.StringIO(as_csv(odd_history())))} == {""}
    assert data_frame(TrialTable(odd_history()))["stage"].isna().all()


def test_a_column_does_not_change_its_kind_when_another_stage_begins() -> None:
    first = history_of(staged_history().study, staged_history().trials[:1])
    for made in (first, staged_history()):
        kinds = {column.name: column.kind for column in TrialTable(made).columns}
        assert (kinds["params.lr"], kinds["params.layers"]) == (Kind.NUMBER, Kind.INTEGER)
        assert kinds["stage"] is Kind.TEXT


@pytest.mark.parametrize(
    ("spec", "values", "kind"),
    [
        (None, [1, None], Kind.INTEGER),
        (None, [1, 0.5], Kind.NUMBER),
        (None, [True, None, False], Kind.BOOLEAN),
        (None, [True, 1], Kind.TEXT),
        (None, [1, "1"], Kind.TEXT),
        (None, [2**63 - 1, -(2**63)], Kind.INTEGER),
        (None, [2**63], Kind.TEXT),
        (None, [2**53, 0.5], Kind.NUMBER),
        (None, [2**53 + 1, 0.5], Kind.TEXT),
        (None, [10**400, 0.5], Kind.TEXT),
        (None, [None], Kind.TEXT),
        ({"type": "float", "low": 0, "high": 9}, [1, 2], Kind.NUMBER),
        ({"type": "int", "low": 0, "high": 9}, [], Kind.INTEGER),
        ([8, 16, "all"], [8, 16], Kind.TEXT),
        ([None, 5000], [None, None], Kind.INTEGER),
        ([True, False], [True], Kind.BOOLEAN),
    ],
)
def test_a_column_is_as_wide_as_its_values_and_its_space_need(
    spec: Any, values: list[Any], kind: Kind
) -> None:
    of = study(params={} if spec is None else {"x": spec}, **OWN)
    made = history_of(of, [counted(n, {"x": value}) for n, value in enumerate(values)])
    (column,) = (c for c in TrialTable(made).columns if c.name == "params.x")
    assert column.kind is kind


def test_params_metrics_and_tests_of_the_same_name_have_columns_of_their_own() -> None:
    one = counted(0, {"value": 1, "x": 2}, 0.5, metrics={"value": 3.0, "x": 4.0})
    made = history_of(study(**OWN), [one])
    made.add(evaluated(one, x=5.0))
    frame = data_frame(TrialTable(made))
    named = ["value", "params.value", "metrics.value", "params.x", "metrics.x", "test.x"]
    assert frame[named].iloc[0].tolist() == [0.5, 1, 3.0, 2, 4.0, 5.0]


def test_a_step_says_its_number_its_seconds_and_its_metrics() -> None:
    steps = reports({"loss": 0.5, "seconds": 0.5}, {"loss": 0.25, "step": 7.0, "seconds": 9.0})
    assert curve_of(steps) == [
        {"step": 1, "seconds": 0.5, "loss": 0.5},
        {"step": 2, "seconds": 1.0, "loss": 0.25, "metrics.step": 7.0, "metrics.seconds": 9.0},
    ]


def test_a_training_ends_when_it_was_counted_on_the_clock_of_the_master() -> None:
    of = study(created=1e9, **OWN)
    assert span(of, 4.0, 10.0) == (1e9 + 6, 1e9 + 10)
    assert span(of, 4.0, None) == (1e9, 1e9 + 4)


@pytest.mark.parametrize("created", [-1.0, 1e300, math.nan, math.inf])
@pytest.mark.parametrize("seconds", [-1.0, 1e300, math.nan, math.inf])
def test_clocks_of_nonsense_give_some_time_that_calendars_have(
    created: float, seconds: float
) -> None:
    of = study(**OWN).model_copy(update={"created": created})
    began, ended = span(of, seconds, seconds)
    assert 0 <= began <= ended
    assert pandas.Timestamp.fromtimestamp(ended).year < 10_000


# -- read back -----------------------------------------------------------------------------------


def as_csv(made: History) -> str:
    out = io.StringIO()
    write_csv(TrialTable(made), out)
    return out.getvalue()


def test_pandas_reads_the_csv_as_what_it_was(tmp_path: Path) -> None:
    made = odd_history()
    frame = data_frame(TrialTable(made))
    (tmp_path / "t.csv").write_text(as_csv(made))
    read = pandas.read_csv(tmp_path / "t.csv", dtype=frame.dtypes.to_dict())
    text = '=1+1, "no"\nmemory'
    expected = frame.assign(failure=frame["failure"].replace({text: f"'{text}"}))
    pandas.testing.assert_frame_equal(read, expected, check_exact=True)


def test_in_csv_a_value_that_is_not_a_number_is_told_from_one_that_is_missing() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(odd_history())), strict=True))
    assert [row["value"] for row in rows] == ["0.25", "nan", "", "0.5", "inf", "-inf", "0.125"]
    assert [row["params.mixed"] for row in rows] == ["True", "1", "1", "True", "1", "", "a"]


def test_parquet_keeps_every_type_and_tells_nan_from_missing(tmp_path: Path) -> None:
    made = odd_history()
    write_parquet(TrialTable(made), tmp_path / "t.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    types = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert [types[f"params.{name}"] for name in SPACE] == [
        "double", "int64", "double", "int64", "string", "bool", "string", "double",
    ]  # fmt: skip
    for column in TrialTable(made).columns:
        read = table.column(column.name).to_pylist()
        assert all(map(same, read, column.values)), column.name
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "t.parquet"), data_frame(TrialTable(made)), check_exact=True
    )


def test_in_a_frame_integers_and_booleans_stay_so_where_some_are_missing() -> None:
    frame = data_frame(TrialTable(odd_history()))
    assert [str(frame[f"params.{name}"].dtype) for name in SPACE] == [
        "float64", "Int64", "float64", "Int64", "str", "boolean", "str", "float64",
    ]  # fmt: skip
    assert str(frame["number"].dtype) == "int64"
    assert frame["failure"].isna().tolist() == [True, True, False, True, True, True, True]


def test_a_line_of_json_has_a_trial_as_it_is_and_its_curve() -> None:
    made, out = odd_history(), io.StringIO()
    write_jsonl(TrialTable(made, CURVES), out)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    lines = [json.loads(line, parse_constant=refuse) for line in out.getvalue().splitlines()]
    for line, row in zip(lines, trial_rows(made), strict=True):
        assert same(line["params"], dict(row.params))
        assert {**line, "value": 0, "metrics": 0, "seconds": 0, "curve": 0} == {
            **vars(row), "value": 0, "metrics": 0, "seconds": 0, "curve": 0
        }  # fmt: skip
    assert [line["value"] for line in lines] == [
        0.25, "NaN", None, 0.5, "Infinity", "-Infinity", 0.125,
    ]  # fmt: skip
    assert lines[0]["curve"] == [
        {"step": 1, "seconds": 0.5, "loss": 0.5, "val/acc": 0.8},
        {"step": 2, "seconds": 1.0, "loss": 0.25, "val/acc": 0.9},
    ]
    assert [step["loss"] for step in lines[1]["curve"]] == ["NaN", "Infinity", "-Infinity"]
    assert lines[2]["curve"] == []


def test_without_a_trial_there_are_the_columns_of_the_space(tmp_path: Path) -> None:
    made = history_of(study(params=SPACE, **OWN), [])
    header = as_csv(made)
    names = ",".join(f"params.{name}" for name in made.study.params)
    assert header.endswith(f",failure,{names}\n")
    write_parquet(TrialTable(made), tmp_path / "t.parquet")
    pandas.testing.assert_frame_equal(
        pandas.read_parquet(tmp_path / "t.parquet"), data_frame(TrialTable(made))
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), TEXT,
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
TRIALS = st.lists(
    st.tuples(
        st.dictionaries(TEXT, SCALARS, max_size=3),
        st.none() | st.floats(),
        st.dictionaries(TEXT, st.floats(), max_size=2),
        st.none() | TEXT,
    ),
    max_size=6,
)


def any_history(
    trials: Sequence[tuple[Mapping[str, Any], float | None, dict[str, float], str | None]],
) -> History:
    many: list[Counted] = [
        counted(
            number,
            dict(params),
            value,
            Outcome.COMPLETE if message is None else Outcome.FAILED,
            metrics=metrics,
            failure=None if message is None else Failure(message=message),
        )
        for number, (params, value, metrics, message) in enumerate(trials)
    ]
    return history_of(study(**OWN), many)


@given(TRIALS)
@settings(deadline=None, derandomize=True, max_examples=100)
def test_whatever_trials_say_is_read_back_from_each_format(trials: Any) -> None:
    made = any_history(trials)
    table = TrialTable(made).columns

    header, *rows = csv.reader(io.StringIO(as_csv(made), newline=""), strict=True)
    assert len(header) == len(table)
    for index, column in enumerate(table):
        for row, value in zip(rows, column.values, strict=True):
            assert means(row[index], value), (column, row[index])

    buffer = io.BytesIO()
    write_parquet(TrialTable(made), buffer)  # type: ignore[arg-type]
    read = pyarrow.parquet.read_table(buffer)
    assert read.column_names == [column.name for column in table]
    for column in table:
        assert all(map(same, read.column(column.name).to_pylist(), column.values)), column

    out = io.StringIO()
    write_jsonl(TrialTable(made), out)
    lines = [json.loads(line) for line in out.getvalue().split("\n")[:-1]]
    for line, trial_row in zip(lines, trial_rows(made), strict=True):
        assert line["params"] == dict(trial_row.params)
        assert line["failure"] == trial_row.failure
        assert list(line["metrics"]) == list(trial_row.metrics)


def means(cell: str, value: Any) -> bool:
    """Whether a cell of CSV stands for a value."""
    if value is None:
        return cell == ""
    if isinstance(value, float):
        return same(float(cell), value)
    text = str(value)
    return cell in (text, f"'{text}", json.dumps(text), json.dumps(f"'{text}"))


def test_of_the_best_settings_alone_all_repeats_are_written_with_their_rank_and_stage() -> None:
    made = staged_history(repeats=2)  # the lower, the better
    rows = trial_rows(made, 2)
    assert [(row.number, row.rank, row.stage, row.params["lr"]) for row in rows] == [
        (0, 1, "rate", 1), (1, 1, "rate", 1), (4, 2, "fine rate", 1.5), (5, 2, "fine rate", 1.5),
    ]  # fmt: skip
    assert trial_rows(made, 99) == trial_rows(made)


def test_each_format_can_have_the_best_settings_alone(tmp_path: Path) -> None:
    def written(format: str) -> Path:
        path = tmp_path / format
        said = export_table(TrialTable(staged_history(), {}, top=2), format, str(path))
        assert "wrote 2 of 4 trials to " in said
        return path

    assert pandas.read_csv(written("csv"))["number"].tolist() == [0, 2]
    assert pandas.read_parquet(written("parquet"))["number"].tolist() == [0, 2]
    lines = written("jsonl").read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 2]
    found = optuna.load_study(study_name=None, storage=f"sqlite:///{written('optuna')}")
    assert [trial.user_attrs["number"] for trial in found.trials] == [0, 2]
    runs = [one.name for one in written("tensorboard").iterdir() if one.is_dir()]
    assert sorted(runs) == ["000000", "000002"]


# -- where it is written -------------------------------------------------------------------------


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("old")

    def fail() -> None:
        with complete(path) as draft:
            draft.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["t.csv"])
    with complete(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    with path.open() as before:
        with complete(path) as draft:
            draft.write_text("newer")
        assert before.read() == "new"  # a reader that had it open reads on in the same one
    assert (path.read_text(), os.listdir(tmp_path)) == ("newer", ["t.csv"])


def test_a_link_stays_a_link_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with complete(tmp_path / "link") as draft:
        draft.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    export_table(TrialTable(odd_history()), "csv", str(tmp_path / "pipe"))
    assert os.read(reader, 100).startswith(b"number,configuration,")
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("", "is a folder: name a file in it with --out"),
        ("nowhere/t.csv", "there is no folder"),
        ("file/t.csv", "there is no folder"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_said_in_a_line(
    tmp_path: Path, out: str, why: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=why) as raised:
        export_table(TrialTable(odd_history()), "csv", str(tmp_path / out))
    assert "\n" not in str(raised.value)
    assert os.listdir(tmp_path) == ["file"]


def test_a_format_that_there_is_not_and_a_pipe_for_what_is_no_text_are_refused() -> None:
    with pytest.raises(UserError, match="no format 'xls'; there are csv, parquet, jsonl, optuna"):
        export_table(TrialTable(odd_history()), "xls", None)
    with pytest.raises(UserError, match="--out - is for csv and jsonl; parquet needs a name"):
        export_table(TrialTable(odd_history()), "parquet", "-")


@pytest.mark.parametrize(
    ("format", "library"),
    [("parquet", "pandas"), ("parquet", "pyarrow"), ("optuna", "optuna"),
     ("tensorboard", "tensorboard")],
)  # fmt: skip
def test_a_library_that_is_missing_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"needs {library} .*pip install 'distune\[export\]'"):
        export_table(TrialTable(odd_history()), format, str(tmp_path / "t"))
    assert os.listdir(tmp_path) == []


def test_csv_and_json_need_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("pandas", "pyarrow", "optuna", "tensorboard", "numpy"):
        monkeypatch.setitem(sys.modules, library, None)
    for format in ("csv", "jsonl"):
        said = export_table(TrialTable(odd_history()), format, str(tmp_path / format))
        assert said == f"wrote 7 trials to {tmp_path / format}"


def test_a_table_tells_how_many_trials_it_has_gone_through() -> None:
    done: list[int] = []
    table = TrialTable(odd_history(), CURVES, top=2, tell=done.append)
    rows = [row.number for row, _ in table.with_curves()]
    assert done == list(range(1, len(rows) + 1))
    assert rows == [row.number for row in table.rows]
