"""What the study of a preset found, in words with figures, and how that stands to its report."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from distune.watch.load import LoadedStudy, LoadedTrial

Verdict = Literal["same", "better", "not the same"]


def spread(values: Iterable[float | None], unit: str = "%") -> str:
    """Mean and standard deviation over seeds, in per cent or as they are; how many seeds."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return "no finite value"
    factor, digits = (100, 1) if unit == "%" else (1, 4)
    mean = f"{factor * statistics.fmean(known):.{digits}f}"
    if len(known) == 1:
        return f"{mean}{unit} (one seed)"
    deviation = f"{factor * statistics.stdev(known):.{digits}f}"
    return f"{mean} ± {deviation}{unit} ({len(known)} seeds)"


def among(study: LoadedStudy, **params: Any) -> list[LoadedTrial]:
    return [t for t in study.trials if all(t.params.get(k) == v for k, v in params.items())]


def best(study: LoadedStudy, **params: Any) -> LoadedTrial | None:
    """The best trial among those with these params."""
    sign = 1 if study.direction == "maximize" else -1
    ranked = [t for t in among(study, **params) if t.value is not None and math.isfinite(t.value)]
    return max(ranked, key=lambda t: sign * (t.value or 0.0), default=None)


def by(study: LoadedStudy, name: str, unit: str = "%") -> str:
    """The values of one parameter, each with the mean of its trials."""
    values = dict.fromkeys(t.params[name] for t in study.trials if name in t.params)
    return "; ".join(
        f"{value}: {spread((t.value for t in among(study, **{name: value})), unit)}"
        for value in values
    )


def best_of(study: LoadedStudy, name: str, unit: str = "%") -> str:
    """For each value of one parameter, the setting of the others that is best, over its seeds."""
    parts = []
    for value in dict.fromkeys(t.params.get(name) for t in study.trials):
        one = best(study, **{name: value})
        seeds = among(study, **one.params) if one is not None else []
        parts.append(f"{value}: {spread((t.value for t in seeds), unit)}")
    return f"best by {name}: {'; '.join(parts)}"


def best_by(study: LoadedStudy, name: str, found: str) -> str:
    """For each value of one parameter, which value of another is best."""
    parts = []
    for value in dict.fromkeys(t.params[name] for t in study.trials):
        one = best(study, **{name: value})
        parts.append(f"{value}: {one.params[found] if one is not None else 'none'}")
    return f"best {found} by {name}: {', '.join(parts)}"


def on_test_data(study: LoadedStudy, name: str, unit: str = "%") -> str:
    """A metric of the winner on the test set and on validation data."""
    validation = spread((t.metrics[f"val_{name}"] for t in study.trials if t.test), unit)
    return f"{spread(tests(study, name), unit)}; validation {validation}"


def tests(study: LoadedStudy, name: str) -> list[float]:
    """A metric of the winner on the test set, of each of its seeds."""
    return [t.test[f"test_{name}"] for t in study.trials if f"test_{name}" in t.test]


def median_of_seeds(study: LoadedStudy, name: str = "accuracy", dead: float = 0.5) -> str:
    """Of the winner on the test set, and how many seeds never learned."""
    found = tests(study, name)
    living = [value for value in found if value > dead]
    return (
        f"median {100 * statistics.median(found):.1f}% of {len(found)} seeds "
        f"({100 * min(living):.1f} to {100 * max(living):.1f}%), {len(found) - len(living)} dead"
    )


def near(value: float, report: float, within: float, *, less: bool = False) -> Verdict:
    """How a figure compares with the report's; `less` of it is better."""
    if abs(value - report) <= within:
        return "same"
    return "better" if (value < report) is less else "not the same"


def same_if(holds: bool) -> Verdict:
    return "same" if holds else "not the same"


def diverged(study: LoadedStudy, **params: Any) -> str:
    trials = among(study, **params)
    gone = [t for t in trials if t.outcome == "diverged" or not (t.value or 0.0) > 0.3]
    return f"{len(gone)} of {len(trials)} diverged or stayed below 30%"


def median(study: LoadedStudy, **params: Any) -> float:
    return statistics.median(t.value or 0.0 for t in among(study, **params))


def spirals_at_the_end(study: LoadedStudy) -> dict[str, list[float]]:
    """Accuracies after the last epoch, as the report has them, of all seeds."""
    deep = {
        activation: {"n_fc": 2, "width": "100-150-150", "activation": activation}
        for activation in ("sigmoid", "tanh", "relu")
    }
    networks: dict[str, dict[str, Any]] = {"linear": {"n_fc": 0}, **deep}
    return {
        name: sorted(t.curve[-1]["val_accuracy"] for t in among(study, **params))
        for name, params in networks.items()
    }


