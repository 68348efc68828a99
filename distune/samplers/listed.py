"""An explicit list of settings, in its order."""

from __future__ import annotations

from collections.abc import Sequence

from distune.space import CategoricalParameter, Space
from distune.trial import Counted, Scalar


class ListSampler:
    """Each setting of the list; the space's constants fill in what a setting leaves out."""

    def __init__(self, space: Space, settings: Sequence[dict[str, Scalar]]) -> None:
        self._constants = {
            name: spec.choices[0]
            for name, spec in space.params.items()
            if isinstance(spec, CategoricalParameter) and len(spec.choices) == 1
        }
        self._settings = settings

    def __call__(
        self, configuration: int, history: Sequence[Counted] = ()
    ) -> dict[str, Scalar] | None:
        if configuration >= len(self._settings):
            return None
        return {**self._constants, **self._settings[configuration]}
