"""The built-in studies, as JSON files beside this module."""

from __future__ import annotations

import json
from importlib import resources


def preset_names() -> list[str]:
    """Names that `--space` takes in place of a file."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name[: -len(".json")] for file in files if file.name.endswith(".json"))


def read_preset(name: str) -> str:
    """Its text; `name` is one of `preset_names()`."""
    return resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")


def described(name: str) -> tuple[str, str, str]:
    """What it shows, how long it takes on two CPU cores, and on a GPU: `30 s`, `1 h 45 min`."""
    description = json.loads(read_preset(name))["description"]
    what, _, times = description.rpartition(" (2 cores: ")
    on_cores, _, on_gpu = times.removesuffix(")").partition("; GPU: ")
    return what, on_cores, on_gpu


STARTER = """\
// What to search. Check it with: distune check space.json
{
  // "mnist-cnn" is built in. For your own: "train:train" names the function train in
  // train.py, and workers run it when started with --objective train.py:train; then say
  // "metric" and "direction" below, too.
  "objective": "mnist-cnn",

  "params": {
    // a range; "log": true spreads the values evenly over orders of magnitude
    "lr": {"type": "float", "low": 0.01, "high": 0.3, "log": true},
    "batch_size": {"type": "int", "low": 16, "high": 256, "log": true},
    // a list is a choice
    "optimizer": ["sgd", "adam"],
    // only there when another parameter has a certain value
    "momentum": {"type": "float", "low": 0.0, "high": 0.95, "when": {"optimizer": "sgd"}},
    // a single value is a constant
    "n_filters": 16,
    "epochs": 5
  },

  "sampler": "random",   // or "grid", or "list" with "settings": [{"lr": 0.1}, ...]
  "trials": 20,          // how many to train in all
  "repeats": 1,          // with other seeds; ranked by their mean
  "max_seconds": 120,    // of training per trial; it then ends with what it has
  "seed": 0
}
"""
