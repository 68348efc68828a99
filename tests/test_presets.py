"""The built-in studies and the starter: they are space files, and say what they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from distune.errors import UserError
from distune.presets.catalogue import describe, preset_names, read_preset, read_starter
from distune.search.ranking import History
from distune.search.staged import make_sampler
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.preview import preview
from distune.space_file.read import parse_space_file
from distune.space_file.scaling import scaled
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Result, Trial
from distune.training.context import TrialContext
from distune.training.objective import drive, find
from distune.workloads import WORKLOADS
from distune.workloads.data import DATA_SETS
from distune.workloads.data.folders import DataFolders
from tests.histories import suggested

every_preset = pytest.mark.parametrize("name", preset_names())


def study(text: str) -> Study:
    return freeze(parse_space_file(text, "preset"), name="n", study_id="s", lease=20.0, created=0.0)


def test_the_presets_have_the_names_people_were_told() -> None:
    topics = {
        "cifar": ["best", "stages"],
        "coloured": ["best", "kernel", "optimizer", "trunk"],
        "houses": ["best", "depth", "gaussian", "optimizer", "width"],
        "lab": [f"scenario{n}" for n in range(1, 7)],
        "spirals": ["architecture", "batch", "best", "loss", "optimizer"],
        "digits": ["activation", "batch", "best", "depth", "loss", "lr", "optimizer"],
        "usps": ["activation", "batch", "best-small", "depth", "kernel", "lr", "optimizer"],
    }  # fmt: skip
    names = [f"{study}-{topic}" for study, those in topics.items() for topic in those]
    assert preset_names() == sorted([*names, "quickstart", "quickstart-digits"])


@every_preset
def test_every_preset_is_a_study_that_says_what_it_is_and_ends(name: str) -> None:
    file = parse_space_file(read_preset(name), name)
    what, *times = describe(name)
    assert len(what) > 20
    assert all(re.fullmatch(r"(\d+ (h|min|s)[+ ]?)+", time) for time in times), file.description
    assert file.workload is not None
    if file.sampler in ("auto", "random") and file.stages is None:
        assert file.trials is not None
        assert file.max_seconds is not None


@every_preset
def test_every_setting_that_a_preset_can_draw_suits_its_workload(name: str) -> None:
    made = study(read_preset(name))
    assert made.objective is not None
    sampler, accepts = make_sampler(made), WORKLOADS[made.objective].hyperparameters
    drawn = [params for i in range(50) if (params := suggested(sampler, i)) is not None]
    assert drawn
    for params in drawn:
        assert accepts.model_validate(params).model_dump(exclude_unset=True) == params


def first_setting(name: str) -> dict[str, Any]:
    """Of a preset, with the defaults of its workload."""
    made = study(read_preset(name))
    accepts = WORKLOADS[made.objective or ""].hyperparameters
    return accepts.model_validate(suggested(make_sampler(made), 0)).model_dump()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in preset_names()
        if name.startswith(("spirals", "coloured", "houses", "digits"))
    ],
)
def test_what_the_reports_trained_without_momentum_has_none(name: str) -> None:
    assert first_setting(name)["momentum"] == 0


@pytest.mark.parametrize(
    ("topic", "dataset"), [("digits", "mnist"), ("usps", "usps"), ("coloured", "mnist")]
)
def test_the_presets_of_a_report_are_on_its_images(topic: str, dataset: str) -> None:
    names = [name for name in preset_names() if name.startswith(f"{topic}-")]
    assert {first_setting(name)["dataset"] for name in names} == {dataset}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spirals-best", {"variant": "2020", "n_fc": 1, "width": 75, "activation": "tanh",
                          "lr": 0.05, "loss": "bce", "batch_size": 40, "epochs": 10}),
        ("spirals-architecture", {"loss": "mse-linear", "optimizer": "sgd", "lr": 0.01,
                                  "batch_size": 10, "epochs": 10}),
        ("usps-best-small", {"loss": "mse", "lr": 2, "padding": 0, "n_filters": 1,
                             "batch_size": 10, "epochs": 50}),
        ("digits-best", {"padding": 2, "n_conv": 3, "n_filters": 20, "activation": "none",
                         "pool_last": False, "clip_norm": 10, "lr": 0.025, "batch_size": 10}),
        ("coloured-best", {"n_colours": 6, "trunk": "separate", "pixel_scale": 256,
                           "padding": "same", "kernel": "5-3-3", "epochs": 10}),
        ("houses-best", {"target_scale": "standard", "n_fc": 1, "width": 9, "activation": "tanh",
                         "optimizer": "rmsprop", "lr": 0.001}),
        ("cifar-best", {"n_fc": 1, "momentum": 0, "regularise": "dense", "lr": 0.01,
                        "batch_size": 32, "kernel": 4, "dropout": 0.3, "weight_decay": 0.001}),
        ("cifar-stages", {"n_fc": 1, "momentum": 0, "regularise": "dense"}),
        ("lab-scenario1", {"skip_last_batch": True, "batch_size": 500, "n_train": 5_000}),
    ],
)  # fmt: skip
def test_a_preset_says_what_its_report_says(name: str, said: dict[str, Any]) -> None:
    setting = first_setting(name)
    assert {key: setting[key] for key in said} == said


@every_preset
@pytest.mark.long
def test_every_preset_runs_to_its_end_at_a_tiny_scale(name: str, tmp_path: Path) -> None:
    file = scaled(parse_space_file(read_preset(name), name), 0.001 if "cifar" in name else 0.005)
    made = freeze(
        file.model_copy(update={"trials": 6 if file.trials else None, "repeats": 1}),
        name="n", study_id="s", lease=20.0, created=0.0,
    )  # fmt: skip
    for dataset in made.datasets:
        if DataFolders.of().locate(DATA_SETS[dataset]) is None:
            pytest.skip(f"{dataset} is not in DISTUNE_DATA")
    sampler = make_sampler(made)
    history = History(made)
    context = TrialContext(
        number=0, attempt=1, seed=0, device="cpu", folder=str(tmp_path), max_seconds=5.0
    )
    while (params := suggested(sampler, len(history), history)) is not None:
        if file.trials is not None and len(history) == 6:
            break
        trial = Trial(
            study="s", number=len(history), attempt=1, configuration=len(history), params=params
        )
        *_, result = drive(find(made, trial, {}), made, trial, context)
        assert isinstance(result, Result)
        assert result.outcome in (Outcome.COMPLETE, Outcome.DIVERGED), (params, result.failure)
        history.add(Counted(trial=trial, worker="w", result=result))
    assert len(history) >= 1


def test_a_scaled_study_has_so_much_of_everything() -> None:
    file = parse_space_file(read_preset("lab-scenario1"), "x")
    small = scaled(file, 0.1)
    constants = small.constants
    assert (constants["epochs"], constants["n_train"], constants["n_test"]) == (5, 500, 100)
    assert small.params["lr"] == file.params["lr"]
    assert small.description.endswith("(scaled by 0.1)")
    whole = scaled(parse_space_file(read_preset("lab-scenario5"), "x"), 0.5)
    assert whole.constants["n_train"] == 25_000
    assert whole.max_seconds == 30
    text = '{"params": {"dataset": ["mnist", "digits"], "epochs": {"type": "int", "low": 1, "high": 9}, "n_train": [null, 100]}}'  # noqa: E501
    mixed = scaled(parse_space_file(text, "x"), 0.5)
    assert mixed.params["n_train"].grid() == [600, 50], "of the smaller data set"
    assert mixed.params["epochs"].grid() == range(1, 5)


def test_only_what_is_built_in_can_be_scaled() -> None:
    text = '{"objective": "a:b", "direction": "minimize", "params": {"epochs": 10}}'
    with pytest.raises(UserError, match="--scale: only the built-in objectives"):
        scaled(parse_space_file(text, "x"), 0.5)


def test_the_lab_s_search_is_the_one_of_its_scenarios() -> None:
    made = study(read_preset("lab-scenario5"))
    ranges = {
        name: (getattr(spec, "low", None), getattr(spec, "high", None), getattr(spec, "log", None))
        for name, spec in made.params.items()
        if name not in ("epochs", "skip_last_batch")
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
    drawn: list[Any] = [suggested(sampler, i) for i in range(5)]
    assert {params["dataset"] for params in drawn} == {dataset}


def test_the_starter_is_a_study_and_its_comments_explain_it() -> None:
    starter = read_starter()
    file = parse_space_file(starter, "space.json")
    assert file.params["momentum"].when == {"optimizer": ["sgd"]}
    assert (file.sampler, file.trials, file.repeats) == ("auto", 20, 1)
    assert starter.count("//") >= 8
    with pytest.raises(json.JSONDecodeError):
        json.loads(starter)


def test_the_starter_can_be_previewed() -> None:
    file = parse_space_file(read_starter(), "space.json")
    lines = list(preview(study(read_starter()), limits_of(file), samples=3))
    assert lines[:2] == [
        "objective  mnist-cnn, maximize val_accuracy",
        "trials     TPE, 20 trials",
    ]
    assert lines[2].startswith("sampler    tpe, chosen for this: ")
    assert len(lines) == 6
