"""Several trainings at once give what each gives alone, and leave each other in peace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import pytest

from distune.study.study import SpaceFile, Study, freeze
from distune.workloads import compiled, mnist_cnn
from distune.workloads.data.digits import DIGITS
from distune.workloads.grouping import When, group_key, may_share
from distune.workloads.hyperparameters import MnistCnnParams
from distune.workloads.population import Population
from distune.workloads.trainer import load
from tests.trials import Trial, without_time

SMALL: dict[str, Any] = {
    "dataset": "digits",
    "n_filters": 3,
    "n_hidden": 16,
    "batch_size": 30,
    "n_train": 200,  # six batches of 30, and one of 20
    "n_validation": 130,
    "epochs": 3,
    "lr": 0.05,
    "dropout": 0.0,
}
THREE: list[dict[str, Any]] = [
    {**SMALL, "momentum": 0.9},
    {**SMALL, "momentum": 0.0, "dropout": 0.5, "lr": 0.1},
    {**SMALL, "momentum": 0.5, "dropout": 0.2, "weight_decay": 0.01},
]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=["compiled", "in groups"])
def either_way(request: pytest.FixtureRequest) -> None:
    """The members' convolutions one by one, and in groups, as where nothing is compiled."""
    if request.param == "in groups":
        request.getfixturevalue("nothing_compiled")
    elif not compiled.widths():
        pytest.skip("needs the functions of winners.c, compiled when distune is installed")


def together(
    settings: Sequence[dict[str, Any]], trials: Sequence[Trial] | None = None
) -> list[list[dict[str, float]]]:
    """Each one's reports, asked for in turn as an executor does."""
    trials = trials or [Trial(seed=seed) for seed in range(len(settings))]
    curves = mnist_cnn.train_together(settings, trials)
    reports: list[list[dict[str, float]]] = [[] for _ in curves]
    for row in zip_longest(*curves):
        for mine, report in zip(reports, row, strict=True):
            mine += [report] if report is not None else []
    return [without_time(iter(mine)) for mine in reports]


def alone(setting: dict[str, Any], seed: int) -> list[dict[str, float]]:
    return without_time(mnist_cnn.train(setting, Trial(seed=seed)))


