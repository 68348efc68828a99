"""What a report says and draws, against numbers worked out by hand; and the command."""

from __future__ import annotations

import html
import json
import math
import re
import subprocess
import sys
from itertools import permutations
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from distune.report import search, summary
from distune.report.blocks import Plot, Row, Section, Table, Text, safe_figure, themes
from distune.report.contents import sections
from distune.report.material import Material, sample, value_of
from distune.report.page import html_page
from distune.trial import Failure, Outcome
from tests.conftest import Lab
from tests.report_studies import a_history, a_search, a_study, counted, material

NAN = math.nan


def plots_of(section: Section | None) -> list[Plot]:
    found: list[Plot] = []
    for block in section.blocks if section else ():
        found += (
            [block] if isinstance(block, Plot) else block.plots if isinstance(block, Row) else []
        )
    return found


def figures_of(section: Section | None) -> list[dict[str, Any]]:
    return [figure for plot in plots_of(section) for figure in plot.figures.values()]


def words_of(section: Section | None) -> str:
    return " ".join(b.text for b in (section.blocks if section else ()) if isinstance(b, Text))


def equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a, float), np.asarray(b, float), equal_nan=True))


# -- which trials stand for all --------------------------------------------------------------------


def test_a_sample_has_the_best_trials_and_always_the_same_others() -> None:
    study = a_study()
    history = a_history(study, (counted(i, i / 1000) for i in range(500)))
    chosen = [one.trial.number for one in sample(history, 10, 20)]
    assert len(set(chosen)) == 30
    assert set(range(490, 500)) <= set(chosen)
    assert chosen == [one.trial.number for one in sample(history, 10, 20)]
    assert len(sample(history, 300, 300)) == 500


# -- the best so far -------------------------------------------------------------------------------


def test_the_best_so_far_begins_with_the_first_finite_value() -> None:
    values = [NAN, 0.5, 0.4, math.inf, 0.7, NAN]
    assert equal(search.best_so_far(values, "maximize"), [NAN, 0.5, 0.5, 0.5, 0.7, 0.7])
    assert equal(search.best_so_far(values, "minimize"), [NAN, 0.5, 0.4, 0.4, 0.4, 0.4])
    assert search.best_so_far([], "maximize") == []


@pytest.mark.parametrize(
    ("outcome", "value"),
    [(Outcome.DIVERGED, math.inf), (Outcome.PRUNED, 0.9), (Outcome.FAILED, None)],
)
def test_a_trial_that_did_not_complete_is_never_the_best(
    outcome: Outcome, value: float | None
) -> None:
    assert math.isnan(value_of(counted(0, value, outcome=outcome)))


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_bands_are_those_of_all_orders(direction: Any) -> None:
    """Against every order of five trials, one of which has no value, counted one by one."""
    values, seconds = [0.3, NAN, 0.9, 0.5, 0.7], [4.0, 1.0, 3.0, 2.0, 5.0]
    orders = list(permutations(range(5)))
    by_trial, by_time = search.bands(values, seconds, direction, map(np.array, orders))
    assert by_trial.at == [1, 2, 3, 4, 5]
    worst_first = direction == "maximize"

    def quantile(found: list[float], share: float) -> float:
        missing = -math.inf if worst_first else math.inf
        ordered = sorted((missing if math.isnan(x) else x for x in found), reverse=not worst_first)
        value = ordered[math.ceil(share * len(ordered)) - 1]
        return value if math.isfinite(value) else NAN

    for i, at in enumerate(by_trial.at):
        reached = [
            search.best_so_far([values[k] for k in o], direction)[int(at) - 1] for o in orders
        ]
        expected = [quantile(reached, share) for share in search.LEVELS]
        assert equal([row[i] for row in by_trial.quantiles], expected)
    for i, at in enumerate(by_time.at):
        reached = []
        for order in orders:
            spent, best = 0.0, NAN
            for k in order:
                spent += seconds[k]
                if spent > at + 1e-9:
                    break
                best = search.best_so_far([best, values[k]], direction)[-1]
            reached.append(best)
        expected = [quantile(reached, share) for share in search.LEVELS]
        assert equal([row[i] for row in by_time.quantiles], expected)
    assert by_time.at[-1] == 15.0


def test_orders_are_permutations_and_the_same_for_the_same_seed() -> None:
    orders = [tuple(map(int, order)) for order in search.random_orders(6, 50)]
    assert len(set(orders)) > 30
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2, 3, 4, 5)}
    assert orders == [tuple(map(int, order)) for order in search.random_orders(6, 50)]


def test_only_a_random_search_is_reshuffled() -> None:
    def names(sampler: str) -> set[str]:
        made = a_search(20, sampler=sampler, params={})
        return {
            trace["name"] for figure in figures_of(search.section(made)) for trace in figure["data"]
        }

    assert "median order" in names("random")
    assert names("grid") == {"as it happened"}


def test_a_search_is_drawn_as_it_happened_in_trials_training_time_and_time_of_the_study() -> None:
    trials = [
        counted(i, value, seconds=10.0, elapsed=elapsed)
        for i, (value, elapsed) in enumerate([(0.5, 11.0), (0.4, 12.0), (0.8, 30.0)])
    ]
    against_trials, training, running = figures_of(
        search.section(material(a_study(sampler="grid"), trials))
    )
    assert [(t["x"], t["y"]) for t in against_trials["data"]] == [([1, 3], [0.5, 0.8])]
    assert [(t["x"], t["y"]) for t in training["data"]] == [([10, 30], [0.5, 0.8])]
    assert [(t["x"], t["y"]) for t in running["data"]] == [([11, 30], [0.5, 0.8])]


