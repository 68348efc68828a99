"""The main job, end to end: a master, workers, and the real CNN on real images."""

from __future__ import annotations

import os
from typing import Any

import pytest

from distune.share import protocol
from distune.share.find_studies import open_study
from distune.study.trial import Purpose
from distune.watch.observer import Observer
from tests.conftest import Lab, wait_until

SMALL: dict[str, Any] = {
    "objective": "mnist-cnn",
    "metric": None,
    "direction": None,
    "lease": None,
}


def run(lab: Lab, params: dict[str, Any], workers: int = 1, **fields: Any) -> Any:
    """Run a study of the CNN to its end; its status. Each worker trains one at a time: to import
    torch takes longer than these trials.
    """
    lab.write_space(**{**SMALL, "params": {"n_filters": 6, "lr": 0.1, **params}, **fields})
    lab.logs.mkdir()
    processes = [lab.start("worker", "--jobs", "1") for _ in range(workers)]
    done = lab.run("master", "--space", "space.json", timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [worker.wait(60) for worker in processes] == [0] * workers
    return lab.status()


@pytest.mark.long
def test_a_study_of_digits_ranks_configurations_and_tests_the_winner_once(lab: Lab) -> None:
    params = {"dataset": "digits", "batch_size": [32, 128], "epochs": 6}
    status = run(lab, params, 2, sampler="grid", repeats=2, trials=None)
    best, other = status["ranking"]
    assert best["value"] > max(0.6, other["value"])
    assert len(best["trials"]) == len(other["trials"]) == 2
    assert best["spread"] is not None
    assert best["parameters"] == 25 * 36 + 4123 * 6 + 2826
    assert other["test_accuracy"] is None
    store = open_study(lab.logs, "space")
    tests = [name for name in store.seen() if name.purpose is Purpose.TEST]
    assert sorted(name.trial for name in tests) == best["trials"]
    accuracies = []
    for name in tests:
        tested = store.read_attempt(name, seen=True)
        assert tested.trial.best is not None
        assert tested.result is not None
        # Trained again with the same seed, it is the same network.
        metrics = tested.result.metrics
        assert metrics["val_accuracy"] == tested.trial.best["val_accuracy"]
        accuracies.append(metrics["test_accuracy"])
    assert best["test_accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert_weights_are_of_the_best_trial(lab)


def assert_weights_are_of_the_best_trial(lab: Lab) -> None:
    """And give, in a network that is made anew, what that trial had reached."""
    import torch

    from distune.workloads import WORKLOADS
    from distune.workloads.data import DATA_SETS, loading
    from distune.workloads.data.folders import DataFolders
    from distune.workloads.trainer.network import evaluate, seeded_network

    store = open_study(lab.logs, "space")
    winner = Observer(store).history.winner()
    assert winner is not None
    trained = max(winner.complete, key=lambda one: one.result.value or 0.0)
    kept = torch.load(lab.logs / "space" / protocol.BEST_WEIGHTS, weights_only=True)
    assert (kept["objective"], kept["seed"]) == ("mnist-cnn", trained.trial.seed)
    workload = WORKLOADS[kept["objective"]]
    params = workload.hyperparameters.model_validate(kept["params"])
    recipe = workload.recipe(params)
    data = loading.load(DATA_SETS["digits"], DataFolders.of(), "cpu", None, None, None)
    model = seeded_network(recipe.network, 0, "cpu", params.precision)
    model.load_state_dict(kept["state_dict"])
    found = evaluate(model, recipe.prepare(data).validation, recipe.problem)
    assert found["accuracy"] == trained.result.value


@pytest.mark.slow
def test_max_seconds_of_training_end_a_trial_complete_with_what_it_has(lab: Lab) -> None:
    status = run(lab, {"dataset": "digits", "epochs": 10_000}, trials=2, max_seconds=1)
    assert status["trials"]["outcomes"]["complete"] == 2
    for row in status["ranking"]:
        assert 1.0 <= row["seconds"] < 5.0
        assert row["value"] > 0.1


@pytest.mark.long
def test_a_time_limit_ends_the_training_and_the_winner_is_tested_all_the_same(lab: Lab) -> None:
    params = {"dataset": "digits", "batch_size": 32, "epochs": {"type": "int", "low": 2, "high": 4}}
    params |= {"n_filters": 6, "lr": 0.1}
    lab.write_space(**{**SMALL, "params": params, "trials": None, "time_limit": "1h"})
    master, worker = lab.master("--plain"), lab.start("worker", "--jobs", "1")
    wait_until(lab.counted, what="one is counted")
    master.kill()
    master.wait()
    assert lab.master("--plain", "--time-limit", "1s").wait(120) == 0
    assert worker.wait(60) == 0
    status = lab.status()
    assert "time limit" in status["reason"]
    assert status["ranking"][0]["test_accuracy"] is not None
    assert lab.names() == []


@pytest.mark.slow
def test_a_network_that_blows_up_is_a_result_ranked_last(lab: Lab) -> None:
    params = {"dataset": "digits", "lr": [0.1, 1e6], "batch_size": 32, "epochs": 4}
    status = run(lab, params, sampler="grid", trials=None)
    assert status["trials"]["outcomes"]["failed"] == 0
    first, last = status["ranking"]
    assert first["params"]["lr"] == 0.1
    assert last["value"] is None or last["value"] < 0.3


@pytest.mark.long
def test_mnist_is_learnt(lab: Lab) -> None:
    if not os.environ.get("DISTUNE_DATA"):
        pytest.skip("needs DISTUNE_DATA, a folder with MNIST/raw")
    sizes = {"n_train": 4000, "n_validation": 1000, "n_filters": 16, "batch_size": 50, "epochs": 4}
    params: dict[str, float] = {
        **sizes,
        "lr": 0.02,
    }  # at the default of 0.1 seeds differ by five per cent
    status = run(lab, params, trials=1)
    assert status["ranking"][0]["value"] > 0.85
    assert status["ranking"][0]["test_accuracy"] > 0.85
