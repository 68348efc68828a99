"""A study in an Optuna storage is read back by Optuna, value by value."""

from __future__ import annotations

import json
import math
import os
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from distune.errors import UserError
from distune.export.formats import export_table
from distune.export.optuna_bridge import optuna_study
from distune.export.table import TrialTable, trial_rows
from distune.search.ranking import History
from distune.study.trial import Failure, Outcome, Report
from tests.histories import counted, evaluated, history, history_of, reports, study
from tests.test_export_files import CURVES, OWN, odd_history, staged_history

DONE = Outcome.COMPLETE


def bridged(made: History) -> optuna.Study:
    return optuna_study(TrialTable(made))


def storage_of(out: str) -> Any:
    if out.endswith(".log"):
        return JournalStorage(JournalFileBackend(out))
    return out if "://" in out else f"sqlite:///{out}"


def written(made: History, out: Path, curves: Any = CURVES) -> optuna.Study:
    """What Optuna finds where a history was exported to."""
    export_table(TrialTable(made, curves), "optuna", str(out))
    return optuna.load_study(study_name=made.study.name, storage=storage_of(str(out)))


def distribution(spec: Any, *values: Any) -> BaseDistribution:
    """Of a parameter of a space, of which these values were tried; all are there."""
    of = study(params={} if spec is None else {"x": spec}, **OWN)
    made = bridged(history(of, *[({"x": value}, 0.5, DONE) for value in values]))
    found = made.trials[0].distributions["x"]
    assert all(trial.distributions["x"] == found for trial in made.trials)
    return found


@pytest.mark.parametrize("name", ["t.db", "t.log"])
def test_every_trial_is_there_with_what_the_history_says_of_it(tmp_path: Path, name: str) -> None:
    made = odd_history()
    read = written(made, tmp_path / name)
    assert (read.direction, read.metric_names) == (optuna.study.StudyDirection.MINIMIZE, ["loss"])
    states = [TrialState.COMPLETE, *[TrialState.FAIL] * 2, TrialState.PRUNED,
              *[TrialState.FAIL] * 2, TrialState.COMPLETE]  # fmt: skip
    assert [trial.state for trial in read.trials] == states
    assert [trial.value for trial in read.trials] == [0.25, None, None, 0.5, None, None, 0.125]
    for trial, row in zip(read.trials, trial_rows(made), strict=True):
        assert trial.params == {
            key: json.dumps(value) if key == "mixed" else value for key, value in row.params.items()
        }
        assert trial.number == trial.user_attrs["number"] == row.number
        for key in ("attempt", "repeat", "configuration", "seed", "outcome", "worker", "device"):
            assert trial.user_attrs[key] == getattr(row, key)
        assert trial.user_attrs.get("failure") == row.failure
    assert read.best_trial.number == 6
    assert read.best_trial.user_attrs["metrics.=x"] == 1e-300
    assert read.best_trial.user_attrs["test.test_loss"] == 0.5
    assert read.trials[1].user_attrs["metrics.loss"] == "NaN"
    assert read.trials[5].user_attrs["seconds"] == "Infinity"


@pytest.mark.parametrize("name", ["t.db", "t.log"])
def test_curves_are_intermediate_values(tmp_path: Path, name: str) -> None:
    read = written(odd_history(), tmp_path / name)
    assert read.trials[0].intermediate_values == {1: 0.5, 2: 0.25}
    assert repr(read.trials[1].intermediate_values) == "{1: nan, 2: inf, 3: -inf}"
    assert read.trials[3].intermediate_values == {}


def test_a_step_without_the_metric_is_no_intermediate_value() -> None:
    made = history_of(study(**OWN), [counted(0, {}, 0.5)])
    found = optuna_study(TrialTable(made, {0: reports({"other": 1.0}, {"loss": 0.5})}))
    assert found.trials[0].intermediate_values == {2: 0.5}


def test_times_are_those_of_the_study(tmp_path: Path) -> None:
    made = history_of(study(created=1e9, **OWN), [counted(0, {}, 0.5, elapsed=10.0, seconds=4.0)])
    (trial,) = written(made, tmp_path / "t.db").trials
    assert trial.datetime_start is not None
    assert trial.datetime_complete is not None
    assert trial.datetime_complete.timestamp() == 1e9 + 10
    assert trial.duration is not None
    assert trial.duration.total_seconds() == 4.0


