"""The report in a real browser: that it answers, draws, fits, loads nothing, and runs nothing of
others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from distune.page import study as page
from distune.report.study_data import StudyData
from distune.study import figures
from distune.study.trial import Failure, Outcome, Report
from tests.browser import CHROMIUM, DARK, DESKTOP, PHONE, Opened, a_browser
from tests.browser import opened as open_address
from tests.report_studies import (
    ABOUT,
    a_file,
    a_search,
    a_setting,
    a_study,
    counted,
    curve,
    study_data,
    write_page,
)

pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
NAN = math.nan


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as one:
        yield one


@contextmanager
def opened(browser: Any, path: Path, at: str = "", **context: Any) -> Iterator[Opened]:
    with open_address(browser, path.as_uri() + at, **context) as one:
        one.page.locator("main").wait_for()
        yield one


def draw_all(one: Opened) -> None:
    """Scroll through it, as a reader would."""
    for chart in one.page.locator(".chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("canvas").first.wait_for(state="attached")


def card(one: Opened, name: str) -> Any:
    return one.page.locator(f'section[aria-label="{name}"]')


#: Of each chart, what it says to who does not see it, and how many different colours it has.
INK = """[...document.querySelectorAll('.chart')].map(chart => {
    const canvas = chart.querySelector('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4) {
        if (data[i + 3]) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
    }
    return [chart.getAttribute('aria-label'), seen.size];
})"""


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(a_search(80), tmp_path_factory.mktemp("report") / "search.html")


@pytest.mark.parametrize("context", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.long
def test_every_plot_is_drawn_and_fits_the_screen_without_an_error_or_a_request(
    browser: Any, search: Path, context: dict[str, Any]
) -> None:
    with opened(browser, search, **context) as one:
        draw_all(one)
        drawn = one.ask(INK)
        assert len(drawn) >= 15
        assert [alt for alt, colours in drawn if not alt or colours < 3] == []
        width = context["viewport"]["width"]
        assert one.ask("document.documentElement.scrollWidth") <= width
        assert one.ask("visualViewport.width") == width  # nothing made the phone zoom out
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith("data:")] == [search.as_uri()]


def test_the_answer_stands_first_with_what_it_beats_and_how_to_have_it_again(
    browser: Any, search: Path
) -> None:
    with opened(browser, search) as one:
        first = one.page.locator("main > section").first
        said = first.inner_text()
        assert "val_accuracy 0.9873" in said
        assert "how much another seed would change it is not known" in said
        assert "The next best, trial 38, has 0.9858." in said
        assert "distune master --space best.json" in said
        first.get_by_text("best.json", exact=True).last.click()
        space = json.loads(first.locator("pre").inner_text())
        assert space["params"]["optimizer"] == "rmsprop"
        top = first.bounding_box()
        assert top["y"] + top["height"] < DESKTOP["viewport"]["height"]


def test_it_is_said_when_where_and_by_what_it_was_written(browser: Any, search: Path) -> None:
    with opened(browser, search) as one:
        lines = one.page.locator(".about").all_inner_texts()
        assert len(lines) == 2  # at the head and at the foot
        for word in (*ABOUT.values(), "s1"):
            assert all(word in line for line in lines)


def test_the_trial_that_a_link_names_is_shown_and_another_one_can_be_asked_for(
    browser: Any, search: Path
) -> None:
    with opened(browser, search, "#trial=16") as one:
        one.page.get_by_text("Trial 16").wait_for()
        one.page.get_by_label("go to trial").fill("17")
        one.page.get_by_label("go to trial").press("Enter")
        one.page.get_by_text("Trial 17").wait_for()
        assert "trial=17" in one.page.url
        one.page.get_by_label("go to trial").fill("800")
        one.page.get_by_label("go to trial").press("Enter")
        one.page.get_by_text("there is no trial 800").wait_for()
        assert one.errors == []


def test_dark_mode_is_dark_in_the_page_and_in_the_plots(browser: Any, search: Path) -> None:
    ink = """[getComputedStyle(document.body).backgroundColor, (() => {
        const canvas = document.querySelector('.chart canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let sum = 0, count = 0;
        for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] === 255) { sum += data[i]; count += 1; }
        }
        return sum / count;
    })()]"""
    chart = ".chart canvas"
    with opened(browser, search) as one:
        one.page.locator(chart).first.wait_for()
        light = one.ask(ink)
        one.page.evaluate("document.querySelector('.chart canvas').id = 'before'")
        one.page.emulate_media(color_scheme="dark")  # switched while it is open
        one.page.locator("#before").wait_for(state="detached")
        one.page.locator(chart).first.wait_for()
        dark = one.ask(ink)
        assert one.errors == []
    with opened(browser, search, **DARK) as two:
        two.page.locator(chart).first.wait_for()
        assert two.ask(ink) == dark
    assert light[0] != dark[0]
    assert light[1] != dark[1]


PAPER: dict[str, Any] = {"width": 703, "height": 1030}  # A4 within its margins, at 96 dpi


@pytest.mark.long
def test_on_paper_it_is_light_and_whole(browser: Any, search: Path) -> None:
    with opened(browser, search, **DARK) as one:
        one.ask("dispatchEvent(new Event('beforeprint'))")  # as before each print
        one.page.emulate_media(media="print")
        one.page.set_viewport_size(PAPER)
        assert one.page.locator(".chart").count() == one.page.locator(".chart:has(canvas)").count()
        paper = one.ask("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        # Neither what could be scrolled to, nor half of a picture.
        rights = """[...document.querySelectorAll('.card, .chart canvas, td')]
            .map(one => one.getBoundingClientRect().right)"""
        assert max(one.ask(rights)) <= PAPER["width"]
        broken = (
            "[...document.querySelectorAll('figure')].map(f => getComputedStyle(f).breakInside)"
        )
        assert set(one.ask(broken)) == {"avoid"}
        assert one.errors == []


def test_another_two_parameters_can_be_chosen_for_the_heat_map(browser: Any, search: Path) -> None:
    with opened(browser, search) as one:
        heat_map = card(one, "heat map")
        heat_map.locator(".chart[aria-label$='by lr and optimizer']").wait_for()
        heat_map.get_by_label("across").select_option("batch_size")
        heat_map.get_by_label("up").select_option("momentum")
        heat_map.locator(".chart[aria-label$='by batch_size and momentum']").wait_for()
        assert one.errors == []


@pytest.mark.parametrize("trials", [12, 80], ids=["one by one", "as medians"])
def test_another_parameter_can_have_the_colours_of_all_learning_curves(
    browser: Any, tmp_path: Path, trials: int
) -> None:
    path = write_page(a_search(trials), tmp_path / "r.html", "optimizer")
    with opened(browser, path) as one:
        plots = one.page.locator("#curves .chart")
        assert "adam" in (plots.first.get_attribute("aria-label") or "")
        one.page.get_by_label("Colours by").select_option("lr")
        one.page.locator("#curves .chart[aria-label*=' to ']").first.wait_for()
        assert one.page.locator("#curves .chart[aria-label*='adam']").count() == 0
        for plot in plots.all():
            plot.scroll_into_view_if_needed()
            plot.locator("canvas").first.wait_for()
        assert one.errors == []


# -- what a chart is made of -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def charts(browser: Any, search: Path) -> Iterator[Opened]:
    """Any page: its functions are asked for what they make of other studies."""
    with opened(browser, search) as one:
        yield one


def study_of(data: StudyData) -> Any:
    return json.loads(json.dumps(_strict(page.study_of(data.snapshot))))


def _strict(tree: Any) -> Any:
    match tree:
        case float() if not math.isfinite(tree):
            return None
        case dict():
            return {key: _strict(value) for key, value in tree.items()}
        case list() | tuple():
            return [_strict(value) for value in tree]
    return tree


def test_a_search_is_drawn_as_it_happened_in_trials_training_time_and_time_of_the_study(
    charts: Opened,
) -> None:
    trials = [
        counted(i, value, seconds=10.0, elapsed=elapsed, outcome=outcome)
        for i, (value, elapsed, outcome) in enumerate(
            [
                (0.5, 11.0, Outcome.COMPLETE),
                (None, 12.0, Outcome.FAILED),
                (0.8, 30.0, Outcome.COMPLETE),
                (0.95, 31.0, Outcome.PRUNED),
            ]
        )
    ]
    study = study_of(study_data(a_study(sampler="grid"), trials))

    def line(against: str) -> Any:
        script = "([study, against]) => distune.charts.bestSoFar(study, against).series.at(-1).data"
        return charts.ask(script, [study, against])

    assert line("trials") == [[1, 0.5], [3, 0.8], [4, 0.8]]
    assert line("training") == [[10, 0.5], [30, 0.8], [40, 0.8]]
    assert line("time") == [[11, 0.5], [30, 0.8], [31, 0.8]]


def test_the_worst_tenth_is_left_out_where_it_squeezes_the_others_and_that_is_said(
    charts: Opened,
) -> None:
    def judged(values: list[float], direction: str, failed: bool = False) -> Any:
        script = "([values, way, failed]) => distune.charts.judged(values, way, failed)"
        return charts.ask(script, [values, direction, failed])

    far = judged([0.1 if i == 7 else 0.98 + i / 10_000 for i in range(100)], "maximize")
    assert 0.97 < far["low"] < 0.985
    assert 0.9899 < far["high"] < 1
    assert far["note"] == "The scale leaves out the worst tenth: 6 of 100, down to 0.1."
    near = judged([0.9, 0.95, 0.99] * 10, "maximize")
    assert (near["note"], near["low"] < 0.9, near["high"] > 0.99) == ("", True, True)
    assert judged([10.0**-i for i in range(5)], "minimize")["axis"]["type"] == "log"
    assert judged([0.5, 0.9], "maximize", True)["none"] < 0.5  # where those without a value stand
    assert judged([0.5, 0.9], "minimize", True)["none"] > 0.9


def test_log_axes_have_ticks_that_people_think_in(charts: Opened) -> None:
    def ticks(low: float, high: float) -> Any:
        return charts.ask(
            "([low, high]) => distune.charts.logTicks(low, high).map(distune.number)", [low, high]
        )

    assert ticks(16, 256) == ["16", "32", "64", "128", "256"]
    assert ticks(1e-5, 0.1) == ["1e-5", "1e-4", "0.001", "0.01", "0.1"]
    assert ticks(1, 9000) == ["1", "10", "100", "1000"]
    assert ticks(0.01, 0.32) == ["0.01", "0.02", "0.05", "0.1", "0.2"]


def test_failures_have_a_shape_of_their_own_in_every_plot_of_parameters(charts: Opened) -> None:
    made = [counted(i, 0.5 + i / 100) for i in range(20)]
    made += [counted(20, None, outcome=Outcome.FAILED), counted(21, NAN, outcome=Outcome.DIVERGED)]
    study = study_of(study_data(a_study(), made))
    rows = "const rows = study.order.map(first => ({first, ...study.configurations[first]}));"
    slice_ = charts.ask(
        f"study => {{ {rows} return distune.charts.slice(study, rows, rows, 'lr').series.map("
        "one => [one.symbol, one.data.map(dot => dot[2])]) }",
        study,
    )
    assert [one[0] for one in slice_] == ["circle", "triangle"]
    assert sorted(slice_[1][1]) == [20, 21]
    lines = charts.ask(
        f"study => {{ {rows} return distune.charts.parallel(study, rows, rows, ['lr']).series[0]"
        ".data.map(({ lineStyle: look, value: [, value] }) => "
        "[look.type ?? 'solid', look.width, value]) }",
        study,
    )
    assert [kind for kind, *_ in lines].count("dashed") == 2
    good = [one for one in lines if one[0] == "solid"]
    assert [value for *_, value in good] == sorted(value for *_, value in good)  # the best on top
    assert good[-1][1] > 2 * good[0][1]  # and thickest


def test_of_many_lines_the_best_are_drawn_and_others_at_even_distances_and_that_is_said(
    charts: Opened,
) -> None:
    rows = [{"first": i, "value": i / 2000, "params": {"x": i}} for i in range(2000)]
    study = {"status": {"metric": "m", "direction": "maximize"}, "space": []}
    note, values = charts.ask(
        """([study, rows]) => {
            const { note, series } = distune.charts.parallel(study, rows, rows, ['x']);
            return [note, series[0].data.map(one => one.value[0])];
        }""",
        [study, rows],
    )
    assert note == "200 of 2000 lines are drawn: the best 100, and others at even distances."
    assert values[-100:] == list(range(1900, 2000))
    assert min(values) == 0


def test_a_cell_of_the_heat_map_has_the_median_of_what_its_configurations_reached(
    charts: Opened,
) -> None:
    settings = [("a", 1, 0.2), ("a", 1, 0.4), ("b", 1, 0.9), ("a", 2, 0.5)]
    rows = [
        {"first": i, "value": value, "params": {"x": x, "y": y}}
        for i, (x, y, value) in enumerate(settings)
    ]
    rows.append({"first": 4, "value": 0.7, "params": {"x": "b"}})  # it has no y
    study = {"status": {"direction": "maximize"}, "space": []}
    cells = charts.ask(
        "([study, rows]) => distune.charts.heatMap(study, rows, 'x', 'y').series[0].data",
        [study, rows],
    )
    assert sorted(cells) == [[0, 0, pytest.approx(0.3), 2], [0, 1, 0.5, 1], [1, 0, 0.9, 1]]


def test_few_values_have_a_class_each_and_many_numbers_intervals_of_one_length(
    charts: Opened,
) -> None:
    def classes(values: list[Any], spec: Any = None) -> Any:
        script = """([values, spec]) => {
            const rows = values.map(x => ({params: {x}}));
            const found = distune.charts.classes(rows, 'x', spec);
            return [found.labels, rows.map(found.of)];
        }"""
        return charts.ask(script, [values, spec])

    assert classes([3, 1, 3]) == [["1", "3"], [1, 0, 1]]
    labels, places = classes(list(range(17)))
    assert (labels[0], labels[-1]) == ("0 to 2", "14 to 16")
    assert places == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 7]
    labels, _ = classes([10.0 ** (i / 4 - 2) for i in range(17)])
    assert (labels[0], labels[-1]) == ("0.01 to 0.032", "32 to 100")
    labels, _ = classes([f"w{i % 20}" for i in range(45)])
    assert (len(labels), labels[-1]) == (10, "others")
    spec = {"choices": ["low", "middle", "high", "highest"]}
    assert classes(["high", "low", "high", "middle"], spec)[0] == ["low", "middle", "high"]


# -- studies of every kind -------------------------------------------------------------------------


def test_a_page_without_trials_says_so(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_page(study_data(a_study(), []), tmp_path / "empty.html")) as one:
        assert "No trial has been counted yet" in one.page.inner_text("main")
        assert one.page.locator(".chart").count() == 0
        assert one.errors == []


@pytest.mark.parametrize("trials", [1, 2])
def test_a_study_of_a_trial_or_two_has_its_page(browser: Any, tmp_path: Path, trials: int) -> None:
    with opened(browser, write_page(a_search(trials), tmp_path / "small.html")) as one:
        draw_all(one)
        assert "val_accuracy" in card(one, "answer").inner_text()
        assert "too few to tell" in card(one, "what mattered").inner_text()
        assert one.errors == []


def test_a_study_of_which_all_trials_diverged_says_so_and_draws_no_empty_axes(
    browser: Any, tmp_path: Path
) -> None:
    made = [counted(i, NAN, outcome=Outcome.DIVERGED, elapsed=10.0 * i) for i in range(8)]
    with opened(browser, write_page(study_data(a_study(), made), tmp_path / "nan.html")) as one:
        draw_all(one)
        said = card(one, "answer").inner_text()
        assert "All 8 trials diverged: val_accuracy was no finite number" in said
        labels = [chart.get_attribute("aria-label") for chart in one.page.locator(".chart").all()]
        assert len(labels) == 1  # who trained when
        assert one.errors == []


def test_what_failed_is_told_once_with_what_it_has_in_common(browser: Any, tmp_path: Path) -> None:
    made, files = [], {}
    for i in range(48):
        params = a_setting(i)
        fails = params["optimizer"] == "rmsprop" and params["lr"] >= 0.065
        failure = Failure(
            message=f"ValueError: loss {i / 7:.3f}", traceback="Traceback: train.py, line 12"
        )
        made.append(
            counted(
                i, None if fails else 0.9 + i / 1000, params=params, elapsed=5.0 * i,
                outcome=Outcome.FAILED if fails else Outcome.COMPLETE,
                failure=failure if fails else None,
            )
        )  # fmt: skip
        file = a_file(made[-1].trial, made[-1].worker, 0.0, curve(0.9, 10.0))
        files[i] = replace(file, result=made[-1].result, output=f"printed by {i}")
    page = write_page(study_data(a_study(), made, files=files), tmp_path / "failures.html")
    with opened(browser, page) as one:
        failed = card(one, "what failed")
        assert failed.locator("tbody tr").count() == 1
        assert "7 of 7 have lr >= 0.082 and optimizer rmsprop, where 0 of 41" in failed.inner_text()
        failed.get_by_role("button", name="15", exact=True).click()
        one.page.get_by_text("Traceback: train.py, line 12").wait_for()
        assert "printed by 15" in one.page.locator("aside").inner_text()
        assert one.errors == []


def test_stages_what_was_stopped_and_repeats_have_their_words(browser: Any, tmp_path: Path) -> None:
    named = [
        {"name": "rate", "params": {"lr": [1, 2, 3]}},
        {"name": "depth", "params": {"n": [2, 4]}},
    ]
    study = a_study({"lr": 0, "n": 1}, stages=named, repeats=1)
    settings = [(1, 1, 0.5), (2, 1, 0.8), (3, 1, 0.6), (2, 2, 0.9), (2, 4, 0.7)]
    made = [
        counted(i, value, params={"lr": lr, "n": n}) for i, (lr, n, value) in enumerate(settings)
    ]
    made[4] = replaced(made[4], outcome=Outcome.PRUNED, reason="below the median")
    with opened(browser, write_page(study_data(study, made), tmp_path / "stages.html")) as one:
        draw_all(one)
        rows = card(one, "stages").locator("tbody tr").all_inner_texts()
        assert [row.split("\t")[1:] for row in rows] == [
            ["rate", "over", "3/3", "0.8", "lr 2"], ["depth", "over", "2/2", "0.9", "n 2"],
        ]  # fmt: skip
        stopped = card(one, "what was stopped").inner_text()
        assert "below the median" in stopped
        assert "lr 2, n 4" in stopped
        assert one.errors == []


def replaced(one: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(one, result=msgspec.structs.replace(one.result, **changes))


def test_several_objectives_have_their_front(browser: Any, tmp_path: Path) -> None:
    goals = {"val_accuracy": "maximize", "seconds": "minimize"}
    made = [
        counted(i, value, seconds=seconds, metrics={"val_accuracy": value}, elapsed=9.0 * i)
        for i, (value, seconds) in enumerate([(0.9, 30.0), (0.8, 5.0), (0.7, 20.0), (0.6, 9.0)])
    ]
    study = a_study(objectives=goals)
    with opened(browser, write_page(study_data(study, made), tmp_path / "front.html")) as one:
        draw_all(one)
        assert "val_accuracy 0.9000, seconds 30s" in card(one, "answer").inner_text()
        front = card(one, "the front")
        assert [row.split("\t")[0] for row in front.locator("tbody tr").all_inner_texts()] == [
            "0",
            "1",
        ]
        one.drag("2 of 4 configurations are on the front", (15.0, 0.65), (25.0, 0.75))
        kept = one.page.get_by_role("button", name=": show all again")
        kept.nth(1).wait_for()
        assert [chip.split()[0] for chip in kept.all_inner_texts()] == ["seconds", "val_accuracy"]
        assert one.page.get_by_text("1 of 4 configurations", exact=True).count() == 1
        drawn = one.chart("2 of 4 configurations are on the front")["series"]
        bright = [
            dot["value"][2]
            for series in drawn
            for dot in series["data"]
            if dot["itemStyle"]["opacity"] > 0.5
        ]
        assert bright == [2]
        assert one.errors == []


def test_constants_are_named_in_a_line_and_objects_are_choices(
    browser: Any, tmp_path: Path
) -> None:
    space = {"shape": {"type": "categorical", "choices": [[1, 2], [3]]}, "epochs": 12, "lr": [1, 2]}
    made = [
        counted(
            i,
            0.5 + i / 100,
            params={"shape": ["[1,2]", "[3]"][i % 2], "epochs": 12, "lr": 1 + i % 2},
        )
        for i in range(6)
    ]
    with opened(browser, write_page(study_data(a_study(space), made), tmp_path / "c.html")) as one:
        draw_all(one)
        assert one.page.get_by_text("The same in all: epochs 12.").count() == 1
        assert "shape [3]" in card(one, "answer").inner_text()
        assert one.errors == []


def test_text_from_the_share_is_shown_and_not_run(browser: Any, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    tag = '</script><img src=x onerror="alert(1)">'
    link = '<a href="javascript:alert(1)">l</a><b>{b}</b>'
    made, files = [], {}
    for i in range(30):
        params = {evil: evil if i % 2 else tag, "x": i / 10, link: f"{link}{i % 3}"}
        trial = counted(i, 0.5 + i / 100, params=params, worker="w-1-a", elapsed=10.0 * i, steps=3)
        reports = [
            Report(step=k, metrics={link: 0.5 * k, f"val_{evil}": 1.0}, seconds=1.0 * k)
            for k in (1, 2, 3)
        ]
        made.append(trial)
        files[i] = replace(
            a_file(trial.trial, "w-1-a", 0.0, reports), output=tag, result=trial.result
        )
    made.append(
        counted(30, None, outcome=Outcome.FAILED, params={"x": 1.0}, failure=Failure(message=tag))
    )
    study = a_study(
        {evil: [evil, tag], "x": {"type": "float", "low": 0, "high": 3},
         link: [link + str(i) for i in range(3)]},
        name="evil", metric=link, objective="a:b", description=tag,
    )  # fmt: skip
    drawn = figures.Scatter(title=evil, caption=tag, x_title=link, y_title=evil, x=[1], y=[1])
    page = study_data(study, made, files=files, figures={0: [drawn]}, problems=[tag])
    with opened(browser, write_page(page, tmp_path / "evil.html"), "#trial=29") as one:
        one.page.on("dialog", lambda dialog: one.errors.append(dialog.message))
        draw_all(one)
        one.page.get_by_text("attempt", exact=False).first.click()
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith("data:")] == [
            (tmp_path / "evil.html").as_uri()
        ]
        for name in ("answer", "in words", "what failed", "The winner, looked at closely"):
            text = card(one, name).text_content()
            assert evil in text or tag in text, name
        assert (
            one.ask("document.querySelectorAll('main script, main img, main b b, main a').length")
            == 0
        )


def cpu_seconds() -> float:
    """Of all browsers that this test has started: a busy machine makes them wait, not work."""
    family = psutil.Process().children(recursive=True)
    return sum(sum(one.cpu_times()[:2]) for one in family if "chrom" in one.name())


@pytest.mark.slow
def test_ten_thousand_trials_open_in_under_three_seconds(browser: Any, tmp_path: Path) -> None:
    path = write_page(a_search(10_000), tmp_path / "many.html")
    before = cpu_seconds()
    with opened(browser, path) as one:
        one.page.locator(".chart canvas").first.wait_for()
        assert 0 < cpu_seconds() - before < 3
        draw_all(one)
        assert one.errors == []
        assert one.ask("document.querySelectorAll('*').length") < 5000  # rows are drawn when seen
