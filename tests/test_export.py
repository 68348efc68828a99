"""What remains of a study: a table that other programs read, and a winner to train again."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from distune.export.leaderboard import best_space, leaderboard_csv, parameter_names, result_of
from distune.search.ranking import History
from distune.search.staged import make_sampler
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.read import parse_space_file
from distune.study.study import Study, differences
from distune.study.trial import Outcome, trial_seed
from tests.histories import evaluated, history, study, suggested

DONE = Outcome.COMPLETE


def rows(made: History) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(leaderboard_csv(made)), strict=True))


# -- the table -------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_configuration_best_first() -> None:
    lr = {"lr": [0.1, 0.2]}
    made = history(
        study(params=lr, repeats=2),
        ({"lr": 0.1}, 0.5, DONE),
        ({"lr": 0.1}, 0.7, DONE),
        ({"lr": 0.2}, 0.9, DONE),
    )
    assert rows(made) == [
        {"rank": "1", "trials": "0 1", "standing": "full", "val_accuracy": "0.6",
         "spread": "0.1414213562", "repeats": "2", "test_accuracy": "", "seconds": "1.500",
         "parameters": "", "lr": "0.1"},
        {"rank": "2", "trials": "2", "standing": "partial", "val_accuracy": "0.9",
         "spread": "", "repeats": "1", "test_accuracy": "", "seconds": "1.500",
         "parameters": "", "lr": "0.2"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "value", "standing", "shown"),
    [
        (Outcome.PRUNED, 0.25, "pruned", "0.25"),
        (Outcome.DIVERGED, math.nan, "diverged", "nan"),
        (Outcome.FAILED, None, "failed", ""),
    ],
)
def test_a_trial_that_did_not_complete_has_its_row_too(
    outcome: Outcome, value: float | None, standing: str, shown: str
) -> None:
    (row,) = rows(history(study(), ({"lr": 0.1}, value, outcome)))
    assert (row["standing"], row["val_accuracy"]) == (standing, shown)


def test_the_table_of_nothing_is_its_header() -> None:
    assert leaderboard_csv(history(study())).startswith("rank,trials,standing,val_accuracy,")
    assert rows(history(study())) == []


@pytest.mark.parametrize("text", ["a,b", 'say "hi"', "two\nlines", "naïve 日本", " x ", "'", ";"])
def test_any_text_stays_in_its_cell(text: str) -> None:
    made = history(study(), ({"optimizer": text, "lr": 0.1}, 0.5, DONE))
    (row,) = rows(made)
    assert (row["optimizer"], row["lr"]) == (text, "0.1")


FORMULAS = ["=1+1", "+cmd|'/C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\n=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_a_spreadsheet_would_run_begins_with_a_quote(text: str) -> None:
    (row,) = rows(history(study(), ({"optimizer": text}, 0.5, DONE)))
    assert row["optimizer"] == f"'{text}"


@pytest.mark.parametrize("text", FORMULAS)
def test_so_does_a_name_of_a_metric_or_a_parameter(text: str) -> None:
    of = study(objective="train:train", metric=text, direction="minimize")
    (row,) = rows(history(of, ({f"{text}0": 2}, 0.5, DONE)))
    assert f"'{text}" in row
    assert f"'{text}0" in row


@pytest.mark.parametrize("value", [-1, -0.5, "-1e-3", "+7", "-inf", "a=b", "1-2"])
def test_a_number_stays_as_it_is_in_the_table_and_so_does_harmless_text(value: Any) -> None:
    (row,) = rows(history(study(), ({"x": value}, 0.5, DONE)))
    assert row["x"] == str(value)


def test_a_parameter_that_a_setting_does_not_have_is_an_empty_cell() -> None:
    params = {"optimizer": ["sgd", "adam"], "momentum": 0.9}
    made = history(
        study(params=params),
        ({"momentum": 0.9, "optimizer": "sgd"}, 0.5, DONE),
        ({"optimizer": "adam", "dropout": None}, 0.4, DONE),
    )
    assert parameter_names(made) == ["optimizer", "momentum", "dropout"]
    assert [row["momentum"] for row in rows(made)] == ["0.9", ""]


def test_the_accuracy_on_the_test_set_is_in_the_winners_row() -> None:
    made = history(study(), ({"lr": 0.1}, 0.5, DONE), ({"lr": 0.2}, 0.4, DONE))
    made.add(evaluated(made.trials[0], test_accuracy=0.97))
    assert [row["test_accuracy"] for row in rows(made)] == ["0.97", ""]
    assert result_of(made.ranking()[0], "test_accuracy")["test_accuracy"] == 0.97


# -- the winner ------------------------------------------------------------------------------------

WORKLOAD: dict[str, Any] = {
    "params": {
        "lr": {"type": "float", "low": 0.01, "high": 0.3, "log": True},
        "optimizer": ["sgd", "adam"],
        "n_train": None,
        "epochs": 3,
    },
    "max_seconds": 60,
    "repeats": 2,
}
WORKLOAD_WINNER = {"lr": 0.30000000000000004, "optimizer": "sgd", "n_train": None, "epochs": 3}
OWN: dict[str, Any] = {
    "objective": "train:train",
    "direction": "minimize",
    "metric": "loss",
    "summary": "last",
    "seed": 7,
    "params": {"x": {"type": "float", "low": -5, "high": 5}, "flag": [True, False]},
}
OWN_WINNER = {"x": -1e-7, "flag": False, "name": 'quoted "//" text'}
COMMAND = {
    "command": ["./train.sh", "--lr", "{lr}", "--seed={trial_seed}", "a b"],
    "direction": "maximize",
    "sampler": "grid",
    "repeats": 3,
    "params": {"lr": [0.1, 0.2]},
}
COMMAND_WINNER = {"lr": 0.2}
kinds = pytest.mark.parametrize(
    ("fields", "winner"),
    [(WORKLOAD, WORKLOAD_WINNER), (OWN, OWN_WINNER), (COMMAND, COMMAND_WINNER)],
    ids=["workload", "own objective", "command"],
)


def with_winner(of: Study, winner: dict[str, Any]) -> History:
    best, worst = (0.9, 0.1) if of.direction == "maximize" else (0.1, 0.9)
    loser = {**winner, "epochs": 2}
    runs = [(params, value, DONE) for params, value in ((loser, worst), (winner, best))]
    return history(of, *[run for run in runs for _ in range(of.repeats)])


@kinds
def test_the_winner_is_a_space_file_that_trains_just_it_as_often_as_it_was(
    fields: dict[str, Any], winner: dict[str, Any]
) -> None:
    of = study(**fields)
    text = best_space(with_winner(of, winner))
    assert text is not None
    file = parse_space_file(text, "best.json")
    again = freeze(file, name="again", study_id="s-2", lease=20.0, created=0.0)
    limits = limits_of(file)
    assert (limits.trials, limits.time_limit, limits.target) == (of.repeats, None, None)
    assert repr(suggested(make_sampler(again), 0)) == repr(winner)


def test_the_command_of_a_winner_asks_for_nothing_that_the_winner_lacks() -> None:
    dropout = {"type": "float", "low": 0, "high": 1, "when": {"optimizer": "sgd"}}
    of = study(
        command=["./train.sh", "--lr", "{lr}", "--dropout", "{dropout}"],
        direction="maximize",
        params={"lr": [0.1, 0.2], "optimizer": ["sgd", "adam"], "dropout": dropout},
    )
    text = best_space(with_winner(of, {"lr": 0.2, "optimizer": "adam"}))
    assert parse_space_file(text or "", "best.json").command == ["./train.sh", "--lr", "{lr}"]


@kinds
def test_the_winner_is_trained_again_as_its_study_trained_it(
    fields: dict[str, Any], winner: dict[str, Any]
) -> None:
    of = study(**fields)
    file = parse_space_file(best_space(with_winner(of, winner)) or "", "best.json")
    again = freeze(file, name="again", study_id="s-2", lease=20.0, created=0.0)
    assert set(differences(of, again)) <= {"params", "sampler", "settings", "seeds"}


def test_the_winners_file_says_what_it_reached_and_with_which_seeds() -> None:
    of = study(**WORKLOAD)
    fields = json.loads(best_space(with_winner(of, WORKLOAD_WINNER)) or "")
    assert fields["description"] == "the winner of digits, of 2 configurations"
    assert fields["name"] == "digits-best-2"
    assert fields["seeds"] == fields["result"]["seeds"]
    assert fields["result"] == {
        "value": 0.9,
        "spread": 0.0,
        "values": [0.9, 0.9],
        "test_accuracy": None,
        "seconds": 1.5,
        "trials": [2, 3],
        "seeds": [trial_seed(0, 1, 0), trial_seed(0, 1, 1)],
    }


def test_without_a_finite_value_there_is_no_winners_file() -> None:
    assert best_space(history(study())) is None
    failed = history(study(), ({"lr": 0.1}, None, Outcome.FAILED))
    diverged = history(study(), ({"lr": 0.1}, math.inf, Outcome.DIVERGED))
    assert best_space(failed) is None
    assert best_space(diverged) is None


def test_numbers_that_are_not_finite_are_null_in_json() -> None:
    made = history(study(), ({"lr": 0.1}, math.inf, Outcome.DIVERGED))
    result = result_of(made.ranking()[0], "test_accuracy")
    assert (result["value"], result["spread"], result["values"]) == (None, None, [None])
    assert "NaN" not in json.dumps(result, allow_nan=False)
