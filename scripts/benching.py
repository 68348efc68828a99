"""What the benchmarks share: rounds in turn, medians with their spread, tables, checks."""

from __future__ import annotations

import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from distune.worker import host

#: A number, or what formats itself as numbers are formatted.
T = TypeVar("T")


def in_turn(rounds: int, measures: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Measure A, B, C, A, B, C, ...: what else the machine does meanwhile hits all of them."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for i in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
            tell(f"round {i + 1} of {rounds}: {name}: {found[name][-1]:,.4g}")
    return found


def tell(line: str) -> None:
    """A word about what is going on; what was measured goes to standard output."""
    print(line, file=sys.stderr, flush=True)


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median (lowest to highest)."""
    if not values:
        return "-"
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def ratio(values: Sequence[float], base: Sequence[float], digits: int = 1) -> str:
    """Median over the rounds of value / base, each of the same round."""
    if not values or not base:
        return "-"
    each = [a / b for a, b in zip(values, base, strict=True)]
    return f"{statistics.median(each):,.{digits}f} x"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """In Markdown, numbers to the right."""
    print("| " + " | ".join(header) + " |")
    print("|" + "|".join("---" if i == 0 else "---:" for i in range(len(header))) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def machine() -> str:
    """What this was measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
        model = names[0] if names else model
    except OSError:
        pass
    return f"{host.usable_cores()} cores, {model}, Python {platform.python_version()}"


class Checks:
    """Counts that must hold on any machine: `checks.at_most("...", found, 12)`."""

    def __init__(self) -> None:
        self.broken = 0

    def at_most(self, what: str, found: float, bound: float) -> None:
        self.true(f"{what}: {found:,.4g}, at most {bound:,.4g}", found <= bound)

    def true(self, what: str, holds: bool) -> None:
        self.broken += not holds
        print(f"{'ok    ' if holds else 'BROKEN'} {what}", flush=True)

    @property
    def status(self) -> int:
        """For `sys.exit`."""
        return 1 if self.broken else 0
