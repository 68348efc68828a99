"""What a sampler is: asked once for each configuration, it says what to try."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Protocol

from distune.search.ranking import History
from distune.study.options import check_options
from distune.study.space import Parameter, Space, Strict
from distune.study.trial import Asked, Params, Scalar


class Nothing(Enum):
    """Why a sampler suggests nothing."""

    NOT_YET = "not before more results are there"
    NO_MORE = "there is nothing left to try"
    #: It has looked for long enough, and goes on from there when it is asked again: the master
    #: has to beat, and to hear signals, meanwhile.
    STILL_LOOKING = "found nothing so far that may be tried"


@dataclass(frozen=True)
class Suggestion:
    """A setting to try."""

    params: dict[str, Scalar]  # the caller's own
    stage: str = ""  # the name of the one that it belongs to, if there are stages
    #: What the sampler wants to have written beside it: it finds it again in what was asked.
    state: dict[str, Scalar] = field(default_factory=dict)
    #: The first trial of a configuration that was tried: then one more repeat of that is suggested.
    adds_to: int | None = None


Reached = Mapping[int, tuple[int, float]]


@dataclass(frozen=True)
class Question:
    """What a sampler is asked."""

    number: int  # of the configuration that is wanted, from 0
    history: History  # what is counted, with its ranking
    #: Gives the configurations that were asked for and are not over, oldest first.
    in_flight: Callable[[], Sequence[Asked]] = tuple
    #: Gives of these, by configuration, those that have paused at a rung of the study's pruner, or
    #: gone on from one: its step, and what they had reached there.
    reached: Callable[[], Reached] = dict
    #: Whether the configuration with a number may have one more repeat, if none is in flight.
    may_add_to: Callable[[int], bool] = lambda configuration: False


class Sampler(Protocol):
    """What the master needs of a sampler.

    The answer depends on the sampler's space and seed and on the question alone (P5): it keeps no
    random state between questions and draws from no global generator. It may keep what it has
    worked out, such as a model of the history so far.

    Attributes:
        endless: whether a study with it needs some other limit to end.
        exchangeable: whether its settings might as well have come in any other order.
        at_once: of one that learns, whose answer is the better the more is counted, how many
            answers the master has time for at a look; None of the others.
        slow: whether an answer may take longer than a look at the share.
        size: how many configurations it has, where that is known.
        label: what the search is, for people: "random search".
    """

    endless: bool
    exchangeable: bool
    label: str

    @property
    def slow(self) -> bool: ...

    @property
    def at_once(self) -> int | None: ...

    @property
    def size(self) -> int | None: ...

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        """Take in what is asked, and give what finds the answer to it, once: maybe later and in a
        thread of its own, while the history grows; but before the sampler is asked again.
        """

    def ask(self, question: Question) -> Suggestion | Nothing:
        """The setting of a configuration; the master remembers it, and does not ask again."""


class NoOptions(Strict):
    """Of a sampler that takes none."""


class SpaceSampler(Sampler):
    """A sampler that a space file, or a stage of one, can name.

    Attributes:
        options: what it takes beside its name, as fields.
        several: whether it can search for several objectives at once.
        lists: whether it takes the space file's `settings`, and needs them.
    """

    options: ClassVar[type[Strict]] = NoOptions
    several: ClassVar[bool] = True
    lists: ClassVar[bool] = False
    slow = False

    @classmethod
    def check(
        cls,
        params: Mapping[str, Parameter],
        settings: Sequence[Params] | None,
        options: Mapping[str, Scalar],
    ) -> None:
        """See that it can sample these parameters; most samplers choose by themselves.

        Raises:
            ValueError: it cannot; `key: problem`, as of a space file's mistakes.
        """
        if settings is not None and not cls.lists:
            raise ValueError('settings: only the sampler "list" takes them: say "sampler": "list"')
        check_options("sampler", cls.options, options)
        if settings is None and cls.lists:
            raise ValueError('settings: the sampler "list" needs "settings": [{"lr": 0.1}, ...]')
        cls.check_params(params)

    @classmethod
    def check_params(cls, params: Mapping[str, Parameter]) -> None:
        """See that it can sample parameters like these.

        Raises:
            ValueError: as above.
        """

    def __init__(
        self,
        space: Space,
        seed: int = 0,
        settings: Sequence[Params] | None = None,
        options: Mapping[str, Scalar] | None = None,
    ) -> None:
        """One for this space; `settings` and `options` are those of the space file."""
        self._space = space
        self._seed = seed
        self._settings = settings
        self._options: Any = self.options.model_validate(dict(options or {}))
        self._prepare()

    def begin(self, question: Question) -> Callable[[], Suggestion | Nothing]:
        found = self.ask(question)
        return lambda: found

    def _prepare(self) -> None:
        """Work out what it needs for every answer."""
