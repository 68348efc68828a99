"""How fast a GPU trains, against the loop that most people write, on the same GPU.

    python scripts/bench_gpu.py --data-dir DIR     # all tables; some ten minutes on a fast GPU
    python scripts/bench_gpu.py --quick            # what can be checked without a GPU, for CI
    python scripts/bench_gpu.py --device cpu --rounds 1 --images 2000    # tries the script itself

The peers' loop is that of `bench_training.py`, with `.to("cuda")` for the network and for each
batch. A trial is one epoch and its validation, in a process that is warm. Where there is no GPU
nothing is measured: it says so, and checks what can be checked on a CPU, where a tape stands in
for a CUDA graph.
"""

from __future__ import annotations

import argparse
import io
import itertools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from distune.training.process import executor_environment
from distune.workloads.data.folders import DataFolders

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.bench_training import Alone, Peers, unpacked
from scripts.benching import Checks, in_turn, machine, ratio, spread, table, tell

SETTINGS = ((20, 16), (100, 16), (94, 55))  # batch, filters; the last is scenario 5's best
#: Of torch's operators in one captured step with everything in it: some, and a few to spare.
MOST_OPERATORS = 185
#: Optimizer, schedule and precision.
COMBINATIONS = (
    *itertools.product(
        ("sgd", "adam", "adamw", "rmsprop"), ("constant", "cosine", "one-cycle"), ("float32",)
    ),
    *itertools.product(("sgd", "rmsprop"), ("one-cycle",), ("tf32", "bfloat16")),
)
_SMALL: dict[str, Any] = {"n_conv": 1, "n_filters": 3, "n_fc": 1, "width": 8, "batch_size": 20,
                          "l1": 1e-3, "clip_norm": 0.5, "dropout": 0.3, "weight_decay": 0.01,
                          "batch_norm_conv": True, "batch_norm_fc": True, "epochs": 2,
                          "lr": 0.01, "loss": "cross-entropy", "dataset": "digits",
                          "n_train": 130, "n_validation": 100, "n_test": 100}  # fmt: skip


# -- what can be checked anywhere --------------------------------------------------------------


def quick() -> int:
    """Captured steps on a tape, against steps made one by one. Exit status 1 if they differ."""
    import torch

    from scripts.taping import Tape, capturable_on_cpu

    torch.set_num_threads(1)
    checks = Checks()
    most = 0
    with capturable_on_cpu():
        for optimizer, schedule, precision in COMBINATIONS:
            params = {"optimizer": optimizer, "schedule": schedule, "precision": precision}
            tape = Tape()
            captured = _trained(tape, params)
            with redirect_stdout(io.StringIO()):  # where it says that it does not capture
                eager = _trained(_never(Tape()), params)
            # A tape refuses a step that reads a number, and nothing is replayed then.
            checks.true(
                f"{optimizer}, {schedule}, {precision}: {tape.replayed} replays read no number and "
                "give the same weights bit for bit",
                tape.replayed == 9 and _equal(captured, eager),
            )
            most = max(most, len(tape.operators))
    checks.at_most("operators in a captured step with everything in it", most, MOST_OPERATORS)
    return checks.status


