"""Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), Optuna's multivariate one: it
models where the good configurations are and where the others.
"""

from distune.search.learning import LearningSampler, Model
from distune.search.optuna_bridge import OptunaStudy


class TpeSampler(LearningSampler):
    at_once = 8  # milliseconds each, tens of them with thousands of trials
    tries = 10
    label = "TPE"

    def _make_model(self) -> Model:
        # With a constant liar what is in flight is among the others, and what trains longest, often
        # the best, the longest. Nothing is tried twice as it is.
        options = {"multivariate": True, "constant_liar": False}
        return OptunaStudy(self._space, "TPESampler", options)
