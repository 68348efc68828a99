"""Measures trials trained alone against the same trials in a population.

    python scripts/bench_population.py --data-dir DIR   # the tables, some ten minutes on a core
    python scripts/bench_population.py --quick          # counts instead of seconds, for CI

Everything is measured in turns on one thread, training and validation, without start-up: alone,
in a population of two, of four, ... A ratio is the median over the rounds of the ratio within a
round. Trials differ in learning rate, momentum and seed. Without MNIST's files (`--data-dir` or
DISTUNE_DATA) the images are scikit-learn's digits, which are as large, but few.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from distune.training.environment import executor_environment
from distune.workloads import compiled
from distune.workloads.data import locate
from scripts.benching import Checks, in_turn, machine, ratio, spread, table, tell

SETTINGS = ((8, 20), (8, 100), (16, 20), (16, 100), (32, 20), (32, 100))  # filters, batch size
SIZES = (2, 4, 8)
#: Of torch's operators for an image of a trial, in a population of so many, as a share of what
#: they are alone: what a population saves on any machine. With compiled functions each member has
#: its convolutions for itself.
MOST_DISPATCHES = {2: 0.95, 4: 0.6, 8: 0.4}
MOST_DISPATCHES_COMPILED = {2: 1.15, 4: 0.8, 8: 0.6}
_IMAGES = {8: 6_000, 16: 4_000, 32: 2_000}  # of all trials together: about a second's work


@dataclass
class Alone:
    """A trial of nobody's, for calling a workload directly."""

    seed: int = 0
    device: str = "cpu"
    data_dir: str | None = None
    max_seconds: float | None = None
    dir: Path = Path(os.devnull)

    def progress(self, fraction: float, images_per_second: float) -> None:
        pass


class Bench:
    """One kind of trial, alone or several at once."""

    def __init__(self, dataset: str, data_dir: str | None, filters: int, batch: int) -> None:
        self._data_dir = data_dir
        self._images = _IMAGES[filters] if dataset == "mnist" else 1_000
        self._batch = batch
        self._fixed: dict[str, Any] = {
            "dataset": dataset,
            "n_filters": filters,
            "batch_size": batch,
            "epochs": 1,
            "dropout": 0.5,
        }

    def seconds_per_image(self, size: int) -> float:
        """Of training, with the validation that belongs to it, in a population of `size`."""
        n = max(1, self._images // size // self._batch) * self._batch
        run = self.trials(size, n)
        started = time.perf_counter()
        run()
        return (time.perf_counter() - started) / (n * size)

    def trials(self, size: int, n: int) -> Callable[[], None]:
        """Train `size` trials on `n` images each."""
        from distune.workloads import mnist_cnn

        sizes = {"n_train": n, "n_validation": max(100, n // 5), "n_test": 1}
        settings: list[dict[str, Any]] = [
            {**self._fixed, **sizes, "lr": 0.01 * (i + 1), "momentum": 0.5 + 0.05 * i}
            for i in range(size)
        ]
        trials = [Alone(seed=i, data_dir=self._data_dir) for i in range(size)]

        def run() -> None:
            if size == 1:
                list(mnist_cnn.train(settings[0], trials[0]))
            else:
                for curve in mnist_cnn.train_together(settings, trials):
                    list(curve)

        return run


def measure(
    rounds: int, dataset: str, data_dir: str | None, settings: Sequence[tuple[int, int]]
) -> None:
    rows = []
    for filters, batch in settings:
        bench = Bench(dataset, data_dir, filters, batch)
        measures: dict[str, Callable[[], float]] = {
            str(size): partial(bench.seconds_per_image, size) for size in (1, *SIZES)
        }
        for warm_up in measures.values():
            warm_up()
        tell(f"{filters} filters, batches of {batch}, seconds an image")
        found = {
            name: [1e6 * seconds for seconds in each]
            for name, each in in_turn(rounds, measures).items()
        }
        alone = found["1"]
        rows.append(
            [
                f"{filters}, {batch}",
                spread(alone),
                *(f"{ratio(alone, found[str(size)], 2)}" for size in SIZES),
                *(spread(found[str(size)]) for size in SIZES),
            ]
        )
    header = ["filters, batch size", "alone, us an image"]
    header += [f"{size} at once" for size in SIZES]
    header += [f"us, {size} at once" for size in SIZES]
    table(header, rows)


def dispatches(bench: Bench, size: int, batch: int) -> float:
    """Of torch's operators, for a step of a trial: of five more steps, without start and end."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
        found = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            self.found += 1
            return func(*args, **(kwargs or {}))

    counts: list[int] = []
    for steps in (3, 8):
        run = bench.trials(size, steps * batch)
        count = Count()  # type: ignore[no-untyped-call]
        with count:
            run()
        counts.append(count.found)
    return (counts[1] - counts[0]) / 5 / size


def quick() -> int:
    """Counts that hold on a machine of any speed."""
    checks = Checks()
    batch = 20
    bench = Bench("digits", None, 8, batch)
    alone = dispatches(bench, 1, batch)
    tell(f"{alone:.0f} operators in a step alone")
    bounds = MOST_DISPATCHES_COMPILED if compiled.widths() else MOST_DISPATCHES
    for size, most in bounds.items():
        found = dispatches(bench, size, batch) / alone
        checks.at_most(f"operators for an image, {size} at once, of those alone", found, most)
    return checks.status


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", default=os.environ.get("DISTUNE_DATA"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--filters", type=int, action="append", help="only networks of so many (again for more)"
    )
    parser.add_argument("--quick", action="store_true", help="count only, and check")
    options = parser.parse_args()
    if "MALLOC_TRIM_THRESHOLD_" not in os.environ:  # as in a worker's training process
        os.execve(sys.executable, [sys.executable, *sys.argv], executor_environment(1))
    tell(machine())
    if options.quick:
        return quick()
    dataset = "mnist" if locate("mnist", options.data_dir) is not None else "digits"
    chosen = [one for one in SETTINGS if not options.filters or one[0] in options.filters]
    measure(options.rounds, dataset, options.data_dir, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
