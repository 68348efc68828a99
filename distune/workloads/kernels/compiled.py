"""The functions of `winners.c`, if there was a C compiler when distune was installed.

Loads neither torch nor numpy: a worker asks, too.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

_VERSION = 1  # of the functions that `functions` calls
_WIDTHS = (16, 8, 4)


@cache
def library() -> ctypes.CDLL | None:
    """None if they were not compiled, or are for another machine or of another version."""
    for suffix in EXTENSION_SUFFIXES:
        path = Path(__file__).with_name(f"_winners{suffix}")
        try:
            found = ctypes.CDLL(str(path))
            if found.distune_winners_version() == _VERSION:
                return found
        except (OSError, AttributeError):
            continue
    return None


def widths() -> Sequence[int]:
    """How many numbers the vectors of this processor can have, the most first.

    Nothing where `library` is None.
    """
    found = library()
    most = 0 if found is None else found.distune_lanes()
    return [width for width in _WIDTHS if width <= most]