def _never(tape: Any) -> Any:
    """A capture that is never worth it after all: each step is made one by one."""

    def record(run: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("for comparison")

    tape.record = record
    return tape


def _trained(capture: Any, params: dict[str, Any]) -> tuple[Any, Any]:
    from distune.workloads.convnet import CONVNET
    from distune.workloads.trainer.trainer import train

    built: list[Any] = []

    def kept(wanted: Any) -> Any:
        recipe = CONVNET.recipe(wanted)

        def build() -> Any:
            built.append(recipe.network())
            return built[0]

        return replace(recipe, network=build)

    workload = replace(CONVNET, recipe=kept)
    wanted = {**_SMALL, **params}
    reports = train(workload, wanted, Alone(3), capturing=lambda _: capture)
    curve = [{k: v for k, v in report.items() if k != "seconds"} for report in reports]
    return curve, built[0].state_dict()


def _equal(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    import torch

    same = all(torch.equal(a, other[1][name]) for name, a in one[1].items())
    return same and one[0] == other[0]


# -- what a GPU does ---------------------------------------------------------------------------


def peers(device: str, folder: str, setting: dict[str, Any], seed: int = 0) -> tuple[float, float]:
    """Seconds of the peers' loop, and its validation accuracy after the last epoch."""
    accuracies, seconds = Peers(folder).train(
        setting, seed, setting["epochs"], setting["n_train"], setting["n_validation"], device
    )
    return seconds, accuracies[-1]


def ours(
    device: str, folder: str, captured: bool, setting: dict[str, Any], seed: int = 0
) -> tuple[float, dict[str, float]]:
    """Seconds of a trial of distune's trainer, and what it reported last."""
    from distune.workloads.device import give_back
    from distune.workloads.mnist_cnn import MNIST_CNN
    from distune.workloads.trainer.capture import capture_for
    from distune.workloads.trainer.trainer import train

    started = time.perf_counter()
    trial = Alone(seed, device, DataFolders.of(folder))
    capturing = capture_for if captured else lambda device: None
    *_, last = train(MNIST_CNN, setting, trial, capturing=capturing)
    give_back(device)
    return time.perf_counter() - started, last


class Several:
    """Warm processes that train a trial each at the same time, as a worker's executors do."""

    def __init__(self, count: int, device: str, folder: str) -> None:
        self._count, self._device, self._folder = count, device, folder
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context)

    def seconds(self, setting: dict[str, Any]) -> float:
        """From the first begin to the last end, a trial."""
        started = time.perf_counter()
        trial = partial(ours, self._device, self._folder, True, setting)
        for done in [self._pool.submit(trial, seed) for seed in range(self._count)]:
            done.result()
        return (time.perf_counter() - started) / self._count

    def end(self) -> None:
        self._pool.shutdown()


@contextmanager
def executors_environment() -> Iterator[None]:
    """What is started in here has the environment of executors with one thread each."""
    before = dict(os.environ)
    os.environ.update(executor_environment(1))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Utilisation:
    """Per cent of the time in which the GPU did anything, a few times a second, where that
    can be known: `pynvml` through torch, else `nvidia-smi`.
    """

    def __init__(self) -> None:
        self.seen: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Utilisation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            found = utilisation()
            if found is None:
                return
            self.seen.append(found)

    def describe(self) -> str:
        return f"{statistics.fmean(self.seen):.0f} %" if self.seen else "-"


def utilisation() -> float | None:
    """Of the first GPU, now; None if it cannot be known."""
    import torch

    try:
        return float(torch.cuda.utilization())
    except Exception:  # no pynvml, no driver, no GPU: each says it in its own way
        pass
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(command, capture_output=True, timeout=2, text=True, check=True)
        return float(found.stdout.splitlines()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def speed(device: str, folder: str, rounds: int, images: int, together: list[int]) -> None:
    """Trials an hour."""
    for batch, filters in SETTINGS:
        setting = {"batch_size": batch, "n_filters": filters, "lr": 0.05, "momentum": 0.9,
                   "epochs": 1, "n_train": images,
                   "n_validation": min(images, 10_000)}  # fmt: skip

        def alone(captured: bool, precision: str, setting: dict[str, Any] = setting) -> float:
            return ours(device, folder, captured, {**setting, "precision": precision})[0]

        measures: dict[str, Callable[[], float]] = {
            "peers' loop": partial(lambda s: peers(device, folder, s)[0], setting),
            "step by step": partial(alone, False, "float32"),
            "captured": partial(alone, True, "float32"),
            "captured, tf32": partial(alone, True, "tf32"),
            "captured, bfloat16": partial(alone, True, "bfloat16"),
        }
        with ExitStack() as stack:
            for count in together:
                with executors_environment():
                    several = Several(count, device, folder)
                    stack.callback(several.end)
                    several.seconds({**setting, "n_train": 1_000})  # its processes are started
                measures[f"captured, {count} at a time"] = partial(several.seconds, setting)
            used: dict[str, Utilisation] = {}
            for name, measure in measures.items():  # warm, and how busy the GPU is
                with Utilisation() as used[name]:
                    measure()
            found = in_turn(rounds, measures)
        print(f"Batch {batch}, {filters} filters, an epoch of {images:,} ({rounds} rounds):\n")
        hours = {name: [3600 / s for s in values] for name, values in found.items()}
        base = hours["peers' loop"]
        table(
            ["how", "trials an hour", "of the peers'", "GPU busy"],
            [
                [name, spread(values), ratio(values, base), used[name].describe()]
                for name, values in hours.items()
            ],
        )


def accuracy(device: str, folder: str, seeds: int, epochs: int, images: int) -> int:
    """What each way reaches; exit status 1 if captured steps are not those made one by one."""
    setting: dict[str, Any] = {"batch_size": 100, "n_filters": 16, "lr": 0.05, "momentum": 0.9,
                               "epochs": epochs, "n_train": images,
                               "n_validation": min(images, 10_000)}  # fmt: skip
    checks = Checks()
    found: dict[str, list[float]] = {"peers' loop": []}
    for seed in range(seeds):
        found["peers' loop"].append(peers(device, folder, setting, seed)[1])
        losses = {}
        for precision, captured in itertools.product(("float32", "tf32", "bfloat16"), (0, 1)):
            name = f"{'captured' if captured else 'step by step'}, {precision}"
            chosen = {**setting, "precision": precision}
            last = ours(device, folder, bool(captured), chosen, seed)[1]
            found.setdefault(name, []).append(last["val_accuracy"])
            losses[precision, captured] = last["val_loss"]
        for precision in ("float32", "tf32", "bfloat16"):
            checks.true(
                f"seed {seed}, {precision}: captured steps end at the same loss bit for bit",
                losses[precision, 0] == losses[precision, 1],
            )
        tell(f"seed {seed} of {seeds}: {found}")
    print(f"\nValidation accuracy after {epochs} epochs of {images:,}, {seeds} seeds:\n")
    table(["how", "per cent"], [[n, spread([100 * v for v in vs], 2)] for n, vs in found.items()])
    return checks.status


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="check, do not measure")
    parser.add_argument("--data-dir", help="where MNIST is; else DISTUNE_DATA, else the cache")
    parser.add_argument("--device", default="cuda", help="a CPU is for trying the script")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=50_000, help="in an epoch")
    parser.add_argument("--together", type=int, nargs="*", default=[2, 4, 8], metavar="N")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="for the accuracy")
    options = parser.parse_args()
    import torch

    here = options.device == "cpu" or torch.cuda.is_available()
    if options.quick or not here:
        if not here:
            print("No GPU here: nothing is measured; what can be checked on a CPU:\n")
        return quick()
    name = "a CPU" if options.device == "cpu" else torch.cuda.get_device_name()
    print(f"{name}; {machine()}, torch {torch.__version__}")
    if options.device == "cpu":
        print("On a CPU no step is captured: this tries the script, and measures no GPU.")
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        real = unpacked(options.data_dir, Path(folder))
        print(f"{'MNIST' if real else 'random images of the shape of MNIST'}\n")
        speed(options.device, folder, options.rounds, options.images, options.together)
        if real:
            return accuracy(options.device, folder, options.seeds, options.epochs, options.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
