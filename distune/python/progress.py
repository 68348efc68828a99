"""How far a study is: a bar on a terminal or in a notebook, plain lines elsewhere."""

import html
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from distune.study.trial import FAILURES
from distune.watch.display.numbers import coarse_duration, format_scalar, format_value
from distune.watch.display.text import clean, progress_bar

_LINE_EVERY = 30.0  # seconds
_BAR = 24  # characters
_MOST_PARAMS = 6


class _Place(Protocol):
    """Where it is shown."""

    def show(self, fraction: float | None, words: str) -> None: ...
    def close(self) -> None: ...


class Progress:
    """`with Progress() as progress: progress.show(fields)`, with those of `snapshot_json`."""

    def __init__(self) -> None:
        self._place: _Place = _place()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._place.close()

    def show(self, fields: Mapping[str, Any]) -> None:
        self._place.show(_fraction(fields), words(fields))


def _fraction(fields: Mapping[str, Any]) -> float | None:
    """Of what is planned; None if nobody knows how much that is."""
    planned = fields["trials"]["planned"]
    return min(1.0, fields["trials"]["counted"] / planned) if planned else None


def words(fields: Mapping[str, Any]) -> str:
    """`12/50 trials  ·  best 0.983 (trial 8: lr 0.05)  ·  2 running  ·  about 3 min`"""
    trials, best = fields["trials"], next(iter(fields["ranking"]), None)
    of = f"/{trials['planned']}" if trials["planned"] else ""
    pieces = [f"{trials['counted']}{of} trials"]
    if best is not None and best["value"] is not None:
        params = [f"{n} {format_scalar(v)}" for n, v in [*best["params"].items()][:_MOST_PARAMS]]
        which = f"trial {best['trials'][0]}: {', '.join(params)}"
        pieces.append(f"best {fields['metric']} {format_value(best['value'])} ({which})")
    if failed := sum(trials["outcomes"].get(one, 0) for one in FAILURES):
        pieces.append(f"{failed} failed")
    if fields["state"] != "running":
        pieces.append(fields["state"])
    elif trials["running"]:
        pieces.append(f"{trials['running']} running")
    if fields["eta_seconds"] and trials["counted"]:
        pieces.append(f"about {coarse_duration(fields['eta_seconds'])} left")
    return clean("  ·  ".join(pieces), 400)


class _Notebook:
    """A cell's output, which is replaced."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._handle = display(_bundle(None, "starting"), raw=True, display_id=True)

    def show(self, fraction: float | None, words: str) -> None:
        self._handle.update(_bundle(fraction, words), raw=True)

    def close(self) -> None:
        pass


def _bundle(fraction: float | None, words: str) -> dict[str, str]:
    """As IPython displays it; the text is for what shows no HTML."""
    value = "" if fraction is None else f' value="{fraction:.4f}"'
    bar = f'<progress max="1"{value} aria-label="progress"></progress>'
    return {"text/plain": words, "text/html": f"<div>{bar} {html.escape(words)}</div>"}


class _Terminal:
    """A line that is drawn anew."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), auto_refresh=False)
        self._live.start()

    def show(self, fraction: float | None, words: str) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_row(progress_bar(fraction, _BAR), words)
        self._live.update(table, refresh=True)

    def close(self) -> None:
        self._live.stop()


class _Lines:
    """A line once in a while."""

    def __init__(self) -> None:
        self._next, self._last = 0.0, ""

    def show(self, fraction: float | None, words: str) -> None:
        self._last = words
        if (now := time.monotonic()) >= self._next:
            self._next = now + _LINE_EVERY
            self._print()

    def _print(self) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {self._last}\n")  # at one go
        sys.stderr.flush()
        self._last = ""

    def close(self) -> None:
        if self._last:
            self._print()


def _place() -> _Place:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if hasattr(shell, "kernel"):
        from IPython.display import display

        return _Notebook(display)
    return _Terminal() if sys.stderr.isatty() else _Lines()
