"""Several objectives and constraints in every view; importance; a study of them that runs."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from pathlib import Path
from typing import Any

import optuna
import pytest
from rich.console import Console, RenderableType

from distune.errors import DistuneError, UserError
from distune.export.importance import Unknown, importances
from distune.export.leaderboard import best_space, leaderboard_csv
from distune.export.optuna_bridge import optuna_study
from distune.export.table import TrialTable
from distune.page.answer import answer_of
from distune.page.study import counted_of
from distune.report.study_data import StudyData
from distune.report.words import words_of
from distune.search.ranking import History
from distune.search.within import best_within, parse_limit
from distune.share.protocol import AttemptName
from distune.share.records import AttemptFile
from distune.space_file.read import parse_space_file
from distune.study.study import Limits
from distune.study.trial import Outcome
from distune.watch.display.goals import front_text, no_feasible
from distune.watch.display.importance import importance_json, importance_text
from distune.watch.display.json_data import snapshot_json, trial_json
from distune.watch.display.leaderboard import best_text, final_table
from distune.watch.display.live import render, status_text
from distune.watch.display.state import plain_progress
from distune.watch.display.trial_detail import trial_detail
from distune.watch.snapshot import Snapshot
from tests import histories
from tests.conftest import Lab
from tests.test_goals import run, study

PAGE = (Path(__file__).parent.parent / "docs" / "json.md").read_text()
BOTH: dict[str, Any] = {
    "objectives": {"acc": "maximize", "seconds": "minimize"},
    "constraints": {"parameters": {"max": 200000}},
}


def some(**fields: Any) -> History:
    """Three on the front, one that is dominated, one that breaks the constraint."""
    runs = [
        run(0, 0.5, 1.25, parameters=1e3),
        run(1, 0.98, 75, parameters=1.9e5),
        run(2, 0.99, 4, parameters=2.5e5),
        run(3, 0.97, 30, parameters=1e5),
        run(4, 0.4, 2, parameters=1e5),
    ]
    return histories.history_of(study(**{**BOTH, **fields}), runs)


def seen(history: History) -> Snapshot:
    return Snapshot(study=history.study, limits=Limits(trials=5), elapsed=9.0, history=history)


def text_of(shown: RenderableType, width: int = 120) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def rows_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


# -- what is seen --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        lambda s: status_text(s, 120),
        lambda s: render(s, 120, 40),
        lambda s: final_table(s, 120),
    ],
    ids=["status", "the live view", "the end"],
)
def test_a_view_marks_the_front_and_says_what_is_broken_by_how_much(shown: Any) -> None:
    text = text_of(shown(seen(some())))
    rows = rows_of(text)
    assert ["★", "1", "1", "0.9800", "1m15s", "190k"] in [row[:6] for row in rows]
    assert ["◇", "2", "3", "0.9700", "30s", "100k"] in [row[:6] for row in rows]
    assert ["◇", "3", "0", "0.5000", "1.25s", "1.00k"] in [row[:6] for row in rows]
    assert ["4", "4", "0.4000", "2s", "100k"] in [row[:5] for row in rows]
    broken = ["5", "2", "infeasible", "4s", "250k", *["parameters", "50.0k", "above", "200k"]]
    assert broken in [row[:9] for row in rows]
    assert "front of 3 ◇" in text
    assert "maximize acc, minimize seconds" in text
    assert "time" not in text.split("trial", 1)[1].split("\n")[0].split()  # not twice


def test_a_narrow_view_still_marks_the_front_and_what_is_infeasible() -> None:
    text = text_of(render(seen(some()), 40, 20), 40)
    assert all(len(line) <= 40 for line in text.splitlines())
    assert "◇" in text
    assert "infeasible" in text


def test_best_shows_all_of_the_front() -> None:
    snapshot = seen(some())
    text = text_of(best_text(snapshot, 120)) + text_of(front_text(snapshot, 120))
    assert "★ Best: acc 0.9800, seconds 1m15s (front of 3 ◇)" in text
    assert re.findall(r"◇ (.*?)  trial (\d)", text) == [
        ("acc 0.9800, seconds 1m15s", "1"),
        ("acc 0.9700, seconds 30s", "3"),
        ("acc 0.5000, seconds 1.25s", "0"),
    ]
    assert "3 configurations, of which none is beaten" in text
    assert "best acc 0.9800 (trial 1), front of 3" in plain_progress(snapshot)


def test_where_all_break_a_constraint_each_view_says_which_is_nearest() -> None:
    snapshot = seen(some(constraints={"parameters": {"max": 500}}))
    nearest = "of the nearest, trial 0, parameters 1000 is 500 above 500"
    assert nearest in no_feasible(snapshot)
    assert nearest in text_of(final_table(snapshot, 200), 200)
    assert nearest in answer_of(snapshot.history)["nothing"]
    assert best_space(snapshot.history) is None
    assert "★" not in text_of(status_text(snapshot, 120))


def test_show_says_how_a_trials_configuration_stands() -> None:
    snapshot = seen(some())

    def shown(number: int) -> str:
        name, file = attempt(snapshot.history, number)
        return text_of(trial_detail(snapshot, [(name, file)], 120))

    assert "◇ on the front" in shown(0)
    assert "not on the front" in shown(4)
    assert "breaks a constraint: parameters 250000 is 50000 above 200000" in shown(2)


def attempt(history: History, number: int) -> tuple[AttemptName, AttemptFile]:
    (counted,) = [one for one in history.trials if one.trial.number == number]
    return AttemptName.counted(counted.key), AttemptFile(counted.trial, None, (), counted.result)


# -- for programs --------------------------------------------------------------------------


def test_json_has_objectives_front_and_violations_and_only_of_such_a_study() -> None:
    history = some()
    tree = json.loads(json.dumps(snapshot_json(seen(history)), allow_nan=False))
    assert tree["objectives"] == BOTH["objectives"]
    assert tree["constraints"] == {"parameters": {"min": None, "max": 200000.0}}
    assert [one["front"] for one in tree["ranking"]] == [True, True, True, False, False]
    assert tree["ranking"][0]["objectives"] == {"acc": 0.98, "seconds": 75.0}
    (broken,) = tree["ranking"][4]["violations"]
    assert broken["excess"] == 50000.0
    assert tree["ranking"][4]["standing"] == "infeasible"
    shown = trial_json([attempt(history, 2)], history)
    assert shown["violations"] == [broken]
    assert shown["front"] is False
    described = PAGE.split("\n## Of several objectives")[1].split("\n## ")[0]
    for key in ("objectives", "constraints", "front", "violations", *broken):
        assert f"`{key}`" in described
    plain = study(metric="acc", direction="maximize")
    tree = snapshot_json(seen(histories.history_of(plain, list(history.trials))))
    assert {"objectives", "constraints"}.isdisjoint(tree)
    assert {"objectives", "front", "violations"}.isdisjoint(tree["ranking"][0])


def test_the_leaderboard_and_exports_say_what_is_on_the_front() -> None:
    history = some()
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(history))))
    assert [row["front"] for row in rows] == ["true", "true", "true", "false", "false"]
    assert rows[4]["violations"] == "parameters 250000 is 50000 above 200000"
    columns = {column.name: column.values for column in TrialTable(history).columns}
    assert columns["front"] == [True, True, False, True, False]
    assert columns["violations"][2] == "parameters 250000 is 50000 above 200000"
    plain = study(metric="acc", direction="maximize")
    before = histories.history_of(plain, list(history.trials))
    assert {"front", "violations"}.isdisjoint(c.name for c in TrialTable(before).columns)
    assert "front" not in leaderboard_csv(before).splitlines()[0]


def test_an_optuna_study_has_all_values_and_the_constraints() -> None:
    found = optuna_study(TrialTable(some()))
    assert [one.name for one in found.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert {one.user_attrs["number"] for one in found.best_trials} == {0, 1, 3}
    infeasible = found.trials[2]
    assert infeasible.values == [0.99, 4.0]
    assert infeasible.constraints == {"parameters": 50000.0}
    assert optuna.trial.TrialState.COMPLETE is infeasible.state


def test_best_json_trains_the_winner_again_and_has_the_front() -> None:
    text = best_space(some())
    assert text is not None
    file = parse_space_file(text, "best.json")
    assert file.objectives == BOTH["objectives"]
    assert str(file.constraints["parameters"]) == "at most 200000"
    front = json.loads(text)["result"]["front"]
    assert [one["objectives"]["acc"] for one in front] == [0.98, 0.97, 0.5]


# -- the best within limits ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "number"),
    [
        (["30s"], 3),
        (["29s"], 0),
        (["2m"], 1),
        (["parameters=100000"], 3),
        (["seconds=1m", "parameters=5000"], 0),
    ],
)
def test_the_best_within_limits_is_the_first_of_the_ranking_that_is(
    limits: list[str], number: int
) -> None:
    found = best_within(some(), dict(map(parse_limit, limits)))
    assert found is not None
    assert found.first == number


def test_what_is_not_there_within_limits_is_said_in_one_line() -> None:
    with pytest.raises(DistuneError, match=r"is within 1s: the least is 1\.25s, of trial 0"):
        best_within(some(), {"seconds": 1.0})
    with pytest.raises(UserError, match="reports 'paramters': did you mean 'parameters'"):
        best_within(some(), {"paramters": 1.0})
    for wrong in ("soon", "=3", "size=big", "size=nan", "-3s"):
        with pytest.raises(UserError, match="--within: "):
            parse_limit(wrong)
    assert best_within(histories.history_of(study(**BOTH), []), {"seconds": 1.0}) is None


# -- the report ----------------------------------------------------------------------------


def test_the_page_has_the_front_what_breaks_a_constraint_and_says_what_they_are() -> None:
    data = StudyData(seen(some()))
    counted = counted_of(data.history)
    ranked = [counted["configurations"][first] for first in counted["order"]]
    assert [one["trials"][0] for one in ranked if one["front"]] == [1, 3, 0]
    (broken,) = ranked[4]["violations"]
    assert (broken["name"], broken["excess"], broken["limit"]) == ("parameters", 50_000, "max")
    words = " ".join(words_of(data))
    assert "Ranked by its objectives (maximize acc, minimize seconds)" in words
    assert "The best single trial has acc 0.9800: trial 1" in words  # not the infeasible one
    answer = answer_of(data.history)
    assert answer["trial"] == 1
    assert answer["words"][0] == "The best of the front by acc; the front has 2 others."


# -- importance ----------------------------------------------------------------------------


def a_search(trials: int, signal: float, seed: int = 1, **fields: Any) -> History:
    """`x` decides as far as there is a signal, `y` never does; `z` is there for every third."""
    rng, runs = random.Random(seed), []
    for number in range(trials):
        params: dict[str, Any] = {"x": rng.randrange(1000), "y": rng.randrange(1000)}
        if number % 3 == 0:
            params["z"] = rng.randrange(9)
        acc = rng.random() - signal * abs(params["x"] - 300) / 100
        metrics = {"acc": acc, "size": -acc}
        runs.append(histories.counted(number, params, acc, metrics=metrics))
    usual = {"metric": "acc", "direction": "maximize"}
    return histories.history_of(study(**(fields or usual)), runs)


def test_what_decides_stands_out_from_chance_and_what_does_not_may_be_chance() -> None:
    found = importances(a_search(60, 1.0, 2))
    assert found.parameters[0].name == "x"
    assert {one.name for one in found.parameters if one.stands_out} == {"x"}
    assert {one.name: one.configurations for one in found.parameters} == {"x": 60, "y": 60, "z": 20}
    assert sum(one.share for one in found.parameters) == pytest.approx(1)
    assert all(0 <= one.low <= one.high <= 1 for one in found.parameters)


def test_inert_parameters_are_not_said_to_matter() -> None:
    found = importances(a_search(40, 0.0))
    assert [one.name for one in found.parameters if one.stands_out] == []
    text = text_of(importance_text(study(**BOTH), found, 120))
    assert text.count("may be chance") >= len(found.parameters)
    assert "in 95 of 100 cases" in text
    assert "exists in too few (of 20)" in text  # z, in 14 of them


def test_importance_is_refused_for_fewer_than_twenty_configurations() -> None:
    with pytest.raises(Unknown, match="19 configurations with a complete trial: too few"):
        importances(a_search(19, 1.0))
    same = [run(number, 0.5, x=number) for number in range(30)]
    with pytest.raises(Unknown, match="what was tried reached the same"):
        importances(histories.history_of(study(metric="acc", direction="maximize"), same))


def test_repeats_of_few_configurations_are_too_few() -> None:
    runs = [run(number, 0.1 * number, x=number // 10) for number in range(50)]
    of = study(metric="acc", direction="maximize", repeats=10)
    with pytest.raises(Unknown, match="has 5 configurations"):
        importances(histories.history_of(of, runs))


def test_importance_is_that_for_one_objective_of_several() -> None:
    history = a_search(30, 1.0, objectives={"acc": "maximize", "size": "minimize"})
    first, second = importances(history), importances(history, "size")
    assert (first.objective, second.objective) == ("acc", "size")
    assert [one.share for one in first.parameters] == [one.share for one in second.parameters]
    tree = importance_json(history.study, second)
    assert tree["objective"] == "size"
    assert json.dumps(tree, allow_nan=False)
    with pytest.raises(UserError, match="has no objective 'sizes': did you mean 'size'"):
        importances(history, "sizes")


# -- a study that runs ---------------------------------------------------------------------

_OBJECTIVE = """
def train(params):
    yield {"parameters": 1000.0 * params["width"]}
    for step in range(2):
        yield {"acc": (1 - abs(params["x"] - 0.3)) * (1 - 1 / (1 + params["width"]))}

