"""distune: tune hyperparameters over nothing but a shared folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from distune.errors import Infeasible as Infeasible
from distune.python.space import Choice as Choice
from distune.python.space import Float as Float
from distune.python.space import Int as Int
from distune.python.space import Space as Space

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from distune.python.claim import Claims
    from distune.python.run import Settings
    from distune.watch.load import LoadedStudy

__version__ = "0.1.0"


def load(path: str | os.PathLike[str], study: str | None = None) -> LoadedStudy:
    """A study as it stands now, also while it runs; nothing is written.

        >>> study = distune.load("logs/mnist")
        >>> study
        <study 'mnist': maximize val_accuracy, 200 trials, best 0.9931 in trial 130>
        >>> study.best.params
        {'lr': 0.083, 'momentum': 0.71, 'n_filters': 64}
        >>> [step["val_loss"] for step in study.best.curve]
        [0.21, 0.09, 0.06]
        >>> study.to_pandas()[["params.lr", "value"]].to_csv("mnist.csv")

    Args:
        path: the study's folder; or one that holds studies.
        study: which of them, if there are several.

    Raises:
        UserError: there is no such study, or more than one to choose from.
        ShareError: the folder does not answer.
    """
    from distune.watch.load import load as load_study

    return load_study(path, study)


def run(
    objective: Callable[..., Any] | str,
    space: Space | Mapping[str, Any],
    *,
    workers: int = 1,
    logs: str | os.PathLike[str] = "logs",
    name: str | None = None,
    device: str = "auto",
    data_dir: str | os.PathLike[str] | None = None,
    **settings: Unpack[Settings],
) -> LoadedStudy:
    """Run a study from a script or a notebook: a master, and workers on this machine. The same call
    goes on where it was stopped, and returns at once when the study is over.

        def train(params):
            return (params["x"] - 0.3) ** 2

        study = distune.run(train, {"x": distune.Float(0, 1)}, trials=20, workers=2)
        study.best.params

    The objective is what a worker trains: a function from params to a number or a dict of numbers,
    or a generator that yields one for each step; a second argument gets the trial. One of a module
    is imported by the workers; one that is defined in the script or notebook itself, with what it
    uses of it, is handed to them through a pipe. Workers on further hosts can join:
    `distune worker --logs /shared/logs --objective train.py:train`.

    Args:
        objective: a function, or the name of a built-in objective.
        space: the params: each a `Float`, `Int` or `Choice`, a list of choices, or a single value.
        workers: how many to start here; they share its cores and GPUs.
        logs: the folder of all studies; shared, if others are to join.
        name: of the study; by default the function's.
        device: what the workers train on: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        data_dir: where built-in objectives find their data sets.
        settings: all else that a space file may say: `trials`, `direction` (by default
            "minimize"), `metric`, `sampler`, `pruner`, `repeats`, `confirm`, `time_limit`, ...

    Raises:
        UserError: it cannot be started like this; says what to change.
        StudyFailed: it ended without a result.
        KeyboardInterrupt: you have stopped it; what was trained is kept.
    """
    from distune.python.run import run as run_study

    return run_study(
        objective, space, workers=workers, logs=logs, name=name, device=device, data_dir=data_dir,
        settings=settings,
    )  # fmt: skip


def claim(
    logs: str | os.PathLike[str],
    study: str,
    *,
    device: str = "cpu",
    time_limit: float | None = None,
    max_trials: int | None = None,
    forever: bool = False,
    any_owner: bool = False,
    quiet: bool = False,
) -> Claims:
    """Trials of a study for a loop of your own, which is a worker like any other: with a lease, a
    heartbeat, pruning and checkpoints, but in your process, under your launcher.

        for trial in distune.claim("/shared/logs", study="big"):
            with trial:
                for epoch in range(trial.params["epochs"]):
                    trial.report(epoch, val_accuracy=train_an_epoch(trial.params))
                    if trial.should_stop:
                        break

    The study is another command's: `distune master --space big.json --logs /shared/logs`, where
    `"objective": "train:loop"` names what trains it. With several processes for each trial, the
    first of them claims and tells the others; see examples/torchrun.py.

    Args:
        logs: the shared folder.
        study: its name in it; waits until it is there.
        device: what the loop trains on, for people who watch.
        time_limit: seconds, after which nothing more is claimed, and what is held given back.
        max_trials: how many to train, at most.
        forever: wait for more trials when the study is finished.
        any_owner: also of a study that another user put in a folder where anyone may create files.
        quiet: say nothing on the standard error.

    Raises:
        UserError: at the next trial: the study is not to be trained by a loop, or not to be
            trusted; or the trial before was not trained in a `with`.
    """
    from distune.python.claim import claim as claim_trials

    return claim_trials(
        logs, study, device=device, time_limit=time_limit, max_trials=max_trials, forever=forever,
        any_owner=any_owner, quiet=quiet,
    )  # fmt: skip
