"""What must never happen to a client, whatever happens between two pods: some random sequences, see `relay_scene`."""

from __future__ import annotations

import hypothesis
import pytest
import uvloop
from hypothesis import strategies
from tests.contract.server.relay_scene import STEPS, Scene, Step


@hypothesis.settings(max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(STEPS, strategies.booleans(), strategies.booleans())
@pytest.mark.timeout(600)
def test_no_client_is_hurt_by_anything_that_happens_to_a_candidate(
    steps: list[Step], drain: bool, cached: bool
) -> None:
    async def run() -> None:
        scene = Scene(cached=cached)
        await scene.open()
        await scene.play(steps, drain=drain)

    uvloop.run(run())
