"""A space file as the user writes it, with everything that can be checked before anything runs."""

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from distune.search.auto import Choice, choose
from distune.search.learning import LearningSampler
from distune.search.pruners import PRUNERS
from distune.search.pruning import Pruner
from distune.search.samplers import SAMPLERS
from distune.space_file.goals import check_objectives, check_reported, check_samplers
from distune.study.command import ARGS, COMMAND_WORDS, placeholders
from distune.study.confirm import ConfirmSwitch
from distune.study.constraint import Constraints
from distune.study.durations import parse_duration, parse_size
from distune.study.options import with_options_apart
from distune.study.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Setting,
    Space,
    did_you_mean,
)
from distune.study.stage import Stage, possible_after
from distune.study.study import CHECKPOINT_KEEP, CHECKPOINT_LIMIT, STUDY_NAME, Limits
from distune.study.trial import Direction, Params, Scalar
from distune.workloads import WORKLOADS, Workload
from distune.workloads.data.data_set import DataSet

DEFAULT_OBJECTIVE = "mnist-cnn"
#: Of a study without any limit.
DEFAULT_TRIALS = 50
#: In the place of a sampler's name.
AUTO = "auto"

#: What stands in braces and looks like a parameter; not `{0..9}`, `{print $1}` or `{"x": 1}`.
_LIKE_A_NAME = re.compile(r"[\w.-]*[^\W\d][\w.-]*")

Duration = Annotated[float, BeforeValidator(parse_duration)]


def _duration_or_0(given: str | int | float) -> float:
    return 0.0 if given in (0, "0") and not isinstance(given, bool) else parse_duration(given)


def _module_and_function(objective: str) -> str:
    module, _, function = objective.partition(":")
    if function and module.endswith(".py"):
        name = f"{module.rpartition('/')[2][:-3]}:{function}"
        raise ValueError(f"write {name!r}; workers are started with --objective {objective}")
    if objective in WORKLOADS or re.fullmatch(r"[A-Za-z_][\w.-]*:[A-Za-z_]\w*", objective):
        return objective
    near = difflib.get_close_matches(objective, WORKLOADS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"built in are {', '.join(WORKLOADS)}"
    raise ValueError(f"{objective!r} is neither a workload ({hint}) nor module:function")


def _study_name(name: str) -> str:
    if not re.fullmatch(STUDY_NAME, name):
        raise ValueError(f"{name!r} cannot name a study: use letters, digits, '-', '_' and '.'")
    return name


def _known_sampler(name: str) -> str:
    return _known("sampler", name, SAMPLERS)


def _known_sampler_or_auto(name: str) -> str:
    return _known("sampler", name, [AUTO, *SAMPLERS])


def _known_pruner(name: str) -> str:
    return _known("pruner", name, PRUNERS)


def _known(key: str, name: str, known: Iterable[str]) -> str:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"{key}: there is no {name!r}: {hint}")
    return name


