"""What is said of presets beside their reports: from whole curves, and the page has the table."""

from __future__ import annotations

from pathlib import Path

import pytest

import distune
from distune.report import preset_figures
from scripts import reproduce


def test_an_explosion_is_found_where_the_best_epoch_hides_it(tmp_path: Path) -> None:
    params = {"optimizer": "sgd", "lr": [0.01, 1e25], "n_train": 400, "epochs": 4}
    study = distune.run(
        "spirals", {**params, "loss": "mse-linear"}, logs=tmp_path, sampler="grid", device="cpu"
    )
    calm, wild = study.trials
    assert (calm.outcome, wild.outcome) == ("complete", "complete")
    assert wild.value is not None
    assert preset_figures.explosions(study, lr=0.01) == []
    assert preset_figures.explosions(study, lr=1e25) == [len(wild.curve)]
    assert preset_figures.exploded(study) == f"1 of 2 exploded, in epochs {len(wild.curve)}"


@pytest.mark.parametrize(
    ("value", "less", "verdict"),
    [
        (0.913, False, "same"),
        (0.95, False, "better"),
        (0.85, False, "not the same"),
        (0.85, True, "better"),
    ],
)
def test_a_figure_is_the_report_s_or_better_or_is_not(
    value: float, less: bool, verdict: str
) -> None:
    assert preset_figures.near(value, 0.9143, 0.007, less=less) == verdict


def test_a_report_s_figure_is_one_of_our_seeds_or_is_not() -> None:
    found = {"tanh": [0.7, 0.8], "relu": [0.9, 0.97]}
    assert preset_figures.agree(found, {"tanh": 0.78, "relu": 0.975}) == "same"
    assert preset_figures.agree(found, {"tanh": 0.78, "relu": 0.998}) == "not the same"


def test_the_page_has_the_table_of_what_was_found() -> None:
    page = reproduce.PAGE.read_text()
    assert f"{reproduce.BEGIN}{reproduce.table()}{reproduce.END}" in page
