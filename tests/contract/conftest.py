"""One API server for the contract tests of the operator's I/O, with our CRD and a namespace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.cluster.harness import apiserver, paths
from tests.contract import established

from seatrial.api import crd
from seatrial.cluster import kubernetes


@pytest.fixture(scope="session")
def shop() -> Iterator[apiserver.ApiServer]:
    """A running API server that serves ModelDeployments and has the namespace `shop`."""
    with apiserver.running() as api:
        api.kubectl("apply", "-f", str(paths.REPO / "crds" / f"{crd.NAME}.yaml"))
        established.until_established(api)
        api.namespace("shop")
        yield api


@pytest.fixture
async def cluster(
    shop: apiserver.ApiServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[kubernetes.KubernetesCluster]:
    """A cluster to it, connected as a user's would be."""
    monkeypatch.setenv("KUBECONFIG", str(shop.kubeconfig))
    async with kubernetes.connected(timeout=30) as connected:
        yield connected
