"""What remains of a study: a table that other programs read, and a winner to train again."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from distune.export import best_space, leaderboard_csv, parameter_names, result_of
from distune.planner import trial_seed
from distune.ranking import History
from distune.samplers import make_sampler
from distune.study import Study, differences, freeze, limits_of, parse_space_file
from distune.trial import Counted, Outcome, Purpose, Result, Trial

DONE = Outcome.COMPLETE


def study(**fields: Any) -> Study:
    file = parse_space_file(json.dumps({"params": {}, **fields}), "space.json")
    return freeze(file, name="digits", study_id="s", lease=20.0, created=0.0)


def history(of: Study, *runs: tuple[dict[str, Any], float | None, Outcome]) -> History:
    made = History(of)
    for number, (params, value, outcome) in enumerate(runs):
        trial = Trial(
            study="s",
            number=number,
            attempt=1,
            seed=trial_seed(of.seed, number, of.repeats),
            params=params,
        )
        result = Result(outcome=outcome, value=value, seconds=1.5)
        made.add(Counted(trial=trial, worker="w", result=result))
    return made


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
    test = Trial(study="s", number=0, attempt=1, purpose=Purpose.TEST, params={"lr": 0.1})
    result = Result(outcome=DONE, metrics={"test_accuracy": 0.97})
    made.add(Counted(trial=test, worker="w", result=result))
    assert [row["test_accuracy"] for row in rows(made)] == ["0.97", ""]
    assert result_of(made.ranking()[0])["test_accuracy"] == 0.97


# -- the winner ------------------------------------------------------------------------------------

WORKLOAD = {
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
OWN = {
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
    assert repr(make_sampler(again)(0, [])) == repr(winner)


@kinds
def test_the_winner_is_trained_again_as_its_study_trained_it(
    fields: dict[str, Any], winner: dict[str, Any]
) -> None:
    of = study(**fields)
    file = parse_space_file(best_space(with_winner(of, winner)) or "", "best.json")
    again = freeze(file, name="again", study_id="s-2", lease=20.0, created=0.0)
    assert set(differences(of, again)) <= {"params", "sampler", "settings"}


def test_the_winners_file_says_what_it_reached_and_with_which_seeds() -> None:
    of = study(**WORKLOAD)
    fields = json.loads(best_space(with_winner(of, WORKLOAD_WINNER)) or "")
    assert fields["description"] == "the winner of digits, of 2 configurations"
    assert fields["result"] == {
        "value": 0.9,
        "spread": 0.0,
        "values": [0.9, 0.9],
        "test_accuracy": None,
        "seconds": 1.5,
        "trials": [2, 3],
        "seeds": [trial_seed(0, 2, 2), trial_seed(0, 3, 2)],
    }


def test_without_a_finite_value_there_is_no_winners_file() -> None:
    assert best_space(history(study())) is None
    failed = history(study(), ({"lr": 0.1}, None, Outcome.FAILED))
    diverged = history(study(), ({"lr": 0.1}, math.inf, Outcome.DIVERGED))
    assert best_space(failed) is None
    assert best_space(diverged) is None


def test_numbers_that_are_not_finite_are_null_in_json() -> None:
    made = history(study(), ({"lr": 0.1}, math.inf, Outcome.DIVERGED))
    result = result_of(made.ranking()[0])
    assert (result["value"], result["spread"], result["values"]) == (None, None, [None])
    assert "NaN" not in json.dumps(result, allow_nan=False)
