"""Trials as TensorBoard has them: a run for each, with its curves, and an HParams table.

    mnist-tensorboard/events.out.tfevents.*          what the HParams table has
    mnist-tensorboard/000017/events.out.tfevents.*   trial 17

Of TensorBoard only its messages and its record format are used: neither TensorFlow nor torch.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from distune.export.table import Kind, TrialRow, TrialTable, span
from distune.search.ranking import History
from distune.study.trial import FAILURES, Outcome, Report, Scalar

_FILE = "events.out.tfevents.0000000000.distune"  # readers look for the first three parts
_PARAMS = "params."


def write_event_files(table: TrialTable, folder: Path) -> None:
    """A folder for `tensorboard --logdir`.

    Each metric of a step is a scalar of its name; `result/NAME` is a metric of the step that
    stands for the trial, `result/seconds` how long all its training took, `test/NAME` a metric
    on the test set. The HParams table has these and the params; repeats of a configuration are
    sessions of one group. Numbers have 32 bits there. Times are those of `span`.
    """
    history, params = table.history, table.params
    created = min(
        (span(history.study, one.result.seconds, one.elapsed)[0] for one in history.trials),
        default=0.0,
    )
    _write(folder, [(created, 0, _experiment(table, created))], created)
    for i, (row, reports) in enumerate(table.with_curves()):
        values = {column.name.removeprefix(_PARAMS): column.values[i] for column in params}
        events = _events_of(history, row, values, reports)
        _write(folder / f"{row.number:06d}", events, created)


#: A moment, a step, and a message of what was there then.
_Event = tuple[float, int, Any]


def _write(folder: Path, events: Iterable[_Event], created: float) -> None:
    folder.mkdir()
    with (folder / _FILE).open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=created, file_version="brain.Event:2").SerializeToString())
        for time, step, summary in events:
            writer.write(Event(wall_time=time, step=step, summary=summary).SerializeToString())


def _events_of(
    history: History, row: TrialRow, values: Mapping[str, Scalar], reports: Iterable[Report]
) -> Iterator[_Event]:
    began, ended = span(history.study, row.seconds, row.elapsed)
    hparams = {name: value for name, value in values.items() if value is not None}
    yield began, 0, hparams_pb(hparams, f"{row.configuration:06d}", began)
    for report in reports:
        seconds = report.seconds if math.isfinite(report.seconds) else 0.0
        yield min(max(began + seconds, began), ended), report.step, _scalars(report.metrics)
    yield ended, row.steps, _scalars(_results_of(history, row))
    failed = Outcome(row.outcome) in FAILURES
    status = api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    yield ended, row.steps, _hparams("session_end_info", end)


def _results_of(history: History, row: TrialRow) -> dict[str, float]:
    """Tags and what they say about the whole trial."""
    value = {} if row.value is None else {history.study.metric: row.value}
    return {
        **{f"result/{name}": number for name, number in {**value, **row.metrics}.items()},
        "result/seconds": row.seconds,
        **{f"test/{name}": number for name, number in row.test.items()},
    }


def _experiment(table: TrialTable, created: float) -> Any:
    """What the HParams table has: its columns."""
    history = table.history
    types = {Kind.BOOLEAN: api_pb2.DATA_TYPE_BOOL, Kind.TEXT: api_pb2.DATA_TYPE_STRING}
    tags = dict.fromkeys([f"result/{history.study.metric}"])
    for row in table.rows:
        tags.update(dict.fromkeys(_results_of(history, row)))
    experiment = api_pb2.Experiment(
        name=history.study.name, description=history.study.description, time_created_secs=created
    )
    for column in table.params:
        kind = types.get(column.kind, api_pb2.DATA_TYPE_FLOAT64)
        experiment.hparam_infos.add(name=column.name.removeprefix(_PARAMS), type=kind)
    for tag in tags:
        name = api_pb2.MetricName(tag=tag)
        experiment.metric_infos.add(name=name, display_name=tag.removeprefix("result/"))
    return _hparams("experiment", experiment)


def _hparams(kind: str, content: Any) -> Any:
    """A summary for the HParams plugin, as its own functions make it that need TensorFlow."""
    data = plugin_data_pb2.HParamsPluginData(**{kind: content})
    described = metadata.create_summary_metadata(data)
    tag, tensor = f"_hparams_/{kind}", metadata.NULL_TENSOR
    return Summary(value=[Summary.Value(tag=tag, metadata=described, tensor=tensor)])


def _scalars(numbers: Mapping[str, float]) -> Any:
    return Summary(value=[Summary.Value(tag=tag, simple_value=x) for tag, x in numbers.items()])
