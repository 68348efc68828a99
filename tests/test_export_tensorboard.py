"""Event files are read back by TensorBoard's own readers, without TensorFlow or torch."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy
import pytest
from google.protobuf import json_format
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from werkzeug.test import Client

from distune.errors import UserError
from distune.export.formats import export_table
from distune.export.table import TrialTable
from distune.search.ranking import History
from distune.study.trial import Outcome
from tests.histories import counted, evaluated, history_of, reports, study
from tests.test_export_files import CURVES, OWN, odd_history


def written(made: History, folder: Path, curves: Any = CURVES) -> Path:
    export_table(TrialTable(made, curves), "tensorboard", str(folder))
    return folder


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard reads of a run: step and value, by tag."""
    reader = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    tags = reader.Tags()["scalars"]
    return {tag: [(one.step, one.value) for one in reader.Scalars(tag)] for tag in tags}


def as_float32(value: float) -> float:
    return float(numpy.float32(value))


class Table:
    """What the HParams dashboard asks for and gets."""

    def __init__(self, folder: Path) -> None:
        multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
        provider = MultiplexerDataProvider(multiplexer, str(folder))
        with warnings.catch_warnings(action="ignore"):  # of what TensorBoard brings with it
            from tensorboard.plugins.hparams.hparams_plugin import HParamsPlugin
        apps = HParamsPlugin(TBContext(data_provider=provider)).get_plugin_apps()
        statuses = ["STATUS_SUCCESS", "STATUS_FAILURE"]
        wanted = {"startIndex": 0, "sliceSize": 100, "allowedStatuses": statuses}
        self.experiment = api_pb2.Experiment()
        self.groups = api_pb2.ListSessionGroupsResponse()
        for path, asked, answer in (
            ("/experiment", {"experimentName": ""}, self.experiment),
            ("/session_groups", {**wanted, "aggregationType": "AGGREGATION_AVG"}, self.groups),
        ):
            response = Client(apps[path]).post(path, json=asked)
            assert response.status_code == 200, response.text
            json_format.Parse(response.text, answer)

    def by_name(self) -> dict[str, Any]:
        return {group.name: group for group in self.groups.session_groups}


def test_each_trial_is_a_run_with_its_curves(tmp_path: Path) -> None:
    folder = written(odd_history(), tmp_path / "tb")
    runs = sorted(name for name in os.listdir(folder) if (folder / name).is_dir())
    assert runs == [f"{number:06d}" for number in range(7)]
    assert scalars(folder / "000000") == {
        "loss": [(1, 0.5), (2, 0.25)],
        "val/acc": [(1, as_float32(0.8)), (2, as_float32(0.9))],
        "result/loss": [(2, 0.25)],
        "result/val/acc": [(2, as_float32(0.9))],
        "result/seconds": [(2, 1.5)],
    }


def test_numbers_that_are_not_finite_are_there_too(tmp_path: Path) -> None:
    read = scalars(written(odd_history(), tmp_path / "tb") / "000001")
    assert repr(read["loss"]) == "[(1, nan), (2, inf), (3, -inf)]"
    assert math.isnan(read["result/loss"][0][1])


def test_what_the_test_gave_is_there(tmp_path: Path) -> None:
    read = scalars(written(odd_history(), tmp_path / "tb") / "000006")
    assert read["test/test_loss"] == [(0, 0.5)]


def test_times_are_those_of_the_study(tmp_path: Path) -> None:
    one = counted(0, {}, 0.5, elapsed=100.0, seconds=4.0, steps=2)
    made = history_of(study(created=1e9, **OWN), [one])
    folder = written(made, tmp_path / "tb", {0: reports({"loss": 1.0}, {"loss": 0.5})})
    reader = EventAccumulator(str(folder / "000000")).Reload()
    assert [point.wall_time for point in reader.Scalars("loss")] == [1e9 + 96.5, 1e9 + 97]
    assert reader.Scalars("result/loss")[0].wall_time == 1e9 + 100
    assert reader.FirstEventTimestamp() == 1e9 + 96


