"""What one trial changes in its process, as the next one finds it; and processes for one trial."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy
import pytest

from tests.conftest import Lab

CHANGES = """\
import json, os, random, signal, sys

def everything():
    import numpy, torch
    old = os.umask(0); os.umask(old)
    return {
        "pid": os.getpid(),
        "folder": os.getcwd(),
        "argv": sys.argv[1:],
        "environment": {k: v for k, v in os.environ.items() if "TORCH" not in k},
        "handlers": [str(signal.getsignal(sig)) for sig in (signal.SIGTERM, signal.SIGUSR1)],
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
        "umask": old,
        "prints": sys.stdout is sys.__stdout__,
        "torch": [
            str(torch.get_default_dtype()), str(torch.get_default_device()),
            torch.get_num_threads(), torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark,
        ],
        "random": [random.random(), float(numpy.random.random())],
        "torch_random": float(torch.rand((), dtype=torch.float64)),
    }

def change():
    import numpy, torch
    os.makedirs("elsewhere", exist_ok=True)
    os.chdir("elsewhere")
    sys.argv[1:] = ["--lr", "0.1"]
    os.environ["CHANGED"] = "1"
    del os.environ["PATH"]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 1000)
    os.umask(0o077)
    sys.stdout = open(os.devnull, "w")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(3)
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = True
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)

def train(params, trial):
    with open(os.environ["SEEN"], "a") as seen:
        print(json.dumps({"seed": trial.seed, **everything()}), file=seen)
    change()
    return 1.0

def its_process(params):
    return os.getpid()
"""


@pytest.fixture
def changing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    (lab.folder / "train.py").write_text(CHANGES)
    monkeypatch.setenv("SEEN", str(lab.folder / "seen"))
    return lab


def run(lab: Lab, **fields: Any) -> None:
    lab.write_space(**fields)
    lab.master()
    worker = lab.worker("--objective", str(fields["objective"]))
    assert worker.wait(100) == 0, lab.log_of(worker)


@pytest.mark.long
def test_what_a_trial_changes_in_its_process_does_not_reach_the_next(changing: Lab) -> None:
    run(changing, objective="train:train", trials=2)
    first, second = map(json.loads, (changing.folder / "seen").read_text().splitlines())
    for one in (first, second):
        drawn = random.Random(one["seed"]).random(), numpy.random.RandomState(one["seed"]).random()
        del one["seed"]
        if one is second:  # what the first one imports is not seeded before it does
            assert one["random"] == list(drawn)
        assert one.pop("random")[0] == drawn[0]
    assert first.pop("torch_random") != second.pop("torch_random")
    assert first == second


def test_a_study_may_have_each_trial_trained_in_a_process_of_its_own(changing: Lab) -> None:
    run(changing, objective="train:its_process", trials=3, fresh_process=True)
    ranking = changing.status()["ranking"]
    assert len({row["value"] for row in ranking}) == 3
    assert len(changing.seen()) == 3, "no attempt was lost"
