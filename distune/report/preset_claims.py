"""What the reports behind the presets say, and whether a study came out so."""

import json
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from distune.presets.catalogue import preset_names, read_preset
from distune.report.preset_figures import (
    Verdict,
    agree,
    at_rates,
    best_by,
    best_lr,
    best_of,
    by,
    exploded,
    explosions,
    grows,
    in_words,
    last_losses,
    median,
    median_of_seeds,
    near,
    on_test_data,
    overfitting,
    same_if,
    spirals_at_the_end,
    tests,
    under_ten_seconds,
    whole_search,
    winner_of_stages,
)
from distune.search.staged import make_sampler
from distune.space_file.model import SpaceFile
from distune.space_file.read import parse_space_file
from distune.space_file.scaling import scaled
from distune.study.study import Study
from distune.watch.load import LoadedStudy

_LEADS = {
    "same": "As in the report",
    "better": "Better than in the report",
    "not the same": "Other than in the report",
}


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


def sentences(study: Study, load: Callable[[], LoadedStudy]) -> list[str]:
    """What the study of a preset says beside the preset's report; nothing of any other study, which
    is not loaded for it.
    """
    found = _preset_of(study)
    if found is None:
        return []
    name, file, scale = found
    claims = [claim for claim in CLAIMS if claim.preset == name]
    if not claims:
        return []
    loaded, size = load(), make_sampler(study).size
    planned = file.trials if size is None else size * file.repeats
    if planned is None or loaded.history.over < planned:
        return ["Not all trials of the preset are over: it is not compared with its report."]
    return [_sentence(claim, loaded, scale) for claim in claims]


def _sentence(claim: Claim, study: LoadedStudy, scale: float) -> str:
    try:
        here = claim.find(study)
        verdict = claim.judge(study) if claim.judge is not None and scale == 1 else None
    except (LookupError, ValueError):  # such as a median of none
        return f"{claim.what}: too little came of it to be compared with the report."
    lead = (
        _LEADS[verdict] if verdict else f"At {scale:g} of its scale" if scale < 1 else "Not judged"
    )
    if claim.says == "yes":
        return f"{lead}: {claim.what} ({here})."
    said = "the report names no figure" if claim.says == NONE_GIVEN else f"{claim.says} there"
    return f"{lead}: {claim.what}, {said}; here {here}."


def _preset_of(study: Study) -> tuple[str, SpaceFile, float] | None:
    """Which preset a study is of, and at which scale: what is searched is that of the preset."""
    found = re.fullmatch(r"(.*?)(?: \(scaled by ([\d.e-]+)\))?", study.description, re.DOTALL)
    if found is None or not found[1]:
        return None
    scale = float(found[2] or 1)
    for name in preset_names():
        text = read_preset(name)
        if found[1] == json.loads(text)["description"] and 0 < scale <= 1:
            file = parse_space_file(text, f"preset {name}")
            if scale < 1:
                file = scaled(file, scale)
            searched = study.params, study.stages, study.repeats
            return (
                (name, file, scale)
                if (file.params, file.stages, file.repeats) == searched
                else None
            )
    return None
