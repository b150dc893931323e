"""A certificate reaches the server's container and no other, and what asks the server speaks TLS."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.unit.rollout import build

from seatrial.api import base, spec
from seatrial.rollout import artifacts, revision, templates


def template(**serving: Any) -> dict[str, Any]:
    plain = build.spec("1")
    wish = msgspec.structs.replace(plain, serving=spec.Serving(**serving))
    content = revision.wanted(wish, name="churn", default_image="seatrial.dev/serving:1", known=())
    return templates.server("churn", content, artifact=artifacts.Artifact("http://store/1.onnx"))["spec"]


def test_only_the_server_holds_the_certificate_and_it_is_asked_by_https() -> None:
    pod = template(tls=spec.Tls(secret_ref=base.SecretReference(name="churn-tls")))
    [server] = pod["containers"]
    assert {"name": "tls", "secret": {"secretName": "churn-tls"}} in pod["volumes"]
    assert {"name": "tls", "mountPath": templates.TLS, "readOnly": True} in server["volumeMounts"]
    assert server["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert "scheme" not in server["livenessProbe"]["httpGet"], "the metrics port is not encrypted"
    assert not any(mount["name"] == "tls" for one in pod["initContainers"] for mount in one["volumeMounts"])


def test_without_one_nothing_is_mounted() -> None:
    pod = template()
    assert "scheme" not in pod["containers"][0]["readinessProbe"]["httpGet"]
    assert [volume["name"] for volume in pod["volumes"]] == ["config", "work", "relay", "monitoring"]
