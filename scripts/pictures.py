"""Follows a newcomer, and keeps pictures of what is seen: `docs/pictures/*.png`.

    python scripts/pictures.py                   # of MNIST, if it is on this machine: two minutes
    python scripts/pictures.py --notebook        # the notebook alone; needs nbconvert

The quickstart with two workers, the dashboard while that runs, its report on a phone, a notebook.
Needs a chromium, and what the extra `dev` installs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "pictures"
NOTEBOOK = ROOT / "examples" / "python" / "notebook.ipynb"
DISTUNE = [sys.executable, "-m", "distune"]
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
TALL: dict[str, Any] = {"viewport": {"width": 1280, "height": 1680}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True,
    "device_scale_factor": 2,
}  # fmt: skip
_COUNTED = 12  # trials that shall be in the ranking when the dashboard is looked at
_DEADLINE = 600.0  # seconds


def newcomer(browser: Browser, preset: str) -> None:
    """The quickstart, the dashboard, the report."""
    with tempfile.TemporaryDirectory(prefix="shared-") as folder:
        logs = Path(folder) / "logs"
        _earlier_study(logs)
        command = ["master", "--space", preset, "--logs", str(logs), "--workers", "2", "--plain"]
        with _running(command) as master, _dashboard(logs) as address:
            _until(lambda: _counted(logs, preset) >= _COUNTED, "enough trials are counted")
            dark = {**TALL, "color_scheme": "dark"}
            _picture(browser, DESKTOP, address, "studies")
            _picture(browser, TALL, f"{address}#study={preset}", "study")
            _picture(browser, dark, f"{address}#study={preset}", "study-dark")
            _picture(browser, PHONE, f"{address}#study={preset}", "study-phone")
            _picture(browser, DESKTOP, f"{address}#compare={preset},earlier", "compare")
            master.wait(_DEADLINE)
            trial = _best_trial(logs, preset)
            _picture(browser, DESKTOP, f"{address}#study={preset}&trial={trial}", "trial")
        report = Path(folder) / "report.html"
        arguments = ["--logs", str(logs), "--study", preset, "--out", str(report)]
        subprocess.run([*DISTUNE, "report", *arguments], check=True)
        _picture(browser, PHONE, report.as_uri(), "report-phone")


def _earlier_study(logs: Path) -> None:
    """One that is over, to be compared with."""
    command = ["--space", "quickstart-digits", "--study", "earlier", "--trials", "12"]
    arguments = [*command, "--logs", str(logs), "--workers", "2", "--plain"]
    subprocess.run([*DISTUNE, "master", *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def _running(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*DISTUNE, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def _dashboard(logs: Path) -> Iterator[str]:
    with _running(["dashboard", "--logs", str(logs), "--port", "0"]) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None, "the dashboard has not said where it is"
        yield found[0]


def _status(logs: Path, study: str) -> dict[str, Any]:
    command = [*DISTUNE, "status", "--json", "--logs", str(logs), "--study", study]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def _counted(logs: Path, study: str) -> int:
    return int(_status(logs, study).get("trials", {}).get("counted", 0))


def _best_trial(logs: Path, study: str) -> int:
    return int(_status(logs, study)["ranking"][0]["trials"][0])


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {_DEADLINE:.0f} s: {what}")
        time.sleep(0.5)


def _picture(browser: Browser, options: dict[str, Any], address: str, name: str) -> None:
    page: Page = browser.new_page(reduced_motion="reduce", **options)
    try:
        page.goto(address)
        page.locator("h1").first.wait_for()
        page.locator("canvas, .tabulator-row").first.wait_for()
        page.wait_for_timeout(1500)  # until all of it is drawn
        path = TARGET / f"{name}.png"
        page.screenshot(path=path)
        print(f"wrote {path.relative_to(ROOT)}: {path.stat().st_size / 1e3:.0f} kB")
    finally:
        page.close()


def notebook(browser: Browser) -> None:
    """What `nbclient` has executed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", folder]
        subprocess.run([*command, str(NOTEBOOK)], check=True)
        page = browser.new_page(viewport={"width": 900, "height": 1000})
        page.goto((Path(folder) / "notebook.html").as_uri())
        page.screenshot(path=TARGET / "notebook.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--preset", default="quickstart")
    parser.add_argument("--notebook", action="store_true")
    chosen = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=next(found), args=["--no-sandbox"])
        if chosen.notebook:
            notebook(browser)
        else:
            newcomer(browser, chosen.preset)
        browser.close()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
