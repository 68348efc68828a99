"""The report in a real browser: that it draws, fits, loads nothing, and runs nothing of others."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from distune.trial import Outcome
from tests.report_studies import a_search, a_study, counted, material, write_page

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


def test_every_plot_is_drawn_without_an_error_or_a_request(browser: Any, search: Path) -> None:
    with opened(browser, search) as one:
        one.draw_all()
        marks = one.ask(MARKS)
        assert len(marks) >= 2
        assert [alt for alt, count in marks if not alt or count == 0] == []
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith("data:")] == [search.as_uri()]


@pytest.mark.parametrize("context", [PHONE, {**PHONE, "color_scheme": "dark"}, DESKTOP])
def test_nothing_is_wider_than_the_screen(
    browser: Any, search: Path, context: dict[str, Any]
) -> None:
    with opened(browser, search, **context) as one:
        one.draw_all()
        width = context["viewport"]["width"]
        assert one.ask("document.documentElement.scrollWidth") <= width
        assert one.ask("visualViewport.width") == width  # nothing made the phone zoom out
        assert one.errors == []


def test_dark_mode_is_dark_in_the_page_and_in_the_plots(browser: Any, search: Path) -> None:
    def colours(one: Opened) -> tuple[str, str]:
        one.page.locator(".plot[data-drawn] .xtick text").first.wait_for(state="attached")
        found: tuple[str, str] = tuple(
            one.ask(
                """[getComputedStyle(document.body).backgroundColor,
                getComputedStyle(document.querySelector('.plot .xtick text')).fill]"""
            )
        )
        return found

    with opened(browser, search) as one:
        one.draw_all()
        light = colours(one)
        one.page.emulate_media(color_scheme="dark")  # switched while it is open
        one.page.wait_for_timeout(0)
        assert colours(one) != light
    with opened(browser, search, **DESKTOP, color_scheme="dark") as two:
        two.draw_all()
        assert [colours(two)[0], light[0]] == ["rgb(20, 24, 29)", "rgb(255, 255, 255)"]
        assert [colours(two)[1], light[1]] == ["rgb(154, 164, 174)", "rgb(87, 96, 106)"]


def test_a_page_without_trials_says_so(browser: Any, tmp_path: Path) -> None:
    with opened(browser, write_page(material(a_study(), []), tmp_path / "empty.html")) as one:
        assert "No trial has been counted yet" in one.page.inner_text("main")
        assert one.errors == []


@pytest.mark.parametrize("trials", [1, 2])
def test_a_study_of_a_trial_or_two_has_its_page(browser: Any, tmp_path: Path, trials: int) -> None:
    path = write_page(a_search(trials), tmp_path / "small.html")
    with opened(browser, path) as one:
        one.draw_all()
        assert one.errors == []
        assert "val_accuracy" in one.page.inner_text("#ranking")


def test_text_from_the_share_is_shown_and_not_run(browser: Any, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    tag = '</script><img src=x onerror="alert(1)">'
    trials = [
        counted(i, 0.5 + i / 100, params={evil: evil if i % 2 else tag, "x": i / 10, "<b>": i % 3},
                worker="w-1-a", elapsed=10.0 * i)
        for i in range(30)
    ]  # fmt: skip
    trials.append(counted(30, None, outcome=Outcome.FAILED, params={"x": 1.0}))
    study = a_study(
        {evil: [evil, tag], "x": {"type": "float", "low": 0, "high": 3}, "<b>": [0, 1, 2]},
        name="evil", metric=f"loss{evil}", objective="a:b", description=tag,
    )  # fmt: skip
    with opened(browser, write_page(material(study, trials), tmp_path / "evil.html")) as one:
        one.page.on("dialog", lambda dialog: one.errors.append(dialog.message))
        one.draw_all()
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith("data:")] == [one.page.url]
        assert evil in one.page.inner_text("#ranking")
        assert tag in one.page.inner_text("#summary")
        assert one.ask("document.querySelectorAll('main script, main img, .plot b').length") == 0


def test_ten_thousand_trials_open_in_under_five_seconds(browser: Any, tmp_path: Path) -> None:
    path = write_page(a_search(10_000), tmp_path / "many.html")
    with opened(browser, path) as one:
        opened_after = one.ask("performance.timing.loadEventEnd - performance.timing.fetchStart")
        one.draw_all()
        assert one.errors == []
        assert opened_after < 5000
