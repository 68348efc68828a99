"""The script that times a GPU: what it checks where there is none, and that it finds faults."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from distune.workloads.trainer import network, optimizers
from scripts import bench_gpu

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    few = (("sgd", "one-cycle", "float32"), ("rmsprop", "cosine", "bfloat16"))
    monkeypatch.setattr(bench_gpu, "COMBINATIONS", few)
    monkeypatch.setattr(sys, "argv", ["bench_gpu.py"])


@without_gpu
def test_without_a_gpu_it_says_so_and_checks_what_it_can(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench_gpu.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert "No GPU here: nothing is measured" in lines[0]
    assert [line[:6] for line in lines[2:]] == ["ok    "] * 3


def test_a_step_that_waits_for_its_loss_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = network.add_to
    monkeypatch.setattr(
        network, "add_to", lambda totals, values: (values["loss"].item(), real(totals, values))
        if "loss" in values else real(totals, values)
    )  # fmt: skip
    assert bench_gpu.quick() == 1


def test_a_step_that_keeps_its_learning_rate_in_python_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = optimizers.make_optimizer
    monkeypatch.setattr(
        optimizers,
        "make_optimizer",
        lambda model, params, device, capturable: real(model, params, device, capturable=False),
    )
    assert bench_gpu.quick() == 1


@without_gpu
def test_how_busy_a_gpu_is_is_unknown_where_there_is_none() -> None:
    with bench_gpu.Utilisation() as used:
        pass
    assert used.describe() == "-"


def test_what_it_starts_has_the_environment_of_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with bench_gpu.executors_environment():
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
