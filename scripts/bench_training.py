"""How fast this machine trains, against the loop that most people write.

    python scripts/bench_training.py --data-dir DIR     # all tables, about an hour on two cores
    python scripts/bench_training.py steps latency      # of: steps accuracy study latency memory
    python scripts/bench_training.py --quick            # counts instead of seconds, for CI

The peers' loop is that of the examples of Optuna, Ray Tune and NePS: torchvision's MNIST, ToTensor
and Normalize sample by sample, a DataLoader, `loss.item()` in each step; one process with as many
threads as torch takes by default, as their users run it. Its network is the lab's, written as its
users write it, and its pixels are those of the lab, in [0, 1).

Everything is measured in turns (peers, distune, peers, distune, ...), so that what else the machine
does hits both; but it hits the peers' loop harder, whose threads wait for each other. So what was
measured while other processes took more than a twentieth of the cores is measured again, a few
times, and the least disturbed counts; how many stayed disturbed is said. A ratio is the median over
the rounds of the ratio within a round. Without MNIST's files the images are random: the times are
the same, there is no accuracy.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import psutil

from distune.space_file.freeze import freeze
from distune.space_file.model import SpaceFile
from distune.study.study import Study
from distune.study.trial import Purpose, Result, Trial
from distune.training.messages import Assignment, Prepare, decode_message, encode_message
from distune.training.process import executor_environment
from distune.worker import host
from distune.workloads.data.folders import DataFolders
from distune.workloads.data.mnist import MNIST

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from scripts.benching import Checks, in_turn, machine, ratio, spread, table, tell

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = ((20, 16), (100, 16), (500, 16), (20, 55), (100, 55), (500, 55))  # batch, filters
#: Of torch's operators in one step of mnist-cnn, forwards, backwards and the update; as many as
#: there were when this was written, and a few to spare for other versions of torch.
MOST_DISPATCHES = {"float32": 90, "bfloat16": 106}
_PIXELS = 28 * 28
_SIZES = (("train", 60_000), ("t10k", 10_000))


# -- data ------------------------------------------------------------------------------------


def unpacked(data_dir: str | None, folder: Path) -> bool:
    """Put MNIST's four files into `folder` as torchvision wants them, or random ones.

    Returns:
        Whether they are MNIST.
    """
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    found = DataFolders.of(data_dir).locate(MNIST)
    rng = random.Random(0)
    for part, n in _SIZES:
        for kind in ("images-idx3", "labels-idx1"):
            name = f"{part}-{kind}-ubyte"
            if found is not None:
                path = found / "MNIST" / "raw" / name
                packed = path.with_name(f"{name}.gz")
                content = (
                    path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
                )
            elif kind == "images-idx3":
                content = struct.pack(">4i", 2051, n, 28, 28) + rng.randbytes(n * _PIXELS)
            else:
                content = struct.pack(">2i", 2049, n) + bytes(rng.choices(range(10), k=n))
            (raw / name).write_bytes(content)
    return found is not None


# -- the peers' loop, and the best that plain PyTorch does -------------------------------------


def peers_network(filters: int, hidden: int = 256, dropout: float = 0.5) -> Any:
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, filters, 5)
            self.conv2 = nn.Conv2d(filters, filters, 5)
            self.fc1 = nn.Linear(filters * 16, hidden)
            self.fc2 = nn.Linear(hidden, 10)
            self.dropout = nn.Dropout(dropout)
            for layer in (self.conv1, self.conv2, self.fc1, self.fc2):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            x = F.relu(self.fc1(self.dropout(torch.flatten(x, 1))))
            out: torch.Tensor = self.fc2(self.dropout(x))
            return out

    return Net()


class Peers:
    """The peers' loop on the first images of the files in a folder."""

    def __init__(self, folder: str) -> None:
        from scripts.torchvision_datasets import import_datasets

        datasets = import_datasets()
        from torchvision import transforms

        # In [0, 1) like the lab's, at the price of any other mean and deviation.
        transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.0,), (256 / 255,))]
        )
        self._all = datasets.MNIST(folder, train=True, transform=transform)

    def train(
        self,
        setting: dict[str, Any],
        seed: int,
        epochs: int,
        n: int,
        n_validation: int,
        device: str = "cpu",
    ) -> tuple[list[float], float]:
        """Validation accuracy after each epoch, and the seconds of all of them."""
        import torch
        from torch.nn import functional as F
        from torch.utils.data import DataLoader, Subset

        torch.manual_seed(seed)
        batch = setting["batch_size"]
        training = DataLoader(Subset(self._all, range(n)), batch_size=batch, shuffle=True)
        held_out = Subset(self._all, range(50_000, 50_000 + n_validation))
        validation = DataLoader(held_out, batch_size=batch)
        model = peers_network(setting["n_filters"]).to(device)
        optimizer = torch.optim.SGD(
            model.parameters(), lr=setting["lr"], momentum=setting["momentum"]
        )
        accuracies, running = [], 0.0
        started = time.perf_counter()
        for _ in range(epochs):
            model.train()
            for x, y in training:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x.to(device)), y.to(device))
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                running += loss.item()
            model.eval()
            right = 0
            with torch.no_grad():
                for x, y in validation:
                    right += int((model(x.to(device)).argmax(1) == y.to(device)).sum().item())
            if n_validation:
                accuracies.append(right / n_validation)
        return accuracies, time.perf_counter() - started