def test_a_few_diverged_trials_do_not_squeeze_the_others() -> None:
    trials = [counted(i, 0.1 if i == 7 else 0.98 + i / 10_000) for i in range(100)]
    figure = figures_of(search.section(material(a_study(), trials)))[0]
    low, high = figure["layout"]["yaxis"]["range"]
    assert 0.97 < low < 0.985
    assert 0.9899 < high < 1


# -- words and tables ------------------------------------------------------------------------------


def test_the_summary_says_what_was_found() -> None:
    trials = [
        counted(i, value, params={"lr": lr}, repeat=i % 2, elapsed=60.0 * i)
        for i, (lr, value) in enumerate([(0.1, 0.9), (0.1, 0.8), (0.2, 0.5), (0.2, 0.5)])
    ]
    words = words_of(summary.summary(material(a_study({"lr": [0.1, 0.2]}, repeats=2), trials)))
    assert "0.8500 ± 0.0707 (standard deviation over 2 repeats): lr 0.1" in words
    assert "4 trials counted (4 complete), by 1 worker in 3m00s, with 40s of training." in words


def test_the_table_has_a_hundred_rows_and_says_how_many_there_are() -> None:
    (table,) = summary.ranking(a_search(1000)).blocks  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert len(table.rows) == 100
    assert "of 1,000" in table.caption
    assert len({len(row) for row in [table.header, *table.rows]}) == 1
    assert table.rows[0][0] == "1"


def test_failures_are_told_with_what_was_tried() -> None:
    failure = Failure(message="ValueError: <no>")
    trials = [counted(4, None, outcome=Outcome.FAILED, failure=failure, params={"lr": 0.5})]
    (table,) = summary.failures(material(a_study({"lr": [0.5, 1.0]}), trials)).blocks  # type: ignore[union-attr]
    assert isinstance(table, Table)
    assert table.rows == [["4", "failed", "ValueError: <no>", "gpu7-812-4f2a9c", "lr 0.5"]]


# -- the page --------------------------------------------------------------------------------------


def page_of(made: Material) -> str:
    return html_page("t", "f", sections(made), style="", script="page()", plotly="plotly()")


@pytest.mark.parametrize("trials", [0, 1, 2, 3, 12, 80])
@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_every_plot_is_one_that_plotly_knows(trials: int, direction: str) -> None:
    for section in sections(a_search(trials, direction=direction)):
        for plot in plots_of(section):
            assert plot.alt
            for figure in plot.figures.values():
                safe = json.loads(json.dumps(safe_figure(figure), allow_nan=False))
                go.Figure(_with_colours(safe, themes()["dark"]))


def _with_colours(tree: Any, theme: dict[str, Any]) -> Any:
    match tree:
        case dict():
            return {key: _with_colours(value, theme) for key, value in tree.items()}
        case list():
            return [_with_colours(value, theme) for value in tree]
        case str():
            return theme.get(tree, tree)
    return tree


def test_only_the_pages_own_scripts_may_run_and_nothing_may_be_loaded() -> None:
    page = page_of(a_search(12))
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert len(re.findall(r"'sha256-[\w+/=]{44}'", rules["script-src"])) == 2
    assert "unsafe" not in rules["script-src"]


def test_no_string_reaches_plotly_as_markup() -> None:
    tree = {"name": '<a href="x">&', "text": ["two\nlines", NAN, math.inf, 1.5, None, True]}
    assert safe_figure({**tree, "hovertemplate": "%{x}<extra></extra>"}) == {
        "name": '&lt;a href="x"&gt;&amp;',
        "text": ["two<br>lines", None, None, 1.5, None, True],
        "hovertemplate": "%{x}<extra></extra>",
    }


def test_data_of_a_plot_cannot_end_its_block() -> None:
    trials = [counted(i, i / 10, params={"x": "</script><!--" + str(i)}) for i in range(4)]
    page = page_of(material(a_study({"x": ["a", "b"]}, metric="</script>"), trials))
    blocks = re.findall(r'<script type="application/json" id="[\w-]+">(.*?)</script>', page)
    assert blocks
    for block in blocks:
        json.loads(block)
    assert page.count("<script") == page.count("</script>")


def test_a_page_is_the_same_each_time_it_is_made() -> None:
    assert page_of(a_search(40)) == page_of(a_search(40))


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lab with a study of six trials that really ran."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    lab.write_space(params={"x": {"type": "float", "low": 0.0, "high": 1.0}, "steps": 4,
                            "pause": 0.0})  # fmt: skip
    done = lab.run("master", "--space", "space.json", "--workers", "1", "--objective",
                   "train:train", "--plain")  # fmt: skip
    assert done.returncode == 0, done.stderr
    yield lab
    lab.end()


def test_the_command_writes_one_file_named_after_the_study(finished: Lab) -> None:
    done = finished.run("report")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "wrote space-report.html; open it in a browser\n"
    text = (finished.folder / "space-report.html").read_text()
    assert "6 trials counted (6 complete)" in text
    assert sorted(p.name for p in finished.folder.glob(".space*")) == []


@pytest.mark.parametrize(
    ("out", "why"),
    [("missing/r.html", "No such file or directory"), ("logs", "Is a directory")],
)
def test_a_file_that_cannot_be_written_is_named(finished: Lab, out: str, why: str) -> None:
    done = finished.run("report", "--out", out)
    assert done.returncode == 2
    assert done.stderr == f"distune: cannot write {out}: {why}; choose another file with --out\n"
    assert sorted(p.name for p in finished.folder.glob(".*")) == []


@pytest.mark.parametrize("missing", ["plotly", "optuna"])
def test_what_is_not_installed_is_named_with_the_remedy(finished: Lab, missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['distune', 'report']\n"
        "from distune.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=finished.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'distune[report]'" in done.stderr
