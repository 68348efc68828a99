"""The built-in studies and the starter: they are space files, and say what they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distune.planner import preview
from distune.presets import STARTER, preset_names, read_preset
from distune.samplers import make_sampler
from distune.study import Study, freeze, limits_of, parse_space_file
from distune.workloads import WORKLOADS

every_preset = pytest.mark.parametrize("name", preset_names())


def study(text: str) -> Study:
    return freeze(parse_space_file(text, "preset"), name="n", study_id="s", lease=20.0, created=0.0)


def test_the_presets_have_the_names_people_were_told() -> None:
    assert preset_names() == ["lab-scenario5", "lab-scenario6", "quickstart", "quickstart-digits"]


@every_preset
def test_every_preset_is_a_study_that_says_what_it_is_and_ends(name: str) -> None:
    file = parse_space_file(read_preset(name), name)
    assert len(file.description) > 20
    assert file.workload is not None
    assert limits_of(file).trials == file.trials
    assert file.trials is not None
    assert file.max_seconds is not None


@every_preset
def test_every_setting_that_a_preset_can_draw_suits_its_workload(name: str) -> None:
    made = study(read_preset(name))
    assert made.objective is not None
    sampler, accepts = make_sampler(made), WORKLOADS[made.objective].hyperparameters
    for i in range(50):
        params = sampler(i, [])
        assert params is not None
        assert accepts.model_validate(params).model_dump(exclude_unset=True) == params


def test_the_lab_s_search_is_the_one_of_its_scenarios() -> None:
    made = study(read_preset("lab-scenario5"))
    ranges = {
        name: (getattr(spec, "low", None), getattr(spec, "high", None), getattr(spec, "log", None))
        for name, spec in made.params.items()
        if name != "epochs"
    }
    assert ranges == {
        "n_filters": (10, 99, False),
        "batch_size": (16, 255, True),
        "momentum": (0.0, 0.999, False),
        "lr": (0.01, 0.316, True),
    }
    assert made.max_seconds == 60
    assert limits_of(parse_space_file(read_preset("lab-scenario5"), "x")).trials == 200


def test_both_scenarios_of_the_lab_search_the_same_with_other_seeds() -> None:
    five, six = (study(read_preset(f"lab-scenario{n}")) for n in (5, 6))
    assert five.params == six.params
    assert five.max_seconds == six.max_seconds
    assert five.seed != six.seed


@pytest.mark.parametrize(
    ("name", "dataset"), [("quickstart", "mnist"), ("quickstart-digits", "digits")]
)
def test_a_quickstart_names_its_data_set_so_that_nothing_is_used_instead(
    name: str, dataset: str
) -> None:
    sampler = make_sampler(study(read_preset(name)))
    drawn: list[Any] = [sampler(i, []) for i in range(5)]
    assert {params["dataset"] for params in drawn} == {dataset}


def test_the_starter_is_a_study_and_its_comments_explain_it() -> None:
    file = parse_space_file(STARTER, "space.json")
    assert file.params["momentum"].when == {"optimizer": ["sgd"]}
    assert (file.sampler, file.trials, file.repeats) == ("random", 20, 1)
    assert STARTER.count("//") >= 8
    with pytest.raises(json.JSONDecodeError):
        json.loads(STARTER)


def test_the_starter_can_be_previewed() -> None:
    file = parse_space_file(STARTER, "space.json")
    lines = list(preview(study(STARTER), limits_of(file), samples=3))
    assert lines[:2] == [
        "objective  mnist-cnn, maximize val_accuracy",
        "trials     random, 20 trials",
    ]
    assert len(lines) == 5
