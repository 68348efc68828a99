"""A Gaussian process (Optuna's): costs seconds an answer, and learns most from few trials."""

from distune.search.learning import LearningSampler, Model
from distune.search.optuna_bridge import OptunaStudy


class GpSampler(LearningSampler):
    at_once = 1  # the next answer has to know of this one
    slow = True
    tries = 1
    label = "a Gaussian process"
    libraries = ("torch",)  # which Optuna leaves to whoever uses this

    def _make_model(self) -> Model:
        return OptunaStudy(self._space, "GPSampler", {}, worst=True)