def assert_alike(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    """The same but for rounding; of 130 answers one may tip over."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        accuracy, expected = one.pop("val_accuracy"), dict(other)
        assert accuracy == pytest.approx(expected.pop("val_accuracy"), abs=1.5 / 130)
        assert one == pytest.approx(expected, rel=2e-4, nan_ok=True)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", 1.0), ("adam", 0.05), ("adamw", 0.05)])
def test_each_member_learns_what_it_learns_alone(optimizer: str, lr: float, schedule: str) -> None:
    settings = [
        {**one, "optimizer": optimizer, "schedule": schedule, "lr": lr * one["lr"]} for one in THREE
    ]
    for seed, curve in enumerate(together(settings)):
        assert_alike(curve, alone(settings[seed], seed))


@pytest.mark.usefixtures("either_way")
def test_repeats_of_one_setting_differ_by_their_seeds_as_they_do_alone() -> None:
    first, second = together([THREE[1], THREE[1]], [Trial(seed=7), Trial(seed=8)])
    assert first[0]["train_loss"] != second[0]["train_loss"]
    assert_alike(first, alone(THREE[1], 7))
    assert_alike(second, alone(THREE[1], 8))


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("filters", [1, 3, 8])
def test_a_member_that_diverges_ends_and_the_others_never_notice(
    optimizer: str, filters: int
) -> None:
    common = {"optimizer": optimizer, "n_filters": filters, "lr": 0.01}
    good, other = ({**one, **common} for one in THREE[:2])
    bad = {**THREE[2], **common, "lr": 1e30}
    first, diverged, last = together([good, bad, other])
    assert len(diverged) == 1
    assert not math.isfinite(diverged[0]["train_loss"])
    assert diverged[0]["val_accuracy"] == alone(bad, 1)[0]["val_accuracy"]
    assert_alike(first, alone(good, 0))
    assert_alike(last, alone(other, 2))


@pytest.mark.usefixtures("either_way")
def test_a_member_that_leaves_between_epochs_disturbs_nobody() -> None:
    curves = mnist_cnn.train_together(THREE, [Trial(seed=seed) for seed in range(3)])
    firsts = [next(curve) for curve in curves]
    curves[1].close()  # type: ignore[attr-defined]
    rest = [list(curves[0]), list(curves[2])]
    assert_alike(without_time(iter([firsts[0], *rest[0]])), alone(THREE[0], 0))
    assert_alike(without_time(iter([firsts[2], *rest[1]])), alone(THREE[2], 2))


class Stopping(Trial):
    """Wants to end as soon as it is told of progress."""

    def progress(self, fraction: float, images_per_second: float) -> None:
        raise KeyboardInterrupt  # like the end of an attempt, no `Exception`


class Ticking:
    def __init__(self, tick: float) -> None:
        self.now, self.tick = 1_000.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def population(
    settings: Sequence[dict[str, Any]], trials: Sequence[Trial], tick: float
) -> Population:
    """With a clock that goes on by `tick` seconds each time it is read."""
    params = [MnistCnnParams.model_validate(one) for one in settings]
    known = load(DIGITS, params[0], trials[0])
    return Population(
        [mnist_cnn._build(one) for one in params], known, params, trials, Ticking(tick)
    )


@pytest.mark.usefixtures("either_way")
def test_a_member_that_is_stopped_within_an_epoch_is_out_before_the_next_step() -> None:
    trials = [Trial(seed=0), Stopping(seed=1), Trial(seed=2)]
    engine = population(THREE, trials, tick=0.1)
    curves = engine.curves()
    firsts = [next(curves[0]), next(curves[2])]
    assert len(engine._network.weights[0]) == 2
    with pytest.raises(KeyboardInterrupt):
        next(curves[1])
    assert_alike(without_time(iter([firsts[0], *curves[0]])), alone(THREE[0], 0))
    assert_alike(without_time(iter([firsts[1], *curves[2]])), alone(THREE[2], 2))


def test_each_member_has_its_own_patience() -> None:
    hopeless = {**SMALL, "lr": 1e-9, "patience": 1, "epochs": 6}
    good = {**hopeless, "lr": 0.05, "momentum": 0.9}
    curves = together([hopeless, good])
    assert len(curves[0]) == 2
    assert_alike(curves[1], alone(good, 1))
    assert len(curves[1]) > 2


def test_seconds_are_a_members_share_of_the_time_that_steps_take() -> None:
    trials = [Trial(seed=seed) for seed in range(2)]
    curves = population([SMALL, SMALL], trials, tick=0.1).curves()
    report = next(curves[0])
    assert report["seconds"] == pytest.approx(0.1 * 8 / 2)  # seven steps, and the epoch's end
    next(curves[1])
    curves[1].close()  # type: ignore[attr-defined]
    assert next(curves[0])["seconds"] == pytest.approx(0.1 * 8 / 2 + 0.1 * 8)  # now all of it


def test_a_time_limit_ends_all_members_within_an_epoch() -> None:
    trials = [Trial(seed=seed, max_seconds=0.19) for seed in range(2)]
    for curve in population([SMALL, SMALL], trials, tick=0.1).curves():
        (report,) = curve
        assert (report["steps"], report["epoch"]) == (4.0, 120 / 200)


def test_what_goes_wrong_with_a_step_is_everybodys(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = population([SMALL, SMALL], [Trial(), Trial()], tick=0.1).curves()
    next(curves[0])

    def fail(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Population, "_step", fail)
    next(curves[1])  # of the epoch before
    for curve in curves:
        with pytest.raises(MemoryError):
            next(curve)


def test_progress_is_told_to_every_member() -> None:
    trials = [Trial(seed=seed) for seed in range(2)]
    for _ in zip(*population([SMALL, SMALL], trials, tick=0.1).curves(), strict=True):
        pass
    assert trials[0].told == trials[1].told
    assert [fraction for fraction, _ in trials[0].told] == sorted(f for f, _ in trials[0].told)


# Which trials fit together


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"lr": 0.3}, True),
        ({"momentum": 0.1, "weight_decay": 0.1, "dropout": 0.9}, True),
        ({"lr_final": 0.001}, True),
        ({"n_filters": 4}, False),
        ({"n_hidden": 17}, False),
        ({"batch_size": 31}, False),
        ({"epochs": 4}, False),
        ({"n_train": 201}, False),
        ({"patience": 3}, False),
        ({"schedule": "cosine"}, False),
        ({"optimizer": "adam"}, False),
        ({"dataset": "mnist"}, False),
    ],
)
def test_trials_fit_together_that_differ_only_in_what_is_each_ones_own(
    change: dict[str, Any], same: bool
) -> None:
    one = group_key("mnist-cnn", SMALL, "always")
    other = group_key("mnist-cnn", {**SMALL, **change}, "always")
    assert one is not None
    assert (one == other) is same


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bfloat16"},
        {"optimizer": "rmsprop"},
        {"l1": 0.1},
        {"clip_norm": 1.0},
        {"no_such": 1},
    ],
)
def test_what_a_population_cannot_do_is_trained_alone(change: dict[str, Any]) -> None:
    assert group_key("mnist-cnn", {**SMALL, **change}, "always") is None


def test_other_objectives_are_trained_alone() -> None:
    assert group_key("spirals", {}, "always") is None
    assert group_key("train:train", SMALL, "always") is None


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize(
    ("filters", "batch", "pays"), [(8, 20, True), (8, 100, True), (16, 20, True), (16, 100, False)]
)
def test_where_it_does_not_pay_trials_are_alone_unless_the_user_wants_otherwise(
    filters: int, batch: int, pays: bool
) -> None:
    params = {**SMALL, "n_filters": filters, "batch_size": batch}
    assert (group_key("mnist-cnn", params, "where it pays") is not None) is pays
    assert group_key("mnist-cnn", params, "always") is not None


@pytest.mark.skipif(
    not compiled.widths(),
    reason="needs the functions of winners.c, compiled when distune is installed",
)
def test_with_compiled_functions_trials_are_alone_unless_the_user_wants_otherwise() -> None:
    params = {**SMALL, "n_filters": 8, "batch_size": 20}
    assert group_key("mnist-cnn", params, "where it pays") is None
    assert group_key("mnist-cnn", params, "always") is not None


def study(objective: str = "mnist-cnn", **params: Any) -> Study:
    space = {
        "objective": objective,
        "params": {
            "n_filters": 8,
            "batch_size": 20,
            "lr": {"type": "float", "low": 0.1, "high": 1.0},
            **params,
        },
    }
    return freeze(SpaceFile.model_validate(space), name="s", study_id="s-1", lease=5.0, created=0.0)


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize(
    ("params", "when", "wanted"),
    [
        ({}, "where it pays", True),
        ({"momentum": [0.0, 0.9]}, "where it pays", True),
        ({"n_filters": [4, 8]}, "where it pays", False),  # they would not fit together
        ({"n_filters": [4, 8]}, "always", True),
        ({"n_filters": 32}, "where it pays", False),
        ({"n_filters": 32}, "always", True),
        ({"n_hidden": {"type": "int", "low": 10, "high": 20}}, "where it pays", False),
    ],
)
def test_trials_are_taken_in_advance_where_they_will_fit(
    params: dict[str, Any], when: When, wanted: bool
) -> None:
    assert may_share(study(**params), when) is wanted


@pytest.mark.usefixtures("nothing_compiled")
def test_trials_of_a_list_are_taken_in_advance_if_its_settings_fit() -> None:
    for settings, wanted in (
        ([{"lr": 0.1}, {"lr": 0.2}], True),
        ([{"lr": 0.1, "batch_size": 10}, {"lr": 0.1, "batch_size": 20}], False),
    ):
        space = {
            "objective": "mnist-cnn",
            "sampler": "list",
            "params": {"n_filters": 8, "batch_size": 20},
            "settings": settings,
        }
        frozen = freeze(
            SpaceFile.model_validate(space), name="s", study_id="s-1", lease=5.0, created=0.0
        )
        assert may_share(frozen, "where it pays") is wanted
