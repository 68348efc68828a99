"""The workloads on their own data: that they learn, what they report, and what they leave."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from distune.errors import UserError
from distune.space_file.freeze import freeze
from distune.space_file.read import parse_space_file
from distune.study.figures import Boundary, Confusion, Pictures, Scatter
from distune.workloads import WORKLOADS, coloured_digits, drawing, house_prices
from distune.workloads.coloured_digits import COLOURED_DIGITS, ColouredDigitsParams
from distune.workloads.convnet import CONVNET
from distune.workloads.data import DATA_SETS
from distune.workloads.data.digits import DIGITS
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.loading import Split, Splits, load
from distune.workloads.data.mnist import FASHION_MNIST
from distune.workloads.house_prices import HOUSE_PRICES, HousePricesParams
from distune.workloads.spirals import SPIRALS
from distune.workloads.trainer import trainer
from tests.trials import QuietTrial, figures_in, needs, without_time

pytestmark = pytest.mark.usefixtures("one_thread")

USPS, HOUSES = ("usps.bz2", "house_prices.csv")


SMALL: dict[str, dict[str, Any]] = {
    "mnist-cnn": {"dataset": "digits", "n_filters": 2, "n_hidden": 8, "batch_size": 50},
    "convnet": {"dataset": "digits"},
    "coloured-digits": {"dataset": "usps", "n_filters": 4, "width": 16},
    "spirals": {},
    "house-prices": {"loss": "gaussian"},
}
SIZES = {"n_train": 150, "n_validation": 60, "n_test": 70, "epochs": 2}
every_workload = pytest.mark.parametrize(
    "name",
    [
        pytest.param("mnist-cnn"),
        pytest.param("convnet"),
        pytest.param("coloured-digits", marks=needs(USPS)),
        pytest.param("spirals"),
        pytest.param("house-prices", marks=needs(HOUSES)),
    ],
)


@every_workload
def test_each_workload_reports_what_the_catalogue_says_and_tests_its_winner(
    name: str, tmp_path: Path
) -> None:
    workload = WORKLOADS[name]
    params = {**SMALL[name], **SIZES}
    trial = QuietTrial(seed=3, dir=tmp_path)
    reports = list(trainer.train(workload, params, trial))
    assert [report["epoch"] for report in reports] == [1, 2]
    assert reports[0].keys() == {*workload.reports, "epoch", "steps", "parameters"}
    assert workload.metric in workload.reports
    result = trainer.test(workload, params, trial, reports[-1])
    assert result[workload.metric] == reports[-1][workload.metric]
    wanted = {key.replace("val_", "test_") for key in reports[0] if key.startswith("val_")}
    assert result.keys() == {*wanted, workload.metric}
    assert figures_in(tmp_path)
    again = without_time(trainer.train(workload, params, QuietTrial(seed=3)))
    assert again == without_time(iter(reports))


@every_workload
def test_each_workload_refuses_what_it_does_not_have(name: str) -> None:
    workload = WORKLOADS[name]
    with pytest.raises(ValidationError, match="learning_rate"):
        next(trainer.train(workload, {"learning_rate": 0.1}, QuietTrial()))
    with pytest.raises(
        UserError, match=r"^n_test = 99,999: .* has [0-9,]+ test (images|rows); use"
    ):
        next(trainer.train(workload, {**SMALL[name], "n_test": 99_999}, QuietTrial()))


@every_workload
def test_diverging_is_a_result_of_each_workload_and_can_be_tested(
    name: str, tmp_path: Path
) -> None:
    workload = WORKLOADS[name]
    wild = {"optimizer": "sgd", "lr": 1e38, "momentum": 0.9, "schedule": "constant"}
    if name == "convnet":
        wild["loss"] = "cross-entropy"  # the gradient of the other vanishes
    trial = QuietTrial(dir=tmp_path)
    params = {**SMALL[name], **SIZES, **wild}
    *_, last = trainer.train(workload, params, trial)
    assert not math.isfinite(last["train_loss"])
    result = trainer.test(workload, params, trial, last)
    assert result.keys() >= {"test_loss", workload.metric}
    assert figures_in(tmp_path)  # which allows no NaN


@pytest.mark.parametrize(
    ("objective", "params", "datasets"),
    [
        ("mnist-cnn", {}, ["mnist"]),
        ("convnet", {}, ["usps"]),
        ("convnet", {"dataset": ["cifar-10", "digits"]}, ["cifar-10", "digits"]),
        ("coloured-digits", {}, ["mnist"]),
        ("coloured-digits", {"dataset": ["usps", "mnist"], "n_colours": [5, 6]}, ["usps", "mnist"]),
        ("spirals", {}, []),
        ("spirals", {"variant": ["2020", "2021"]}, []),
        ("house-prices", {}, ["house-prices"]),
    ],
)
def test_a_study_knows_the_data_sets_that_its_workers_must_have(
    objective: str, params: dict[str, Any], datasets: list[str]
) -> None:
    file = parse_space_file(
        json.dumps({"objective": objective, "params": {"lr": 0.1, **params}}), ""
    )
    study = freeze(file, name="n", study_id="s", lease=20.0, created=0.0)
    assert study.datasets == datasets
    assert (study.metric, study.direction) == (
        WORKLOADS[objective].metric,
        WORKLOADS[objective].direction,
    )


# Spirals


def test_a_hidden_layer_tells_the_spirals_apart_and_none_does_not(tmp_path: Path) -> None:
    reports = list(trainer.train(SPIRALS, {}, QuietTrial(dir=tmp_path)))
    best = max(reports, key=lambda report: report["val_accuracy"])
    assert best["val_accuracy"] > 0.98
    assert best["parameters"] == 2 * 75 + 75 + 75 + 1
    *_, linear = trainer.train(SPIRALS, {"n_fc": 0, "epochs": 3}, QuietTrial())
    assert 0.5 < linear["val_accuracy"] < 0.7
    assert linear["parameters"] == 3
    picture_is_right({}, best, tmp_path)


def test_the_spirals_of_2021_are_harder() -> None:
    *_, last = trainer.train(SPIRALS, {"variant": "2021"}, QuietTrial())
    assert 0.5 < last["val_accuracy"] < 0.75


def test_an_output_without_a_sigmoid_is_fitted_to_the_class_itself(tmp_path: Path) -> None:
    params = {"loss": "mse-linear", "lr": 0.01, "batch_size": 20}
    reports = list(trainer.train(SPIRALS, params, QuietTrial(dir=tmp_path)))
    best = max(reports, key=lambda report: report["val_accuracy"])
    assert best["val_accuracy"] > 0.95
    picture_is_right(params, best, tmp_path)


def picture_is_right(params: dict[str, Any], best: dict[str, float], folder: Path) -> None:
    """The picture of the boundary says of most points what the network said of them."""
    result = trainer.test(SPIRALS, params, QuietTrial(dir=folder), best)
    assert result["test_accuracy"] > 0.95
    (boundary,) = figures_in(folder)
    assert isinstance(boundary, Boundary)
    right = 0
    for x, y, label in zip(boundary.points_x, boundary.points_y, boundary.labels, strict=True):
        j = min(range(len(boundary.x)), key=lambda j: abs(boundary.x[j] - x))
        i = min(range(len(boundary.y)), key=lambda i: abs(boundary.y[i] - y))
        right += (boundary.scores[i][j] > 0.5) == (label == 1)
    assert len(boundary.labels) == 500
    assert right / 500 > 0.95
    assert all(0 <= score <= 1 for row in boundary.scores for score in row)


# House prices


@needs(HOUSES)
@pytest.mark.parametrize(
    ("params", "best_found"),
    [
        ({}, 0.2858),  # the report's
        ({"loss": "gaussian", "lr": 0.01, "optimizer": "adam"}, 0.3),
        ({"target_scale": "range"}, 0.2858 * 0.01217),
    ],
)
def test_prices_are_predicted_about_as_well_as_the_report_says(
    params: dict[str, Any], best_found: float, tmp_path: Path
) -> None:
    trial = QuietTrial(seed=1, dir=tmp_path)
    reports = list(trainer.train(HOUSE_PRICES, params, trial))
    best = min(reports, key=lambda report: report["val_loss"])
    known = load(DATA_SETS["house-prices"], DataFolders.of(), "cpu")
    loss = params.get("loss", "mse")
    assert best["val_loss"] < best_found
    trainer.test(HOUSE_PRICES, params, trial, best)
    against, *uncertainty = figures_in(tmp_path)
    assert isinstance(against, Scatter)
    assert against.diagonal
    assert against.x == pytest.approx(known.test.targets.tolist(), rel=1e-4)
    off = sum(abs(a - b) for a, b in zip(against.x, against.y, strict=True)) / 260
    assert off < 40_000  # dollars
    if loss == "mse":
        assert (against.y_error, uncertainty) == ([], [])
        return
    assert len(against.y_error) == 260
    assert min(against.y_error) > 0
    titles = []
    for i, figure in enumerate(uncertainty):
        assert isinstance(figure, Scatter)
        titles.append(figure.x_title)
        assert figure.x == pytest.approx(known.test.inputs[:, i].tolist(), rel=1e-4, abs=1e-3)
        assert figure.y == against.y_error
    assert titles == ["OverallQual", "YearBuilt", "TotalBsmtSF", "GrLivArea"]


def prepared(data: Splits, **params: Any) -> Splits:
    return house_prices.prepare(HousePricesParams(**params), data)


def test_features_and_prices_are_scaled_by_what_training_knows_and_may_lie_outside() -> None:
    training = Split(
        torch.tensor([[1.0, 5.0, 0, 0], [3.0, 5.0, 0, 8]]), torch.tensor([100_000.0, 300_000.0])
    )
    other = Split(torch.full((1, 4), 1e30), torch.tensor([500_000.0]))
    scaled = prepared(Splits(training, training, other), target_scale="range")
    assert scaled.train.inputs.tolist() == [[-1, 0, 0, -1], [1, 0, 0, 1]]
    assert scaled.train.targets.tolist() == [0, 1]
    assert scaled.test.inputs.isfinite().all()
    assert scaled.test.targets.tolist() == [2]
    alone = Split(training.inputs[:1], training.targets[:1])
    features, prices = prepared(Splits(alone, alone, alone), target_scale="range").train
    assert features.tolist() == [[0, 0, 0, 0]]
    assert prices.tolist() == [0]


@needs(HOUSES)
def test_standard_prices_have_mean_zero_and_deviation_one_over_all_houses() -> None:
    data = load(DATA_SETS["house-prices"], DataFolders.of(), "cpu")
    prices = torch.cat([split.targets for split in prepared(data)])
    assert prices.mean().item() == pytest.approx(0, abs=1e-5)
    assert prices.std().item() == pytest.approx(1, abs=1e-5)


def test_what_is_no_number_is_left_out_of_a_figure_and_counted() -> None:
    y = torch.tensor([1.0, math.nan, 3.0, math.inf])
    figure = drawing.scatter("t", ("x", torch.arange(4.0)), ("y", y))
    assert (figure.x, figure.y) == ([0, 2], [1, 3])
    assert figure.caption == "The winner on 2 test rows. For 2 more it gave no number."


# Images


def test_a_convnet_learns_digits_with_everything_on() -> None:
    params = {
        "dataset": "digits",
        "n_conv": 2,
        "n_filters": "8-16",
        "kernel": "5-3",
        "padding": "same",
        "pool": "avg",
        "n_fc": 1,
        "width": 32,
        "dropout": 0.1,
        "batch_norm_conv": True,
        "batch_norm_fc": True,
        "loss": "cross-entropy",
        "l1": 1e-5,
        "weight_decay": 1e-4,
        "clip_norm": 1.0,
        "lr": 0.05,
        "momentum": 0.9,
        "n_train": 601,  # the last batch has one image
        "batch_size": 50,
        "epochs": 3,
    }
    *_, last = trainer.train(CONVNET, params, QuietTrial())
    assert last["val_accuracy"] > 0.8
    assert last["train_accuracy"] > 0.8
    convolutions = (25 + 1) * 8 + 2 * 8 + (9 * 8 + 1) * 16 + 2 * 16
    dense = (7 * 7 * 16 + 1) * 32 + 2 * 32 + (32 + 1) * 10
    assert last["parameters"] == convolutions + dense


@needs(USPS)
def test_the_usps_study_begins_with_a_linear_classifier_and_squared_errors() -> None:
    *_, last = trainer.train(CONVNET, {"epochs": 3}, QuietTrial())
    assert last["parameters"] == 2_570
    assert 0.2 < last["val_accuracy"] < 0.9
    assert last["val_loss"] < 0.09  # of saying nothing: 9 times 0.01 and 0.81, over 10


def test_training_accuracy_is_that_of_the_examples_as_they_were_trained_on() -> None:
    params = {"dataset": "digits", "n_train": 40, "batch_size": 40, "lr": 1e-12, "epochs": 1}
    (report,) = trainer.train(CONVNET, params, QuietTrial(seed=4))
    torch.manual_seed(4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    images, labels = load(DIGITS, DataFolders.of(), "cpu", 40).train
    expected = (model(images).argmax(1) == labels).float().mean().item()
    assert report["train_accuracy"] == pytest.approx(expected)


@needs("cifar-10-batches-py/test_batch")
@pytest.mark.slow
def test_a_convnet_learns_cifar_10() -> None:
    params = {
        "dataset": "cifar-10",
        "n_train": 4_000,
        "n_validation": 1_000,
        "n_test": 100,
        "epochs": 3,
        "n_conv": 3,
        "n_filters": "16-32-64",
        "kernel": 4,
        "padding": 1,
        "n_fc": 1,
        "batch_norm_conv": True,  # without it the first epoch learns nothing
        "loss": "cross-entropy",
        "lr": 0.02,
        "momentum": 0.9,
        "batch_size": 32,
    }
    *_, last = trainer.train(CONVNET, params, QuietTrial())
    assert last["val_accuracy"] > 0.35


@needs(USPS)
@pytest.mark.parametrize("trunk", ["shared", pytest.param("separate", marks=pytest.mark.slow)])
def test_colours_are_learnt_at_once_and_digits_soon(trunk: str, tmp_path: Path) -> None:
    params = {"trunk": trunk, "n_train": 1_500, "n_test": 300, "epochs": 3, "batch_size": 16}
    params |= {"dataset": "usps", "pixel_scale": 1}
    trial = QuietTrial(dir=tmp_path)
    *_, last = trainer.train(COLOURED_DIGITS, {**params, "lr": 3e-3}, trial)
    assert last["val_colour_accuracy"] > 0.95
    assert last["val_digit_accuracy"] > 0.6
    assert last["val_both_accuracy"] <= last["val_digit_accuracy"]
    result = trainer.test(COLOURED_DIGITS, {**params, "lr": 3e-3}, trial, last)
    digits, colours, mistakes = figures_in(tmp_path)
    assert isinstance(digits, Confusion)
    assert isinstance(colours, Confusion)
    assert isinstance(mistakes, Pictures)
    for figure, name in ((digits, "digit"), (colours, "colour")):
        right = sum(figure.counts[i][i] for i in range(len(figure.classes)))
        assert right / 300 == pytest.approx(result[f"test_{name}_accuracy"])
    wrong = round(300 * (1 - result["test_both_accuracy"]))
    assert len(mistakes.pictures) == min(40, wrong)
    assert (mistakes.height, mistakes.width, mistakes.channels) == (16, 16, 3)


def test_two_trunks_are_two_networks_and_a_shared_one_is_one() -> None:
    small = {"dataset": "usps", "n_colours": 5, "n_filters": 4, "n_fc": 1, "width": 8}
    # 5x5, 3x3 and 3x3 kernels that keep the size, each pooled: 16, 8, 4, 2.
    trunk = (75 + 1) * 4 + 2 * (36 + 1) * 4 + (4 * 4 + 1) * 8
    for kind, expected in (("shared", trunk + 9 * 15), ("separate", 2 * trunk + 9 * 15)):
        model = coloured_digits.network(
            ColouredDigitsParams.model_validate({**small, "trunk": kind})
        )
        assert sum(weights.numel() for weights in model.parameters()) == expected
        assert model(torch.rand(2, 3, 16, 16)).shape == (2, 15)


def test_the_mistakes_shown_are_the_surest_ones_with_the_image_itself() -> None:
    images = torch.randint(256, (60, 3, 4, 5), generator=torch.Generator().manual_seed(2)) / 256
    labels = torch.zeros(60, dtype=torch.int64)
    logits = torch.zeros(60, 3)
    logits[:50, 1] = torch.arange(1.0, 51)  # wrong, and the surer the later
    logits[50:59, 0] = 1  # right
    logits[59] = math.nan
    classes = ["cat", "dog", "eel"]
    figure = drawing.mistakes(images, logits, labels, classes)
    assert len(figure.pictures) == 40
    assert figure.pictures[0].label == "cat, taken for dog"
    pixels = base64.b64decode(figure.pictures[0].pixels)
    assert list(pixels) == (images[49].permute(1, 2, 0) * 256).int().flatten().tolist()
    assert drawing.mistakes((images * 256).to(torch.uint8), logits, labels, classes) == figure
    confusion = drawing.confusion(logits, labels, classes)
    assert confusion.counts == [[9, 50, 0], [0, 0, 0], [0, 0, 0]]
    assert confusion.caption == (
        "The winner on 59 test images: 50 mistakes. The most frequent: cat taken for dog, 50 "
        "times. For 1 more it gave no answer (not a number)."
    )


def test_the_names_of_the_classes_are_as_many_as_there_are() -> None:
    assert {len(one.classes) for one in DATA_SETS.values() if one.classes} == {10}
    images = torch.zeros(3, 1, 28, 28)
    known = Splits(*(Split(images, torch.tensor([0, 1, 9])),) * 3)
    confusion, mistakes = drawing.draw_mistakes(
        known, lambda inputs: torch.eye(10)[[0, 2, 9]], FASHION_MNIST.classes
    )
    assert isinstance(confusion, Confusion)
    assert isinstance(mistakes, Pictures)
    assert confusion.counts[1][2] == 1
    assert [picture.label for picture in mistakes.pictures] == ["trouser, taken for pullover"]
