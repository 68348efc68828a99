"""An explicit list of settings, in its order."""

from __future__ import annotations

from collections.abc import Sequence

from distune.study.space import Space
from distune.study.trial import Counted, Scalar


class ListSampler:
    """Each setting of the list that the space does not exclude; the space's constants fill in
    what a setting leaves out.
    """

    def __init__(self, space: Space, settings: Sequence[dict[str, Scalar]]) -> None:
        filled = (_filled_in(space, setting) for setting in settings)
        self._settings = [setting for setting in filled if not space.excludes(setting)]

    def __call__(
        self, configuration: int, history: Sequence[Counted] = ()
    ) -> dict[str, Scalar] | None:
        if configuration >= len(self._settings):
            return None
        return dict(self._settings[configuration])


def _filled_in(space: Space, setting: dict[str, Scalar]) -> dict[str, Scalar]:
    chosen = dict(setting)
    for name, value in space.constants.items():
        if space.is_active(name, chosen):
            chosen.setdefault(name, value)
    return chosen
