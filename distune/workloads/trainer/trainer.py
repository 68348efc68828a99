"""`train` and `test`, for any workload."""

import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from distune.share.protocol import WEIGHTS
from distune.share.records import encode_document
from distune.study.figures import FILE, Figure, Figures
from distune.study.trial import better
from distune.workloads.data import loading
from distune.workloads.data.loading import Splits
from distune.workloads.device import float32_precision
from distune.workloads.hyperparameters import TrainingParams
from distune.workloads.trainer.capture import Capturing, capture_for
from distune.workloads.trainer.epochs import Clock, Training, TrialLike
from distune.workloads.trainer.network import evaluate, predict, seeded_network
from distune.workloads.workload import Recipe, Workload


def train(
    workload: Workload,
    params: Mapping[str, Any] | TrainingParams,
    trial: TrialLike,
    *,
    clock: Clock = time.perf_counter,
    capturing: Capturing = capture_for,
) -> Iterator[dict[str, float]]:
    """Train one setting of a workload; after each epoch yield how it stands.

    Yields `epoch`, `steps`, `train_loss` and `seconds` (see `Training.epochs`), `val_loss`, a
    `val_<metric>` for each of the problem's metrics, also a `train_<metric>` if it follows the
    training, and `parameters` (how many). Ends when all epochs are over, when
    `trial.max_seconds` of training are (the epoch may be cut short, and counts), when
    `params.patience` is, or after an epoch whose loss is not a finite number: diverging is
    a result, not an error.

    `capturing` is how steps are captured on a device, torch's way by default.

    Raises:
        pydantic.ValidationError: `params` are not the workload's.
        UserError: the data is not to be had (see `loading.load`), or the network cannot be
            built: names the layer and the sizes.
    """
    checked, recipe, raw = _begin(workload, params, trial)
    data = recipe.prepare(raw)
    watched = workload.metric.removeprefix("val_")
    with float32_precision(checked.precision == "tf32"):
        model = seeded_network(recipe.network, trial.seed, trial.device, checked.precision)
        parameters = float(sum(weights.numel() for weights in model.parameters()))
        training = Training(
            model, data.train, recipe.problem, checked, trial, clock=clock, capturing=capturing
        )
        training.beside = {"best": math.nan, "waited": 0}
        if (saved := trial.load()) is not None:
            training.go_on_from(saved)
        best, waited = training.beside["best"], training.beside["waited"]
        if waited == checked.patience:
            return
        for report, seconds in training.epochs():
            found = evaluate(model, data.validation, recipe.problem, training.save_if_due)
            report.update({f"val_{name}": value for name, value in found.items()})
            yield {**report, "seconds": seconds, "parameters": parameters}
            improved = better(found[watched], best, workload.direction)
            best, waited = (found[watched], 0) if improved else (best, waited + 1)
            training.beside = {"best": best, "waited": waited}
            training.end_epoch(is_last=waited == checked.patience)
            if waited == checked.patience:
                return


def test(
    workload: Workload,
    params: Mapping[str, Any] | TrainingParams,
    trial: TrialLike,
    best: Mapping[str, float],
    *,
    capturing: Capturing = capture_for,  # noqa: PT028
) -> dict[str, float]:
    """Train a winner again up to `best["steps"]` (of what `train` yielded), then use the test
    set once.

    Leaves the workload's figures and the weights in the trial's folder. Returns `test_loss`, a
    `test_<metric>` for each of the problem's metrics, and the metric that ranks the workload, of
    the network so trained: on the same device it is that of `best`.

    Raises:
        as `train`.
    """
    checked, recipe, raw = _begin(workload, params, trial)
    data = recipe.prepare(raw)
    with float32_precision(checked.precision == "tf32"):
        model = seeded_network(recipe.network, trial.seed, trial.device, checked.precision)
        steps = int(best["steps"])
        training = Training(
            model, data.train, recipe.problem, checked, trial, capturing=capturing, max_steps=steps
        )
        if (saved := trial.load()) is not None:
            training.go_on_from(saved)
        for _ in training.epochs():
            training.end_epoch()
        on_test = evaluate(model, data.test, recipe.problem, training.save_if_due)
        on_validation = evaluate(model, data.validation, recipe.problem, training.save_if_due)
        _leave_weights(trial, workload, checked, model)
        _leave_figures(trial, recipe.figures(raw, partial(predict, model)))
    return {
        **{f"test_{name}": value for name, value in on_test.items()},
        workload.metric: on_validation[workload.metric.removeprefix("val_")],
    }


def _begin(
    workload: Workload, params: Mapping[str, Any] | TrainingParams, trial: TrialLike
) -> tuple[TrainingParams, Recipe, Splits]:
    """The params, checked, what they are trained by, and as much of the data as they want."""
    checked = workload.hyperparameters.model_validate(params)
    sizes = checked.n_train, checked.n_validation, checked.n_test
    data_set = workload.data(*(dict(checked)[name] for name in workload.data_by))
    data = loading.load(data_set, trial.data, trial.device, *sizes)
    return checked, workload.recipe(checked), data


def _leave_weights(
    trial: TrialLike, workload: Workload, params: TrainingParams, model: nn.Module
) -> None:
    """Write `weights.pt`, which `torch.load` reads: the network's `state_dict`, and what made it.
    As with figures, a share that does not take it costs no result.
    """
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    made_of = {"objective": workload.name, "params": dict(params), "seed": trial.seed}
    try:
        path = trial.dir / WEIGHTS
        staging = path.with_name(f"{WEIGHTS}.part")
        torch.save({**made_of, "state_dict": weights}, staging)
        staging.replace(path)
    except (OSError, RuntimeError) as error:  # torch's own writer raises that for a full disk
        print(f"distune: the weights could not be kept: {error}", flush=True)


def _leave_figures(trial: TrialLike, figures: list[Figure]) -> None:
    """Write `figures.json` into the trial's folder, complete or not at all.

    A share that does not take it costs the figures, not the result.
    """
    try:
        path = trial.dir / FILE
        staging = path.with_name(f"{FILE}.part")
        staging.write_bytes(encode_document(Figures(figures=figures)))
        staging.replace(path)
    except OSError as error:
        print(f"distune: the figures could not be kept: {error}", flush=True)
