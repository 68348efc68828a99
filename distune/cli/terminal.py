"""What commands print, and where: tables, JSON, lines with the time, passing remarks."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from distune.share.waiting import Stall
    from distune.watch.screen import Screen


def console() -> Console:
    from rich.console import Console

    # Tables are cut to the terminal; in a file or a pipe nothing is.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(width=width)


def screen(plain: bool, as_json: bool) -> Screen:
    """The live view on a terminal, else plain lines, or JSON if asked for."""
    from distune.watch.screen import Mode, Screen

    lines = Mode.PLAIN if plain or not sys.stdout.isatty() else Mode.LIVE
    return Screen(console(), Mode.JSON if as_json else lines)


def print_json(fields: Any) -> None:
    typer.echo(json.dumps(fields, indent=2, allow_nan=False))


def warn(line: str) -> None:
    print(f"distune: {line}", file=sys.stderr, flush=True)


def say(line: str) -> None:
    """A line of a log, with the time."""
    # `print` would write the end of a line by itself where Python buffers nothing.
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {harmless(line)}\n")
    sys.stdout.flush()


def show(line: str) -> None:
    """A line of what somebody else says, at once."""
    typer.echo(harmless(line))


def harmless(text: str) -> str:
    """Text from the share or from an objective, without anything that steers the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def remark(line: str) -> None:
    """Print a passing remark: on a terminal the next one overwrites it."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif line.startswith("waiting"):
        warn(line)


def stall() -> Stall:
    """Watches looks at the share and says so when one takes long."""
    from distune.share.waiting import Stall

    return Stall(warn, "nothing is lost")
