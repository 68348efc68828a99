"""Durations as users write them: `90s`, `2h`, `1h30m`, `1.5h`, or plain seconds; sizes: `20 GB`."""

import re
from itertools import pairwise

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)b?")
_SIZE_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_PAIR = re.compile(r"(\d+(?:\.\d+)?)([dhms])")


def parse_duration(text: str | int | float) -> float:
    """`parse_duration("1h30m")` is 5400.0 seconds.

    Raises:
        ValueError: it is not a duration, or not longer than nothing.
    """
    compact = str(text).replace(" ", "").lower()
    try:
        seconds = float(compact)
    except ValueError:
        pairs = _PAIR.findall(compact)
        if not pairs or "".join(number + unit for number, unit in pairs) != compact:
            raise ValueError(f"{text!r} is not a duration: write 90s, 2h or 1h30m") from None
        seconds = sum(float(number) * _UNITS[unit] for number, unit in pairs)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is not a duration: it must be longer than nothing")
    return seconds


def parse_size(text: str | int | float) -> int:
    """`parse_size("1.5 GB")` is 1,500,000,000 bytes.

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(str(text).replace(" ", "").lower())
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 500MB or 20GB")
    return int(float(match[1]) * _SIZE_UNITS[match[2]])


def format_duration(seconds: float) -> str:
    """Short enough for a table: `0.4s`, `59s`, `3m05s`, `2h05m`, `3d04h`."""
    if seconds < 0:
        return "0s"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for (unit, size), (smaller, part) in pairwise(_UNITS.items()):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // part:02d}{smaller}"
    return f"{whole}s"


def precise_duration(seconds: float) -> str:
    """The same, with three digits of what is shorter than ten seconds: `0.043s`. To rank by."""
    return f"{seconds:.3g}s" if 0 < seconds < 9.95 else format_duration(seconds)
