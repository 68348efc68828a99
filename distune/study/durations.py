"""Durations as users write them: `90s`, `2h`, `1h30m`, `1.5h`, or plain seconds."""

import re
from itertools import pairwise

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
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