class SpaceFile(Space):
    """A space file as the user writes it. Only `params` is required."""

    name: Annotated[str, AfterValidator(_study_name)] | None = None
    objective: Annotated[str, AfterValidator(_module_and_function)] | None = None
    command: Annotated[list[str], Field(min_length=1)] | None = None
    description: str = ""
    metric: Annotated[str, Field(min_length=1)] | None = None
    direction: Direction | None = None
    objectives: Annotated[dict[str, Direction], Field(max_length=10)] = {}
    constraints: Annotated[Constraints, Field(max_length=100)] = {}
    summary: Literal["best", "last"] = "best"
    sampler: Annotated[str, AfterValidator(_known_sampler_or_auto)] = AUTO
    sampler_options: dict[str, Scalar] = {}
    pruner: Annotated[str, AfterValidator(_known_pruner)] | None = None
    pruner_options: dict[str, Scalar] = {}
    settings: Annotated[list[dict[str, Scalar]], Field(min_length=1)] | None = None
    enqueue: Annotated[list[Setting], Field(max_length=10_000)] = []
    stages: Annotated[list[Stage], Field(min_length=1, max_length=100)] | None = None
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**63)]], Field(min_length=1)] | None = None
    duplicates: Literal["repeat", "again"] | None = None
    confirm: ConfirmSwitch = None
    trials: Annotated[int, Field(gt=0, le=10**9)] | None = None
    time_limit: Duration | None = None
    target: float | None = None
    max_total_seconds: Duration | None = None
    plateau: Annotated[int, Field(gt=0, le=10**9)] | None = None
    max_seconds: Duration | None = None
    trial_timeout: Duration | None = None
    fresh_process: bool = False
    checkpoint_every: Annotated[float, BeforeValidator(_duration_or_0)] = 60.0
    checkpoint_limit: Annotated[int, BeforeValidator(parse_size)] = CHECKPOINT_LIMIT
    checkpoint_keep: Annotated[int, Field(ge=0, le=1000)] = CHECKPOINT_KEEP
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    lease: Duration | None = None
    result: dict[str, Any] | None = None  # in a best.json: what the setting reached

    @model_validator(mode="before")
    @classmethod
    def _options_apart(cls, fields: Any) -> Any:
        fields = with_options_apart(fields, "sampler", "tpe")
        return with_options_apart(fields, "pruner", "median")

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.seeds is not None and len(self.seeds) != self.repeats:
            raise ValueError(
                f"seeds: there are {len(self.seeds)}, and repeats is {self.repeats}: give one for "
                "each repeat"
            )
        if self.duplicates is not None:
            self._check_duplicates()
        if self.command is not None and self.objective is not None:
            raise ValueError("objective: there is a command too: leave one of the two out")
        if self.confirm is not None and self.objectives:
            raise ValueError(
                "confirm: it ranks by one metric, and there are several objectives: leave one of "
                "the two out"
            )
        check_objectives(self.objectives, self.model_fields_set, self.workload)
        check_reported("constraints", self.constraints, self.workload)
        check_samplers(
            self.objectives, [self.chosen.sampler, *(s.sampler for s in self.stages or [])]
        )
        if not (self.objectives or self.direction) and (
            self.workload is None or self.metric not in (None, self.workload.metric)
        ):
            raise ValueError('direction: say "maximize" or "minimize": a wrong guess costs a week')
        self._check_command()
        if self.stages is None:
            for option in self.sampler_options if self.sampler == AUTO else ():
                raise ValueError(f"sampler.{option}: {AUTO} takes none: name the sampler instead")
            SAMPLERS[self.chosen.sampler].check(self.params, self.settings, self.sampler_options)
        elif "sampler" in self.model_fields_set:
            raise ValueError("sampler: each stage has its own: leave this one out")
        if self.pruner is not None:
            self._check_pruner(PRUNERS[self.pruner])
        if self.plateau is not None and self.stages is not None:
            raise ValueError(
                "plateau: a study with stages ends with the last of them: leave it out"
            )
        reported = self.workload.reports if self.workload else ()
        if self.workload and self.metric is not None and self.metric not in reported:
            hint = did_you_mean(self.metric, reported)
            raise ValueError(f"metric: {self.workload.name} does not report {self.metric!r}{hint}")
        self._check_values("", self.params, self.settings)
        self._check_enqueued()
        for i, stage in enumerate(self.stages or []):
            self._check_stage(stage, f"stages[{i}]", (self.stages or [])[:i])
            self._check_values(f"stages[{i}].", stage.params, stage.settings)
        return self

    def _check_duplicates(self) -> None:
        if self.stages is not None:
            raise ValueError(
                "duplicates: a stage compares what has as many repeats as the others: leave it out"
            )
        if not issubclass(SAMPLERS[self.chosen.sampler], LearningSampler):
            raise ValueError(
                f"duplicates: {self.chosen.sampler} learns nothing, and suggests nothing again: "
                'leave it out, or say "sampler": "tpe"'
            )

    def _check_pruner(self, pruner: type[Pruner]) -> None:
        pruner.check(self.pruner_options)
        epochs = self.constants.get("epochs")
        known = epochs if isinstance(epochs, int) and epochs >= 1 else None
        staged = self.stages is not None
        pruner.check_trainings(self.pruner_options, known, self.max_seconds, staged=staged)

    def _check_enqueued(self) -> None:
        if self.enqueue and (self.stages is not None or self.settings is not None):
            raise ValueError(
                "enqueue: stages and lists of settings say themselves what comes first"
            )
        for i, setting in enumerate(self.enqueue):
            check_enqueued(self, self.workload, setting, f"enqueue[{i}]")

    def _check_command(self) -> None:
        names = {*self.possible}.union(*(self.settings or []))
        for part in self.command or []:
            for word in placeholders([part]):
                if _LIKE_A_NAME.fullmatch(word) and word not in names | COMMAND_WORDS:
                    hint = did_you_mean(word, names | COMMAND_WORDS)
                    raise ValueError(
                        f"command: {{{word}}} is not a parameter{hint}; for braces write {{{{ }}}}"
                    )
                if word == "args" and part != ARGS and word not in names:
                    raise ValueError(
                        f"command: {ARGS} stands for several arguments: make it one of its own"
                    )

    @property
    def possible(self) -> dict[str, Parameter]:
        return possible_after(self.params, self.stages or [])

    @property
    def chosen(self) -> Choice:
        """The sampler that it names, or that suits it, and then why."""
        if self.sampler != AUTO:
            return Choice(self.sampler, "")
        silent = all(getattr(self, name) is None for name in Limits.__struct_fields__)
        trials = DEFAULT_TRIALS if silent else self.trials
        return choose(self, trials, self.repeats)

    @property
    def workload(self) -> Workload | None:
        """The built-in objective it names, if it does."""
        if self.command is not None:
            return None
        return WORKLOADS.get(self.objective or DEFAULT_OBJECTIVE)

    @property
    def data_sets(self) -> list[DataSet]:
        """What the trials of a built-in objective may train on."""
        if self.workload is None:
            return []
        fields = self.workload.hyperparameters.model_fields
        choices = [
            self.possible[name].grid() or [] if name in self.possible else [fields[name].default]
            for name in self.workload.data_by
        ]
        return [self.workload.data(*chosen) for chosen in itertools.product(*choices)]

    def _check_stage(self, stage: Stage, where: str, earlier: Sequence[Stage]) -> None:
        for name in self.params:
            if name not in self.constants:
                raise ValueError(
                    f"params.{name}: a study with stages starts from single values: give it one "
                    "here, and the values to try in a stage"
                )
        if stage.name in [other.name for other in earlier]:
            raise ValueError(f"{where}.name: another stage is called {stage.name!r}")
        for name in stage.params if self.workload is None else ():
            if name not in self.params:
                raise ValueError(
                    f"{where}.params.{name}: params has no value to start from"
                    + did_you_mean(name, self.params)
                )
        try:
            Space(params={**possible_after(self.params, earlier), **stage.params})
            _known_sampler(stage.sampler)
            SAMPLERS[stage.sampler].check(stage.params, stage.settings, stage.sampler_options)
        except ValueError as error:
            raise ValueError(f"{where}.{_problem_of(error)}") from None
        if SAMPLERS[stage.sampler].endless and stage.trials is None:
            raise ValueError(f"{where}.trials: is missing: {stage.sampler} would go on for ever")

    def _check_values(
        self,
        where: str,
        params: Mapping[str, Parameter],
        settings: Sequence[Mapping[str, Scalar]] | None,
    ) -> None:
        """Of the file itself, or of a stage (`where` is "stages[1].")."""
        if self.workload is not None:
            _check_names(self.workload, params, f"{where}params")
            for name, spec in params.items():
                for value in _extremes(spec):
                    _check_value(self.workload, {name: value}, f"{where}params.{name}")
        constants = self.constants
        for i, setting in enumerate(settings or []):
            here = f"{where}settings[{i}]"
            for name, spec in params.items():
                if name not in constants and name not in setting and spec.is_active(setting):
                    raise ValueError(
                        f"{here}: {name} is missing, and params has no constant for it"
                    )
            if self.workload is not None:
                _check_names(self.workload, setting, here)
                _check_value(self.workload, setting, here)