def silent(params):
    yield {"acc": 0.5}
"""


@pytest.mark.long
def test_a_study_of_two_objectives_and_a_constraint_runs_and_is_shown(lab: Lab) -> None:
    (lab.folder / "two.py").write_text(_OBJECTIVE)
    params = {"x": {"type": "float", "low": 0, "high": 1}, "width": list(range(1, 41))}
    fields: dict[str, Any] = {
        "objective": "two:train", "params": params, "metric": None, "direction": None,
        "objectives": {"acc": "maximize", "parameters": "minimize"},
        "constraints": {"parameters": {"max": 20000}, "seconds": {"max": "1h"}},
    }  # fmt: skip
    sampler = {"name": "tpe", "n_startup_trials": 6}
    lab.write_space(**fields, trials=24, sampler=sampler)
    done = lab.run("master", "--space", "space.json", "--workers", "2", "--objective", "two:train")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "front of" in done.stdout
    tree = json.loads(lab.run("status", "--json").stdout)
    assert tree["trials"]["outcomes"]["complete"] == 24
    sizes = {one["trials"][0]: one["parameters"] for one in tree["ranking"]}
    infeasible = {n for n, size in sizes.items() if size > 20000}
    assert infeasible == {o["trials"][0] for o in tree["ranking"] if o["standing"] == "infeasible"}
    assert not any(one["front"] for one in tree["ranking"] if one["trials"][0] in infeasible)
    best = json.loads((lab.logs / "space" / "best.json").read_text())
    assert best["result"]["front"][0]["params"] == best["params"]
    assert lab.run("best", "--json").stdout == (lab.logs / "space" / "best.json").read_text()
    within = lab.run("best", "--within", "1h", "--within", "parameters=3000", "--json").stdout
    assert json.loads(within)["params"]["width"] <= 3
    shown = lab.run("importance", "space")
    assert shown.returncode == 0, shown.stderr
    assert "What mattered for acc, in space" in shown.stdout
    assert lab.run("report").returncode == 0


@pytest.mark.parametrize("key", ["objectives", "constraints"])
def test_a_metric_that_nobody_reports_ends_a_study_and_says_so(lab: Lab, key: str) -> None:
    (lab.folder / "two.py").write_text(_OBJECTIVE)
    wanted: Any = {"acc": "maximize", "flops": "minimize"}
    fields: dict[str, Any] = {"objectives": wanted, "metric": None, "direction": None}
    if key == "constraints":
        fields = {"metric": "acc", "direction": "maximize", "constraints": {"flops": {"max": 1}}}
    lab.write_space(objective="two:silent", trials=500, **fields)
    done = lab.run("master", "--space", "space.json", "--workers", "1", "--objective", "two:silent")
    assert done.returncode == 1
    line = f"did not report 'flops', which is one of the study's {key}; it reported acc, and"
    assert line in done.stdout + done.stderr
    assert f'report it, or take it out of the space file\'s "{key}"' in done.stderr
    assert len(lab.counted()) < 50


def test_a_mistake_ends_a_command_with_status_2_and_one_line(lab: Lab) -> None:
    histories.write_study(lab.logs / "space", study(**BOTH), list(some().trials), {})
    for arguments, said in (
        (("importance", "space"), "digits has 5 configurations with a complete trial: too few"),
        (("importance", "space", "--objective", "accc"), "has no objective 'accc': did you mean"),
        (("best", "--within", "soon"), "--within: 'soon' is not a duration"),
    ):
        done = lab.run(*arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    stopped = [run(0, 0.5, 1.0, outcome=Outcome.PRUNED)]
    histories.write_study(
        lab.logs / "stopped", study(metric="acc", direction="maximize"), stopped, {}
    )
    done = lab.run("best", "--within", "1h", "--study", "stopped")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no trial of digits has a result yet" in done.stderr
