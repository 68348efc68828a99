"""The report in a real browser: that it draws, fits, loads nothing, and runs nothing of others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from distune.report.reading import plotly_script
from distune.report.writing import write_report
from distune.study import figures
from distune.study.trial import Failure, Outcome, Report
from tests.report_studies import a_file, a_search, a_study, counted, study_data, write_page

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@dataclass
class Opened:
    """A page, and what it did that a reader would not see."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def draw_all(self) -> None:
        """Scroll through it, as a reader would."""
        for plot in self.page.locator(".plot").all():
            self.draw(plot)

    def draw(self, plot: Any) -> None:
        plot.scroll_into_view_if_needed()
        key = plot.get_attribute("data-figure")
        self.page.locator(f'.plot[data-drawn][data-figure="{key}"]').wait_for(state="attached")

    def ask(self, script: str) -> Any:
        return self.page.evaluate(script)


@contextmanager
def opened(browser: Any, path: Path, **context: Any) -> Iterator[Opened]:
    """The page of a file; whatever else it asks for, and all errors, are kept."""
    inside = browser.new_context(**(context or DESKTOP))
    try:
        one = Opened(inside.new_page())
        one.page.on("console", lambda m: one.errors.append(m.text) if m.type == "error" else None)
        one.page.on("pageerror", lambda error: one.errors.append(str(error)))
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.goto(path.as_uri())
        yield one
    finally:
        inside.close()


MARKS = """[...document.querySelectorAll('.plot')].map(plot => [
    plot.getAttribute('aria-label'), plot.querySelectorAll(
        '.scatterlayer path, .barlayer path, .heatmaplayer image, .contourlayer path').length])"""


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(a_search(80), tmp_path_factory.mktemp("report") / "search.html")


@pytest.mark.parametrize("context", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.long
def test_every_plot_is_drawn_and_fits_the_screen_without_an_error_or_a_request(
    browser: Any, search: Path, context: dict[str, Any]
) -> None:
    with opened(browser, search, **context) as one:
        one.draw_all()
        marks = one.ask(MARKS)
        assert len(marks) >= 2
        assert [alt for alt, count in marks if not alt or count == 0] == []
        width = context["viewport"]["width"]
        assert one.ask("document.documentElement.scrollWidth") <= width
        assert one.ask("visualViewport.width") == width  # nothing made the phone zoom out
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith("data:")] == [search.as_uri()]


def test_dark_mode_is_dark_in_the_page_and_in_the_plots(browser: Any, search: Path) -> None:
    def colours(one: Opened) -> list[str]:
        found: list[str] = one.ask(
            """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.querySelector('.plot .xtick text')).fill]"""
        )
        return found

    light = ["rgb(255, 255, 255)", "rgb(87, 96, 106)"]
    dark = ["rgb(20, 24, 29)", "rgb(154, 164, 174)"]
    with opened(browser, search) as one:
        one.draw(one.page.locator(".plot").first)
        assert colours(one) == light
        one.page.emulate_media(color_scheme="dark")  # switched while it is open
        one.page.locator(f'.plot .xtick text[style*="{dark[1]}"]').first.wait_for()
        assert colours(one) == dark
    with opened(browser, search, **PHONE, color_scheme="dark") as two:
        two.draw(two.page.locator(".plot").first)
        assert colours(two) == dark


PAPER: dict[str, Any] = {"width": 703, "height": 1030}  # A4 within its margins, at 96 dpi


@pytest.mark.long
def test_on_paper_it_is_light_and_whole(browser: Any, search: Path) -> None:
    with opened(browser, search, **DESKTOP, color_scheme="dark") as one:
        one.draw(one.page.locator(".plot").first)
        one.ask("dispatchEvent(new Event('beforeprint'))")  # as before each print
        one.page.emulate_media(media="print")
        one.page.set_viewport_size(PAPER)
        one.page.locator(".plot:not([data-drawn])").first.wait_for(state="detached")
        assert one.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        inks = "[...document.querySelectorAll('.xtick text')].map(t => getComputedStyle(t).fill)"
        assert set(one.ask(inks)) == {"rgb(87, 96, 106)"}
        # Neither what could be scrolled to, nor half of a picture.
        rights = """[...document.querySelectorAll('td, th, .main-svg')]
            .map(one => one.getBoundingClientRect().right)"""
        assert max(one.ask(rights)) <= PAPER["width"]
        broken = (
            "[...document.querySelectorAll('figure')].map(f => getComputedStyle(f).breakInside)"
        )
        assert set(one.ask(broken)) == {"avoid"}
        one.ask("dispatchEvent(new Event('afterprint'))")
        one.page.emulate_media(media="screen", color_scheme="dark")
        one.page.set_viewport_size(DESKTOP["viewport"])
        one.page.locator(".main-svg").first.wait_for()
        assert set(one.ask(inks)) == {"rgb(154, 164, 174)"}
        assert one.errors == []


def test_a_table_of_many_parameters_is_whole_on_paper(browser: Any, tmp_path: Path) -> None:
    names = [f"a_parameter_called_{i}" for i in range(16)]
    study = a_study({name: {"type": "float", "low": 0, "high": 1} for name in names})
    made = [counted(i, i / 9, params=dict.fromkeys(names, i / 9)) for i in range(9)]
    with opened(browser, write_page(study_data(study, made), tmp_path / "wide.html")) as one:
        one.page.emulate_media(media="print")
        one.page.set_viewport_size(PAPER)
        cells = one.page.locator("#ranking th").all()
        assert [cell.text_content() for cell in cells][-1] == names[-1]
        widest = max(box["x"] + box["width"] for cell in cells if (box := cell.bounding_box()))
        assert widest <= PAPER["width"]


