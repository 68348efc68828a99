"""Convolution with max-pooling through the winners alone gives what torch gives, only sooner."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from distune.workloads import Workload
from distune.workloads.convnet import CONVNET
from distune.workloads.kernels import compiled, conv_max_pool
from distune.workloads.kernels.conv_max_pool import ConvMaxPool
from distune.workloads.kernels.functions import Kernels
from distune.workloads.mnist_cnn import MNIST_CNN
from distune.workloads.trainer import trainer
from tests.trials import QuietTrial, without_time

ROOT = Path(__file__).resolve().parents[1]
COMPILER = shutil.which("cc")
# images, channels, filters, height, width, kernel, padding, window, relu
SIZES = [
    (3, 1, 5, 28, 28, 5, 0, 2, True),
    (50, 1, 16, 12, 12, 5, 0, 2, True),
    (7, 3, 33, 13, 17, 3, 1, 2, True),
    (4, 20, 17, 12, 11, 4, 2, 2, False),
    (2, 3, 16, 9, 9, 2, 1, 3, True),
    (5, 1, 40, 20, 16, 5, 2, 2, False),
    (6, 9, 8, 7, 7, 1, 0, 3, True),
    (1, 37, 1, 6, 6, 5, 0, 2, True),
]
needs_compiler = pytest.mark.skipif(not COMPILER, reason="needs a C compiler named cc")


@pytest.fixture(params=compiled.widths() or [0])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the vectors with which everything in a test is computed."""
    if not request.param:
        pytest.skip("needs the functions of winners.c, compiled when distune is installed")
    kernels = cache(lambda: Kernels(request.param))
    monkeypatch.setattr(conv_max_pool, "_kernels", kernels)
    return int(request.param)


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def layers(size: tuple[Any, ...]) -> nn.Sequential:
    _, channels, filters, _, _, kernel, padding, window, relu = size
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, filters, kernel, padding=padding)
    return nn.Sequential(conv, nn.MaxPool2d(window), *([nn.ReLU()] if relu else []))


def fused(model: nn.Sequential) -> nn.Sequential:
    copy = nn.Sequential(*model)
    conv_max_pool.fuse(copy)
    assert any(isinstance(layer, ConvMaxPool) for layer in copy)
    return copy


def gradients(model: nn.Module, images: Tensor, by_images: bool) -> list[Tensor]:
    """The outputs, and what a random sum of them depends on."""
    images = images.clone().requires_grad_(by_images)
    outputs = model(images)
    torch.manual_seed(1)
    coefficients = torch.randn(outputs.shape) * (torch.rand(outputs.shape) < 0.7)
    wanted = [*model.parameters(), *([images] if by_images else [])]
    found = torch.autograd.grad((outputs * coefficients).sum(), wanted)
    return [outputs.detach(), *found]


@needs_compiler
def test_where_there_is_a_compiler_the_functions_are_there() -> None:
    found = compiled.widths()
    assert found
    assert found[-1] == 4
    assert all(a == 2 * b for a, b in pairwise(found))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("by_images", [False, True])
def test_outputs_and_gradients_are_those_of_torch(
    size: tuple[Any, ...], by_images: bool, width: int, threads: int
) -> None:
    n, channels, _, height, rows = size[:5]
    model = layers(size)
    images = torch.rand(n, channels, height, rows) - 0.3
    expected = gradients(model, images, by_images)
    found = gradients(fused(model), images, by_images)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_in_bfloat16_they_are_nearer_to_the_exact_ones_than_torchs(
    size: tuple[Any, ...], width: int
) -> None:
    n, channels, _, height, rows = size[:5]
    model = layers(size)
    images = torch.rand(n, channels, height, rows).bfloat16().float()
    expected = gradients(model, images, False)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        found = gradients(fused(model), images, False)
        torchs = gradients(model, images, False)
    assert found[0].dtype == torchs[0].dtype == torch.bfloat16
    for one, other, exact in zip(found, torchs, expected, strict=True):
        error = (one.float() - exact).abs().mean()
        assert error <= 1.1 * (other.float() - exact).abs().mean() + 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("window", [2, 3])
