"""Random search (Bergstra and Bengio, JMLR 13, 2012): independent draws."""

from random import Random

from distune.search.drawing import draw_allowed
from distune.search.sampler import Nothing, Question, SpaceSampler, Suggestion


class RandomSampler(SpaceSampler):
    """Configuration *i* is drawn by a generator seeded with (seed, i), whatever came before;
    again, as long as the space excludes it.
    """

    endless = True
    exchangeable = True
    at_once = None
    label = "random search"
    size = None

    def ask(self, question: Question) -> Suggestion | Nothing:
        # Seeding from a string is defined by its SHA-512: the same on every platform.
        seed = f"distune {self._seed} {question.number}"
        setting = draw_allowed(self._space, Random(seed))
        return Nothing.NO_MORE if setting is None else Suggestion(setting, state={"seed": seed})
