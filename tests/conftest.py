"""What all folders share: a real API server, which costs nothing unless a test asks for it, and one rule for names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.cluster.harness.apiserver import ApiServer

# How long an example takes says what else the machine does, and the suite tries the same ones each time: a fault that
# chance finds on somebody's branch is not theirs. What explores is `python -m tests.bench`, by seeds.
hypothesis.settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session")
def apiserver() -> Iterator[ApiServer]:
    """One for the whole run: tests make namespaces of their own in it, and undo what is cluster-wide."""
    # Imported late: the fast gate collects this file and shall not load the harness.
    from tests.cluster.harness import apiserver

    with apiserver.running() as api:
        yield api


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuses a test named by a set: its order differs from process to process, and workers must collect the same."""
    for name, value in getattr(getattr(item, "callspec", None), "params", {}).items():
        if isinstance(value, set | frozenset) and str(value) in item.name:
            raise pytest.UsageError(f"{item.nodeid}: its parameter {name} is a set; give a list, or an id")
