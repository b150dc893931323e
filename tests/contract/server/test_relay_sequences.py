"""What must never happen to a client, whatever happens between two pods: some random sequences, see `relay_scene`."""

from __future__ import annotations

import hypothesis
import pytest
import uvloop
from tests.contract.server.relay_scene import Scene
from tests.contract.server.relay_steps import SEQUENCES, Sequence


@hypothesis.settings(max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(SEQUENCES)
@pytest.mark.timeout(600)
def test_no_client_is_hurt_by_anything_that_happens_to_a_candidate(sequence: Sequence) -> None:
    async def run() -> None:
        await Scene(sequence).play()

    uvloop.run(run())
