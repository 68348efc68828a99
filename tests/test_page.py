"""The dashboard's page in a real browser, through real clicks and keys, on a study that runs."""

from __future__ import annotations

import json
import math
import os
import re
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, DARK, DESKTOP, PHONE, Opened, a_browser, opened
from tests.conftest import Lab, wait_until

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("uvicorn")
pytestmark = [
    pytest.mark.slow,  # one at a time, see scripts/long_checks.py
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here"),
]
expect = sync_api.expect
expect.set_options(timeout=60_000)

#: Later trials wait, half-way through, for a file that the tests put there.
OBJECTIVE = """\
import math, pathlib, time

GO = pathlib.Path(__file__).with_name("go")

def train(params, trial):
    print("learning at", params["lr"])
    (trial.dir / "notes.txt").write_bytes(bytes(2048))
    if trial.number % 8 == 5:
        raise ValueError(f"the loss is {params['lr']}, which is too much")
    good = 0.9 - 0.05 * (math.log10(params["lr"]) + 2) ** 2
    for epoch in range(params["epochs"]):
        while trial.number > 11 and epoch == 3 and not GO.exists():
            time.sleep(0.02)
        time.sleep(params.get("rest", 0))
        yield {"val_accuracy": good * (1 - math.exp(-epoch - 1))}
"""
MARKUP = "<b>adam</b>"
PARAMS = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "width": [16, 32, 64],
    "optimizer": ["sgd", MARKUP],
    "epochs": 6,
}


@dataclass
class Dashboard:
    """A folder with a study that runs, one that is over, and the dashboard's address."""

    lab: Lab
    address: str

    def let_go(self) -> None:
        """Has the trials that wait go on; the study is over some moments later."""
        (self.lab.folder / "go").touch()
        wait_until(lambda: (self.lab.logs / "digits" / "finished.json").exists())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as one:
        yield one


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with a_dashboard(tmp_path_factory.mktemp("page")) as one:
        yield one


@contextmanager
def a_dashboard(folder: Path) -> Iterator[Dashboard]:
    lab = Lab(folder)
    try:
        (lab.folder / "train.py").write_text(OBJECTIVE)
        lab.write_space(params=PARAMS, metric="val_accuracy", direction="maximize", trials=24)
        more = ["--objective", "train:train", "--plain"]
        lab.master("--study", "digits", "--workers", "2", *more)
        lab.master("--study", "earlier", "--workers", "1", "--trials", "5", "--seed", "3", *more)
        server = lab.start("dashboard", "--port", "0")
        lab.wait_for_words(server, "Ctrl-C")
        address = re.search(r"http://\S+", lab.log_of(server))
        assert address is not None
        wait_until(lambda: len(lab.counted("digits")) >= 6, what="six trials are counted")
        wait_until(lambda: (lab.logs / "earlier" / "finished.json").exists())
        yield Dashboard(lab, address[0])
    finally:
        lab.end()


@contextmanager
def at(browser: Any, dashboard: Dashboard, place: str = "", **context: Any) -> Iterator[Opened]:
    """A place of the page, which asks the dashboard alone and has no errors."""
    with opened(browser, dashboard.address + place, **context) as one:
        yield one
        assert one.errors == []
        assert {urllib.parse.urlsplit(url).netloc for url in one.requests if url[:4] == "http"} == {
            urllib.parse.urlsplit(dashboard.address).netloc
        }


def rows(one: Opened, table: str = "ranking") -> Any:
    return one.page.get_by_role("grid", name=table).locator(".tabulator-row")


def column(one: Opened, field: str, table: str = "ranking") -> list[str]:
    cells = one.page.get_by_role("grid", name=table).locator(
        f'.tabulator-row .tabulator-cell[tabulator-field="{field}"]'
    )
    expect(cells.first).to_be_visible()
    return list(cells.all_inner_texts())


