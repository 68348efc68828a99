"""What a study is: the space file, checked, and the frozen study made from it. Pure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self, TypeVar

from msgspec import Meta
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from distune.errors import SpaceError
from distune.study.document import Document, Scalar
from distune.study.durations import parse_duration
from distune.study.space import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Parameter,
    Space,
)
from distune.study.stage import Stage, check_sampling, possible_after
from distune.study.trial import Direction, Record
from distune.workloads import WORKLOADS, Workload

DEFAULT_OBJECTIVE = "mnist-cnn"
DEFAULT_TRIALS = 50
# The closing quote may be missing: to try each later one in turn would take for ever.
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"?|//[^\n]*')
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(\w+)\}")
#: What a command may be told besides its parameters.
COMMAND_WORDS = frozenset(
    {"trial_number", "trial_attempt", "trial_seed", "trial_device", "trial_dir"}
)
#: What can name a study: its folder, and files that are made of it.
STUDY_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"
M = TypeVar("M", bound=BaseModel)

Duration = Annotated[float, BeforeValidator(parse_duration)]


def _module_and_function(objective: str) -> str:
    module, _, function = objective.partition(":")
    if function and module.endswith(".py"):
        name = f"{module.rpartition('/')[2][:-3]}:{function}"
        raise ValueError(f"write {name!r}; workers are started with --objective {objective}")
    if objective in WORKLOADS or re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", objective):
        return objective
    near = difflib.get_close_matches(objective, WORKLOADS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"built in are {', '.join(WORKLOADS)}"
    raise ValueError(f"{objective!r} is neither a workload ({hint}) nor module:function")


class Limits(Record, frozen=True, kw_only=True):
    """When a study ends; whatever comes first. They may change when a master starts anew."""

    trials: Annotated[int, Meta(gt=0)] | None = None
    time_limit: Annotated[float, Meta(gt=0)] | None = None  # seconds a master has been running it
    target: float | None = None  # a metric's value that is good enough


class SpaceFile(Space):
    """A space file as the user writes it. Only `params` is required."""

    objective: Annotated[str, AfterValidator(_module_and_function)] | None = None
    command: Annotated[list[str], Field(min_length=1)] | None = None
    description: str = ""
    metric: Annotated[str, Field(min_length=1)] | None = None
    direction: Direction | None = None
    summary: Literal["best", "last"] = "best"
    sampler: Literal["grid", "random", "list"] = "random"
    settings: Annotated[list[dict[str, Scalar]], Field(min_length=1)] | None = None
    stages: Annotated[list[Stage], Field(min_length=1, max_length=100)] | None = None
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    trials: Annotated[int, Field(gt=0, le=10**9)] | None = None
    time_limit: Duration | None = None
    target: float | None = None
    max_seconds: Duration | None = None
    trial_timeout: Duration | None = None
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    lease: Duration | None = None
    result: dict[str, Any] | None = None  # in a best.json: what the setting reached

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.command is not None and self.objective is not None:
            raise ValueError("objective: there is a command too: leave one of the two out")
        if self.direction is None and (
            self.workload is None or self.metric not in (None, self.workload.metric)
        ):
            raise ValueError('direction: say "maximize" or "minimize": a wrong guess costs a week')
        known = {**self.possible, **dict.fromkeys(COMMAND_WORDS)}
        for setting in self.settings or []:
            known.update(dict.fromkeys(setting))
        for word in placeholders(self.command or []):
            if word not in known:
                raise ValueError(
                    f"command: {{{word}}} is not a parameter"
                    f"{_did_you_mean(word, known)}; for braces write {{{{ }}}}"
                )
        if self.stages is not None:
            self._check_stages(self.stages)
        else:
            check_sampling(self.sampler, self.settings, self.params)
        if self.workload is not None:
            if self.metric is not None and self.metric not in self.workload.reports:
                known = dict.fromkeys(self.workload.reports)
                hint = _did_you_mean(self.metric, known)
                raise ValueError(
                    f"metric: {self.workload.name} does not report {self.metric!r}{hint}"
                )
            self._check_hyperparameters(self.workload)
        for i, setting in enumerate(self.settings or []):
            self._check_setting(setting, f"settings[{i}]", self.params)
        return self

    @property
    def possible(self) -> dict[str, Parameter]:
        return possible_after(self.params, self.stages or [])

    def _check_stages(self, stages: Sequence[Stage]) -> None:
        if "sampler" in self.model_fields_set:
            raise ValueError("sampler: each stage has its own: leave this one out")
        for name in self.params:
            if name not in self.constants:
                raise ValueError(
                    f"params.{name}: a study with stages starts from single values: give it one "
                    "here, and the values to try in a stage"
                )
        for i, stage in enumerate(stages):
            where = f"stages[{i}]"
            if stage.name in [other.name for other in stages[:i]]:
                raise ValueError(f"{where}.name: another stage is called {stage.name!r}")
            for name in stage.params if self.workload is None else ():
                if name not in self.params:
                    raise ValueError(
                        f"{where}.params.{name}: params has no value to start from"
                        + _did_you_mean(name, self.params)
                    )
            try:
                Space(params={**possible_after(self.params, stages[:i]), **stage.params})
                check_sampling(stage.sampler, stage.settings, stage.params)
            except ValueError as error:
                raise ValueError(f"{where}.{_problem_of(error)}") from None
            if stage.sampler == "random" and stage.trials is None:
                raise ValueError(f"{where}.trials: is missing: random would go on for ever")
            for j, setting in enumerate(stage.settings or []):
                self._check_setting(setting, f"{where}.settings[{j}]", stage.params)

    @property
    def workload(self) -> Workload | None:
        """The built-in objective it names, if it does."""
        if self.command is not None:
            return None
        return WORKLOADS.get(self.objective or DEFAULT_OBJECTIVE)

    def _check_hyperparameters(self, workload: Workload) -> None:
        known = workload.hyperparameters.model_fields
        groups = {"params": self.params}
        groups.update({f"stages[{i}].params": s.params for i, s in enumerate(self.stages or [])})
        for where, params in groups.items():
            for name in params:
                if name not in known:
                    raise ValueError(
                        f"{where}.{name}: {workload.name} has no such parameter"
                        + _did_you_mean(name, known)
                    )
            for name, spec in params.items():
                for value in _extremes(spec):
                    _check_value(workload, {name: value}, f"{where}.{name}")

    def _check_setting(
        self, setting: Mapping[str, Scalar], where: str, params: Mapping[str, Parameter]
    ) -> None:
        constants = self.constants
        for name, spec in params.items():
            needed = name not in constants and spec.is_active(setting)
            if name not in setting and needed:
                raise ValueError(f"{where}: {name} is missing, and params has no constant for it")
        if self.workload is None:
            return
        for name in setting:
            if name not in self.workload.hyperparameters.model_fields:
                raise ValueError(
                    f"{where}.{name}: {self.workload.name} has no such parameter"
                    + _did_you_mean(name, self.workload.hyperparameters.model_fields)
                )
        _check_value(self.workload, setting, where)


def placeholders(command: Sequence[str]) -> list[str]:
    """The names in braces in a command."""
    return [match[1] for part in command for match in _PLACEHOLDER.finditer(part) if match[1]]


def fill_in(command: Sequence[str], values: Mapping[str, Scalar]) -> list[str]:
    """Replace `{name}` by its value, nothing for one that is not there, and `{{` by `{`.

    Each argument stays one argument: there is no shell.
    """

    def text_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        value = values.get(match[1])
        if value is None:
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [_PLACEHOLDER.sub(text_of, part) for part in command]


def _extremes(spec: Parameter) -> list[Scalar]:
    match spec:
        case FloatParameter() | IntParameter():
            inside = spec.low + 0.37 * (spec.high - spec.low)
            return [spec.low, spec.high, *([inside] if isinstance(spec, FloatParameter) else [])]
        case CategoricalParameter():
            return spec.choices


def _check_value(workload: Workload, values: Mapping[str, Scalar], where: str) -> None:
    try:
        workload.hyperparameters.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"][:1])
        shown = f"{name} {first['input']!r}" if name else f"{dict(values)}"
        raise ValueError(f"{where}: {workload.name} cannot use {shown}: {first['msg']}") from None


def _did_you_mean(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f": did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted(known))}"


def parse_space_file(text: str | bytes, source: str) -> SpaceFile:
    """Check a space file.

    Args:
        text: JSON; `//` begins a comment.
        source: its name, for messages.

    Raises:
        SpaceError: naming the file, the key and the remedy.
    """
    try:
        plain = text if isinstance(text, str) else text.decode("utf-8-sig")
        fields = json.loads(_without_comments(plain), object_pairs_hook=_no_key_twice)
        json.dumps(fields, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise SpaceError(source, "", f"is not JSON ({where}): {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise SpaceError(source, "", f"cannot be read: {error}") from None
    if not isinstance(fields, dict):
        raise SpaceError(source, "", 'must be an object: {"params": {...}}')
    return _validated(SpaceFile, fields, source)


def _without_comments(text: str) -> str:
    """`//` to the end of the line, outside strings, becomes blanks: places stay true."""
    return _STRING_OR_COMMENT.sub(
        lambda match: match[0] if match[0][0] == '"' else " " * len(match[0]), text
    )


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands there twice: leave one out")
    return fields


def _problem_of(error: ValueError) -> str:
    """`key: problem`, of a check within a check."""
    if isinstance(error, ValidationError):
        return str(error.errors(include_url=False)[0]["ctx"]["error"])
    return str(error)


def _validated(model: type[M], fields: Any, source: str) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        # Discriminated unions report their tag as a part of the place: no key of the user's.
        errors = error.errors(include_url=False)
        # A misspelt key is also a missing one: the former says what to do.
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        tags = {"float", "int", "categorical"}
        loc = [part for i, part in enumerate(first["loc"]) if not (part in tags and i >= 2)]
        key = ""
        for part in loc:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
        problem = first["msg"]
        if first["type"] == "value_error":
            problem = str(first["ctx"]["error"])
            named, separator, rest = problem.partition(": ")
            if separator and re.fullmatch(rf"{re.escape(key)}[\w.\[\]]*", named):
                key, problem = named, rest
        elif first["type"] == "extra_forbidden":
            known = _known_keys(model, loc)
            problem = "unknown key" + _did_you_mean(str(loc[-1]), dict.fromkeys(known))
        elif first["type"] == "missing":
            problem = "is missing" + (
                ': write "params": {"lr": [0.1, 0.2]}' if key == "params" else ""
            )
        elif first["type"].startswith("union_tag"):
            problem = 'needs "type": "float", "int" or "categorical", or be a list or a constant'
        else:
            problem = f"{problem}; got {json.dumps(first['input'], default=str)[:60]}"
        raise SpaceError(source, key, problem) from None


def _known_keys(model: type[BaseModel], loc: list[int | str]) -> list[str]:
    if len(loc) < 2:
        return list(model.model_fields)
    if loc[0] == "stages" and len(loc) == 3:
        return list(Stage.model_fields)
    kinds = (FloatParameter, IntParameter, CategoricalParameter)
    return sorted({name for kind in kinds for name in kind.model_fields})


class Study(Document):
    """A study, frozen when it is first published: `study.json`.

    Attributes:
        id: random; tells this study's records from another's.
        metric: what is ranked.
        params: what is searched; with stages, single values that the first one starts from.
        stages: groups of parameters that are tuned one after the other.
        exclude: combinations that are not tried, see `Space`.
        summary: which of a trial's reports stands for it: its best, or its last.
        max_seconds: of training per trial, after which it ends complete.
        trial_timeout: seconds without a report, or any other sign of life of the training,
            after which it is killed: a failed attempt with the outcome `timeout`.
        max_attempts: how often a failing trial is tried.
        lease: seconds of silence after which a worker is lost (P6).
        beat: seconds between heartbeats, at most; five if nobody has said.
        poll: seconds between two looks at the share, at most; one if nobody has said.
        created: by the master's clock, in seconds since 1970, for people only.
    """

    format: Literal[1] = 1
    id: str
    name: Annotated[str, Field(pattern=STUDY_NAME)]
    description: str = ""
    objective: str | None
    command: list[str] | None = None
    params: dict[str, Parameter]
    metric: str
    direction: Direction
    summary: Literal["best", "last"] = "best"
    sampler: Literal["grid", "random", "list", "stages"] = "random"
    settings: list[dict[str, Scalar]] | None = None
    stages: list[Stage] | None = None
    exclude: list[dict[str, list[Scalar]]] = []
    repeats: Annotated[int, Field(ge=1)] = 1
    seed: int = 0
    max_seconds: float | None = None
    trial_timeout: float | None = None
    max_attempts: Annotated[int, Field(ge=1)] = 3
    lease: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    beat: float | None = None
    poll: float | None = None
    created: float = 0.0

    @property
    def space(self) -> Space:
        """What it searches; with stages, where the first one starts."""
        return Space(params=self.params, exclude=[] if self.stages else self.exclude)

    @property
    def has_test(self) -> bool:
        """Whether the winner can be evaluated on a test set."""
        return self.objective in WORKLOADS

    @property
    def test_metric(self) -> str:
        """What a winner's test is judged by: the metric that ranks its workload, on test data."""
        workload = WORKLOADS.get(self.objective or "")
        return workload.metric.replace("val_", "test_", 1) if workload else "test_accuracy"

    @property
    def datasets(self) -> list[str]:
        """The data sets that its trials may want: the workload's, or values of `dataset`."""
        workload = WORKLOADS.get(self.objective or "")
        if workload is None:
            return []
        field = workload.hyperparameters.model_fields.get("dataset")
        if field is None:
            return list(workload.datasets)
        return list(map(str, self.values_of("dataset"))) or [str(field.default)]

    def values_of(self, name: str) -> list[Scalar]:
        """What its trials may have for a parameter; nothing for one that is not in its space,
        or has a range of values.
        """
        specs = [self.params.get(name), *(s.params.get(name) for s in self.stages or [])]
        values = [v for spec in specs if spec is not None for v in spec.grid() or []]
        return list(dict.fromkeys(values))

    @property
    def objective_name(self) -> str:
        return self.objective or " ".join(self.command or [])

    @property
    def beat_interval(self) -> float:
        """Seconds between heartbeats: twenty chances before the lease runs out."""
        return min(self.beat or 5.0, max(0.05, self.lease / 20))

    @property
    def longest_pause(self) -> float:
        """Seconds between two looks at the share when nothing happens, in time for a beat."""
        return min(self.poll or 1.0, max(1.0, self.beat_interval))