def check_enqueued(space: Space, workload: Workload | None, setting: Params, where: str) -> None:
    """See that a setting that a person wants tried can be one of those of a study.

    Raises:
        ValueError: it cannot; `where.parameter: problem`.
    """
    try:
        space.check(setting)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from None
    if workload is not None:
        _check_value(workload, setting, where)


def _extremes(spec: Parameter) -> list[Scalar]:
    match spec:
        case FloatParameter() | IntParameter():
            inside = spec.low + 0.37 * (spec.high - spec.low)
            return [spec.low, spec.high, *([inside] if isinstance(spec, FloatParameter) else [])]
        case CategoricalParameter():
            return spec.choices


def _check_names(workload: Workload, names: Iterable[str], where: str) -> None:
    known = workload.hyperparameters.model_fields
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"{where}.{name}: {workload.name} has no such parameter{hint}")


def _check_value(workload: Workload, values: Mapping[str, Scalar], where: str) -> None:
    try:
        workload.hyperparameters.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        shown = f"{first['loc'][0]} {first['input']!r}" if first["loc"] else f"{dict(values)}"
        raise ValueError(f"{where}: {workload.name} cannot use {shown}: {first['msg']}") from None


def _problem_of(error: ValueError) -> str:
    """`key: problem`, of a check within a check."""
    if isinstance(error, ValidationError):
        return str(error.errors(include_url=False)[0]["ctx"]["error"])
    return str(error)
