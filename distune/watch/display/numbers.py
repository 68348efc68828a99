"""Numbers, durations and counts as people read them."""

import math
import time
from typing import TypeGuard

from distune.study.durations import format_duration
from distune.study.trial import Scalar
from distune.watch.display.text import clean


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def short_number(value: float) -> str:
    """`160362` is `160k`: three digits are enough to compare sizes by."""
    if not math.isfinite(value):
        return str(value)
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.9995:
            scaled = value / size
            decimals = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{decimals}f}{unit}" if abs(scaled) < 1e6 else f"{value:.3g}"
    return f"{value:.0f}"


def decimals_for(value: float | None) -> int:
    """So many decimals show what matters of numbers of this size: 0.9871, 12.345, 0.00381.

    Numbers too small for decimals, which `format_value` shows without, ask for no more.
    """
    if value is None or not math.isfinite(value) or abs(value) < 1e-4:
        return 4
    exponent = math.floor(math.log10(abs(value)))
    return max(0, 4 - exponent if exponent >= 0 else 3 - exponent)


def format_value(value: float | None, decimals: int | None = None) -> str:
    """A metric's value; all of one column with the same number of decimals.

    A small one, of which they would show fewer than three digits, has four: 4.468e-09.
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if decimals is None:
        decimals = decimals_for(value)
    too_small = 0 < abs(value) < min(1e-3, 10.0 ** (2 - decimals))
    return f"{value:.4g}" if too_small else _fixed(value, decimals)


def format_spread(value: float, decimals: int) -> str:
    """With the decimals of the value it belongs to, or two digits where they would show none."""
    return f"{value:.2g}" if 0 < value < 10.0**-decimals else _fixed(value, decimals)


def _fixed(value: float, decimals: int) -> str:
    return f"{value:.4g}" if abs(value) >= 1e7 else f"{value:.{decimals}f}"


def format_scalar(value: Scalar) -> str:
    """A parameter's value: floats with four significant digits."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.4g}"
        case int():
            return f"{value:.4g}" if abs(value) >= 10**12 and abs(value) < 10**300 else str(value)
        case str():
            return clean(value) if value else '""'


def duration(seconds: float) -> str:
    return format_duration(seconds) if math.isfinite(seconds) else "?"


def round_duration(seconds: float) -> str:
    """`2h`, not `2h00m`: as people write what they have chosen themselves."""
    text = duration(seconds)
    return text[:-3] if text.endswith(("h00m", "m00s", "d00h")) else text


def coarse_duration(seconds: float) -> str:
    """For estimates, which deserve no more digits than they have."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 60:
        return f"{max(round(seconds), 0)}s"
    return f"{round(seconds / 60)}m" if seconds < 3570 else format_duration(seconds)


def format_rate(per_second: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        if per_second * seconds >= 1:
            rate = per_second * seconds
            return f"{rate:.1f}/{unit}" if rate < 100 else f"{rate:.0f}/{unit}"
    return f"{per_second * 86400:.1f}/day"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