def freeze(
    file: SpaceFile,
    *,
    name: str,
    study_id: str,
    lease: float,
    created: float,
    beat: float | None = None,
    poll: float | None = None,
) -> Study:
    """The study that a space file describes; what is silent there gets its default here."""
    workload = file.workload
    direction = file.direction or (workload.direction if workload else None)
    assert direction is not None  # SpaceFile insists on it
    return Study(
        id=study_id,
        name=name,
        description=file.description,
        objective=None if file.command else file.objective or DEFAULT_OBJECTIVE,
        command=file.command,
        params=file.params,
        metric=file.metric or (workload.metric if workload else "value"),
        direction=direction,
        summary=file.summary,
        sampler="stages" if file.stages else file.sampler,
        settings=file.settings,
        stages=file.stages,
        exclude=file.exclude,
        repeats=file.repeats,
        seed=file.seed,
        max_seconds=file.max_seconds,
        trial_timeout=file.trial_timeout,
        max_attempts=file.max_attempts,
        lease=lease,
        beat=beat,
        poll=poll,
        created=created,
    )


def limits_of(file: SpaceFile) -> Limits:
    """The limits a space file sets; fifty trials if it sets none and could go on for ever."""
    trials = file.trials
    random = file.sampler == "random" and file.stages is None
    endless = random and file.time_limit is None and file.target is None
    if trials is None and endless:
        trials = DEFAULT_TRIALS
    return Limits(trials=trials, time_limit=file.time_limit, target=file.target)


def differences(a: Study, b: Study) -> list[str]:
    """The keys in which two studies are not the same search; when and where does not count."""
    ignored = {"id", "created", "lease", "beat", "poll", "description", "format", "name"}
    left, right = a.model_dump(mode="json"), b.model_dump(mode="json")
    return [key for key in left if key not in ignored and left[key] != right[key]]
