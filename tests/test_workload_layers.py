"""Networks built from hyperparameters: their shapes, their parameters, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn import functional as F

from distune.errors import UserError
from distune.workloads.hyperparameters import ConvParams, DenseParams
from distune.workloads.layers import BatchNorm, Dropout, conv_network, dense_network, per_layer
from tests.conftest import Lab


def size(model: nn.Module) -> int:
    return sum(weights.numel() for weights in model.parameters())


def conv(shape: tuple[int, int, int] = (1, 16, 16), **params: Any) -> nn.Sequential:
    return conv_network(ConvParams(**params), shape, 10)


# Dense layers


@pytest.mark.parametrize(
    ("params", "parameters"),
    [
        ({"n_fc": 0}, 4 * 3 + 3),
        ({"n_fc": 1, "width": 7}, 4 * 7 + 7 + 7 * 3 + 3),
        ({"n_fc": 2, "width": "7-5"}, 4 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3),
        ({"n_fc": 1, "width": "7-5"}, 4 * 7 + 7 + 7 * 3 + 3),
        ({"n_fc": 2, "width": "7"}, 4 * 7 + 7 + 7 * 7 + 7 + 7 * 3 + 3),
        ({"n_fc": 2, "width": 7, "batch_norm_fc": True}, 115 + 2 * 2 * 7),
    ],
)
def test_dense_layers_have_the_parameters_one_counts_by_hand(
    params: dict[str, Any], parameters: int
) -> None:
    model = dense_network(DenseParams(**params), 4, 3)
    assert size(model) == parameters
    assert model(torch.rand(6, 4)).shape == (6, 3)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("none", lambda x: x),
        ("relu", F.relu),
        ("tanh", torch.tanh),
        ("sigmoid", torch.sigmoid),
    ],
)
def test_hidden_layers_are_activated_and_the_last_is_not(activation: Any, function: Any) -> None:
    model = dense_network(DenseParams(n_fc=1, width=5, activation=activation), 4, 3)
    w1, b1, w2, b2 = model.parameters()
    x = torch.randn(6, 4)
    torch.testing.assert_close(model(x), F.linear(function(F.linear(x, w1, b1)), w2, b2))


def test_every_dense_layer_is_preceded_by_dropout_if_there_is_any() -> None:
    model = dense_network(DenseParams(n_fc=2, width=5, dropout=0.3), 4, 3)
    kinds = [type(layer) for layer in model]
    for i, kind in enumerate(kinds):
        if kind is nn.Linear:
            assert Dropout in kinds[max(0, i - 2) : i]
    assert kinds.count(Dropout) == 3
    assert len({id(layer) for layer in model}) == len(kinds)
    assert nn.Dropout not in map(type, dense_network(DenseParams(), 4, 3))


# Convolutions


@pytest.mark.parametrize(
    ("shape", "params", "parameters"),
    [
        # 16x16, a 3x3 kernel: 14x14 = 196, as the USPS report's single best has it.
        (
            (1, 16, 16),
            {"n_conv": 1, "n_filters": 1, "pool": "none", "n_fc": 0},
            (9 + 1) + (196 + 1) * 10,
        ),
        # Pooled between the layers but not after the last: 16 -> 16, 8 -> 8, 4 -> 4.
        (
            (1, 16, 16),
            {"n_conv": 3, "n_filters": 10, "padding": "same", "pool_last": False, "n_fc": 0},
            (9 + 1) * 10 + 2 * (90 + 1) * 10 + (16 * 10 + 1) * 10,
        ),
        # The winner for CIFAR-10: 32 -> 31, 15 -> 14, 7 -> 6, 3.
        (
            (3, 32, 32),
            {
                "n_conv": 3,
                "n_filters": "64-128-512",
                "kernel": 4,
                "padding": 1,
                "n_fc": 1,
                "width": 100,
                "batch_norm_conv": True,
            },
            (3 * 16 + 1) * 64
            + (64 * 16 + 1) * 128
            + (128 * 16 + 1) * 512
            + 2 * (64 + 128 + 512)
            + (512 * 9 + 1) * 100
            + (100 + 1) * 10,
        ),
        # 32, stride 2, a 5x5 kernel: (32 - 5) // 2 + 1 = 14, pooled by 3: 4.
        (
            (3, 32, 32),
            {
                "n_conv": 1,
                "n_filters": 2,
                "kernel": 5,
                "stride": 2,
                "pool": "avg",
                "pool_size": 3,
                "n_fc": 0,
            },
            (75 + 1) * 2 + (2 * 16 + 1) * 10,
        ),
        # Any kernel may keep the size: 16 and, pooled, 8.
        (
            (1, 16, 16),
            {"n_conv": 2, "n_filters": 3, "kernel": "9-4", "padding": "same", "n_fc": 0},
            (81 + 1) * 3 + (16 * 3 + 1) * 3 + (16 * 3 + 1) * 10,
        ),
        ((1, 16, 16), {"n_conv": 0, "n_fc": 0}, (256 + 1) * 10),
    ],
)
def test_convolutions_have_the_sizes_one_computes_by_hand(
    shape: tuple[int, int, int], params: dict[str, Any], parameters: int
) -> None:
    model = conv(shape, **params)
    assert size(model) == parameters
    assert model(torch.rand(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_a_convolution_is_normalized_activated_then_pooled(pool: Any, activation: Any) -> None:
    model = conv(
        n_conv=1, n_filters=4, pool=pool, activation=activation, batch_norm_conv=True, n_fc=0
    ).eval()
    norm = next(layer for layer in model if isinstance(layer, BatchNorm))
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5, -0.1]))  # some turn the order round
    assert norm.running_mean is not None
    norm.running_mean.fill_(0.1)
    w1, b1, scale, shift, w2, b2 = model.parameters()
    images = torch.rand(3, 1, 16, 16)
    hidden = (F.conv2d(images, w1, b1) - 0.1) / (1 + 1e-5) ** 0.5
    hidden = getattr(torch, activation)(hidden * scale[:, None, None] + shift[:, None, None])
    hidden = (F.max_pool2d if pool == "max" else F.avg_pool2d)(hidden, 2)
    torch.testing.assert_close(model(images), F.linear(hidden.flatten(1), w2, b2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
def test_dropout_drops_every_place_alike_and_scales_what_is_left(p: float, dtype: Any) -> None:
    torch.manual_seed(0)
    out = Dropout(p)(torch.ones(100_000, 8, dtype=dtype))
    kept = out != 0
    # Four units share 64 random bits: none of the four places may be special.
    assert (1 - kept.float().mean(0)).tolist() == pytest.approx([p] * 8, abs=0.006)
    assert out[kept].unique().tolist() == pytest.approx([1 / (1 - p)], rel=0.004)
    both = (kept[:, 0] & kept[:, 1]).float().mean().item()
    assert both == pytest.approx((1 - p) ** 2, abs=0.006)


def test_dropout_is_decided_by_the_seed_and_absent_from_evaluation() -> None:
    layer, ones = Dropout(0.5), torch.ones(33, 3)  # no multiple of four
    outs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outs.append(layer(ones))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
    assert torch.equal(layer.eval()(ones), ones)
    assert Dropout(1 - 1e-12)(ones).isfinite().all()


def test_batch_normalization_is_torch_s_but_for_a_single_value() -> None:
    ours, torchs = BatchNorm(5), nn.BatchNorm2d(5)
    for images in torch.rand(3, 4, 5, 6, 6):
        torch.testing.assert_close(ours(images), torchs(images))
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    alone = torch.rand(1, 5, 1, 1)
    with pytest.raises(ValueError, match="more than 1 value"):
        torchs(alone)
    torch.testing.assert_close(ours(alone), torchs.eval()(alone))
    flat, known = BatchNorm(5), nn.BatchNorm1d(5)
    torch.testing.assert_close(flat(alone.expand(4, 5, 1, 1)[:, :, 0, 0]),
                               known(alone.expand(4, 5, 1, 1)[:, :, 0, 0]))  # fmt: skip


def test_pixels_are_multiplied_before_the_first_layer() -> None:
    torch.manual_seed(0)
    plain = conv(n_conv=1, n_filters=2)
    torch.manual_seed(0)
    scaled = conv(n_conv=1, n_filters=2, pixel_scale=256)
    images = torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(scaled(images), plain(images * 256))
    assert len(plain) == len(scaled) - 1


# What cannot be built


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        (
            {"n_conv": 3, "kernel": 3},
            "conv layer 3: a kernel of 3x3 does not fit its input of 2x2, padded by 0 (the images "
            "are 16x16): make it smaller, pad more, or use fewer layers",
        ),
        (
            {"n_conv": 2, "kernel": "3-9", "padding": 0},
            "conv layer 2: a kernel of 9x9 does not fit its input of 7x7, padded by 0",
        ),
        (
            {"n_conv": 1, "kernel": 19, "padding": 1},
            "conv layer 1: a kernel of 19x19 does not fit its input of 16x16, padded by 1",
        ),
        (
            {"n_conv": 1, "kernel": 15, "pool_size": 3},
            "pooling after conv layer 1: a window of 3x3 does not fit its input of 2x2",
        ),
        (
            {"n_conv": 2, "padding": "same", "stride": 2},
            'conv layer 1: padding "same" needs stride 1, not 2',
        ),
        (
            {"n_conv": 3, "n_filters": "16-32", "padding": "same"},
            "n_filters '16-32' has 2 numbers, for 3 layers: give one for all of them, or one for "
            "each",
        ),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_layer_and_the_sizes(
    params: dict[str, Any], problem: str
) -> None:
    with pytest.raises(UserError) as error:
        conv(**params)
    assert str(error.value).startswith(problem)


def test_one_number_is_for_all_layers_and_a_list_for_one_each() -> None:
    assert per_layer("width", 5, 3) == [5, 5, 5]
    assert per_layer("width", "5", 3) == [5, 5, 5]
    assert per_layer("width", "5-6-7", 2) == [5, 6]
    assert per_layer("width", 5, 0) == []


@pytest.mark.parametrize("given", ["", "16-", "16,32", "0", "16-0-3", "-4", "1e3", 0, 2.5])
def test_what_is_no_list_of_layers_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        ConvParams(n_filters=given)


@pytest.mark.long
def test_a_setting_that_cannot_be_built_is_a_failed_trial_and_the_worker_goes_on(
    lab: Lab,
) -> None:
    fixed = {"dataset": "digits", "n_train": 100, "n_validation": 50, "n_test": 50, "epochs": 1}
    lab.write_space(
        objective="convnet",
        params={**fixed, "n_conv": 2, "kernel": [3, 13]},
        sampler="grid",
        trials=None,
        metric=None,
        direction=None,
    )
    done = lab.run("master", "--space", "space.json", "--workers", "1")
    assert done.returncode == 0, done.stderr
    found = lab.status()
    shown = lab.run("show", "1", "--study", "space")
    assert "failed" in shown.stdout
    said = " ".join(shown.stdout.split())  # as it is without the ends of lines
    assert "conv layer 2: a kernel of 13x13 does not fit its input of 8x8, padded by 0" in said
    outcomes = found["trials"]["outcomes"]
    assert (outcomes["complete"], outcomes["failed"]) == (1, 1)
    assert [name for name in lab.seen() if ".lost" in name] == []  # it was not tried again
    (figures,) = (lab.logs / "space" / "artifacts").rglob("figures.json")
    assert figures.stat().st_size > 1_000
