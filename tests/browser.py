"""A real browser, for tests of pages: what it shows, and what it does unseen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
DARK: dict[str, Any] = {**DESKTOP, "color_scheme": "dark"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True
}  # fmt: skip


@contextmanager
def a_browser() -> Iterator[Any]:
    """Chromium without a window; the caller has seen that it and playwright are there."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


@dataclass
class Opened:
    """A page, with the errors of its console and the addresses that it has asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def ask(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def until(self, script: str, argument: Any = None) -> Any:
        """Wait until a script says something true, and return that."""
        return self.page.wait_for_function(script, arg=argument, timeout=60_000).json_value()

    def chart(self, label: str) -> Any:
        """The option of the chart whose text alternative begins so, once that is drawn."""
        return self.until(
            """place => {
                const there = document.querySelector(place);  // it may be made anew meanwhile
                there?.scrollIntoView({ block: "nearest", behavior: "instant" });
                return there && echarts.getInstanceByDom(there)?.getOption();
            }""",
            f'.chart[aria-label^="{label}"]',
        )

    def drag(self, label: str, start: Sequence[float], end: Sequence[float]) -> None:
        """Moves the mouse, pressed, over a chart with axes from one [x, y] to another."""
        self.chart(label)
        chart = self.page.locator(f'.chart[aria-label^="{label}"]').first
        points = chart.evaluate(
            """(place, ends) => ends.map(
                one => echarts.getInstanceByDom(place).convertToPixel("grid", one))""",
            [start, end],
        )
        box, mouse = chart.bounding_box(), self.page.mouse
        (x1, y1), (x2, y2) = ((box["x"] + x, box["y"] + y) for x, y in points)
        mouse.move(x1, y1)
        mouse.down()
        mouse.move(x2, y2, steps=8)
        mouse.up()

    def click(self, label: str, x: float, y: float) -> None:
        """Clicks where a chart has these values."""
        self.drag(label, (x, y), (x, y))


@contextmanager
def opened(browser: Any, address: str, **context: Any) -> Iterator[Opened]:
    """The page at an address."""
    inside = browser.new_context(**(context or DESKTOP))
    try:
        one = Opened(inside.new_page())
        one.page.on("console", lambda m: one.errors.append(m.text) if m.type == "error" else None)
        one.page.on("pageerror", lambda error: one.errors.append(str(error)))
        one.page.on("request", lambda request: one.requests.append(request.url))
        one.page.goto(address)
        yield one
    finally:
        inside.close()
