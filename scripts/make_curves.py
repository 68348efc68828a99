"""Trains many settings of small workloads in full, and keeps their curves as a table: what
`bench_search.py fidelity` replays, so that it searches among real curves within seconds.

    python scripts/make_curves.py            # hours on one core; goes on where it was stopped
    python scripts/make_curves.py spirals    # one of them

A table, `scripts/curves/NAME.txt`, has a line of JSON that says what was searched and for how many
epochs, and then a line for each training: the setting's number, the seed, seconds of training, the
validation metric after each epoch in units of 1e-4. A training that diverged has fewer.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from distune.search.drawing import draw_setting
from distune.study.space import Space
from distune.study.trial import Direction
from distune.training.context import TrialContext
from distune.workloads import WORKLOADS

FOLDER = Path(__file__).resolve().parent / "curves"
UNIT = 1e-4  # of the metric
CONFIGURATIONS, SEEDS = 300, 2

_RATE = {"type": "float", "low": 1e-4, "high": 0.5, "log": True}
_LEARNING = {
    "lr": _RATE,
    "schedule": ["constant", "cosine", "one-cycle"],
    "optimizer": ["sgd", "adam", "rmsprop"],
    "weight_decay": {"type": "float", "low": 1e-6, "high": 0.1, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6},
}
#: Of each: the workload, its space, and how many epochs each setting is trained.
TABLES: dict[str, tuple[str, dict[str, Any], int]] = {
    "spirals": (
        "spirals",
        {
            **_LEARNING,
            "width": {"type": "int", "low": 4, "high": 128, "log": True},
            "n_fc": [1, 2, 3],
            "activation": ["relu", "tanh", "sigmoid"],
            "batch_size": [20, 40, 80],
            "n_train": [600],
            # What had no other value when the table was made; last, so that nothing else is drawn
            # otherwise.
            "variant": ["2021"],
            "momentum": [0.9],
        },
        81,
    ),
    "house-prices": (
        "house-prices",
        {
            **_LEARNING,
            "width": {"type": "int", "low": 4, "high": 128, "log": True},
            "n_fc": [1, 2, 3],
            "activation": ["relu", "tanh", "sigmoid"],
            "batch_size": [20, 50, 100],
            "target_scale": ["range"],
            "momentum": [0.9],
        },
        27,
    ),
    "digits": (
        "convnet",
        {
            **_LEARNING,
            "n_conv": [1, 2],
            "n_filters": [4, 8, 16, 32],
            "padding": [1],
            "width": [16, 32, 64, 128],
            "batch_size": [32, 64, 128],
            "n_fc": [1],
            "dataset": ["digits"],
            "n_train": [500],
            "loss": ["cross-entropy"],
        },
        27,
    ),
}


@dataclass(frozen=True)
class Table:
    """Settings, and the curves of their trainings.

    Attributes:
        curves: by the setting's number and the seed: the metric after each epoch.
        seconds: likewise, of the whole training.
    """

    name: str
    space: Space
    metric: str
    direction: Direction
    epochs: int
    curves: dict[tuple[int, int], list[float]]
    seconds: dict[tuple[int, int], float]

    def params(self, number: int) -> dict[str, Any]:
        """A setting."""
        return dict(draw_setting(self.space, Random(f"curves {self.name} {number}")))


def read(name: str) -> Table:
    """A table, as far as it is there."""
    workload, params, epochs = TABLES[name]
    described = WORKLOADS[workload]
    table = Table(name, Space(params=params), described.metric, described.direction, epochs, {}, {})
    path = FOLDER / f"{name}.txt"
    for line in path.read_text().splitlines()[1:] if path.exists() else ():
        number, seed, seconds, *values = line.split()
        table.curves[int(number), int(seed)] = [int(value) * UNIT for value in values]
        table.seconds[int(number), int(seed)] = float(seconds)
    return table


def make(name: str) -> None:
    """Train what is missing in a table."""
    import torch

    torch.set_num_threads(1)
    workload, params, epochs = TABLES[name]
    FOLDER.mkdir(exist_ok=True)
    path, table = FOLDER / f"{name}.txt", read(name)
    if not path.exists():
        header = {"workload": workload, "metric": table.metric, "epochs": epochs, "params": params}
        path.write_text(json.dumps(header) + "\n")
    began = time.monotonic()
    for number in range(CONFIGURATIONS):
        for seed in range(SEEDS):
            if (number, seed) in table.curves:
                continue
            seconds, curve = trained(workload, {**table.params(number), "epochs": epochs}, seed)
            values = " ".join(str(round(min(value, 99.0) / UNIT)) for value in curve)
            with path.open("a") as file:
                file.write(f"{number} {seed} {seconds:.2f} {values}".rstrip() + "\n")
        if number % 30 == 29:
            print(f"{name}: {number + 1} settings, {time.monotonic() - began:.0f} s", flush=True)


def trained(workload: str, params: dict[str, Any], seed: int) -> tuple[float, list[float]]:
    """Seconds of training, and the workload's metric after each epoch that has one."""
    from distune.workloads.trainer.trainer import train

    described = WORKLOADS[workload]
    with tempfile.TemporaryDirectory() as folder:
        trial = TrialContext(0, 1, seed, "cpu", folder)
        reports = list(train(described, params, trial))
    curve = []
    for report in reports:
        if report[described.metric] != report[described.metric]:
            break
        curve.append(report[described.metric])
    return reports[-1]["seconds"], curve


if __name__ == "__main__":
    for wanted in sys.argv[1:] or TABLES:
        make(wanted)
