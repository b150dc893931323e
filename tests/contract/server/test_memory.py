"""A short soak with random batch sizes: memory that grows shows within seconds. `make bench` has the long one."""

from __future__ import annotations

import os

import numpy as np
import pytest
from tests.bench import memory, models
from tests.unit.server import graphs


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_memory_stays_under_random_batch_sizes() -> None:
    rows = np.random.default_rng(0).standard_normal((models.BODIES, 64)).astype(np.float32)
    model = models.Model(name="perceptron", title="perceptron", content=graphs.perceptron(), rows=rows)
    result = memory.soak(model, seconds=6)
    assert result.requests > 100
    assert result.growth < 2 * memory.GROWTH  # a short run still has pools to fill
