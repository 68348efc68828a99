"""How fast workers claim, so that the master comes back before they have nothing to claim. Pure."""

from __future__ import annotations

import math

_AT_ONCE = 0.01  # seconds


class ClaimPace:
    """Attributes:
    lasts: seconds in which workers will have claimed what waits for them, at the pace that they
        had between the last two looks; 0 if they had claimed all of it.
    """

    def __init__(self) -> None:
        self.lasts = math.inf
        self._left = 0  # how many waited after the last look

    def follow(self, waiting: int, new: int, seconds: float) -> None:
        """Note what happened since the look before.

        Args:
            waiting: trials that were left.
            new: trials that are about to be added.
            seconds: since then.
        """
        claimed, self._left = self._left - waiting, waiting + new
        if self._left == 0:
            self.lasts = math.inf
        elif claimed > 0:
            self.lasts = self._left * seconds / claimed if waiting else 0.0
        else:
            self.lasts = max(2 * self.lasts, _AT_ONCE)
