"""An explicit list of settings, in its order."""

from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion
from distune.study.space import Space
from distune.study.trial import Params, Scalar


class ListSampler(SpaceSampler):
    """Each setting of the list that the space does not exclude; the space's constants fill in
    what a setting leaves out.
    """

    lists = True
    endless = False
    exchangeable = False
    at_once = None
    label = "a list of settings"

    def _prepare(self) -> None:
        filled = (_filled_in(self._space, setting) for setting in self._settings or [])
        self._tried = [setting for setting in filled if not self._space.excludes(setting)]

    @property
    def size(self) -> int:
        return len(self._tried)

    def ask(self, question: Question) -> Suggestion | Nothing:
        if question.number >= len(self._tried):
            return Nothing.NO_MORE
        return Suggestion(dict(self._tried[question.number]))


def _filled_in(space: Space, setting: Params) -> dict[str, Scalar]:
    chosen = dict(setting)
    for name, value in space.constants.items():
        if space.params[name].is_active(chosen):
            chosen.setdefault(name, value)
    return chosen
