"""How the winner of a search is confirmed: the `confirm` of a space file."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from distune.study.space import Strict


class Confirm(Strict):
    """The best configurations of a search are trained again, with fresh seeds.

    Attributes:
        top: how many configurations at most.
        share: of all trainings, those of the search and these, at most so many are these.
        min_difference: what is less than this does not matter, in the metric's unit; if it is not
            given, confirming also ends early on a study whose noise is small.
        confidence: of the intervals.
        max_repeats: how often each is trained again at most.
    """

    top: Annotated[int, Field(ge=2, le=100)] = 5
    share: Annotated[float, Field(gt=0, le=0.9)] = 0.25
    min_difference: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.9
    max_repeats: Annotated[int, Field(ge=2, le=1000)] = 25

    def most(self, searched: int) -> int:
        """How many trainings there may be after so many of the search."""
        return int(searched * self.share / (1 - self.share) + 1e-9)


def _switched(given: Any) -> Any:
    if isinstance(given, bool):
        return {} if given else None
    if given is None or isinstance(given, Confirm | dict):
        return given
    raise ValueError('say true, false, or its options: {"top": 3}')


#: `true`, `false`, or the options.
ConfirmSwitch = Annotated[Confirm | None, BeforeValidator(_switched)]
