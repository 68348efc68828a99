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

#: By the name that a space file has for it.
PRUNERS: dict[str, type[Pruner]] = {
    "asha": AshaPruner,
    "hyperband": HyperbandPruner,
    "median": MedianPruner,
    "percentile": PercentilePruner,
    "patience": PatiencePruner,
    "threshold": ThresholdPruner,
}
