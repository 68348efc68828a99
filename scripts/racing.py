"""What `race.py` lets run: distune's command, and Optuna and NePS around the loop of their own
examples.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: Validation accuracies that are to be seen.
GOALS = (0.989, 0.992)
_SECONDS = 60.0  # of training of a trial
_SPACE: dict[str, Any] = {
    "n_filters": {"type": "int", "low": 10, "high": 99},
    "batch_size": {"type": "int", "low": 16, "high": 255, "log": True},
    "momentum": {"type": "float", "low": 0.0, "high": 0.999},
    "lr": {"type": "float", "low": 0.01, "high": 0.316, "log": True},
}
_SEEN = re.compile(rb'"kind":"report"[^\n]*"val_accuracy":([0-9.]+)')
_LOOK_EVERY = 0.5  # seconds

Seen = list[tuple[float, float]]  # seconds since the command, and the best accuracy so far


# -- distune ---------------------------------------------------------------------------------------


def distune(seed: int, data: Path, limit: float) -> Seen:
    """`distune master --workers 2`, and what its folder says meanwhile."""
    space = {
        "objective": "mnist-cnn",
        "params": {**_SPACE, "epochs": 1000},
        "max_seconds": _SECONDS,
        "trials": 200,
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.json"
        path.write_text(json.dumps(space))
        command = [sys.executable, "-m", "distune", "master", "--space", str(path), "--plain"]
        command += ["--logs", f"{folder}/logs", "--workers", "2", "--data-dir", str(data)]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        seen: Seen = []
        try:
            while process.poll() is None and not _is_over(seen, time.monotonic() - began, limit):
                time.sleep(_LOOK_EVERY)
                best = max(_reported(Path(folder) / "logs" / "space"), default=0.0)
                if best > (seen[-1][1] if seen else 0.0):
                    seen.append((time.monotonic() - began, best))
        finally:
            process.terminate()
            process.wait(60)
        return seen


def _reported(folder: Path) -> Iterator[float]:
    for path in itertools.chain(folder.glob("trials/*"), folder.glob("seen/*/*")):
        try:
            yield from map(float, _SEEN.findall(path.read_bytes()))
        except FileNotFoundError:
            continue  # it has moved on


def _is_over(seen: Seen, seconds: float, limit: float) -> bool:
    return seconds > limit or bool(seen and seen[-1][1] >= max(GOALS))


# -- the peers -------------------------------------------------------------------------------------


class Reached(BaseException):
    """Nothing more is to be seen. No error that a search would count as its objective's."""


class PeersLoop:
    """Trains a setting for a minute, as the peers' examples do, and notes what is seen."""

    def __init__(self, data: Path, began: float, limit: float) -> None:
        from scripts.bench_training import Peers

        self._images = Peers(str(data))._all
        self._began, self._limit = began, limit
        self.seen: Seen = []

    def train(self, setting: dict[str, Any], seed: int) -> float:
        """The best accuracy of its epochs."""
        import torch
        from torch.nn import functional as F
        from torch.utils.data import DataLoader, Subset

        from scripts.bench_training import peers_network

        torch.manual_seed(seed)
        batch = setting["batch_size"]
        training = DataLoader(Subset(self._images, range(50_000)), batch_size=batch, shuffle=True)
        held_out = DataLoader(Subset(self._images, range(50_000, 60_000)), batch_size=batch)
        model = peers_network(setting["n_filters"])
        optimizer = torch.optim.SGD(
            model.parameters(), lr=setting["lr"], momentum=setting["momentum"]
        )
        best, trained = 0.0, 0.0
        while trained < _SECONDS:
            model.train()
            started = time.monotonic() - trained  # without what its evaluations took
            for x, y in training:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                trained = time.monotonic() - started
                if trained >= _SECONDS:
                    break
            best = max(best, self._accuracy(model, held_out))
            self._note(best)
        return best

    def _accuracy(self, model: Any, held_out: Any) -> float:
        import torch

        model.eval()
        with torch.no_grad():
            right = sum(int((model(x).argmax(1) == y).sum().item()) for x, y in held_out)
        return right / 10_000

    def _note(self, accuracy: float) -> None:
        seconds = time.monotonic() - self._began
        if accuracy > (self.seen[-1][1] if self.seen else 0.0):
            self.seen.append((seconds, accuracy))
        if _is_over(self.seen, seconds, self._limit):
            raise Reached


def optuna(seed: int, data: Path, limit: float) -> Seen:
    began = time.monotonic()
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    loop = PeersLoop(data, began, limit)

    def objective(trial: Any) -> float:
        setting = {
            "n_filters": trial.suggest_int("n_filters", 10, 99),
            "batch_size": trial.suggest_int("batch_size", 16, 255, log=True),
            "momentum": trial.suggest_float("momentum", 0.0, 0.999),
            "lr": trial.suggest_float("lr", 0.01, 0.316, log=True),
        }
        return loop.train(setting, 1000 * seed + trial.number)

    study = library.create_study(
        direction="maximize", sampler=library.samplers.TPESampler(seed=seed)
    )
    try:
        study.optimize(objective, n_trials=200)
    except Reached:
        pass
    return loop.seen


def neps(seed: int, data: Path, limit: float) -> Seen:
    began = time.monotonic()
    import logging

    import neps as library
    import numpy
    import torch

    logging.disable(logging.CRITICAL)
    numpy.random.seed(seed)
    torch.manual_seed(seed)
    loop, number = PeersLoop(data, began, limit), itertools.count()

    class Space(library.PipelineSpace):  # type: ignore[misc]
        n_filters = library.Integer(10, 99)
        batch_size = library.Integer(16, 255, log=True)
        momentum = library.Float(0.0, 0.999)
        lr = library.Float(0.01, 0.316, log=True)

    def objective(**setting: Any) -> float:
        return 1.0 - loop.train(setting, 1000 * seed + next(number))

    with tempfile.TemporaryDirectory() as folder:
        try:
            library.run(
                objective, Space(), root_directory=f"{folder}/neps", total_evaluations_to_spend=200
            )
        except Reached:
            pass
    return loop.seen


#: Each with a seed, MNIST's folder, and the seconds after which it ends whatever it has seen.
SYSTEMS: dict[str, Callable[[int, Path, float], Seen]] = {
    "distune": distune,
    "optuna": optuna,
    "neps": neps,
}
