"""distune: tune hyperparameters over nothing but a shared folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distune.errors import Infeasible as Infeasible

if TYPE_CHECKING:
    import os

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