def test_the_table_has_the_params_of_each_trial_as_what_they_are(tmp_path: Path) -> None:
    table = Table(written(odd_history(), tmp_path / "tb"))
    types = {info.name: info.type for info in table.experiment.hparam_infos}
    assert types == {
        "lr": api_pb2.DATA_TYPE_FLOAT64, "layers": api_pb2.DATA_TYPE_FLOAT64,
        "momentum": api_pb2.DATA_TYPE_FLOAT64, "width": api_pb2.DATA_TYPE_FLOAT64,
        "part": api_pb2.DATA_TYPE_FLOAT64, "optimizer": api_pb2.DATA_TYPE_STRING,
        "mixed": api_pb2.DATA_TYPE_STRING, "nesterov": api_pb2.DATA_TYPE_BOOL,
    }  # fmt: skip
    group = table.by_name()["000000"]
    assert group.hparams["lr"].number_value == 0.1
    assert group.hparams["layers"].number_value == 2
    assert group.hparams["optimizer"].string_value == "sgd"
    assert group.hparams["mixed"].string_value == "True"
    assert group.hparams["nesterov"].bool_value is True
    assert "width" not in group.hparams
    assert len(table.by_name()["000005"].hparams) == 0


def test_the_table_has_the_value_first_and_every_metric_and_test(tmp_path: Path) -> None:
    table = Table(written(odd_history(), tmp_path / "tb"))
    infos = [(info.display_name, info.name.tag) for info in table.experiment.metric_infos]
    assert infos[0] == ("loss", "result/loss")
    assert set(infos) == {
        ("loss", "result/loss"), ("val/acc", "result/val/acc"), ("=x", "result/=x"),
        ("seconds", "result/seconds"), ("test/test_loss", "test/test_loss"),
    }  # fmt: skip
    group = table.by_name()["000000"]
    values = {value.name.tag: value.value for value in group.metric_values}
    assert values["result/loss"] == 0.25
    assert values["result/val/acc"] == as_float32(0.9)


def test_repeats_are_one_line_of_the_table_with_their_mean(tmp_path: Path) -> None:
    runs = [counted(n, {"x": n // 2}, float(v)) for n, v in enumerate([4, 5, 1, 2])]
    made = history_of(study(repeats=2, **OWN), runs)
    groups = Table(written(made, tmp_path / "tb")).by_name()
    assert {name: len(group.sessions) for name, group in groups.items()} == {
        "000000": 2, "000002": 2,
    }  # fmt: skip
    means = {
        name: value.value
        for name, group in groups.items()
        for value in group.metric_values
        if value.name.tag == "result/loss"
    }
    assert means == {"000000": 4.5, "000002": 1.5}


def test_what_failed_is_marked_as_failed_and_what_diverged_is_not(tmp_path: Path) -> None:
    groups = Table(written(odd_history(), tmp_path / "tb")).by_name()
    status = {
        session.name: session.status for group in groups.values() for session in group.sessions
    }
    failed = {name for name, one in status.items() if one == api_pb2.STATUS_FAILURE}
    assert (len(status), failed) == (7, {"000002"})


def test_a_study_without_trials_is_a_table_without_lines(tmp_path: Path) -> None:
    folder = written(history_of(study(params={"x": [1, 2]}, **OWN), []), tmp_path / "tb")
    assert [info.name for info in Table(folder).experiment.hparam_infos] == ["x"]


def test_a_number_too_large_for_it_is_infinite(tmp_path: Path) -> None:
    one = counted(0, {"x": 1e300}, 1e300, Outcome.COMPLETE)
    made = history_of(study(**OWN), [one, evaluated(one, test_loss=-1e300)])
    read = scalars(written(made, tmp_path / "tb") / "000000")
    assert (read["result/loss"], read["test/test_loss"]) == ([(0, math.inf)], [(0, -math.inf)])


def test_a_folder_that_has_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "tb").mkdir()
    folder = written(odd_history(), tmp_path / "tb")  # an empty one is as good as none
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match="has something in it: remove it, or name another folder"):
        written(odd_history(), folder)
    assert sorted(tmp_path.rglob("*")) == [folder, *before]


def test_of_more_trials_than_tensorboard_shows_by_itself_it_is_said_how_to_have_fewer(
    tmp_path: Path,
) -> None:
    made = history_of(study(**OWN), [counted(n, {"x": n}, float(n)) for n in range(500)])
    all_of_them = export_table(TrialTable(made), "tensorboard", str(tmp_path / "all"))
    assert "wrote 500 trials" in all_of_them
    assert all_of_them.endswith("export fewer with --top N")
    few = export_table(TrialTable(made, {}, top=499), "tensorboard", str(tmp_path / "few"))
    assert few.startswith("wrote 499 of 500 trials")
    assert "--top" not in few


def test_neither_tensorflow_nor_torch_is_loaded_for_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.test_export_files import odd_history\n"
        "from distune.export.formats import export_table\n"
        "from distune.export.table import TrialTable\n"
        f"export_table(TrialTable(odd_history()), 'tensorboard', {str(tmp_path / 'tb')!r})\n"
        "assert not {'torch', 'tensorflow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent.parent)
    assert (tmp_path / "tb" / "000006").is_dir()
