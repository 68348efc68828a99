"""An explicit list of settings, in its order."""

from __future__ import annotations

from collections.abc import Sequence

from distune.space import Space
from distune.trial import Counted, Scalar


class ListSampler:
    """Each setting of the list; the space's constants fill in what a setting leaves out."""

    def __init__(self, space: Space, settings: Sequence[dict[str, Scalar]]) -> None:
        self._space = space
        self._settings = settings

    def __call__(
        self, configuration: int, history: Sequence[Counted] = ()
    ) -> dict[str, Scalar] | None:
        if configuration >= len(self._settings):
            return None
        chosen = dict(self._settings[configuration])
        for name, value in self._space.constants.items():
            if self._space.is_active(name, chosen):
                chosen.setdefault(name, value)
        return chosen
