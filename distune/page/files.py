"""What the page is made of: its own files, and the libraries that were put there with licences."""

from importlib.resources import files
from importlib.resources.abc import Traversable

#: In the order in which they are loaded.
SCRIPTS = (
    "text.js",
    "source.js",
    "vendor/htm-preact.min.js",
    "vendor/echarts.min.js",
    "vendor/tabulator.min.js",
    "filter.js",
    "findings.js",
    "keys.js",
    "charts.js",
    "tables.js",
    "actions.js",
    "trial.js",
    "parts.js",
    "plots.js",
    "sections.js",
    "about.js",
    "answer.js",
    "ranking.js",
    "study.js",
    "compare.js",
    "studies.js",
    "page.js",
)
STYLES = ("vendor/tabulator.min.css", "page.css")


def page_files() -> dict[str, bytes]:
    """All of them, by their paths."""
    return dict(_files(files("distune.page") / "assets", ""))


def _files(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _files(entry, f"{path}{entry.name}/")
        else:
            found.append((path + entry.name, entry.read_bytes()))
    return found
