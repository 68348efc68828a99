"""The model of the protocol: nothing goes wrong in it, what is broken shows, and the real master
and worker decide as those of the model do.
"""

from __future__ import annotations

import random

import pytest

from distune.share.protocol import Halt, State
from distune.worker.claims import Candidates, may_be_claimed
from tests.protocol_model import Exploration, Found, Graph
from tests.protocol_rules import BROKEN, Hold, Rules, Share
from tests.protocol_views import decides_alike, names_in, planned

# More is explored by `python -m tests.protocol_model`, some of it for minutes.
SMALL = {
    "one trial and a mishap": Exploration(Rules(attempts=1)),
    "one trial and two attempts": Exploration(Rules(attempts=2), mishaps=0),
    "one trial and a time limit": Exploration(Rules(attempts=1), mishaps=0, stop=True),
    "one master and three mishaps": Exploration(Rules(attempts=4), mishaps=3, masters=1),
    "one master and two trials": Exploration(Rules(attempts=2), trials=2, masters=1),
    "one trial that a person halts": Exploration(Rules(attempts=1), halts=True),
    "one trial that may pause": Exploration(Rules(attempts=1, pauses=True), mishaps=0),
    "one master, two trials that may pause": Exploration(
        Rules(attempts=1, pauses=True), trials=2, masters=1
    ),
    "one master, and pausing before a time limit": Exploration(
        Rules(attempts=3, pauses=True), masters=1, stop=True, mishaps=2
    ),
    "one master, two trials and a halt": Exploration(
        Rules(attempts=1), trials=2, masters=1, halts=True
    ),
}
#: How it shows, what is broken.
SHOWN = {
    "history-first": "the history has two lines that differ",
    "replacing": "what was counted has changed",
    "own-line": "the history has two lines that differ",
    "trains-twice": "the history says something else than what is counted",
    "no-look": "the history lacks a trial",
    "pruned-in-place": "what was counted has changed",
    "no-adoption": "a file is left in trials/",
    "no-lease": "a file is left in trials/",
    "no-replacement": "a master does not know that a trial is counted",
    "one-id": "a file has two owners",
    "heedless": "a worker claims in a study that it knows to be halted",
    "no-give-up": "a file is left in trials/",
    "idle-when-halted": "in a halted study more is left than what waits",
}


@pytest.fixture(scope="module", params=SMALL)
def explored(request: pytest.FixtureRequest) -> tuple[Exploration, Found]:
    exploration = SMALL[request.param]
    return exploration, exploration.run()


def test_nothing_goes_wrong_in_any_order_of_all_steps(
    explored: tuple[Exploration, Found],
) -> None:
    _, found = explored
    assert (found.wrong, found.path) == ("", [])
    assert found.states > 900
    assert found.ends > 1


def test_the_real_planner_decides_as_the_master_of_the_model(
    explored: tuple[Exploration, Found],
) -> None:
    exploration, _ = explored
    assert len(exploration.views) > 60
    for view in exploration.views:
        assert decides_alike(view), (view, planned(view))


def test_a_real_worker_claims_nothing_that_the_worker_of_the_model_would_not(
    explored: tuple[Exploration, Found],
) -> None:
    exploration, _ = explored
    rng = random.Random(0)
    for view in exploration.views:
        halt = Halt(view.halt) if view.halt else None
        waiting = [name for name in names_in(view.files) if name.state is State.WAITING]
        waiting = [name for name in waiting if may_be_claimed(name, halt)]
        candidates, claimed = Candidates(), set()
        candidates.replace(waiting, (), 0.0, rng)
        while (name := candidates.pop()) is not None:
            claimed.add(Hold(name.trial, name.attempt))
        steps = [
            step.hold
            for trial, files in enumerate(view.files)
            for step in exploration.rules.work("w0", None, trial, Share(files), view.halt)
            if step.mishaps == 0
        ]
        assert claimed <= set(steps), view
        assert bool(claimed) == bool(steps), view


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_on_purpose_shows(broken: str) -> None:
    stop = broken in ("pruned-in-place", "no-give-up")
    halts = broken in ("heedless", "idle-when-halted")
    pauses = broken == "no-give-up"
    rules = Rules(attempts=1 if pauses else 2, broken=broken, pauses=pauses)
    found = Exploration(rules, stop=stop, halts=halts).run()
    assert found.wrong == SHOWN[broken]
    assert 4 < len(found.path) < 20, "the shortest way there"


def test_states_that_only_a_mishap_gets_out_of_are_found() -> None:
    graph = Graph((0,))
    for here, there, mishaps in ((0, 1, 0), (1, 2, 0), (2, 1, 0), (0, 3, 0), (2, 3, 1)):
        graph.add(here, (there,), mishaps)
    graph.good.append(graph.states.index((3,)))
    assert graph.stuck() == graph.states.index((1,))
    graph.add(2, (3,), mishaps=0)
    assert graph.stuck() is None
