"""Waits until a CRD is served. `kubectl wait` fails on a CRD so young that it has no conditions yet."""

from __future__ import annotations

from tests.cluster.harness import apiserver, waiting

from seatrial.api import crd

_STATUS = 'jsonpath={.status.conditions[?(@.type=="Established")].status}'


def until_established(api: apiserver.ApiServer) -> None:
    """Returns when ModelDeployments are served."""
    waiting.until(
        lambda: (
            api.kubectl("get", "crd", crd.NAME, "-o", _STATUS, check=False) == "True"
            and crd.SHORT_NAME in api.kubectl("api-resources", "--api-group=seatrial.dev", "--no-headers")
        ),
        what=f"{crd.NAME} served",
        seconds=60,
    )
