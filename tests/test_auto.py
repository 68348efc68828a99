"""Which sampler a space file gets that names none: each rule, who says so, and that it stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from distune.errors import UserError
from distune.master.opening import MasterOptions, open_or_create
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.model import SpaceFile
from distune.space_file.preview import preview
from distune.space_file.read import parse_space_file
from distune.study.study import Study

LR = {"type": "float", "low": 0.01, "high": 0.3, "log": True}
SIX = {"n": [4, 8, 16], "optimizer": ["sgd", "adam"]}


def file_of(**fields: Any) -> SpaceFile:
    named = {"objective": "t:t", "direction": "minimize", **fields}
    return parse_space_file(json.dumps(named), "space.json")


def frozen(**fields: Any) -> Study:
    return freeze(file_of(**fields), name="n", study_id="s", lease=20.0, created=0.0)


@pytest.mark.parametrize(
    ("fields", "sampler", "why"),
    [
        ({"params": {"lr": 0.1}}, "random", "one combination, which is trained with seed after"),
        ({"params": SIX}, "grid", "6, no more than 50 trials can try"),
        ({"params": SIX, "target": 0.5}, "grid", "combinations of values: 6, few"),
        ({"params": SIX, "trials": 6}, "grid", "6, no more than 6 trials can try"),
        ({"params": SIX, "trials": 18, "repeats": 3}, "grid", "6, no more than 18 trials can try"),
        ({"params": SIX, "trials": 15, "repeats": 3}, "sobol", "5 configurations are too few"),
        ({"params": SIX, "trials": 5}, "sobol", "5 configurations are too few to learn from"),
        ({"params": {"lr": LR}, "trials": 19}, "sobol", "19 configurations are too few"),
        ({"params": {"lr": LR}, "trials": 20}, "tpe", "it learns from what is counted"),
        ({"params": {"lr": LR}}, "tpe", "it learns from what is counted"),
        ({"params": {"lr": LR}, "time_limit": "1h"}, "tpe", "it learns from what is counted"),
        ({"params": {"n": {"type": "int", "low": 1, "high": 60}}}, "tpe", "it learns from"),
        ({"params": {"lr": LR}, "sampler": "random"}, "random", ""),
    ],
)
def test_a_rule_chooses_and_says_why(fields: dict[str, Any], sampler: str, why: str) -> None:
    study = frozen(**fields)
    assert study.sampler == sampler
    assert why in study.sampler_why
    assert bool(why) is bool(study.sampler_why)
    said = [line for line in preview(study, limits_of(file_of(**fields)), 1) if "chosen" in line]
    assert said == ([f"sampler    {sampler}, chosen for this: {study.sampler_why}"] if why else [])


def test_auto_can_be_named_and_takes_no_options() -> None:
    assert frozen(params={"lr": LR}, sampler="auto") == frozen(params={"lr": LR})
    with pytest.raises(UserError, match=r"sampler.n_startup_trials: auto takes none: name the"):
        file_of(params={"lr": LR}, sampler={"name": "auto", "n_startup_trials": 5})


def opened(logs: Path, **fields: Any) -> Study:
    options = MasterOptions(space=file_of(**fields), source="space.json", name="s", logs=logs)
    (logs / "s").mkdir(exist_ok=True)
    return open_or_create(logs / "s", options, print)[1]


def test_what_was_chosen_stays_where_the_limits_change(tmp_path: Path) -> None:
    assert opened(tmp_path, params=SIX, trials=5).sampler == "sobol"
    assert opened(tmp_path, params=SIX, trials=50).sampler == "sobol"
    with pytest.raises(UserError, match="it differs in sampler"):
        opened(tmp_path, params=SIX, sampler="tpe")


def test_a_study_that_was_begun_when_random_was_the_default_goes_on(tmp_path: Path) -> None:
    begun = opened(tmp_path, params={"lr": LR}, sampler="random")
    assert opened(tmp_path, params={"lr": LR}) == begun


def test_a_sampler_that_was_named_is_not_changed_for_another(tmp_path: Path) -> None:
    opened(tmp_path, params={"lr": LR}, sampler="gp")
    with pytest.raises(UserError, match="it differs in sampler"):
        opened(tmp_path, params={"lr": LR})
