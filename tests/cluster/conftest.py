"""The installed cluster, once a session; a namespace of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import harness, installation, watching

_SECONDS = 1800
"""Programs and images of a cold cache are built within the first test that needs the cluster, whatever that one's own
limit is.
"""


@pytest.fixture(scope="session")
def cluster() -> harness.Cluster:
    """The bare cluster, without images: a test loads those it uses. Stays up: `make cluster-down` ends it."""
    return harness.up(say=print)


@pytest.fixture(scope="session")
def platform() -> installation.Platform:
    """Stays up afterwards: `make cluster-down` ends it."""
    return installation.install(say=print)


@pytest.fixture
def subject(platform: installation.Platform, request: pytest.FixtureRequest) -> Iterator[watching.Subject]:
    """A ModelDeployment's place; deleting it must not hang, whatever the test left."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].strip("-")
    # One that an earlier run left may still be going.
    platform.cluster.kubectl("wait", "namespace", f"e2e-{name}", "--for=delete", "--timeout=110s", check=False)
    installation.namespace(platform, f"e2e-{name}")
    yield watching.Subject(platform, namespace=f"e2e-{name}")
    platform.cluster.kubectl("delete", "namespace", f"e2e-{name}", "--wait=false")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    ours = [item for item in here if {"cluster", "platform"}.intersection(getattr(item, "fixturenames", ()))]
    for item in ours:
        if item is ours[0] or item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS), append=False)
