"""The catalogue, the bounds of the hyperparameters, and devices."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distune import workloads
from distune.errors import UserError
from distune.workloads import WORKLOADS
from distune.workloads.device import resolve
from distune.workloads.mnist_cnn import MnistCnnParams


def python(code: str) -> str:
    """What this code prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_neither_the_catalogue_nor_the_search_for_data_loads_torch_or_numpy() -> None:
    modules = python(
        "import distune.workloads, distune.workloads.data.loading, distune.workloads.device, sys\n"
        "from distune.workloads.data.folders import DataFolders\n"
        "from distune.workloads.data.mnist import MNIST\n"
        "DataFolders.of('nowhere').locate(MNIST)\n"
        "print({'torch', 'torchvision', 'numpy', 'sklearn'} & set(sys.modules))"
    )
    assert modules == "set()"


def test_only_the_catalogue_knows_a_workload_by_its_file() -> None:
    files = {workload.hyperparameters.__module__ for workload in WORKLOADS.values()}
    assert len(files) == len(WORKLOADS)
    package = Path(workloads.__file__).parents[1]
    importers = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in files:
                importers.add(path.relative_to(package))
    assert importers == {Path("workloads/__init__.py")}


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_workload_is_listed_under_its_name_and_is_ranked_by_a_report(name: str) -> None:
    workload = WORKLOADS[name]
    assert workload.name == name
    assert workload.metric in workload.reports
    assert workload.metric.startswith("val_")
    assert workload.hyperparameters.model_config["extra"] == "forbid"


def test_the_defaults_are_the_labs() -> None:
    assert MnistCnnParams().model_dump() == {
        "dataset": "mnist",
        "n_train": None,
        "n_validation": None,
        "n_test": None,
        "n_filters": 32,
        "n_hidden": 256,
        "dropout": 0.5,
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.9,
        "lr_final": 0.0,
        "weight_decay": 0.0,
        "l1": 0.0,
        "regularise": "all",
        "clip_norm": None,
        "batch_size": 500,
        "skip_last_batch": False,
        "schedule": "constant",
        "epochs": 50,
        "patience": None,
        "precision": "float32",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0),
        ("lr", float("inf")),
        ("lr", float("nan")),
        ("momentum", -0.1),
        ("momentum", 1.1),
        ("weight_decay", -1e-9),
        ("l1", -1e-9),
        ("lr_final", -1e-9),
        ("clip_norm", 0),
        ("patience", 0),
        ("dropout", 1),
        ("batch_size", 0),
        ("n_filters", 0),
        ("n_hidden", 2.5),
        ("n_train", 0),
        ("epochs", 0),
        ("optimizer", "lion"),
        ("schedule", "step"),
        ("dataset", "cifar-10"),
        ("kernel", 5),
    ],
)
def test_a_value_out_of_bounds_or_an_unknown_name_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        MnistCnnParams.model_validate({name: value})
    assert [error["loc"] for error in refused.value.errors()] == [(name,)]


def test_auto_is_a_device_that_holds_tensors() -> None:
    import torch

    assert torch.ones(2, device=resolve("auto")).sum().item() == 2


def test_the_cpu_is_always_usable() -> None:
    assert resolve("cpu") == "cpu"


@pytest.mark.parametrize("spec", ["gpu", "cuda:", "cuda:-1", "cuda:x", "CPU", ""])
def test_what_is_no_device_is_refused_with_what_to_write(spec: str) -> None:
    with pytest.raises(UserError, match="write auto, cpu, cuda"):
        resolve(spec)


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"^device cuda:99: .*(use auto or cpu|last GPU)"):
        resolve("cuda:99")