def test_a_study_that_runs_is_followed_from_the_list_to_its_end(
    browser: Any, tmp_path: Path
) -> None:
    with a_dashboard(tmp_path) as dashboard, at(browser, dashboard) as one:
        listed = rows(one, "studies")
        expect(listed).to_have_count(2)
        digits = listed.filter(has_text="digits")
        expect(digits).to_contain_text("running")
        expect(digits).to_contain_text("of 24")
        expect(digits).to_contain_text(f"2 on {socket.gethostname()}")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", column(one, "created", "studies")[0])
        digits.get_by_text("digits").click()
        expect(one.page.get_by_role("heading", level=1)).to_have_text("digits")
        expect(one.page.get_by_role("region", name="answer")).to_contain_text("val_accuracy 0.")
        assert len(column(one, "first")) < 24
        (curve, *_) = one.chart("learning curves: trial")["series"]
        assert len(curve["data"]) == 3
        assert all(0 < value < 1 for _, value in curve["data"])
        dashboard.let_go()
        expect(one.page.get_by_role("status", name="state")).to_have_text("finished")
        expect(rows(one)).to_have_count(24)
        expect(one.page.get_by_role("region", name="training now")).to_have_count(0)


def test_a_click_is_not_lost_where_the_table_is_drawn_anew_meanwhile(
    browser: Any, tmp_path: Path
) -> None:
    with a_dashboard(tmp_path) as dashboard, at(browser, dashboard) as one:
        page, digits = one.page, rows(one, "studies").filter(has_text="digits")
        expect(digits).to_contain_text("running")
        digits.get_by_text("digits").hover()
        page.mouse.down()
        with page.expect_response(
            lambda answer: "api/studies" in answer.url and "finished" in says(answer, "digits")
        ):
            dashboard.let_go()
        page.wait_for_timeout(300)  # in which it would have been drawn
        expect(digits).to_contain_text("running")
        page.mouse.up()
        expect(page.get_by_role("heading", level=1)).to_have_text("digits")


def says(answer: Any, study: str) -> str:
    """The state of a study, in an answer of the server's."""
    return str(next(one["state"] for one in answer.json()["studies"] if one["name"] == study))


