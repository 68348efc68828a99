"""Runs presets on real data and compares what they find with what the reports say.

    python scripts/reproduce.py --data-dir DIR                    # what takes minutes
    python scripts/reproduce.py --data-dir DIR lab-scenario1 ...  # these presets, also long ones
    python scripts/reproduce.py --table                           # the table, from what was found

What was found is kept in docs/reproduced.json; docs/presets.md has its table. Each line there says
at which scale and with how many seeds it was found, and what could not be run or did not come out.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import distune
from distune.watch.load import LoadedStudy, LoadedTrial

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "reproduced.json"
PAGE = ROOT / "docs" / "presets.md"
BEGIN, END = "<!-- reproduced: begin -->\n", "<!-- reproduced: end -->\n"


Verdict = Literal["same", "better", "not the same"]


@dataclass(frozen=True)
class Claim:
    """What a report says, and how to find out here.

    Attributes:
        preset: that is run.
        what: is compared.
        says: the report.
        find: what a study that is over says of it, in words with figures.
        judge: whether that is what the report says; None where it names nothing to compare.
        caveat: why it comes out otherwise here, as far as that is known.
    """

    preset: str
    what: str
    says: str
    find: Callable[[LoadedStudy], str]
    judge: Callable[[LoadedStudy], Verdict] | None = None
    caveat: str = ""


# -- figures of a study ----------------------------------------------------------------------


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


def accuracy(study: LoadedStudy, **params: Any) -> str:
    one = best(study, **params)
    return "none has a result" if one is None else f"{100 * (one.value or 0.0):.1f}%"


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


NONE_GIVEN = "names no figure"
WITH_LAST_BATCH = "found with the last batch of each epoch, which the preset leaves out now"

_LOUD = {"loss": "cross-entropy", "lr": 0.1}

CLAIMS = [
    Claim("lab-scenario1", "learning rates 1 and 2 overshoot", "yes", lambda s: by(s, "lr"),
          lambda s: same_if(median(s, lr=1.0) < 0.5 < median(s, lr=0.5)), WITH_LAST_BATCH),
    Claim("lab-scenario2", "the best learning rate grows with the batch", "yes",
          lambda s: best_by(s, "batch_size", "lr"), lambda s: same_if(grows(s)),
          WITH_LAST_BATCH),
    Claim("lab-scenario3", "more momentum wants a smaller learning rate", "yes",
          lambda s: best_by(s, "momentum", "lr"),
          lambda s: same_if(best_lr(s, momentum=0.9) < best_lr(s, momentum=0.0)),
          WITH_LAST_BATCH),
    Claim("lab-scenario4", "best within ten seconds of training", "32 and 64 filters",
          under_ten_seconds,
          lambda s: same_if(under_ten_seconds(s).startswith(("32 ", "64 "))), WITH_LAST_BATCH),
    Claim("lab-scenario5", "200 random trials on validation data",
          "median 98.96%, 13 of 200 below 30%", whole_search,
          caveat="at a tenth of images and seconds: in full it takes 1 h 45 min"),
    Claim("usps-kernel", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "kernel")),
    Claim("usps-activation", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "activation")),
    Claim("usps-depth", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "n_conv")),
    Claim("usps-batch", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "batch_size")),
    Claim("usps-lr", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "lr")),
    Claim("usps-optimizer", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "optimizer")),
    Claim("usps-best-small", "test accuracy", "91.43%", median_of_seeds,
          lambda s: near(statistics.median(tests(s, "accuracy")), 0.9143, 0.007)),
    Claim("digits-activation", "validation accuracy", NONE_GIVEN,
          lambda s: best_of(s, "activation")),
    Claim("digits-depth", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "n_conv")),
    Claim("digits-batch", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "batch_size")),
    Claim("digits-lr", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "lr")),
    Claim("digits-optimizer", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "optimizer")),
    Claim("digits-best", "test accuracy", "98.39%", lambda s: on_test_data(s, "accuracy"),
          lambda s: near(statistics.median(tests(s, "accuracy")), 0.9839, 0.004)),
    Claim("digits-loss", "cross-entropy at learning rate .1 without clipping", "explodes",
          lambda s: exploded(s, **_LOUD, clip_norm=None),
          lambda s: same_if(len(explosions(s, **_LOUD, clip_norm=None)) > 0)),
    Claim("digits-loss", "cross-entropy at learning rate .1, clipped", "does not explode",
          lambda s: exploded(s, **_LOUD, clip_norm=10.0)
          + "; last training losses "
          + ", ".join(f"{loss:.2f}" for loss in last_losses(s, **_LOUD, clip_norm=10.0)),
          lambda s: same_if(not explosions(s, **_LOUD, clip_norm=10.0))),
    Claim("spirals-architecture", "2-100-150-1, accuracy after ten epochs, medians of five seeds",
          "linear 59%, sigmoid 60%, tanh 78%, relu 99.8%",
          lambda s: in_words(spirals_at_the_end(s)),
          lambda s: agree(spirals_at_the_end(s),
                          {"linear": 0.59, "sigmoid": 0.6, "tanh": 0.78, "relu": 0.998}),
          "the report's are of one training; of twenty seeds relu has 92 to 99.1%"),
    Claim("spirals-optimizer", "validation accuracy",
          "Adam at .01 99.9%, RMSprop at .005 99.8%",
          lambda s: in_words(at_rates(s)) + "; " + best_of(s, "optimizer"),
          lambda s: agree(at_rates(s), {"Adam at .01": 0.999, "RMSprop at .005": 0.998})),
    Claim("spirals-batch", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "batch_size")),
    Claim("spirals-loss", "validation accuracy", NONE_GIVEN, lambda s: best_of(s, "loss")),
    Claim("spirals-best", "test accuracy after ten epochs", "100%",
          lambda s: on_test_data(s, "accuracy"),
          lambda s: near(statistics.median(tests(s, "accuracy")), 1.0, 0.006)),
    Claim("coloured-trunk", "both, validation", NONE_GIVEN, lambda s: best_of(s, "trunk")),
    Claim("coloured-kernel", "both, validation", NONE_GIVEN, lambda s: best_of(s, "kernel")),
    Claim("coloured-optimizer", "both, validation", NONE_GIVEN, lambda s: best_of(s, "optimizer")),
    *(Claim("coloured-best", what, says, partial(on_test_data, name=name),
            lambda s, name=name, report=report: near(  # type: ignore[misc]
                statistics.median(tests(s, name)), report, 0.004))
      for what, says, name, report in (
          ("digit, on test data", "99.13%", "digit_accuracy", 0.9913),
          ("colour, on test data", "100%", "colour_accuracy", 1.0),
          ("both, on test data", "99.13%", "both_accuracy", 0.9913))),
    Claim("houses-depth", "squared error, validation", NONE_GIVEN,
          lambda s: best_of(s, "n_fc", "")),
    Claim("houses-width", "squared error, validation", NONE_GIVEN,
          lambda s: best_of(s, "width", "")),
    Claim("houses-optimizer", "training at learning rate 1", "may produce NaN",
          lambda s: f"SGD: {exploded(s, lr=1.0, optimizer='sgd')}; {best_of(s, 'optimizer', '')}",
          lambda s: same_if(len(explosions(s, lr=1.0, optimizer="sgd")) > 0)),
    Claim("houses-gaussian", "negative log-likelihood, validation", NONE_GIVEN,
          lambda s: best_of(s, "n_fc", "")),
    Claim("houses-best", "squared error, test (prices standardised)",
          ".1741; validation .2858", lambda s: on_test_data(s, "mse", ""),
          lambda s: near(statistics.median(tests(s, "mse")), 0.1741, 0.01, less=True)),
    Claim("cifar-stages", "the winner of all stages",
          "3 convolutions 64-128-512, kernel 4, padding 1, max-pooling, lr .01, batch 32, "
          "L2 .001, dropout .3", winner_of_stages,
          caveat="of two epochs on a tenth of the images, which want smaller networks and no "
          "dropout"),
    Claim("cifar-stages", "accuracy on training data less that on validation data",
          ".117 without regularisation, about .03 with", overfitting,
          caveat="two epochs are too few to overfit"),
    Claim("cifar-best", "test accuracy", "85.8%", lambda s: on_test_data(s, "accuracy"),
          caveat="in full it takes hours on two cores; probably also for want of flips and crops"),
]  # fmt: skip
#: They take hours on two cores, and run only when they are named.
LONG = {
    *("lab-scenario5", "cifar-stages", "cifar-best", "digits-loss", "digits-best"),
    *("coloured-best", "coloured-kernel", "coloured-trunk", "coloured-optimizer"),
}


# -- running ---------------------------------------------------------------------------------


def run(preset: str, arguments: list[str], logs: Path) -> LoadedStudy:
    """One study, to its end, as a user runs it."""
    command = [sys.executable, "-m", "distune", "master", "--space", preset, "--logs", str(logs)]
    subprocess.run(
        [*command, *arguments, "--plain"], check=True, stdout=subprocess.DEVNULL, cwd=logs
    )
    (folder,) = logs.iterdir()
    return distune.load(folder)


@dataclass
class Line:
    """One line of the table."""

    preset: str
    what: str
    says: str
    here: str
    scale: float
    trials: int
    verdict: Verdict | None = None


def findings(preset: str, study: LoadedStudy, scale: float) -> list[Line]:
    return [
        Line(
            *(preset, c.what, c.says, c.find(study), scale, len(study.trials)),
            verdict=c.judge(study) if c.judge and scale == 1 else None,
        )
        for c in CLAIMS
        if c.preset == preset
    ]


def kept() -> list[Line]:
    return [Line(**line) for line in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def keep(new: list[Line]) -> None:
    """In the order of the claims; a line takes the place of an older one about the same."""
    known = {(line.preset, line.what): line for line in [*kept(), *new]}
    lines = [asdict(known[key]) for c in CLAIMS if (key := (c.preset, c.what)) in known]
    RESULTS.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")


# -- the table -------------------------------------------------------------------------------


def table() -> str:
    known = {(line.preset, line.what): line for line in kept()}
    rows = [
        "| preset | what | report says | here | verdict | scale | trials |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        line = known.get((claim.preset, claim.what))
        missing = "not run: hours on two cores" if claim.preset in LONG else "not run yet"
        here = line.here if line else missing
        scale, trials = (f"{line.scale:g}", str(line.trials)) if line else ("", "")
        verdict = (line.verdict if line else None) or ""
        if line and claim.caveat and verdict in ("", "not the same"):
            here += f"; {claim.caveat}"
        cells = f"`{claim.preset}`", claim.what, claim.says, here, verdict, scale, trials
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def write_table() -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}")


def main() -> None:
    presets = list(dict.fromkeys(claim.preset for claim in CLAIMS))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("presets", nargs="*", help="all but the long ones if none is named")
    parser.add_argument("--data-dir", help="where the data sets are")
    parser.add_argument("--scale", type=float, default=1.0, help="of epochs and data")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="only write the table anew")
    options = parser.parse_args()
    unknown = [name for name in options.presets if name not in presets]
    if unknown:
        parser.error(f"nothing is said about {', '.join(unknown)}; only about {', '.join(presets)}")
    if not options.table:
        arguments = ["--workers", str(options.workers)]
        if options.scale != 1:
            arguments += ["--scale", str(options.scale)]
        if options.data_dir:
            arguments += ["--data-dir", str(Path(options.data_dir).resolve())]
        for preset in options.presets or [name for name in presets if name not in LONG]:
            with tempfile.TemporaryDirectory(prefix="distune-reproduce-") as logs:
                study = run(preset, arguments, Path(logs))
                lines = findings(preset, study, options.scale)
            keep(lines)
            for line in lines:
                print(f"{preset}: {line.what}: {line.says} | {line.here}", flush=True)
    write_table()


if __name__ == "__main__":
    main()
