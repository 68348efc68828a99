"""A training process's test of its host: device, data, places to write to."""

from __future__ import annotations

import importlib
import os
import tempfile
from typing import Any

from distune.errors import UserError
from distune.share.access import DENIED
from distune.study.study import Study
from distune.workloads import WORKLOADS
from distune.workloads.data import DATA_SETS
from distune.workloads.data.folders import DataFolders


def find_problem(study: Study, folder: str, device: str, data: DataFolders) -> str | None:
    """What is wrong with this host, if anything."""
    try:
        _check_writing(folder)
        if device != "cpu" or study.objective in WORKLOADS:
            by_name("device").check(device)
        for dataset in study.datasets:
            by_name("data.loading").check(DATA_SETS[dataset], data)
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _check_writing(folder: str) -> None:
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(2**20))
    except OSError as error:
        raise UserError(f"cannot write in {tempfile.gettempdir()}: {error.strerror}") from None
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        # The share being away or full is no fault of this host's.
        if error.errno in DENIED:
            raise UserError(f"cannot write in {folder}: {error.strerror}") from None


def by_name(module: str) -> Any:
    """One of `workloads`, which alone may import torch: by name, and only when needed."""
    return importlib.import_module(f"distune.workloads.{module}")