def test_equal_numbers_infinities_and_nan_are_pooled_as_by_torch(
    dtype: torch.dtype, window: int, width: int
) -> None:
    torch.manual_seed(2)
    values = torch.tensor([-1.0, 0.0, 1.0, 1.0, torch.inf, -torch.inf, torch.nan, -torch.nan])
    images = values[torch.randint(8, (5, 19, 7, 8))].to(dtype)
    images[:2] = torch.randint(-2, 3, (2, 19, 7, 8)).to(dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    pooled, winner = Kernels(width).pool(images, window, False)
    expected, indices = nn.functional.max_pool2d(images, window, return_indices=True)
    torch.testing.assert_close(pooled, expected, rtol=0, atol=0, equal_nan=True)
    rows = torch.arange(expected.shape[2])[:, None] * window + winner // window
    columns = torch.arange(expected.shape[3]) * window + winner % window
    assert torch.equal(rows * images.shape[3] + columns, indices)

    rectified, winner = Kernels(width).pool(images, window, True)
    torch.testing.assert_close(rectified, expected.relu(), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(winner == 255, expected <= 0)


def test_a_weight_that_is_nan_is_not_hidden(width: int) -> None:
    model = layers(SIZES[0])
    with torch.no_grad():
        next(model.parameters())[2, 0, 1, 1] = torch.nan
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            outputs = fused(model)(torch.rand(3, 1, 28, 28))
        assert outputs[:, 2].isnan().all()
        assert not outputs[:, [0, 1, 3, 4]].isnan().any()


def test_what_is_rounded_to_bfloat16_is_rounded_as_by_torch(width: int) -> None:
    model = fused(nn.Sequential(nn.Conv2d(1, 20, 1), nn.MaxPool2d(2)))
    weight, bias = model.parameters()
    with torch.no_grad():
        weight.fill_(1.0)
        bias.fill_(0.0)
    torch.manual_seed(3)
    some = torch.randn(1000) * 10.0 ** torch.randint(-38, 39, (1000,))
    halfway = 1 + torch.arange(1000) / 2**9  # between two neighbours, many of them
    odd = torch.tensor([torch.inf, -torch.inf, 3.4e38, -3.4e38, 0.0, -0.0])
    nan = torch.tensor([0x7FFFFFFF, -1, 0x7FC00000], dtype=torch.int32).view(torch.float32)
    numbers = torch.cat([some, halfway, -halfway, odd, nan])
    images = numbers[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(images)
    expected = numbers.bfloat16()[:, None].expand(-1, 20)
    torch.testing.assert_close(rounded[..., 0, 0], expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "others",
    [
        [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU()],
        [nn.Conv2d(3, 4, 3), nn.AvgPool2d(2)],
        [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2, stride=1)],
        [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2, padding=1)],
        [nn.Conv2d(3, 4, 3), nn.MaxPool2d((2, 1))],
        [nn.Conv2d(3, 4, 3), nn.MaxPool2d(2, ceil_mode=True)],
        [nn.Conv2d(3, 4, 3, stride=2), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3, dilation=2), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 3, 3, groups=3), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, (3, 1)), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 7), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3, bias=False), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3, padding="same"), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 3)],
    ],
    ids=str,
)
def test_other_rows_of_layers_are_left_alone(others: list[nn.Module]) -> None:
    model = nn.Sequential(*others)
    conv_max_pool.fuse(model)
    assert list(model) == others


def test_every_convolution_of_a_network_is_found_and_keeps_its_weights(width: int) -> None:
    class Trunk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Tanh(),
                nn.Sequential(nn.Conv2d(4, 5, 3), nn.MaxPool2d(2), nn.ReLU()), nn.Flatten(),
            )  # fmt: skip

    model = Trunk()
    before = list(model.parameters())
    conv_max_pool.fuse(model)
    kinds = [type(layer) for layer in model.modules()]
    assert kinds.count(ConvMaxPool) == 2
    assert kinds.count(nn.MaxPool2d) == kinds.count(nn.ReLU) == 0
    assert kinds.count(nn.Tanh) == kinds.count(nn.Flatten) == 1
    assert all(a is b for a, b in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("workload", "params"),
    [
        (MNIST_CNN, {"n_filters": 6, "n_hidden": 20, "momentum": 0.5}),
        (CONVNET, {"n_conv": 2, "n_filters": 5, "kernel": 3, "padding": 1, "activation": "tanh"}),
    ],
    ids=["mnist-cnn", "convnet"],
)
@pytest.mark.usefixtures("one_thread")
def test_a_training_takes_the_same_course_with_it_as_without(
    workload: Workload, params: dict[str, Any], precision: str, monkeypatch: pytest.MonkeyPatch,
    width: int,
) -> None:  # fmt: skip
    setting = {
        **params, "precision": precision, "dataset": "digits", "batch_size": 30, "lr": 0.05,
        "n_train": 200, "n_validation": 130, "epochs": 3, "dropout": 0.2,
    }  # fmt: skip
    found = without_time(trainer.train(workload, setting, QuietTrial(seed=5)))
    monkeypatch.setattr(compiled, "widths", list)
    monkeypatch.setattr(conv_max_pool, "_kernels", None)  # what is not to be used
    expected = without_time(trainer.train(workload, setting, QuietTrial(seed=5)))
    tolerance = 1e-4 if precision == "float32" else 2e-2
    for one, other in zip(found, expected, strict=True):
        for name in ("train_loss", "val_loss"):
            assert one[name] == pytest.approx(other[name], rel=tolerance)


@pytest.mark.usefixtures("one_thread")
def test_a_training_is_the_same_to_the_last_bit_when_it_is_repeated(width: int) -> None:
    setting = {"dataset": "digits", "n_filters": 9, "n_train": 200, "epochs": 2, "batch_size": 50}
    first, again = (
        without_time(trainer.train(MNIST_CNN, setting, QuietTrial(seed=5))) for _ in range(2)
    )
    assert first == again


def test_functions_of_another_version_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_VERSION", compiled._VERSION + 1)
    compiled.library.cache_clear()
    try:
        assert compiled.widths() == []
        model = layers(SIZES[0])
        before = list(model)
        conv_max_pool.fuse(model)
        assert list(model) == before
    finally:
        compiled.library.cache_clear()


@needs_compiler
@pytest.mark.slow
def test_no_function_leaves_an_array(tmp_path: Path) -> None:
    program = tmp_path / "bounds"
    command = f"{COMPILER} -O0 -Wno-psabi -fsanitize=address,undefined".split()
    source = ROOT / "tests" / "winners_bounds.c"
    subprocess.run([*command, source, "-o", program], check=True)
    ended = subprocess.run([program], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "within bounds\n"), ended.stderr


def test_it_is_what_workloads_train_with(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            used.append(name)
            return function(*given)

        return call

    step = ["convolve_and_pool", "pool", "gradients", "first_gradients"]
    for name in step:
        monkeypatch.setattr(Kernels, name, noted(name, getattr(Kernels, name)))
    setting = {"dataset": "digits", "n_filters": 5, "n_train": 40, "epochs": 1, "batch_size": 20}
    assert len(list(trainer.train(MNIST_CNN, setting, QuietTrial()))) == 1
    assert used[:8] == 2 * step
    assert set(used[8:]) == {"convolve_and_pool", "pool"}  # validation