def test_repeats_are_trials_with_the_same_params() -> None:
    of = study(params={"x": [1, 2]}, repeats=2, **OWN)
    found = bridged(history(of, *[({"x": n // 2 + 1}, 0.5, DONE) for n in range(4)]))
    assert [trial.params for trial in found.trials] == [{"x": 1}, {"x": 1}, {"x": 2}, {"x": 2}]
    assert [trial.user_attrs["repeat"] for trial in found.trials] == [0, 1, 0, 1]


def test_a_trial_of_a_stage_has_its_name_and_the_range_that_was_searched() -> None:
    trials = bridged(staged_history()).trials
    assert [trial.user_attrs["stage"] for trial in trials] == ["rate"] * 2 + ["fine rate"] * 2
    assert {trial.distributions["lr"] for trial in trials} == {FloatDistribution(0.5, 4, log=True)}
    assert "stage" not in bridged(odd_history()).trials[0].user_attrs


def test_what_stages_choose_from_lists_has_all_their_choices() -> None:
    stages = [{"name": str(n), "params": {"x": [n, n + 1]}} for n in (1, 2)]
    of = study(params={"x": 1}, stages=stages, **OWN)
    (trial,) = bridged(history(of, ({"x": 1}, 0.5, DONE))).trials
    assert trial.distributions["x"] == CategoricalDistribution([1, 2, 3])


def test_its_importances_can_be_asked_for() -> None:
    space = {
        "x": {"type": "float", "low": 0, "high": 1},
        "y": {"type": "float", "low": 0, "high": 1},
    }
    runs = [({"x": n / 50, "y": n * 7 % 50 / 50}, (n / 50) ** 2, DONE) for n in range(50)]
    found = bridged(history(study(params=space, **OWN), *runs))
    importances = optuna.importance.get_param_importances(found)
    assert importances["x"] > importances["y"]


# -- distributions -------------------------------------------------------------------------------

FLOAT = {"type": "float", "low": 0.5, "high": 2.0}
INT = {"type": "int", "low": 1, "high": 9}


@pytest.mark.parametrize(
    ("spec", "values", "expected"),
    [
        (FLOAT, [0.5, 1, 2.0], FloatDistribution(0.5, 2)),
        ({**FLOAT, "log": True}, [0.5], FloatDistribution(0.5, 2, log=True)),
        ({**FLOAT, "step": 0.5}, [1.5], FloatDistribution(0.5, 2, step=0.5)),
        ({**FLOAT, "step": 0.4}, [0.9, 1.7], FloatDistribution(0.5, 1.7, step=0.4)),
        ({"type": "float", "low": 0.1, "high": 0.3, "step": 0.1}, [0.3, 0.2],
         FloatDistribution(0.1, 0.3, step=0.1)),
        (INT, [1, 9], IntDistribution(1, 9)),
        ({**INT, "log": True}, [3], IntDistribution(1, 9, log=True)),
        ({**INT, "step": 3}, [4, 7], IntDistribution(1, 7, step=3)),
        (["a", "b"], ["b"], CategoricalDistribution(["a", "b"])),
        ([True, False], [False], CategoricalDistribution([True, False])),
        ([None, 5], [None], CategoricalDistribution([None, 5])),
        (7, [7], CategoricalDistribution([7])),
        # What a list of settings may have beside the space.
        (FLOAT, [3.0], FloatDistribution(0.5, 3)),
        ({**FLOAT, "log": True}, [0.25], FloatDistribution(0.25, 2, log=True)),
        ({**FLOAT, "log": True}, [-1.0], FloatDistribution(-1, 2)),
        ({**FLOAT, "step": 0.5}, [0.7], FloatDistribution(0.5, 2)),
        (FLOAT, ["1.0"], CategoricalDistribution(["1.0"])),
        (INT, [12], IntDistribution(1, 12)),
        ({**INT, "log": True}, [0], IntDistribution(0, 9)),
        ({**INT, "step": 3}, [2], IntDistribution(1, 9)),
        (INT, [2.5], FloatDistribution(1, 9)),
        (INT, [True], CategoricalDistribution([True])),
        (INT, [None, 3], CategoricalDistribution([None, 3])),
        ([8, 16], [32], CategoricalDistribution([8, 16, 32])),
        (None, [3, 1], IntDistribution(1, 3)),
        (None, [3, 0.5], FloatDistribution(0.5, 3)),
        (None, ["a", None], CategoricalDistribution(["a", None])),
        # What Optuna would take for one choice.
        ([1, True, 1.0], [True], CategoricalDistribution(["1", "true", "1.0"])),
        ([0, False, "0"], ["0"], CategoricalDistribution(["0", "false", '"0"'])),
        # Beyond what floats can tell apart, or reach.
        (None, [2**53 + 1, 0], FloatDistribution(0, 2**53)),
        (None, [10**400, 1], CategoricalDistribution([str(10**400), "1"])),
    ],
)  # fmt: skip
def test_a_parameter_has_the_distribution_of_the_space_or_one_that_has_its_values(
    spec: Any, values: list[Any], expected: BaseDistribution
) -> None:
    assert distribution(spec, *values) == expected


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-9, 9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)  # fmt: skip
NUMBERS = st.floats(-1e6, 1e6)
SPECS = st.one_of(
    st.none(),
    st.lists(SCALARS, min_size=1, max_size=4, unique_by=lambda v: (type(v), v)),
    st.tuples(NUMBERS, NUMBERS, st.booleans(), st.none() | st.floats(0.1, 1e3)).map(
        lambda t: {"type": "float", "low": min(t[0], t[1]), "high": max(t[0], t[1]),
                   "log": t[2] and min(t[0], t[1]) > 0 and t[3] is None,
                   **({} if t[3] is None or abs(t[1] - t[0]) / t[3] > 1e5 else {"step": t[3]})}
    ),
    st.tuples(st.integers(-99, 99), st.integers(0, 99), st.none() | st.integers(1, 9)).map(
        lambda t: {"type": "int", "low": t[0], "high": t[0] + t[1],
                   **({"log": t[0] > 0} if t[2] is None else {"step": t[2]})}
    ),
)  # fmt: skip


@given(SPECS, st.lists(SCALARS, max_size=4), st.lists(st.integers(0, 10**6), max_size=3))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_whatever_a_parameter_was_it_is_told_apart_from_what_it_was_not(
    spec: Any, values: list[Any], drawn: list[int]
) -> None:
    of = study(params={} if spec is None else {"x": spec}, **OWN)
    if spec is not None and (grid := of.params["x"].grid()):
        values = [*values, *(grid[index % len(grid)] for index in drawn)]
    made = history(of, *[({"x": value}, 0.5, DONE) for value in values])
    for trial, value in zip(bridged(made).trials, values, strict=True):
        found, as_read = trial.distributions["x"], trial.params["x"]
        if isinstance(found, CategoricalDistribution):
            as_read = found.to_external_repr(found.to_internal_repr(as_read))
            assert repr(as_read) in (repr(value), repr(json.dumps(value)))
        else:
            internal = found.to_internal_repr(as_read)
            assert found._contains(internal)
            assert internal == float(value)
            if isinstance(found, IntDistribution):
                assert found.to_external_repr(internal) == value


# -- storages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.db", "t.log"])
def test_a_study_that_is_there_already_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    first = history_of(study(**OWN), [counted(0, {}, 0.5)])
    written(first, tmp_path / name)
    with pytest.raises(UserError, match=r"has a study 'digits' already, .* first remove the file"):
        export_table(TrialTable(odd_history(), CURVES), "optuna", str(tmp_path / name))
    again = optuna.load_study(study_name="digits", storage=storage_of(str(tmp_path / name)))
    assert [trial.value for trial in again.trials] == [0.5]


@pytest.mark.parametrize("name", ["t.db", "t.log"])
def test_another_study_is_added_to_those_that_are_there(tmp_path: Path, name: str) -> None:
    written(history_of(study(**OWN), [counted(0, {}, 0.5)]), tmp_path / name)
    other = history_of(study("letters", **OWN), [counted(0, {}, 0.25)])
    assert [trial.value for trial in written(other, tmp_path / name).trials] == [0.25]
    storage = storage_of(str(tmp_path / name))
    assert set(optuna.get_all_study_names(storage)) == {"digits", "letters"}


class Broken(dict[int, Sequence[Report]]):
    """Curves of which one cannot be had."""

    def __missing__(self, number: int) -> Sequence[Report]:
        raise KeyboardInterrupt

    def get(self, number: int, default: Any = None) -> Any:
        return self[number]


@pytest.mark.parametrize("name", ["t.db", "t.log"])
def test_of_an_export_that_is_stopped_nothing_remains(tmp_path: Path, name: str) -> None:
    half = Broken({0: (), 1: ()})
    with pytest.raises(KeyboardInterrupt):
        export_table(TrialTable(odd_history(), half), "optuna", str(tmp_path / name))
    assert os.listdir(tmp_path) == []
    written(history_of(study("letters", **OWN), []), tmp_path / name)
    with pytest.raises(KeyboardInterrupt):
        export_table(TrialTable(odd_history(), half), "optuna", str(tmp_path / name))
    assert optuna.get_all_study_names(storage_of(str(tmp_path / name))) == ["letters"]


def test_a_url_is_taken_as_optuna_takes_it_and_named_without_its_password(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a b%3F.db"
    said = export_table(TrialTable(odd_history(), CURVES), "optuna", url)
    assert said.endswith(f"optuna-dashboard '{url}'")
    assert os.listdir(tmp_path) == ["a b?.db"]
    with pytest.raises(UserError, match=r"cannot use the Optuna storage nosuch://me:\*\*\*@host/x"):
        export_table(TrialTable(odd_history(), CURVES), "optuna", "nosuch://me:secret@host/x")


@pytest.mark.parametrize("name", ["a b?.db", "100%25.db", "x&y=#.db", "naïve 日本.db", "t.log"])
def test_what_is_said_to_look_with_opens_the_file_that_was_written(
    tmp_path: Path, name: str
) -> None:
    said = export_table(TrialTable(odd_history(), CURVES), "optuna", str(tmp_path / name))
    (storage,) = shlex.split(said.partition("optuna-dashboard ")[2])
    read = optuna.load_study(study_name="digits", storage=storage_of(storage))
    assert len(read.trials) == 7
    assert os.listdir(tmp_path) == [name]


def test_a_database_gets_the_study_once(tmp_path: Path) -> None:
    url = f"sqlite+pysqlite:///{tmp_path}/t.db"
    made = odd_history()
    assert export_table(TrialTable(made, CURVES), "optuna", url) == (
        f"wrote 7 trials to {url}; look at them: optuna-dashboard {url}"
    )
    read = optuna.load_study(study_name="digits", storage=url)
    assert [trial.params for trial in read.trials] == [t.params for t in bridged(made).trials]
    with pytest.raises(UserError, match="optuna delete-study --study-name digits --storage sqlite"):
        export_table(TrialTable(made, CURVES), "optuna", url)


@pytest.mark.parametrize("name", ["t.db", "t.log"])
def test_a_file_that_is_no_storage_is_named_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("something else\n" * 100)
    with pytest.raises(UserError, match=f"cannot use the Optuna storage .*{name}: ") as raised:
        export_table(TrialTable(odd_history(), CURVES), "optuna", str(tmp_path / name))
    assert "\n" not in str(raised.value)
    assert (tmp_path / name).read_text() == "something else\n" * 100


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no folder"):
        export_table(TrialTable(odd_history(), CURVES), "optuna", str(tmp_path / "no" / "t.db"))


def test_nothing_is_warned_of(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="error"):
        space = {"x": {"type": "float", "low": 0, "high": 1, "step": 0.3}}
        made = history(study(params=space, **OWN), ({"x": 0.9}, 0.5, DONE))
        assert written(made, tmp_path / "t.db", {}).best_params == {"x": 0.9}


def test_a_failure_and_a_value_that_is_not_finite_are_no_values() -> None:
    runs = [
        counted(0, {}, math.nan, Outcome.DIVERGED),
        counted(1, {}, math.inf, DONE),
        counted(2, {}, None, Outcome.TIMEOUT, failure=Failure(message="silent")),
        counted(3, {}, math.nan, Outcome.PRUNED),
    ]
    one = counted(4, {}, 0.5)
    made = history_of(study(**OWN), [*runs, one, evaluated(one, test_loss=math.inf)])
    found = bridged(made).trials
    assert [trial.value for trial in found] == [None, None, None, None, 0.5]
    assert found[4].user_attrs["test.test_loss"] == "Infinity"
