"""Studies that tune a group of parameters at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distune.errors import SpaceError, UserError
from distune.search.sampler import Nothing, Question
from distune.search.staged import StagedSampler, make_sampler
from distune.share.protocol import State
from distune.space_file.freeze import freeze, limits_of
from distune.space_file.preview import check_it_can_start, preview
from distune.space_file.read import parse_space_file
from distune.study.study import Study
from distune.study.trial import Counted, Outcome, Result, Scalar, Trial
from tests.conftest import Lab, wait_until
from tests.fake_executor import objective
from tests.histories import LEASE, history_of, suggested
from tests.simulation import World, random_faults

STAGES: dict[str, Any] = {
    "objective": "train:train",
    "metric": "loss",
    "direction": "minimize",
    "params": {"lr": 0.1, "batch": 32, "optimizer": "sgd", "momentum": 0.9},
    "stages": [
        {"name": "rate", "params": {"lr": [0.01, 0.1, 1.0], "batch": [16, 32]}},
        {"name": "momentum", "params": {"momentum": [0.0, 0.5]}},
        {
            "name": "drawn",
            "params": {"lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True}},
            "sampler": "random",
            "trials": 4,
        },
    ],
}


def study_of(**changes: Any) -> Study:
    file = parse_space_file(json.dumps({**STAGES, **changes}), "space.json")
    return freeze(file, name="s", study_id="s-1", lease=LEASE, created=0.0)


def refusal(**changes: Any) -> str:
    with pytest.raises(SpaceError) as caught:
        study_of(**changes)
    return str(caught.value)


def stage(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "a", "params": {"lr": [0.1, 0.2]}, **fields}]


def counted(
    number: int, params: dict[str, Scalar], value: float | None, repeats: int = 1
) -> Counted:
    outcome = Outcome.COMPLETE if value is not None else Outcome.FAILED
    trial = Trial(
        study="s-1", number=number, attempt=1, configuration=number // repeats, params=params
    )
    return Counted(trial=trial, worker="w-1", result=Result(outcome=outcome, value=value))


def run(study: Study, loss: Any) -> list[Counted]:
    """Train one trial after the other, as the sampler asks for them."""
    sampler = make_sampler(study)
    history: list[Counted] = []
    while True:
        past = history_of(study, history)
        params = suggested(sampler, len(history) // study.repeats, past)
        if params is None:
            return history
        history.append(counted(len(history), params, loss(params), study.repeats))


def test_each_stage_starts_from_the_winner_of_the_one_before() -> None:
    def loss(params: dict[str, Any]) -> float:
        far = abs(params["batch"] - 16) + abs(params["momentum"] - 0.5)
        return float(abs(params["lr"] - 1.0) + far)

    history = run(study_of(), loss)
    assert len(history) == 6 + 2 + 4
    rate = [(c.trial.params["lr"], c.trial.params["batch"]) for c in history[:6]]
    assert rate == [(0.01, 16), (0.01, 32), (0.1, 16), (0.1, 32), (1.0, 16), (1.0, 32)]
    assert {c.trial.params["momentum"] for c in history[:6]} == {0.9}
    assert [dict(c.trial.params) for c in history[6:8]] == [
        {"lr": 1.0, "batch": 16, "optimizer": "sgd", "momentum": m} for m in (0.0, 0.5)
    ]
    drawn = [c.trial.params for c in history[8:]]
    assert {(p["batch"], p["momentum"]) for p in drawn} == {(16, 0.5)}
    assert len({p["lr"] for p in drawn}) == 4


def test_a_stage_waits_for_every_trial_of_the_one_before() -> None:
    study = study_of()
    sampler = make_sampler(study)
    settings = [suggested(sampler, i) for i in range(6)]
    history = [counted(i, s, 1.0 - i) for i, s in enumerate(settings) if s is not None]
    assert len(history) == 6
    late = history.pop(2)
    assert sampler.ask(Question(6, history_of(study, history))) is Nothing.NOT_YET
    history.append(late)
    following = suggested(sampler, 6, history_of(study, history))
    assert following is not None
    assert following["lr"] == settings[5]["lr"]  # type: ignore[index]


def test_a_new_sampler_goes_on_where_the_history_is() -> None:
    study = study_of()
    history = run(study, lambda params: abs(params["lr"] - 0.1) + params["momentum"])
    for length in range(len(history)):
        params = suggested(make_sampler(study), length, history_of(study, history[:length]))
        assert params == history[length].trial.params


def test_a_stage_without_a_result_changes_nothing() -> None:
    def loss(params: dict[str, Any]) -> float | None:
        return None if params["momentum"] != 0.9 else float(params["lr"])

    history = run(study_of(), loss)
    assert {c.trial.params["momentum"] for c in history[8:]} == {0.9}


def test_repeats_belong_to_their_stage() -> None:
    history = run(study_of(repeats=2), lambda params: params["lr"] + params["momentum"])
    assert len(history) == 2 * 6 + 2 * 2 + 4, "four drawn trials are two settings"
    assert [c.trial.params["momentum"] for c in history[12:16]] == [0.0, 0.0, 0.5, 0.5]


def test_what_a_condition_asks_about_is_decided_by_the_winner() -> None:
    stages = [
        {"name": "optimizer", "params": {"optimizer": ["sgd", "adam"]}},
        {
            "name": "its own",
            "params": {
                "momentum": {"type": "categorical", "choices": [0.0, 0.5],
                             "when": {"optimizer": "sgd"}},
                "lr": [0.1, 0.2],
            },
        },
    ]  # fmt: skip

    for best, settings in (("sgd", 4), ("adam", 2)):
        history = run(study_of(stages=stages), lambda p, best=best: float(p["optimizer"] != best))
        assert len(history) == 2 + settings
        assert all(("momentum" in c.trial.params) == (best == "sgd") for c in history[2:])


def test_excluded_combinations_are_not_tried_in_any_stage() -> None:
    study = study_of(exclude=[{"lr": 0.01, "batch": 16}, {"batch": 32, "momentum": [0.5]}])
    history = run(study, lambda params: -float(params["batch"]))
    tried = [c.trial.params for c in history]
    assert len([p for p in tried[:5] if p["momentum"] == 0.9]) == 5
    assert [p["momentum"] for p in tried[5:6]] == [0.0]
    assert not any(p["batch"] == 32 and p["momentum"] == 0.5 for p in tried)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages": stage(params={"rl": [1, 2]})}, "stages[0].params.rl: params has no value"),
        ({"stages": stage(params={"batches": [1, 2]})}, "did you mean 'batch'?"),
        ({"stages": stage(smapler="grid")}, "stages[0].smapler: unknown key: did you mean"),
        ({"stages": [*stage(), *stage()]}, "stages[1].name: another stage is called 'a'"),
        ({"stages": stage(sampler="random")}, "stages[0].trials: is missing"),
        ({"stages": stage(sampler="list")}, "stages[0].settings: the sampler"),
        (
            {"stages": stage(params={"lr": {"type": "float", "low": 0.0, "high": 1.0}})},
            "stages[0].params.lr: a grid needs finitely many values",
        ),
        (
            {"stages": stage(params={"lr": {"type": "categorical", "choices": [1.0],
                                            "when": {"optimizer": "adam"}}})},
            "stages[0].params.lr.when: waits for optimizer to be \"adam\", which it never is",
        ),
        ({"stages": []}, "stages: "),
        ({"sampler": "grid"}, "sampler: each stage has its own"),
        ({"params": {**STAGES["params"], "lr": [0.1, 0.2]}}, "params.lr: a study with stages"),
        ({"exclude": [{"lr": 7.0}]}, "exclude[0]: waits for lr to be 7.0, which it never is"),
        ({"exclude": [{}]}, "exclude"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_stage_is_named_before_anything_is_published(
    changes: dict[str, Any], said: str
) -> None:
    assert said in refusal(**changes)


def test_a_workload_knows_the_parameters_that_a_stage_may_tune() -> None:
    workload = {"objective": "mnist-cnn", "metric": None, "direction": None, "params": {"lr": 0.1}}
    known = {k: v for k, v in {**STAGES, **workload}.items() if v is not None}
    known["stages"] = stage(params={"n_filters": [8, 16]})
    study = parse_space_file(json.dumps(known), "space.json")
    assert study.stages is not None
    known["stages"] = stage(params={"n_filter": [8, 16]})
    with pytest.raises(SpaceError, match=r"stages\[0\].params.n_filter: mnist-cnn has no such"):
        parse_space_file(json.dumps(known), "space.json")
    known["stages"] = stage(params={"n_filters": [8, -1]})
    with pytest.raises(SpaceError, match=r"stages\[0\].params.n_filters: mnist-cnn cannot use"):
        parse_space_file(json.dumps(known), "space.json")


def test_a_list_may_set_what_only_a_stage_tunes() -> None:
    listed = {"sampler": "list", "params": {"n_filters": [8, 16]}, "settings": [{"n_filters": 8}]}
    fields = {"params": {"lr": 0.1}, "stages": stage(**listed)}
    file = parse_space_file(json.dumps(fields), "space.json")
    assert file.stages is not None
    listed["settings"] = [{}]
    fields["stages"] = stage(**listed)
    with pytest.raises(SpaceError, match="n_filters is missing"):
        parse_space_file(json.dumps(fields), "space.json")


def test_a_space_that_excludes_all_of_itself_is_refused() -> None:
    text = json.dumps(
        {"objective": "train:train", "direction": "minimize", "params": {"x": [1, 2]},
         "sampler": "grid", "exclude": [{"x": [1, 2]}]}
    )  # fmt: skip
    study = freeze(
        parse_space_file(text, "space.json"), name="s", study_id="s", lease=LEASE, created=0.0
    )
    with pytest.raises(UserError, match="exclude leaves none"):
        check_it_can_start(study)


def test_a_preview_names_the_stages() -> None:
    file = parse_space_file(json.dumps(STAGES), "space.json")
    lines = list(preview(study_of(), limits_of(file), 1))
    assert "trials     a search in 3 stages, 12 trials" in lines
    assert "stage      rate: 6 trials of lr, batch" in lines


@pytest.mark.long
def test_after_any_history_each_stage_has_started_from_the_winner_of_the_one_before() -> None:
    """P3, P5: crashes, lost replies and old listings between the stages, too."""
    import random

    stages = [
        {"name": "one", "params": {"x": [0.1, 0.3, 0.9]}},
        {"name": "two", "params": {"z": [0, 1]}},
        {"name": "three", "params": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
         "sampler": "random", "trials": 3},
    ]  # fmt: skip
    file = parse_space_file(
        json.dumps({"objective": "o:o", "params": {"x": 0.5, "z": 0}, "metric": "y",
                    "direction": "maximize", "stages": stages}),
        "simulation",
    )  # fmt: skip
    study = freeze(file, name="s", study_id="s-1", lease=LEASE, created=0.0)
    best = max([0.1, 0.3, 0.9], key=lambda x: objective({"x": x}))
    for seed in range(60):
        faults = random_faults(random.Random(f"stages {seed}"))
        world = World(
            seed, faults, study=study, limits=limits_of(file), masters=1 + (seed % 5 == 0)
        )
        world.run()
        counted = {n.trial for path, n in world.attempts() if n.state is State.SEEN}
        assert counted == set(range(8)), seed
        params = {number: trial for number, trial in _params_of(world).items() if number in counted}
        assert [params[i]["x"] for i in range(3)] == [0.1, 0.3, 0.9]
        assert [params[i] for i in (3, 4)] == [{"x": best, "z": 0}, {"x": best, "z": 1}]
        assert len({params[i]["x"] for i in (5, 6, 7)}) == 3


def _params_of(world: World) -> dict[int, dict[str, Scalar]]:
    from distune.share.records import parse_attempt

    return {
        name.trial: parse_attempt(world.share.files[path]).trial.params
        for path, name in world.attempts()
        if name.state is State.SEEN
    }


def test_a_master_that_is_killed_between_stages_goes_on_with_the_next(lab: Lab) -> None:
    (lab.folder / "train.py").write_text(
        "def train(params):\n"
        "    yield {'loss': (params['x'] - 0.3) ** 2 + (params['z'] - 2) ** 2}\n"
    )
    stages = [
        {"name": "first", "params": {"x": [0.1, 0.3, 0.5]}},
        {"name": "second", "params": {"z": [1, 2]}},
    ]
    lab.write_space(params={"x": 0.0, "z": 0}, stages=stages, trials=None)
    master = lab.master("--plain")
    worker = lab.worker("--forever")
    wait_until(lambda: len(lab.seen()) >= 2, what="the first stage runs")
    lab.crash(master)
    again = lab.master("--plain")
    assert again.wait(60) == 0, lab.log_of(again)
    worker.terminate()
    status = lab.status()
    assert status["trials"]["counted"] == 5
    first, second = status["stages"]
    assert first["winner"]["params"] == {"x": 0.3, "z": 0}
    assert second["start"] == first["winner"]["params"]
    assert second["winner"]["params"] == {"x": 0.3, "z": 2}
    text = lab.run("status").stdout
    assert "Stages" in text
    assert "first" in text


@pytest.mark.long
def test_a_history_that_was_lost_is_rebuilt_stage_by_stage(lab: Lab) -> None:
    lab.write_space(
        params={"x": 0.0, "z": 0},
        stages=[
            {"name": "first", "params": {"x": [0.1, 0.3]}},
            {"name": "second", "params": {"z": [1, 2]}},
        ],
        trials=None,
    )
    master, worker = lab.master("--plain"), lab.worker()
    assert master.wait(60) == 0
    assert worker.wait(60) == 0
    assert "stage second starts from x 0.3, z 0" in lab.log_of(master)
    (lab.logs / "space" / "history.jsonl").unlink()
    again = lab.run("master", "--space", "space.json", "--plain")
    assert again.returncode == 0, again.stderr
    assert lab.status()["trials"]["counted"] == 4
    assert lab.names("quarantine") == []
    done = lab.run("report", "--out", "report.html")
    assert done.returncode == 0, done.stderr
    page = (lab.folder / "report.html").read_text()
    assert "A search in 2 stages over x, z" in page
    assert page.index('"name":"first"') < page.index('"name":"second"')


def test_the_first_sampler_that_has_stages_says_how_they_stand() -> None:
    study = study_of()
    sampler = make_sampler(study)
    assert isinstance(sampler, StagedSampler)
    history = run(study, lambda params: params["lr"])
    sampler.follow(history[:7])
    first, second, third = sampler.views()
    assert (first.state, first.counted, first.trials) == ("over", 6, 6)
    assert first.winner is not None
    assert first.winner.params["lr"] == 0.01
    assert (second.state, second.first, second.counted) == ("running", 6, 1)
    assert (third.state, third.first, third.trials, third.counted) == ("waiting", 8, 4, 0)
