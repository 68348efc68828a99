"""Measurements in words."""

from __future__ import annotations

from distune.study.durations import format_duration


def signed(seconds: float) -> str:
    return f"{duration(abs(seconds))} {'ahead' if seconds >= 0 else 'behind'}"


def duration(seconds: float) -> str:
    """Seconds as people read them, also very few of them."""
    if seconds >= 60:
        return format_duration(seconds)
    units = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)]
    unit, size = next((pair for pair in units if seconds >= 0.9995 * pair[1]), units[-1])
    count = seconds / size
    return f"{count:.2g} {unit}" if count < 9.5 else f"{count:.0f} {unit}"


def rate(seconds: float) -> str:
    rate = 1 / max(seconds, 1e-7)
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def size(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.3g} {unit}"
        amount /= 1024
    return f"{amount:.3g} TiB"
