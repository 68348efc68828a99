"""The script that times the training: what it compares is comparable, and what it counts counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from distune import presets
from distune.space_file.read import parse_space_file
from distune.workloads import mnist_cnn
from distune.workloads.mnist_cnn import MnistCnnParams
from distune.workloads.trainer import network
from scripts import bench_training
from scripts.bench_training import Quiet, peers_network, sampled
from scripts.benching import Checks


def test_the_peers_network_is_the_labs_and_computes_the_same() -> None:
    params = MnistCnnParams(n_filters=6, n_hidden=32, dropout=0.5)
    theirs, ours = peers_network(6, 32, 0.5).eval(), mnist_cnn.network(params).eval()
    with torch.no_grad():
        for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
            one.copy_(nn.init.normal_(other, std=0.3))
    images = torch.rand(5, 1, 28, 28)
    torch.testing.assert_close(theirs(images), ours(images))
    for model in (theirs.train(), ours.train()):
        assert sum(isinstance(layer, nn.Dropout) for layer in model.modules()) in (1, 2)


def test_the_settings_of_the_study_are_of_scenario_five_and_spread_over_all_of_it() -> None:
    text = (Path(presets.__file__).parent / "lab-scenario5.json").read_text()
    space = parse_space_file(text, "lab-scenario5")
    settings = sampled(8)
    for setting in settings:
        for name, value in setting.items():
            spec: Any = space.params[name]
            assert spec.low <= value <= spec.high
    filters = sorted(setting["n_filters"] for setting in settings)
    assert [(f - 10) * 8 // 90 for f in filters] == list(range(8))  # one in each eighth
    assert sampled(8) == settings


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A place without MNIST; the trainer then counts on digits."""
    real = bench_training.ours

    def on_digits(setting: dict[str, Any], data_dir: str, seed: int = 0) -> Any:
        return real({**setting, "dataset": "digits"}, data_dir, seed)

    monkeypatch.setattr(bench_training, "ours", on_digits)
    return tmp_path


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_stays_within_its_bounds(precision: str, digits: Path) -> None:
    operators, read = bench_training._counted(digits, precision)
    assert operators <= bench_training.MOST_DISPATCHES[precision]
    assert read == 0


def test_a_step_that_waits_for_its_loss_is_found_out(
    digits: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = network.add_to
    monkeypatch.setattr(
        network, "add_to", lambda totals, values: real(totals, {**values, "x": sum(
            v.item() for v in values.values()) * torch.ones(())})
    )  # fmt: skip
    operators, read = bench_training._counted(digits, "float32")
    assert read == 1
    capsys.readouterr()
    checks = Checks()
    checks.at_most("numbers read", read, 0)
    checks.at_most("operators", operators, 10**6)
    assert checks.status == checks.broken == 1
    assert [line[:6] for line in capsys.readouterr().out.splitlines()] == ["BROKEN", "ok    "]


def test_the_first_update_of_a_trial_in_a_warm_executor_is_seen(tmp_path: Path) -> None:
    executor = bench_training.Child("executor", tmp_path, 1)
    small = {"dataset": "digits", "n_filters": 2, "batch_size": 100, "epochs": 1}
    try:
        for number in range(2):
            assert 0 < executor.ask({"number": number, "params": small}) < 60
    finally:
        executor.end()


def test_what_others_disturb_is_measured_again_and_the_least_disturbed_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, foreign = [0.0], [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(bench_training, "_foreign", lambda: foreign[0])
    monkeypatch.setattr("distune.worker.host.usable_cores", lambda: 2)

    def measure(*disturbances: float) -> Any:
        todo = iter(disturbances)

        def one() -> float:
            disturbance = next(todo)
            clock[0] += 10.0
            foreign[0] += disturbance
            return disturbance

        return one

    quiet = Quiet(tries=3)
    assert quiet(measure(9.0, 0.5, 3.0)) == 0.5  # half a second of twenty is little enough
    assert quiet(measure(9.0, 5.0, 7.0)) == 5.0
    assert quiet.describe().startswith("1 of 2 measurements stayed disturbed")


def test_random_images_stand_in_for_mnist_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTUNE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not bench_training.unpacked(str(tmp_path / "nothing"), tmp_path / "made")
    sizes = [p.stat().st_size for p in sorted((tmp_path / "made" / "MNIST" / "raw").iterdir())]
    assert sizes == [16 + 10_000 * 784, 8 + 10_000, 16 + 60_000 * 784, 8 + 60_000]
