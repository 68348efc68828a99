"""Where in a user's code a trial failed. Pure."""

import re

from distune.study.trial import Failure

_FRAME = re.compile(r'File "([^"\n]{1,1000})", line (\d{1,9})')
_LIBRARY = re.compile(r"[/\\](site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<frozen ")


def place_of(traceback: str) -> str:
    """`train.py:41`: the last of its lines that is in no library; the very last where all are;
    nothing where there is none.
    """
    frames = _FRAME.findall(traceback)
    own = [frame for frame in frames if not _LIBRARY.search(frame[0])]
    for path, line in (own or frames)[-1:]:
        name = path.replace("\\", "/").rpartition("/")[2]
        return f"{name}:{line}"
    return ""


def failure_place(failure: Failure) -> str:
    """The same; of a program, from what it has printed."""
    return place_of(failure.traceback or failure.output)