def at_rates(study: LoadedStudy) -> dict[str, list[float]]:
    """Of the two optimizers that the reports name with a learning rate."""
    named = {"Adam at .01": ("adam", 0.01), "RMSprop at .005": ("rmsprop", 0.005)}
    return {
        name: [t.value or 0.0 for t in among(study, optimizer=optimizer, lr=lr)]
        for name, (optimizer, lr) in named.items()
    }


def in_words(found: Mapping[str, Sequence[float]]) -> str:
    """The median of each, and how far they lie apart."""
    return "; ".join(
        f"{name} {100 * statistics.median(values):.1f}% "
        f"({100 * min(values):.1f} to {100 * max(values):.1f}%)"
        for name, values in found.items()
    )


def agree(found: Mapping[str, Sequence[float]], report: Mapping[str, float]) -> Verdict:
    """Whether the report's figures are among those of our seeds, or a point beside."""
    seeds = [(report[name], values) for name, values in found.items()]
    return same_if(all(min(v) - 0.01 <= one <= max(v) + 0.01 for one, v in seeds))


def under_ten_seconds(study: LoadedStudy) -> str:
    """The best network when each training is stopped after ten seconds, and at its end."""
    reached = [
        (step[study.metric], step["seconds"], trial.params["n_filters"])
        for trial in study.trials
        for step in trial.curve
        if step["seconds"] <= 10
    ]
    if not reached or study.best is None:
        return "no network gets through an epoch so fast here"
    value, _, filters = max(reached)
    end = study.best
    return (
        f"{filters} filters, {100 * value:.1f}%; without a limit {end.params['n_filters']} "
        f"filters, {100 * (end.value or 0):.1f}% after {end.seconds:.0f} s"
    )


def explosions(study: LoadedStudy, **params: Any) -> list[int]:
    """In which epochs trials with these params exploded: their *last* training loss is not
    finite. The value of a trial is that of its best epoch, and hides it.
    """
    curves = [t.curve for t in among(study, **params)]
    return [len(c) for c in curves if c and not math.isfinite(c[-1]["train_loss"])]


def exploded(study: LoadedStudy, **params: Any) -> str:
    epochs = explosions(study, **params)
    found = f"{len(epochs)} of {len(among(study, **params))} exploded"
    return found + (f", in epochs {', '.join(map(str, epochs))}" if epochs else "")


def last_losses(study: LoadedStudy, **params: Any) -> list[float]:
    """Training losses of the last epochs."""
    return [t.curve[-1]["train_loss"] for t in among(study, **params) if t.curve]


def winner_of_stages(study: LoadedStudy) -> str:
    one = study.best
    if one is None:
        return "none has a result"
    names = ("n_conv", "n_filters", "n_fc", "kernel", "stride", "padding", "pool", "optimizer",
             "lr", "batch_size", "l1", "weight_decay", "dropout", "batch_norm_conv",
             "batch_norm_fc")  # fmt: skip
    found = ", ".join(f"{name} {one.params[name]}" for name in names)
    return f"{found}: {100 * (one.value or 0):.1f}%"


def overfitting(study: LoadedStudy) -> str:
    """How much better the best networks with and without regularization do on training data."""
    without = best(study, l1=0.0, weight_decay=0.0, dropout=0.0)
    parts = []
    for what, one in (("best without", without), ("winner", study.best)):
        last = one.curve[-1] if one is not None and one.curve else None
        gap = "none" if last is None else f"{last['train_accuracy'] - last['val_accuracy']:.3f}"
        parts.append(f"{what}: {gap}")
    return "; ".join(parts) + " (last epoch)"


def best_lr(study: LoadedStudy, **params: Any) -> float:
    one = best(study, **params)
    return math.nan if one is None else float(str(one.params["lr"]))


def grows(study: LoadedStudy) -> bool:
    """Whether a larger batch has a larger best learning rate."""
    rates = [best_lr(study, batch_size=batch) for batch in (20, 100, 500)]
    return rates == sorted(set(rates))


def whole_search(study: LoadedStudy) -> str:
    values = sorted(t.value for t in study.trials if t.value is not None and t.value > 0.3)
    middle = statistics.median(values)
    return f"best {100 * values[-1]:.2f}%, median {100 * middle:.2f}%; {diverged(study)}"
