"""Choices that are lists or objects: text everywhere, and what they are in the objective."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.space_file.read import parse_space_file
from distune.study.space import CategoricalParameter
from distune.study.study import Study
from tests.conftest import Lab, wait_until

OBJECTIVE = """
def train(params):
    assert params["nested"] == {"b": [2], "a": {"c": 1}}, params
    hidden = params["hidden"]
    assert hidden == "none" or hidden in ([64, 32], [128]), params
    return {"loss": sum(hidden) if isinstance(hidden, list) else 0}
"""
HIDDEN: list[Any] = [[64, 32], [128], "none"]
SPACE: dict[str, Any] = {
    "params": {
        "hidden": HIDDEN,
        "nested": [{"b": [2], "a": {"c": 1}}],
        "x": {"choices": [1, 2], "when": {"hidden": [[64, 32], "none"]}},
    },
    "exclude": [{"hidden": "none", "x": 2}],
    "sampler": "grid",
}


def frozen(**fields: Any) -> Study:
    fields = {"objective": "o:o", "metric": "loss", "direction": "minimize", **SPACE, **fields}
    text = json.dumps({key: value for key, value in fields.items() if value is not None})
    file = parse_space_file(text, "s.json")
    return freeze(file, name="s", study_id="s-1", lease=9, created=0)


def test_they_stand_as_text_and_the_objective_gets_what_they_are() -> None:
    study = frozen()
    hidden = study.params["hidden"]
    assert isinstance(hidden, CategoricalParameter)
    assert hidden.choices == ["[64, 32]", "[128]", "none"]
    assert study.plain_params({"hidden": "[64, 32]", "x": 1}) == {"hidden": [64, 32], "x": 1}
    assert study.plain_params({"hidden": "none"}) == {"hidden": "none"}


def test_text_that_only_looks_like_a_list_stays_text() -> None:
    study = frozen(params={"hidden": ["[64, 32]", "[128]"], "x": [1]}, exclude=[])
    assert study.plain_params({"hidden": "[128]"}) == {"hidden": "[128]"}


def test_the_study_is_the_same_when_it_is_read_back() -> None:
    study = frozen()
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_the_order_of_the_keys_of_an_object_is_none_of_its_own() -> None:
    with pytest.raises(ValueError, match="has a choice twice"):
        SpaceFile.model_validate({"params": {"x": [{"a": 1, "b": 2}, {"b": 2, "a": 1}]}})


def test_conditions_exclusions_and_what_is_enqueued_name_them_as_they_are() -> None:
    study = frozen(enqueue=[{"hidden": [128]}], sampler="random")
    assert study.enqueue == [{"hidden": "[128]"}]
    assert study.params["x"].when == {"hidden": ["[64, 32]", "none"]}
    assert study.space.excludes({"hidden": "none", "x": 2})


def test_a_stage_that_starts_from_a_winner_still_gives_the_objective_the_list() -> None:
    stages = [{"name": "a", "params": {"hidden": HIDDEN}}, {"name": "b", "params": {"x": [1, 2]}}]
    study = frozen(params={"hidden": [[128]], "x": 1}, stages=stages, exclude=[], sampler=None)
    assert study.plain_params({"hidden": "[64, 32]", "x": 1}) == {"hidden": [64, 32], "x": 1}


def test_a_study_with_them_ends_and_its_winner_is_trained_again(lab: Lab) -> None:
    (lab.folder / "train.py").write_text(OBJECTIVE)
    lab.write_space(**SPACE, trials=None)
    lab.worker()
    assert lab.master().wait(60) == 0
    assert len(lab.seen()) == 4  # [64, 32] with both x, [128], none with one x
    best = lab.run("best", "--json").stdout
    assert json.loads(best)["params"]["nested"] == {"choices": [{"b": [2], "a": {"c": 1}}]}
    (lab.folder / "best.json").write_text(best)
    master = lab.master("--study", "again", space="best.json")
    wait_until(lambda: lab.names(study="again"), what="its trial waits")
    lab.worker()
    assert master.wait(60) == 0
    assert lab.run("status", "--study", "again").returncode == 0
