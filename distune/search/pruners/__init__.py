"""Pruners: which trainings not to go on with. A new one is a file beside this and a line in
`PRUNERS`.
"""

from distune.search.pruners.asha import AshaPruner
from distune.search.pruners.hyperband import HyperbandPruner
from distune.search.pruners.median import MedianPruner
from distune.search.pruners.patience import PatiencePruner
from distune.search.pruners.percentile import PercentilePruner
from distune.search.pruners.threshold import ThresholdPruner
from distune.search.pruning import Pruner
from distune.search.racing import RacingPruner
from distune.study.study import Study

#: By the name that a space file has for it.
PRUNERS: dict[str, type[Pruner]] = {
    "asha": AshaPruner,
    "hyperband": HyperbandPruner,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "patience": PatiencePruner,
    "threshold": ThresholdPruner,
}


def pauses(study: Study) -> bool:
    """Whether a study's pruner has trials pause at rungs."""
    return issubclass(PRUNERS.get(study.pruner or "", Pruner), RacingPruner)
