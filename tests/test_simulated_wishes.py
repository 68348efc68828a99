"""What persons want while masters and workers live, crash and freeze."""

from __future__ import annotations

import pytest

from tests.simulated_wishes import simulate_wishes

# Other seeds run in the soak (python -m tests.simulated_wishes); these run on every change.
HISTORIES = 120


@pytest.mark.parametrize("masters", [1, 2])
def test_whatever_happens_each_wish_is_tried_once_and_each_trial_trained_again_once(
    masters: int,
) -> None:
    worlds = [simulate_wishes(seed, masters) for seed in range(HISTORIES)]
    assert sum(len(world.wishes) for world in worlds) > HISTORIES
    assert sum(len(world.retried) for world in worlds) > HISTORIES / 2
