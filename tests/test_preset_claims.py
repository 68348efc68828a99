"""A report of a preset's study says how that stands to the report behind the preset."""

from __future__ import annotations

import json

import pytest

import distune
from distune.presets.catalogue import read_preset
from distune.report.preset_claims import CLAIMS, sentences
from tests.conftest import Lab


def said_of(lab: Lab, study: str, *arguments: str) -> list[str]:
    """Runs a study of spirals to its end, and asks what there is to say."""
    done = lab.run("master", "--study", study, "--workers", "1", "--plain", *arguments)
    assert done.returncode == 0, done.stderr
    loaded = distune.load(lab.logs / study)
    return sentences(loaded.history.study, lambda: loaded)


@pytest.mark.long
def test_a_preset_in_full_is_judged_and_the_page_says_so(lab: Lab) -> None:
    (line,) = said_of(lab, "whole", "--space", "spirals-best")
    begin = "As in the report: test accuracy after ten epochs, 100% there; here "
    assert line.startswith(begin)
    assert lab.run("report", "--study", "whole", "--out", "page.html").returncode == 0
    assert begin in (lab.folder / "page.html").read_text()


@pytest.mark.long
def test_a_preset_is_not_judged_in_small_nor_in_part_nor_changed(lab: Lab) -> None:
    (small,) = said_of(lab, "small", "--space", "spirals-best", "--scale", "0.05")
    assert small.startswith("At 0.05 of its scale: test accuracy after ten epochs, 100% there; ")
    (part,) = said_of(lab, "part", "--space", "spirals-best", "--scale", "0.05", "--trials", "2")
    assert part == "Not all trials of the preset are over: it is not compared with its report."
    changed = json.loads(read_preset("spirals-best"))
    changed["params"] |= {"epochs": 1, "n_train": 50}
    (lab.folder / "mine.json").write_text(json.dumps(changed))
    assert said_of(lab, "mine", "--space", "mine.json") == []


def test_each_claim_is_of_a_preset_and_its_words_make_a_sentence() -> None:
    for claim in CLAIMS:
        assert read_preset(claim.preset)
        assert claim.what.strip(". ") == claim.what
        assert claim.says