def test_another_plot_can_be_chosen(browser: Any, search: Path) -> None:
    with opened(browser, search) as one:
        figure = one.page.locator("figure", has_text="Heat map of two parameters")
        one.draw(figure.locator(".plot"))
        assert figure.locator(".xtitle").text_content() == "lr"
        figure.locator("select").select_option("batch_size and momentum")
        one.page.locator("figure .xtitle", has_text="batch_size").last.wait_for()
        assert figure.locator(".xtitle").text_content() == "batch_size"
        assert figure.locator(".ytitle").text_content() == "momentum"
        assert one.errors == []


LEGENDS = """[...document.querySelectorAll('#curves .plot')].map(plot => [
    [...plot.querySelectorAll('.legendtext')].map(one => one.textContent),
    [...new Set([...plot.querySelectorAll('.scatterlayer .js-line')]
        .map(one => getComputedStyle(one)).filter(one => parseFloat(one.strokeWidth) > 0)
        .map(one => one.stroke))].length])"""


@pytest.mark.parametrize("trials", [12, 80], ids=["one by one", "as medians"])
@pytest.mark.long
def test_another_parameter_can_have_the_colours_of_all_learning_curves(
    browser: Any, tmp_path: Path, trials: int
) -> None:
    made = a_search(trials)
    path = write_report(made, plotly_script(), tmp_path / "r.html", color_by="optimizer")
    with opened(browser, path) as one:
        plots = one.page.locator("#curves .plot")
        one.draw(plots.first)
        first = one.ask(LEGENDS)[0]
        assert sorted(first[0]) == ["adam", "rmsprop", "sgd"]
        assert "adam" in (plots.first.get_attribute("aria-label") or "")
        one.page.get_by_label("Colours by").select_option("lr")
        plots.first.locator(".legendtext", has_text=" to ").first.wait_for()
        for plot in plots.all():
            one.draw(plot)  # also those that were not seen before
        for legend, hues in one.ask(LEGENDS):
            assert len([name for name in legend if " to " in name]) in (0, 5)
            assert hues == 5
        assert sum(bool(legend) for legend, _ in one.ask(LEGENDS)) == plots.count()
        assert "adam" not in (plots.first.get_attribute("aria-label") or "")
        assert one.errors == []


def test_a_page_without_trials_says_so(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_page(study_data(a_study(), []), tmp_path / "empty.html")) as one:
        assert "No trial has been counted yet" in one.page.inner_text("main")
        assert one.errors == []


def test_a_study_of_two_trials_has_its_page(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_page(a_search(2), tmp_path / "small.html")) as one:
        one.draw_all()
        assert one.errors == []
        assert "val_accuracy" in one.page.inner_text("#ranking")


def test_text_from_the_share_is_shown_and_not_run(browser: Any, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    tag = '</script><img src=x onerror="alert(1)">'
    link = '<a href="javascript:alert(1)">l</a><b>%{x}</b>'
    made, files = [], {}
    for i in range(30):
        params = {evil: evil if i % 2 else tag, "x": i / 10, link: f"{link}{i % 3}"}
        trial = counted(i, 0.5 + i / 100, params=params, worker="w-1-a", elapsed=10.0 * i, steps=3)
        reports = [
            Report(step=k, metrics={link: 0.5 * k, f"val_{evil}": 1.0}, seconds=1.0 * k)
            for k in (1, 2, 3)
        ]
        made.append(trial)
        files[i] = a_file(trial.trial, "w-1-a", 0.0, reports)
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
    with opened(browser, write_page(page, tmp_path / "evil.html")) as one:
        one.page.on("dialog", lambda dialog: one.errors.append(dialog.message))
        one.draw_all()
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith("data:")] == [one.page.url]
        for place in ("#ranking", "#summary", "#failures", "#winner"):
            text = one.page.locator(place).text_content()
            assert evil in text or tag in text, place
        assert one.ask("document.querySelectorAll('main script, main img, main b').length") == 0
        assert one.ask("document.querySelectorAll('.plot a').length") == 0
        assert link[:20] in one.ask("document.querySelector('#settings .plot').textContent")


def cpu_seconds() -> float:
    """Of all browsers that this test has started: a busy machine makes them wait, not work."""
    family = psutil.Process().children(recursive=True)
    return sum(sum(one.cpu_times()[:2]) for one in family if "chrom" in one.name())


@pytest.mark.slow
def test_ten_thousand_trials_open_in_under_five_seconds(browser: Any, tmp_path: Path) -> None:
    path = write_page(a_search(10_000), tmp_path / "many.html")
    before = cpu_seconds()
    with opened(browser, path) as one:
        one.draw(one.page.locator(".plot").first)
        assert 0 < cpu_seconds() - before < 5
        one.draw_all()
        assert one.errors == []
        marks = one.ask("document.querySelectorAll('.plot path, .plot rect').length")
        assert marks < 20_000  # fewer than twice the trials: a page that can be scrolled
