"""The frozen study, `study.json`, and the limits that end it. Pure."""

import itertools
from typing import Annotated, Any, Literal

from msgspec import Meta
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from distune.errors import UserError
from distune.study.confirm import Confirm
from distune.study.constraint import SECONDS, Constraints
from distune.study.space import CategoricalParameter, Parameter, Space
from distune.study.stage import Stage
from distune.study.trial import (
    Direction,
    Document,
    Params,
    Record,
    Scalar,
    confirming_seed,
    trial_seed,
)

#: Bytes, of all checkpoints of a study together.
CHECKPOINT_LIMIT = 20 * 10**9
#: Of how many configurations the last ones are kept, if nothing else is said.
CHECKPOINT_KEEP = 3

#: Repeats of a configuration beyond `repeats`, at most: a sampler may suggest its best for ever.
MOST_ADDED = 5

_ONCE_THE_DEFAULT = "random"  # of a space file that names no sampler
_SEED_STEP = 10**6  # between two tries for a fresh seed that the search does not have

#: What can name a study: its folder, and files that are made of it.
STUDY_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"


class Limits(Record, frozen=True, kw_only=True):
    """When a study ends; whatever comes first. They may change when a master starts anew."""

    trials: Annotated[int, Meta(gt=0)] | None = None
    time_limit: Annotated[float, Meta(gt=0)] | None = None  # seconds a master has been running it
    target: float | None = None  # a metric's value that is good enough
    max_total_seconds: Annotated[float, Meta(gt=0)] | None = None  # of training, of all trials
    #: Configurations in a row that have not bettered the best.
    plateau: Annotated[int, Meta(gt=0)] | None = None


class Earlier(Document):
    """A result of another study: a setting of this one's space, and the mean of its values."""

    params: dict[str, Scalar]
    value: Annotated[float, Field(allow_inf_nan=False)]
    #: Of what else this one ranks by, or bounds.
    also: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = {}


class WarmStart(Document):
    """What another study had found when this one began."""

    study: str  # its id
    results: Annotated[list[Earlier], Field(max_length=10_000)]  # in the order of their numbers