class Plain:
    """Plain PyTorch at its best, by hand: images in memory as float32, batches by index,
    channels last, pool before ReLU, fused SGD; what distune's trainer was measured against.
    """

    def __init__(self, data_dir: str) -> None:
        from distune.workloads.data.loading import as_floats, load

        training = load(MNIST, DataFolders.of(data_dir), "cpu").train
        self._x, self._y = as_floats(training.inputs), training.targets

    def seconds(self, batch: int, filters: int, n: int) -> float:
        import torch
        from torch import nn

        torch.manual_seed(0)
        conv, pool, relu, drop = nn.Conv2d, nn.MaxPool2d(2), nn.ReLU, nn.Dropout
        model = nn.Sequential(
            *(conv(1, filters, 5), pool, relu(inplace=True)),
            *(conv(filters, filters, 5), pool, relu(inplace=True)),
            *(drop(), nn.Flatten(), nn.Linear(filters * 16, 256), relu(inplace=True), drop()),
            nn.Linear(256, 10),
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
        started = time.perf_counter()
        for chosen in torch.split(torch.randperm(n), batch):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(
                model(self._x.index_select(0, chosen)), self._y.index_select(0, chosen)
            )
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return time.perf_counter() - started


@dataclass
class Alone:
    """A trial of no study, for calling a workload directly."""

    seed: int = 0
    device: str = "cpu"
    data: DataFolders = field(default_factory=DataFolders.of)
    max_seconds: float | None = None
    dir: Path = Path(os.devnull)

    @property
    def save_due(self) -> bool:
        return False

    @property
    def saves_last(self) -> bool:
        return False

    def save(self, state: Mapping[str, Any], *, last: bool = False) -> None:
        raise AssertionError(f"{len(state)} things were to be saved where nothing was due")

    def load(self) -> dict[str, Any] | None:
        return None

    def progress(self, fraction: float, images_per_second: float) -> None:
        pass


def ours(setting: dict[str, Any], data_dir: str, seed: int = 0) -> list[dict[str, float]]:
    """All reports of distune's own trainer for a setting."""
    from distune.workloads.mnist_cnn import MNIST_CNN
    from distune.workloads.trainer.trainer import train

    return list(train(MNIST_CNN, setting, Alone(seed=seed, data=DataFolders.of(data_dir))))


# -- children: one process each, that does as it is told a line at a time ------------------------


class Child:
    """`Child("peers", folder, threads)`: a process that stays, and answers `ask({...})`."""

    def __init__(self, kind: str, folder: Path, threads: int | None) -> None:
        with _cleared_of_threads():
            environment = dict(os.environ) if threads is None else executor_environment(threads)
        self._process = subprocess.Popen(
            [sys.executable, __file__, "child", kind, "--data-dir", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            cwd=ROOT,
            text=True,
            start_new_session=True,  # which an executor ends when its input does
        )

    def start(self, question: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)["answer"]
        raise RuntimeError("a measuring process ended")

    def ask(self, question: dict[str, Any]) -> Any:
        self.start(question)
        return self.answer()

    def end(self) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()


def child(kind: str, data_dir: str) -> None:
    work: Callable[..., Any] = {
        "peers": _peers_work,
        "plain": _plain_work,
        "ours": _ours_work,
        "executor": _executor_work,
    }[kind](data_dir)
    for line in sys.stdin:
        print(json.dumps({"answer": work(**json.loads(line))}), flush=True)
    os._exit(0)


def _peers_work(data_dir: str) -> Callable[..., Any]:
    peers = Peers(data_dir)

    def work(
        setting: dict[str, Any], n: int, seed: int = 0, epochs: int = 1, n_validation: int = 0
    ) -> tuple[float, float]:
        accuracies, seconds = peers.train(setting, seed, epochs, n, n_validation)
        return max(accuracies, default=0.0), seconds

    return work


def _plain_work(data_dir: str) -> Callable[..., Any]:
    plain = Plain(data_dir)
    return lambda setting, n: plain.seconds(setting["batch_size"], setting["n_filters"], n)


def _ours_work(data_dir: str) -> Callable[..., Any]:
    def work(setting: dict[str, Any], seed: int = 0) -> tuple[float, float]:
        reports = ours(setting, data_dir, seed)
        return max(report["val_accuracy"] for report in reports), reports[-1]["seconds"]

    return work


# -- quiet -----------------------------------------------------------------------------------


class Quiet:
    """Repeats what others disturb (known on Linux only)."""

    def __init__(self, tries: int, patience: float = 0.0) -> None:
        self._tries = tries
        self._patience = patience  # seconds to wait for the others before each try
        self.measured = self.disturbed = 0

    def __call__(self, measure: Callable[[], float]) -> float:
        """The least disturbed result of a few, or the first that is not disturbed."""
        least, result = math.inf, math.nan
        for _ in range(self._tries):
            self._wait()
            began, started = _foreign(), time.perf_counter()
            found = measure()
            share = (_foreign() - began) / (time.perf_counter() - started) / host.usable_cores()
            if share < least:
                least, result = share, found
            if least <= 0.05:
                break
        self.measured += 1
        self.disturbed += least > 0.05
        return result

    def _wait(self) -> None:
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            began = _foreign()
            time.sleep(2)
            if (_foreign() - began) / 2 / host.usable_cores() <= 0.05:
                return

    def describe(self) -> str:
        return (
            f"{self.disturbed} of {self.measured} measurements stayed disturbed by other processes"
        )


def _foreign() -> float:
    """Seconds of processors that others have taken since some moment."""
    try:
        with open("/proc/stat") as statistics_:
            ticks = [int(word) for word in statistics_.readline().split()[1:9]]
    except OSError:
        return 0.0
    busy = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")  # not idle, not waiting
    own: float = sum(os.times()[:4])
    for process in psutil.Process().children(recursive=True):
        try:
            own += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
    return busy - own


def _torch() -> str:
    """What counts beside the machine."""
    import torch

    bf16 = {True: "with", False: "without", None: "maybe with"}[host.computes_bfloat16()]
    return f"{bf16} bfloat16 instructions, torch {torch.__version__}"


# -- a: steps --------------------------------------------------------------------------------


def steps(data: Path, rounds: int) -> None:
    """Microseconds per image of the whole machine: all cores at work."""
    cores = host.usable_cores()
    quiet = Quiet(tries=6, patience=4)
    with ExitStack() as stack:

        def children(kind: str, n: int, threads: int | None) -> list[Child]:
            made = [Child(kind, data, threads) for _ in range(n)]
            for one in made:
                stack.callback(one.end)
            return made

        peers = children("peers", 1, None)
        plain = children("plain", cores, 1)
        own = children("ours", cores, 1)
        names = [
            "peers' loop",
            "best plain PyTorch, float32",
            "distune, float32",
            "distune, bfloat16",
        ]
        rows = []
        for batch, filters in SETTINGS:
            setting: dict[str, Any] = {"batch_size": batch, "n_filters": filters, "lr": 0.01,
                                       "momentum": 0.9}  # fmt: skip
            n = -(-max(4_000 if filters < 30 else 1_500, 4 * batch) // batch) * batch

            asked = {"setting": setting, "n": n}
            measures = {
                names[0]: partial(_together, peers, asked, n),
                names[1]: partial(_together, plain, asked, n),
            }
            for name, precision in zip(names[2:], ("float32", "bfloat16"), strict=True):
                full = {**setting, "precision": precision, "epochs": 1, "n_train": n}
                full |= {"n_validation": 1, "n_test": 1}
                measures[name] = partial(_together, own, {"setting": full}, n)
            for measure in measures.values():
                measure()  # warms up
            tell(f"batch {batch}, {filters} filters")
            found = in_turn(rounds, {name: partial(quiet, one) for name, one in measures.items()})
            base = found[names[0]]
            rows.append([f"{batch} / {filters}", spread(base)] + [
                f"{spread(found[name])}, {ratio(base, found[name])}" for name in names[1:]
            ])  # fmt: skip
        print("Microseconds per image in training steps, the whole machine")
        print(f"({rounds} rounds; {quiet.describe()}):\n")
        table(["batch / filters", *names], rows)


def _together(children: Sequence[Child], question: dict[str, Any], n: int) -> float:
    """Microseconds per image when all of them train n images at the same time."""
    for one in children:
        one.start(question)
    answers = [one.answer() for one in children]
    seconds = [answer[1] if isinstance(answer, list) else answer for answer in answers]
    return 1e6 * statistics.fmean(seconds) / (n * len(children))


# -- c: accuracy -----------------------------------------------------------------------------


def accuracy(data: Path, seeds: int, epochs: int, images: int) -> None:
    """Best validation accuracy of the same setting, trained by each, with several seeds."""
    setting = {"n_filters": 16, "batch_size": 64, "lr": 0.03, "momentum": 0.9}
    found: dict[str, list[float]] = {name: [] for name in ("peers", "float32", "bfloat16")}
    cores = host.usable_cores()
    with ExitStack() as stack:
        peers = Child("peers", data, None)
        own = [Child("ours", data, 1) for _ in range(cores)]
        for one in (peers, *own):
            stack.callback(one.end)
        for seed in range(seeds):
            asked = {"setting": setting, "epochs": epochs, "n": images, "seed": seed}
            asked["n_validation"] = 10_000
            found["peers"].append(peers.ask(asked)[0])
        todo = [(p, s) for p in ("float32", "bfloat16") for s in range(seeds)]
        for i in range(0, len(todo), cores):
            group = todo[i : i + cores]
            for one, (precision, seed) in zip(own, group, strict=False):
                full = {**setting, "epochs": epochs, "n_train": images, "precision": precision}
                one.start({"setting": full, "seed": seed})
            for one, (precision, _) in zip(own, group, strict=False):
                found[precision].append(one.answer()[0])
    print(f"Best validation accuracy in {epochs} epochs of {images:,} images, {seeds} seeds,")
    print(f"{setting}:\n")
    table(
        ["loop", "mean", "standard deviation", "seeds"],
        [
            [name, f"{100 * statistics.fmean(values):.2f}%",
             f"{100 * statistics.stdev(values):.2f}%",
             ", ".join(f"{100 * value:.2f}" for value in values)]
            for name, values in found.items()
        ],
    )  # fmt: skip


# -- b: a study ------------------------------------------------------------------------------


def sampled(n: int) -> list[dict[str, Any]]:
    """So many settings from scenario 5's space, evenly spread (a Latin hypercube): a few of
    them cost what many would in the mean.
    """
    rng = random.Random(5)
    columns = [rng.sample(range(n), n) for _ in range(4)]
    places = [[(cell + 0.5) / n for cell in column] for column in columns]
    return [
        {
            "n_filters": 10 + int(90 * a),
            "batch_size": int(2 ** (4 + 4 * b)),
            "momentum": c,
            "lr": 10 ** (-2 + 1.5 * d),
        }
        for a, b, c, d in zip(*places, strict=True)
    ]


def study(data: Path, rounds: int, trials: int, images: int) -> None:
    """Trials per hour of the whole machine, everything included, of scenario 5's space."""
    settings = sampled(trials)
    quiet = Quiet(tries=2, patience=20)
    studies = {
        "peers' loop": partial(_peers_study, settings, data, images),
        "distune, float32": partial(_our_study, settings, data, images, "float32"),
        "distune, bfloat16": partial(_our_study, settings, data, images, "bfloat16"),
    }
    found = in_turn(rounds, {name: partial(quiet, one) for name, one in studies.items()})
    base = found["peers' loop"]
    print(
        f"{trials} trials of scenario 5's space, one epoch of {images:,} images and validation on "
        f"10,000 each, from the command to the last result\n({rounds} rounds; "
        f"{quiet.describe()}):\n"
    )
    table(
        ["", "seconds", "trials per hour", "against the peers' loop"],
        [
            [name, spread(values), f"{3600 * trials / statistics.median(values):.0f}",
             ratio(base, values)]
            for name, values in found.items()
        ],
    )  # fmt: skip


def _peers_study(settings: list[dict[str, Any]], data: Path, images: int) -> float:
    """One process for all of them, as in `study.optimize(objective, n_trials=...)`."""
    started = time.perf_counter()
    peers = Child("peers", data, None)
    for setting in settings:
        peers.ask({"setting": setting, "n": images, "n_validation": 10_000})
    peers.end()
    return time.perf_counter() - started


def _our_study(settings: list[dict[str, Any]], data: Path, images: int, precision: str) -> float:
    """`distune master --workers N`, until the last trial is counted: the test of the winner,
    which the peers' loop has no counterpart of, is not waited for.
    """
    names = {name: sorted({s[name] for s in settings}) for name in settings[0]}
    params = {**names, "epochs": 1, "n_train": images, "precision": precision}
    space = {"objective": "mnist-cnn", "params": params, "sampler": "list", "settings": settings}
    workers = str(host.usable_cores())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "space.json"
        path.write_text(json.dumps(space))
        command = [sys.executable, "-m", "distune", "master", "--space", str(path), "--plain"]
        command += ["--logs", f"{folder}/logs", "--workers", workers, "--device", "cpu"]
        with _cleared_of_threads():
            started = time.perf_counter()
            process = subprocess.Popen(
                [*command, "--data-dir", str(data)], cwd=ROOT, stdout=subprocess.DEVNULL
            )
        history = Path(folder) / "logs" / "space" / "history.jsonl"
        while not history.exists() or history.read_bytes().count(b"\n") < len(settings):
            if process.poll() not in (None, 0):
                raise RuntimeError("the study failed")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        process.terminate()
        process.wait()
    return seconds


@contextmanager
def _cleared_of_threads() -> Iterator[None]:
    """Whatever OMP_NUM_THREADS and the like are here, users start without."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.endswith("_THREADS")}
    try:
        yield
    finally:
        os.environ.update(kept)


# -- d: how soon a warm executor trains ----------------------------------------------------------


class Executor:
    """A real executor in this process, so that the beginning of a step can be seen."""

    def __init__(self, data: Path) -> None:
        from distune.training.executor import _Executor

        theirs, self._requests = _pipe()
        self._messages, messages = _pipe()
        executor = _Executor(theirs, messages)
        executor._output = os.open(os.devnull, os.O_WRONLY)  # what this process prints is a figure
        threading.Thread(target=executor.run, daemon=True).start()
        self._send(Prepare(device="cpu", data_dir=str(data)))
        self._until(lambda message: type(message).__name__ == "Ready")

    def _send(self, message: Any) -> None:
        self._requests.write(encode_message(message))
        self._requests.flush()

    def _until(self, wanted: Callable[[Any], bool]) -> Any:
        while True:
            _, message = decode_message(self._messages.readline())
            if wanted(message):
                return message

    def trial(self, number: int, params: dict[str, Any]) -> float:
        """Seconds from the assignment to the beginning of the first step's update."""
        from distune.workloads.trainer import optimizers

        seen: list[float] = []
        plain_step = optimizers.plain_step

        def noted(optimizer: Any) -> Callable[[], None]:
            step = plain_step(optimizer)

            def noting() -> None:
                seen.append(time.perf_counter())
                step()

            return noting

        optimizers.plain_step = noted  # torch's own hooks are not called: see there
        trial = Trial(
            study="bench", number=number, attempt=1, purpose=Purpose.TRAIN, repeat=0,
            seed=number, params=params,
        )  # fmt: skip
        started = time.perf_counter()
        self._send(_any_study())
        self._send(Assignment(study=None, trial=trial, folder=os.devnull))
        result = self._until(lambda message: isinstance(message, Result))
        optimizers.plain_step = plain_step
        if not seen:
            raise RuntimeError(f"the trial did not train: {result.failure}")
        return seen[0] - started


def _executor_work(data_dir: str) -> Callable[..., Any]:
    return Executor(Path(data_dir)).trial


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb"), os.fdopen(writing, "wb")


def _any_study() -> Study:
    space = SpaceFile.model_validate({"objective": "mnist-cnn", "params": {"lr": 0.1}})
    return freeze(space, name="bench", study_id="bench", lease=20.0, created=0.0)


def latency(data: Path, rounds: int) -> None:
    """Milliseconds from an assignment to the first step's update, in a warm executor."""
    executor = Child("executor", data, 1)
    small = {"batch_size": 100, "epochs": 1, "n_train": 1_000, "n_validation": 100, "n_test": 100}
    number = iter(range(10**6))
    rows = []
    first = executor.ask({"number": next(number), "params": {**small, "n_filters": 16}})
    rows.append(["the first trial of a process", f"{1e3 * first:.0f}"])
    for name, sizes in (
        ("the same network again", [16]),
        ("another network each time", list(range(20, 20 + 8 * rounds))),
        ("all 50,000 images, another network each time", list(range(21, 21 + 8 * rounds))),
    ):
        params = {**small, "n_train": 50_000} if "50,000" in name else small
        found = []
        for i in range(rounds):
            filters = sizes[8 * i % len(sizes)]
            asked = {"number": next(number), "params": {**params, "n_filters": filters}}
            found.append(1e3 * executor.ask(asked))
        rows.append([name, spread(found)])
    executor.end()
    print(f"Milliseconds from assignment to the first update ({rounds} rounds):\n")
    table(["trial", "ms"], rows)


# -- e: memory -------------------------------------------------------------------------------


def memory(data: Path, counts: Sequence[int]) -> None:
    """What executors need that train at the same time, and how much of it each has alone."""
    setting = {"batch_size": 100, "n_filters": 32, "epochs": 1, "n_train": 20_000}
    rows = []
    for count in counts:
        children = [Child("ours", data, 1) for _ in range(count)]
        for one in children:
            one.ask({"setting": {**setting, "n_train": 1_000}})
        for one in children:
            one.start({"setting": setting})
        for one in children:
            one.answer()
        full = [psutil.Process(one._process.pid).memory_full_info() for one in children]
        for one in children:
            one.end()
        rows.append([
            str(count),
            *(f"{statistics.fmean(values) / 2**20:.0f}" for values in (
                [f.rss for f in full], [f.pss for f in full], [f.uss for f in full])),
            f"{sum(f.pss for f in full) / 2**20:.0f}",
        ])  # fmt: skip
    print("Memory of executors of mnist-cnn with 32 filters, MB (mean of each; sum of PSS):\n")
    table(["executors", "RSS", "PSS (shared pages divided)", "USS (its own)", "all together"], rows)


# -- counts ----------------------------------------------------------------------------------


def quick(data: Path) -> int:
    """Counts that decide the speed, without a clock. Exit status 1 if one is too high."""
    checks = Checks()
    for precision, limit in MOST_DISPATCHES.items():
        dispatched, read = _counted(data, precision)
        checks.at_most(f"operators in a training step, {precision}", dispatched, limit)
        checks.at_most(f"numbers read from tensors in a training step, {precision}", read, 0)
    children = [Child("ours", data, 1) for _ in range(3)]
    tiny = {"n_filters": 2, "n_hidden": 4, "epochs": 1, "batch_size": 500, "n_train": 500}
    for one in children:
        one.ask({"setting": {**tiny, "n_validation": 100, "n_test": 100}})
    own = []
    for one in children:
        process = psutil.Process(one._process.pid)
        before = process.memory_full_info().uss
        one.ask({"setting": {**tiny, "n_train": 50_000}})
        own.append((process.memory_full_info().uss - before) / 2**20)
    for one in children:
        one.end()
    size = 60_000 * _PIXELS / 2**20
    checks.at_most(
        f"MB that all of MNIST ({size:.0f} MB) adds to what a process has of its own",
        round(statistics.median(own), 1), size / 3,
    )  # fmt: skip
    cores = host.usable_cores()
    for workers in (1, cores, 64):
        plan = host.choose_parallelism(
            None, None, cores=cores, memory=host.free_memory(), workers=workers
        )
        checks.at_most(
            f"threads of {workers} workers", workers * plan.jobs * plan.threads,
            max(cores, workers),
        )  # fmt: skip
    checks.at_most("threads that a training process starts for torch", _own_threads(data), 1)
    return checks.status


def _counted(data: Path, precision: str) -> tuple[float, float]:
    """Operators, and numbers read, per step: of a long epoch less those of a short one."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.all = self.read = 0

        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.all += 1
            self.read += function is torch.ops.aten._local_scalar_dense.default
            return function(*args, **(kwargs or {}))

    counts = []
    for n_steps in (5, 25):
        setting = {"n_filters": 4, "batch_size": 20, "n_train": 20 * n_steps, "epochs": 1,
                   "n_validation": 20, "n_test": 20, "precision": precision}  # fmt: skip
        with Counter() as counter:
            ours(setting, str(data))
        counts.append((counter.all, counter.read))
    (few, read_few), (many, read_many) = counts
    return (many - few) / 20, (read_many - read_few) / 20


def _own_threads(data: Path) -> int:
    """How many threads of a training process have used a processor while it trained."""
    one = Child("ours", data, 1)
    one.ask({"setting": {"n_filters": 4, "epochs": 1, "n_train": 500, "n_validation": 100}})
    process = psutil.Process(one._process.pid)
    before = {t.id: t.user_time for t in process.threads()}
    one.ask({"setting": {"n_filters": 16, "epochs": 1, "n_train": 5_000, "n_validation": 100}})
    busy = [t for t in process.threads() if t.user_time > before.get(t.id, 0.0)]
    one.end()
    return len(busy)


# -- which -----------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("steps", "accuracy", "study", "latency", "memory")
    parser.add_argument("parts", nargs="*", metavar="|".join(parts))
    parser.add_argument(
        "--quick", action="store_true", help="count, do not measure; under a minute"
    )
    parser.add_argument("--data-dir", help="where MNIST is; else DISTUNE_DATA, else the cache")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=6, help="of the study")
    parser.add_argument(
        "--images", type=int, default=50_000, help="in an epoch of the study, and for the accuracy"
    )
    parser.add_argument("--epochs", type=int, default=3, help="for the accuracy")
    options = parser.parse_args()
    if options.parts[:1] == ["child"]:
        child(options.parts[1], options.data_dir)
        return 0
    if unknown := set(options.parts) - set(parts):
        parser.error(f"there is no {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        # What is shared between processes goes there as well, and with it.
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        real = unpacked(options.data_dir, data)
        what = "MNIST" if real else "random images of the shape of MNIST"
        print(f"{machine()}, {_torch()}; {what}\n")
        if options.quick:
            return quick(data)
        for part in options.parts or parts:
            if part == "steps":
                steps(data, options.rounds)
            elif part == "accuracy" and real:
                accuracy(data, options.rounds, options.epochs, options.images)
            elif part == "study":
                study(data, options.rounds, options.trials, options.images)
            elif part == "latency":
                latency(data, options.rounds)
            elif part == "memory":
                memory(data, (1, 2, 4))
    return 0


if __name__ == "__main__":
    sys.exit(main())
