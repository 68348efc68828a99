"""What a terminal would still show of what a trial has printed. Pure."""

import re

# A null byte is in no progress bar: what stands beyond one is another trial's.
_LOWER_BAR = re.compile(rb"\n[^\n\0]*\x1b\[A")  # a nested one; then the cursor goes up again
_LONGEST_LINES = 8192  # bytes
_STRETCHES = re.compile(rb"[^\n\0]+")

#: What an executor writes below what the trial in a slot has printed, when that is over: the trials
#: of a row print one after the other.
END_OF_OUTPUT = re.compile(rb"\x00\x1eend of (\d+)\x1e\x00")


def end_of_output(slot: int) -> bytes:
    """See `END_OF_OUTPUT`."""
    return b"\x00\x1eend of %d\x1e\x00" % slot


def take_in(piece: bytes, printed: bytearray) -> None:
    """Append a piece to what was printed before it, and leave out what that overwrites: or a
    progress bar would be all that is kept of a trial, thousands of times.
    """
    # Nothing above the line before this one can be overwritten, and no bar is that long.
    above = printed.rfind(b"\n", 0, max(printed.rfind(b"\n"), 0))
    begin = max(above, len(printed) - _LONGEST_LINES, 0)
    last = bytes(printed[begin:]) + piece
    if b"\r" in last or b"\x1b" in last:
        last = _STRETCHES.sub(_still_shown, _LOWER_BAR.sub(b"", last))
    printed[begin:] = last


def _still_shown(stretch: re.Match[bytes]) -> bytes:
    """Of a line the text since the cursor last went back to its beginning."""
    text = stretch[0].rstrip(b"\r")
    # What follows may overwrite it, or end the line.
    return text[text.rfind(b"\r") + 1 :] + b"\r" * (len(text) < len(stretch[0]))