class Study(Document):
    """A study, frozen when it is first published: `study.json`.

    Attributes:
        format: 1 where settings were computed anew from the seed and the trial's number; such a
            study can be looked at, and not go on.
        id: random; tells this study's records from another's.
        metric: what is ranked; of several objectives the first.
        objectives: what is ranked where that is not one metric, with the direction of each.
        constraints: bounds of metrics; what does not keep them is ranked below what does.
        params: what is searched; with stages, single values that the first one starts from.
        stages: groups of parameters that are tuned one after the other.
        enqueue: what is tried first; what a setting leaves out is drawn.
        warm_start: what its sampler knows before anything is tried.
        exclude: combinations that are not tried, see `Space`.
        has_test: whether the winner is evaluated on a test set.
        test_metric: what that is judged by.
        datasets: names of the data sets that its trials may want.
        sampler_why: why this one was chosen, if the space file left that to distune.
        pruner: which trainings are stopped before their end; None: none is.
        summary: which of a trial's reports stands for it: its best, or its last.
        seeds: of the trainings, one for each repeat; by default `seed` and the number of the
            configuration give each a seed of its own.
        duplicates: what is done with a setting that was tried, and is suggested by a sampler that
            learns: one more repeat of it, or the sampler is asked again; see `repeats_duplicates`.
        confirm: how its best are trained again when the search is over, if they are.
        max_seconds: of training per trial, after which it ends complete.
        trial_timeout: seconds without a report, or any other sign of life of the training,
            after which it is killed: a failed attempt with the outcome `timeout`.
        fresh_process: whether each trial has a process of its own.
        checkpoint_every: seconds of training between two checkpoints; 0 for none.
        checkpoint_limit: bytes that all checkpoints of the study may have together.
        checkpoint_keep: of how many configurations, the best ones, the last checkpoints are kept.
        max_attempts: how often a failing trial is tried.
        lease: seconds of silence after which a worker is lost (P6).
        beat: seconds between heartbeats, at most; five by default.
        poll: seconds between two looks at the share, at most; one by default.
        created: by the master's clock, in seconds since 1970, to be shown only.
    """

    format: Literal[1, 2] = 2
    id: str
    name: Annotated[str, Field(pattern=STUDY_NAME)]
    description: str = ""
    objective: str | None
    command: list[str] | None = None
    params: dict[str, Parameter]
    metric: str
    direction: Direction
    objectives: dict[str, Direction] = {}
    constraints: Constraints = {}
    has_test: bool = False
    test_metric: str = "test_accuracy"
    datasets: list[str] = []
    summary: Literal["best", "last"] = "best"
    sampler: str = "random"
    sampler_options: dict[str, Scalar] = {}
    sampler_why: str = ""
    pruner: str | None = None
    pruner_options: dict[str, Scalar] = {}
    settings: list[dict[str, Scalar]] | None = None
    enqueue: list[dict[str, Scalar]] = []
    warm_start: WarmStart | None = None
    stages: list[Stage] | None = None
    exclude: list[dict[str, list[Scalar]]] = []
    repeats: Annotated[int, Field(ge=1)] = 1
    seed: int = 0
    seeds: list[int] | None = None
    duplicates: Literal["repeat", "again"] | None = None
    confirm: Confirm | None = None
    max_seconds: float | None = None
    trial_timeout: float | None = None
    fresh_process: bool = False
    checkpoint_every: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60.0
    checkpoint_limit: Annotated[int, Field(ge=0)] = CHECKPOINT_LIMIT
    checkpoint_keep: Annotated[int, Field(ge=0)] = CHECKPOINT_KEEP
    max_attempts: Annotated[int, Field(ge=1)] = 3
    lease: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    beat: float | None = None
    poll: float | None = None
    created: float = 0.0

    @model_validator(mode="before")
    @classmethod
    def _of_the_layout_before(cls, fields: Any) -> Any:
        """Studies of format 1 left to the objective's name what it is tested by."""
        if isinstance(fields, dict) and fields.get("format") == 1:
            built_in = ":" not in (fields.get("objective") or ":")
            test_metric = str(fields.get("metric")).replace("val_", "test_", 1)
            return {**fields, "has_test": built_in, "test_metric": test_metric}
        return fields

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A study of one metric is written as ever."""
        fields: dict[str, Any] = write(self)
        new = ("objectives", "constraints", "duplicates")
        return {k: v for k, v in fields.items() if v or k not in new}

    @property
    def is_current(self) -> bool:
        """Whether it can go on: earlier layouts can only be looked at."""
        return self.format == 2

    def refuse_earlier(self) -> None:
        """See that it can go on.

        Raises:
            UserError: it was begun by an earlier release; says what to do.
        """
        if not self.is_current:
            raise UserError(
                f"the study {self.name!r} was begun by an earlier distune and goes on only with "
                "that; look at it with status, best, show, report and export, or begin a new one "
                "under another name (--study) or in another folder (--logs)"
            )

    @property
    def goals(self) -> dict[str, Direction]:
        """What is ranked, with its direction; the metric first."""
        return self.objectives or {self.metric: self.direction}

    @property
    def aim(self) -> str:
        """For people: `maximize val_accuracy, minimize seconds`."""
        return ", ".join(f"{direction} {name}" for name, direction in self.goals.items())

    @property
    def also_judged(self) -> list[str]:
        """Metrics beside `metric` that each of its trials has to report."""
        names = dict.fromkeys([*self.objectives, *self.constraints])
        return [name for name in names if name not in (self.metric, SECONDS)]

    @property
    def space(self) -> Space:
        """What it searches; with stages, where the first one starts."""
        return Space(params=self.params, exclude=[] if self.stages else self.exclude)

    def values_of(self, name: str) -> list[Scalar]:
        """What its trials may have for a parameter; nothing for one that is not in its space,
        or has a range of values.
        """
        specs = [self.params.get(name), *(s.params.get(name) for s in self.stages or [])]
        values = [v for spec in specs if spec is not None for v in spec.grid() or []]
        return list(dict.fromkeys(values))

    def plain_params(self, params: Params) -> dict[str, Any]:
        """Params as the objective gets them: with the lists and objects that stand in them as
        text.
        """
        found = dict(params)
        for specs in (self.params, *(stage.params for stage in self.stages or [])):
            for name, spec in specs.items():
                if isinstance(spec, CategoricalParameter) and spec.structured and name in params:
                    found[name] = spec.plain(params[name])
        return found

    def seed_of(self, configuration: int, repeat: int) -> int:
        """The seed of a training: always the same."""
        if self.seeds is not None and repeat < len(self.seeds):
            return self.seeds[repeat]
        return trial_seed(self.seed, configuration, repeat)

    @property
    def repeats_duplicates(self) -> bool:
        """Whether what is suggested once more gets one more repeat: by default, if it has noise. A
        stage compares what has as many as the others.
        """
        has_noise = self.repeats > 1 or self.confirm is not None
        chosen = self.duplicates or ("repeat" if has_noise else "again")
        return chosen == "repeat" and self.stages is None

    def confirming_seed(self, index: int) -> int:
        """The seed of the fresh trainings of this index, of whichever configuration."""
        taken = {*(self.seeds or ())}
        tries = (confirming_seed(self.seed, index + n * _SEED_STEP) for n in itertools.count())
        return next(seed for seed in tries if seed not in taken)

    @property
    def parameter_names(self) -> frozenset[str]:
        """Of all parameters that a trial may have; with conditions, not each has all of them."""
        return frozenset(self.params).union(
            *(stage.params for stage in self.stages or []), *(self.settings or [])
        )

    @property
    def epochs(self) -> int | None:
        """How many steps every training has, if a constant `epochs` says so."""
        epochs = self.space.constants.get("epochs")
        if any("epochs" in stage.params for stage in self.stages or []):
            return None
        return epochs if isinstance(epochs, int) and epochs >= 1 else None

    @property
    def earlier(self) -> list[Earlier]:
        """What was found before it began."""
        return self.warm_start.results if self.warm_start is not None else []

    @property
    def objective_name(self) -> str:
        return self.objective or " ".join(self.command or [])

    @property
    def offer(self) -> list[str]:
        """What a worker has to be started with so that it trains this study: nothing for a built-in
        workload.
        """
        if self.command is not None:
            return ["--allow-commands"]
        return ["--objective", self.objective_name] if ":" in self.objective_name else []

    @property
    def beat_interval(self) -> float:
        """Seconds between heartbeats: twenty chances before the lease runs out."""
        return min(self.beat or 5.0, max(0.05, self.lease / 20))

    @property
    def longest_pause(self) -> float:
        """Seconds between two looks at the share when nothing happens, in time for a beat."""
        return min(self.poll or 1.0, max(1.0, self.beat_interval))


def with_more_settings(study: Study, wanted: Study) -> Study:
    """The study, with what `wanted` has appended to its list of settings, if that is all that has
    been done to the list: then what was asked for stays what it is.
    """
    before, now = study.settings or [], wanted.settings or []
    if study.sampler != "list" or now[: len(before)] != before:
        return study
    return study.model_copy(update={"settings": now})


def with_its_sampler(study: Study, wanted: Study) -> Study:
    """What is wanted, with the sampler that a study was begun with: of two that both leave it to
    distune to choose one, limits that have changed since may have led to another.
    """
    if not wanted.sampler_why or not (study.sampler_why or study.sampler == _ONCE_THE_DEFAULT):
        return wanted
    same = {name: getattr(study, name) for name in ("sampler", "sampler_why", "sampler_options")}
    return wanted.model_copy(update=same)


def differences(a: Study, b: Study) -> list[str]:
    """The keys in which two studies are not the same search; when and where does not count."""
    ignored = {
        "id",
        "created",
        "lease",
        "beat",
        "poll",
        "description",
        "format",
        "name",
        "sampler_why",
    }
    ignored |= {"has_test", "test_metric", "datasets"}  # which follow from the others
    ignored |= {"warm_start"}  # of which the first master has decided
    left, right = a.model_dump(mode="json"), b.model_dump(mode="json")
    keys = [*left, *(key for key in right if key not in left)]
    return [key for key in keys if key not in ignored and left.get(key) != right.get(key)]