def test_what_a_trial_says_is_text_and_no_markup(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits") as one:
        expect(rows(one)).to_have_count(24)
        assert MARKUP in column(one, "params.optimizer")
        assert one.page.locator(".table b").count() == 0


def drag_along(one: Opened, axis: int, low: float, high: float) -> None:
    """Drags the mouse along an axis of the parallel coordinates, between two values."""
    one.chart("parallel coordinates")
    chart = one.page.locator('.chart[aria-label^="parallel coordinates"]')
    points = one.ask(
        """([axis, values]) => {
            const place = document.querySelector('.chart[aria-label^="parallel coordinates"]');
            const model = echarts.getInstanceByDom(place).getModel().getComponent("parallel");
            const { coordinateSystem, dimensions } = model;
            return values.map(value => coordinateSystem.dataToPoint(value, dimensions[axis]));
        }""",
        [axis, [low, high]],
    )
    box = chart.bounding_box()
    mouse = one.page.mouse
    mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
    mouse.down()
    mouse.move(box["x"] + points[1][0], box["y"] + points[1][1], steps=8)
    mouse.up()


#: How many areas are marked on the first axis of the parallel coordinates.
AREAS = """echarts.getInstanceByDom(document.querySelector(
    '.chart[aria-label^="parallel coordinates"]'))?.getModel()
    .getComponent("parallelAxis", 0).activeIntervals.length"""


def test_dragging_along_an_axis_filters_the_table_and_the_slices(
    browser: Any, dashboard: Dashboard
) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits") as one:
        expect(rows(one)).to_have_count(24)
        bright = one.chart("val_accuracy by width")["series"]
        assert {dots["itemStyle"]["opacity"] for dots in bright} == {0.7}
        drag_along(one, 0, 0.001, 0.1)
        chip = one.page.get_by_role("button", name=re.compile("^lr .*: show all again"))
        expect(chip).to_be_visible()
        expect(rows(one)).not_to_have_count(24)
        kept = list(map(float, column(one, "params.lr")))
        assert kept
        assert all(0.0009 < value < 0.11 for value in kept)
        there = one.chart("val_accuracy by width")["series"]
        dots = [(dots["itemStyle"]["opacity"], len(dots["data"])) for dots in there]
        assert sum(many for _, many in dots) == 24
        assert sum(many for opacity, many in dots if opacity == 0.7) == len(kept) < 24
        assert {opacity for opacity, _ in dots} == {0.7, 0.3}
        one.page.reload()
        one.chart("parallel coordinates")
        one.until(f"() => {AREAS} === 1")
        expect(rows(one)).to_have_count(len(kept))
        chip.click()
        expect(rows(one)).to_have_count(24)
        one.until(f"() => {AREAS} === 0")


def test_dragging_over_a_slice_and_clicking_a_cell_filter_everything(
    browser: Any, dashboard: Dashboard
) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits") as one:
        expect(rows(one)).to_have_count(24)
        everything = list(
            zip(*(column(one, f"params.{name}") for name in ("lr", "width")), strict=True)
        )
        # Then the charts change their places, by what mattered most.
        expect(one.page.get_by_role("region", name="what mattered")).to_be_visible()
        middle = one.chart("val_accuracy by lr")["series"][0]["data"][8][1]
        one.drag("val_accuracy by lr", (0.001, middle), (0.1, middle))
        kept = [lr for lr, _ in everything if 0.001 <= float(lr) <= 0.1]
        expect(rows(one)).to_have_count(len(kept))
        assert column(one, "params.lr") == kept
        places = one.chart("parallel coordinates")["parallelAxis"]
        assert places
        bars = [bar[3] for kind in one.chart("when each of")["series"] for bar in kind["data"]]
        assert (bars.count(1), bars.count(0.15)) == (len(kept), 24 - len(kept))
        one.page.get_by_role("button", name=re.compile("^lr .*: show all again")).click()
        one.page.get_by_label("across").select_option("width")
        one.page.get_by_label("up").select_option("optimizer")
        cells = one.chart("median val_accuracy by width and optimizer")["series"][0]["data"]
        i, j, _, many = max(cells, key=lambda cell: cell[3])
        one.click("median val_accuracy by width and optimizer", i, j)
        chips = one.page.get_by_role("button", name=re.compile(": show all again"))
        expect(chips).to_have_count(2)
        there = set(zip(column(one, "params.width"), column(one, "params.optimizer"), strict=True))
        assert len(there) == 1
        values = [value for value in column(one, "value") if value]
        assert len(values) == many
        one.drag("val_accuracy by optimizer", (-0.3, middle), (1.3, middle))
        expect(chips).to_have_count(2)
        drawn = one.chart("val_accuracy by lr")
        bottom = drawn["yAxis"][0]["min"]
        dots = [dot for dot in drawn["series"][0]["data"] if dot[1] > bottom]
        alone = max(
            dots, key=lambda dot: min(abs(math.log(dot[0] / o[0])) for o in dots if o != dot)
        )
        one.click("val_accuracy by lr", *alone[:2])
        trial = one.page.get_by_role("complementary")
        expect(trial).to_have_attribute("aria-label", f"trial {alone[2]}")


def test_a_click_on_a_row_opens_its_trial(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits") as one:
        rows(one).first.click()
        trial = one.page.get_by_role("complementary")
        number = column(one, "first")[0]
        expect(trial).to_have_attribute("aria-label", f"trial {number}")
        series = one.chart("its learning curve among others")["series"]
        assert len(series) > 10
        assert len(series[-1]["data"]) == 6
        expect(trial).to_contain_text(re.compile(r"attempt \d: complete on \S+ \(cpu\)"))
        expect(trial).to_contain_text("learning at 0.")
        expect(trial).to_contain_text("notes.txt (2 KiB)")
        expect(trial.locator("dt")).to_contain_text(["lr", "width", "optimizer", "epochs"])
        trial.get_by_role("button", name="close").click()
        expect(trial).to_have_count(0)
        one.page.get_by_role("button", name="failures (").click()
        one.page.get_by_role("button", name="5", exact=True).click()
        expect(trial).to_contain_text("failed")
        expect(trial).to_contain_text("which is too much")
        expect(trial).to_contain_text("Traceback")


def test_what_a_trial_is_asked_for_in_vain_is_asked_for_again(
    browser: Any, dashboard: Dashboard
) -> None:
    dashboard.let_go()
    refused: set[str] = set()

    def refuse_once(route: Any) -> None:
        if route.request.url in refused:
            route.continue_()
        else:
            refused.add(route.request.url)
            route.fulfill(status=503, json={"trouble": "the share does not answer"})

    with at(browser, dashboard, "#study=digits") as one:
        one.page.route(re.compile(r"/(curves|trials/\d+)$"), refuse_once)
        rows(one).first.click()
        trial = one.page.get_by_role("complementary")
        expect(trial).to_contain_text("learning at 0.")
        assert len(one.chart("its learning curve among others")["series"]) > 10
        assert len(refused) == 2
        assert len(one.errors) == 2
        assert all("503" in error for error in one.errors)
        one.errors.clear()


def test_what_is_shown_stands_in_the_address(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits") as one:
        page = one.page
        expect(rows(one)).to_have_count(24)
        page.get_by_role("columnheader", name="lr").click()
        expect(page.get_by_role("columnheader", name="lr")).to_have_attribute(
            "aria-sort", "ascending"
        )
        page.get_by_text("columns", exact=False).first.click()
        page.get_by_label("width", exact=True).uncheck()
        page.keyboard.press("Escape")
        page.get_by_label("search the configurations").fill("width=16 lr<0.5")
        expect(page.get_by_role("columnheader", name="width")).to_be_hidden()
        one.until("() => location.hash.includes('find=')")
        rows(one).first.click()
        expect(page.get_by_role("complementary")).to_be_visible()
        link = page.url
        page.go_back()
        expect(page.get_by_role("complementary")).to_have_count(0)
        page.go_forward()
        expect(page.get_by_role("complementary")).to_be_visible()
        shown = column(one, "first")
    assert 0 < len(shown) < 24
    with at(browser, dashboard, link.removeprefix(dashboard.address)) as one:
        expect(one.page.get_by_role("complementary")).to_be_visible()
        expect(rows(one)).to_have_count(len(shown))
        assert column(one, "first") == shown
        lrs = list(map(float, column(one, "params.lr")))
        assert lrs == sorted(lrs)
        expect(one.page.get_by_role("columnheader", name="width")).to_be_hidden()
        expect(one.page.get_by_label("search the configurations")).to_have_value("width=16 lr<0.5")


def test_two_studies_are_compared(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard) as one:
        page = one.page
        compare = page.get_by_role("button", name="compare")
        expect(compare).to_be_disabled()
        page.get_by_label("mark digits").click()
        page.get_by_label("mark earlier").click()
        compare.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("digits and earlier")
        by_trials, by_time = one.chart("digits: best"), one.chart("by time, digits: best")
        for drawn in (by_trials, by_time):
            assert {series["name"] for series in drawn["series"]} == {"digits", "earlier"}
            assert all(series["data"] for series in drawn["series"])
        assert by_trials["series"] != by_time["series"]
        table = page.get_by_role("region", name="their best configurations").get_by_role("table")
        for name in ("value", "trials", "lr", "width", "optimizer"):
            expect(table.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
        expect(table.get_by_role("row", name=re.compile("^trials"))).to_have_text("trials245")


def test_keys_go_through_studies_and_trials(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard) as one:
        page, press = one.page, one.page.keyboard.press
        expect(rows(one, "studies")).to_have_count(2)
        press("?")
        expect(page.get_by_role("dialog", name="keys")).to_be_visible()
        press("j")  # for the dialog alone
        press("Escape")
        expect(page.get_by_role("dialog", name="keys")).to_have_count(0)
        press("/")
        expect(page.get_by_label("search the studies")).to_be_focused()
        page.keyboard.type("jck?f")  # letters, no keys
        expect(page.get_by_label("search the studies")).to_have_value("jck?f")
        expect(rows(one, "studies")).to_have_count(0)
        page.get_by_label("search the studies").fill("")
        expect(rows(one, "studies")).to_have_count(2)
        press("Escape")
        press("j")
        expect(rows(one, "studies").first).to_be_focused()
        press("c")
        expect(page.get_by_label("mark digits")).to_be_checked()
        press("j")
        expect(rows(one, "studies").nth(1)).to_be_focused()
        press("c")
        press("Shift+C")
        expect(page.get_by_role("heading", level=1)).to_have_text("digits and earlier")
        press("Escape")
        expect(page.get_by_label("mark earlier")).to_be_checked()
        press("f")
        expect(rows(one, "studies")).to_have_count(1)
        press("j")
        expect(rows(one, "studies").first).to_be_focused()
        press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("digits")
        expect(rows(one)).to_have_count(24)
        press("f")
        expect(page.locator("#failures")).to_be_focused()
        press("j")
        press("j")
        press("k")
        press("j")
        expect(rows(one).nth(1)).to_be_focused()
        press("Enter")
        trial = page.get_by_role("complementary")
        second, third = column(one, "first")[1:3]
        expect(trial).to_have_attribute("aria-label", f"trial {second}")
        press("j")
        expect(trial).to_have_attribute("aria-label", f"trial {third}")
        press("Escape")
        expect(trial).to_have_count(0)
        press("Escape")
        expect(page.get_by_role("heading", level=1)).to_have_text("distune")


LANDMARKS = """() => {
    const named = one => one.getAttribute("aria-label") || "";
    const all = place => [...document.querySelectorAll(place)];
    return {
        h1: all("h1").map(one => one.textContent),
        header: all("header").length, main: all("main").length,
        sections: all("section").map(named), navs: all("nav").map(named),
        charts: all(".chart").map(named),
        unnamed: all("button, input, select, a").filter(one => !(
            one.innerText.trim() || named(one) || one.closest("label"))).length,
        live: all("[aria-live], [role=status]").map(named),
    };
}"""


@pytest.mark.parametrize("place", ["", "#study=digits", "#compare=digits,earlier"])
def test_a_screen_reader_finds_landmarks_and_names(
    browser: Any, dashboard: Dashboard, place: str
) -> None:
    dashboard.let_go()
    with at(browser, dashboard, place) as one:
        expect(one.page.locator("section").first).to_be_visible()
        if place == "#study=digits":
            expect(rows(one)).to_have_count(24)
        found = one.ask(LANDMARKS)
        assert len(found["h1"]) == found["header"] == found["main"] == 1
        assert all(found["sections"])
        assert len(set(found["sections"])) == len(found["sections"]) > 0
        assert all(found["navs"])
        assert found["unnamed"] == 0
        if place == "#study=digits":
            assert re.search(r"^best val_accuracy so far: 0\.\d{4} after 24 trials", "\n".join(
                found["charts"]), re.MULTILINE)  # fmt: skip
            assert found["live"] == ["state"]
        assert all(found["charts"])


def test_everything_is_reached_by_tab_and_seen_to_be(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits") as one:
        expect(rows(one)).to_have_count(24)
        wanted = one.ask("document.querySelectorAll('button, a, input, summary').length")
        reached = set()
        for _ in range(wanted + 40):
            one.page.keyboard.press("Tab")
            said, outline = one.ask("""() => {
                const one = document.activeElement;
                return [`${one.tagName} ${one.className} ${one.innerText.slice(0, 30)}`,
                    getComputedStyle(one).outlineStyle];
            }""")
            if said.startswith("BODY"):
                break
            assert outline != "none", said
            reached.add(said)
        text = "\n".join(reached)
        for word in ("A  all studies", "SUMMARY", "INPUT", "tabulator-col", "tableholder", "keys"):
            assert word in text


COLOURS = re.compile(r"--([a-z-]+): (#[0-9a-f]{6})")


def luminance(colour: str) -> float:
    """WCAG 2, relative luminance."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(mode: int) -> None:
    style = (resources.files("distune.page") / "assets" / "page.css").read_text()
    colours = dict(COLOURS.findall(style.split(":root {")[mode + 1]))
    for behind in ("paper", "card", "accent-soft"):
        for text in ("ink", "quiet", "accent", "bad"):
            light, dark = sorted((luminance(colours[text]), luminance(colours[behind])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)


@pytest.mark.parametrize(
    "place", ["", "#study=digits", "#study=digits&trial=4", "#compare=digits,earlier"]
)
def test_a_phone_shows_it_without_scrolling_sideways(
    browser: Any, dashboard: Dashboard, place: str
) -> None:
    dashboard.let_go()
    with at(browser, dashboard, place, **PHONE) as one:
        expect(one.page.locator("section").first).to_be_visible()
        expect(one.page.locator(".tabulator-row, td").first).to_be_attached()
        assert one.ask("document.documentElement.scrollWidth") <= 390
        small = one.ask("""() => [...document.querySelectorAll("button, summary, header a")]
            .map(one => [one.innerText, one.getBoundingClientRect()])
            .filter(([, box]) => box.width && (box.height < 40 || box.width < 40))
            .map(([text]) => text)""")
        assert small == []
        if place == "#study=digits":
            head = one.page.get_by_role("columnheader", name="lr")
            head.scroll_into_view_if_needed()
            box = head.bounding_box()
            assert box["x"] + box["width"] < 390


def test_nothing_moves_for_who_does_not_want_that(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits", **DESKTOP, reduced_motion="reduce") as one:
        assert one.chart("best val_accuracy so far")["animation"] is False
        assert one.ask("""() => [...document.querySelectorAll("*")].every(
            one => parseFloat(getComputedStyle(one).transitionDuration) === 0)""")


def test_on_paper_there_are_results_and_no_controls(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=digits", **DARK) as one:
        expect(rows(one)).to_have_count(24)
        one.page.emulate_media(media="print")
        expect(one.page.get_by_role("region", name="answer")).to_be_visible()
        assert one.page.locator("button:visible, input:visible, nav:visible").count() == 0
        last = rows(one).nth(9)
        expect(last).to_be_visible()
        assert one.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_actions_are_there_where_they_are_allowed(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    lab = dashboard.lab
    lab.write_space(
        "long.json", params={**PARAMS, "rest": 0.05}, metric="val_accuracy", direction="maximize",
        trials=1000,
    )  # fmt: skip
    more = ["--workers", "1", "--objective", "train:train", "--plain"]
    master = lab.master(*more, space="long.json")
    server = lab.start("dashboard", "--port", "0", "--actions")
    lab.wait_for_words(server, "Ctrl-C")
    address = re.search(r"http://\S+", lab.log_of(server))
    assert address is not None
    wait_until(lambda: 5 in lab.counted("long"))
    with at(browser, dashboard, "#study=long") as one:
        expect(one.page.get_by_role("region", name="answer")).to_be_visible()
        expect(one.page.get_by_role("group", name="actions")).to_have_count(0)
    with at(browser, Dashboard(lab, address[0]), "#study=long") as one:
        page, button = one.page, one.page.get_by_role
        state = page.get_by_role("status", name="state")
        button("button", name="pause").click()
        expect(state).to_have_text("paused")
        button("button", name="resume").click()
        expect(state).to_have_text("running")
        button("button", name="enqueue").click()
        form = page.get_by_role("dialog", name="enqueue")
        best = page.get_by_role("region", name="answer").locator("code").first.inner_text()
        assert float(form.get_by_label("lr").input_value()) == json.loads(best)["lr"]
        form.get_by_label("lr").fill("0.0625")
        form.get_by_role("button", name="enqueue").click()
        expect(page.get_by_role("group", name="actions")).to_contain_text("1 setting is tried next")
        page.get_by_label("search the configurations").fill("lr=0.0625")
        expect(rows(one)).to_have_count(1)
        page.goto(address[0] + "#study=long&trial=5")
        button("button", name="retry").click()
        expect(page.get_by_role("complementary")).to_contain_text("sees to it at its next look")
        wait_until(lambda: "retry.000005.json" not in lab.names(study="long"), what="it does")
        page.goto(address[0] + "#study=long")
        button("button", name="stop").click()
        page.get_by_role("dialog").get_by_role("button", name="go on").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        assert not (lab.logs / "long" / "finished.json").exists()
        button("button", name="stop").click()
        page.get_by_role("dialog").get_by_role("button", name="stop the study").click()
        wait_until(lambda: master.poll() is not None, what="the master has stopped")


def test_the_command_of_the_answer_trains_it_again(browser: Any, dashboard: Dashboard) -> None:
    dashboard.let_go()
    with at(browser, dashboard, "#study=earlier") as one:
        answer = one.page.get_by_role("region", name="answer")
        command = answer.locator("code").nth(1).inner_text()
        value = answer.locator(".value").inner_text()
    found = subprocess.run(
        ["bash", "-c", command], cwd=dashboard.lab.folder, capture_output=True, text=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    said = re.search(r"val_accuracy (0\.\d{4}) in", found.stdout)
    assert said is not None
    assert value.startswith(f"val_accuracy {said[1]}")
