"""The one fixture that several folders share: a real API server. Costs nothing unless a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.cluster.harness.apiserver import ApiServer

# How long an example takes says what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """One for the whole run: tests make namespaces of their own in it, and undo what is cluster-wide."""
    # Imported late: the fast gate collects this file and shall not load the harness.
    from tests.cluster.harness import apiserver

    with apiserver.running() as api:
        yield api
