"""Pod templates: the trial's and the server's. Rendered once per revision, kept in its record.

Pod Security `restricted`: non-root, read-only root, no capabilities; one emptyDir is all that is writable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from seatrial.api import placement, spec, values

from . import artifacts, names, placing, revision

Object = dict[str, Any]

WORK = "/work"
CONFIG = "/etc/seatrial"
TLS = "/etc/seatrial-tls"
RELAY = "/etc/seatrial-relay"
MONITORING = "/etc/seatrial-monitoring"
KEYS = "/etc/seatrial-keys"
USER = 65532
CONFIG_ANNOTATION = "seatrial.dev/config"
GRACE_SECONDS = 30
LOADING_SECONDS = 3600

# A mesh's proxy never ends, and with it the trial's pod; the trial needs no mesh, its traffic is one download.
NO_SIDECAR_LABELS = {"sidecar.istio.io/inject": "false", "kuma.io/sidecar-injection": "disabled"}
NO_SIDECAR_ANNOTATIONS = {
    "sidecar.istio.io/inject": "false",  # releases before the label
    "linkerd.io/inject": "disabled",
    "consul.hashicorp.com/connect-inject": "false",
    "openservicemesh.io/sidecar-injection": "disabled",
    "appmesh.k8s.aws/sidecarInjectorWebhook": "disabled",
    "injector.nsm.nginx.com/auto-inject": "false",
}
NO_DEFAULTS = placement.Placement()


def server(
    name: str, content: revision.Content, *, artifact: artifacts.Artifact, defaults: placement.Placement = NO_DEFAULTS
) -> Object:
    """Template of the pods that serve one revision: fetch and prepare as init containers, then the server.

    The names of its objects follow from the content's revision, so the template holds no moving part. `defaults` are
    the operator's, no part of the content: other ones make other pods of new versions, and no new version.
    """
    config = {"name": "config", "configMap": {"name": names.of_revision(name, content.revision)}}
    scraped = {"prometheus.io/scrape": "true", "prometheus.io/port": str(names.METRICS_PORT)}
    wish = (content.placement or NO_DEFAULTS).over(defaults)
    return {
        "metadata": {
            "labels": {**(wish.pod_labels or {}), **_labels(name, content, names.SERVER)},
            "annotations": {**scraped, **(wish.pod_annotations or {})},
        },
        "spec": {
            **_pod(
                content, config, artifact, _assignment(), _live_settings(name), _keys(name), *_certificates(content)
            ),
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            **placing.fields(wish, counted=names.selector(name, content.revision)),
            "initContainers": [artifact.fetching(_container("fetch", content)), _container("prepare", content, wish)],
            "containers": [_serving(content, wish)],
        },
    }


def trial(
    name: str,
    record: revision.Record,
    *,
    config: str,
    defaults: placement.Placement = NO_DEFAULTS,
    others: Sequence[artifacts.Artifact] = (),
) -> Object:
    """Template of the trial's pod. Its configuration is an annotation: there is no ConfigMap before a passed trial.

    As in a serving pod, the container that opens the model has no way to the store and none of its credentials.
    `others`: ways to what else its tests may need, see `beside`.
    """
    content, artifact = record.content, artifacts.Artifact(record.uri, record.secret)
    wish = (content.placement or NO_DEFAULTS).over(defaults)
    test = _container("trial", content, wish)
    claims = [volume for way, one in enumerate(others, 1) for volume in one.volumes(volume=f"claim-{way}")]
    return {
        "metadata": {
            "labels": {**(wish.pod_labels or {}), **NO_SIDECAR_LABELS, **_labels(name, content, names.TRIAL)},
            "annotations": {**(wish.pod_annotations or {}), **NO_SIDECAR_ANNOTATIONS, CONFIG_ANNOTATION: config},
        },
        "spec": {
            **_pod(content, _own_configuration(), artifact, *claims),
            "restartPolicy": "Never",
            **placing.fields(wish, counted=None),
            "initContainers": [
                artifact.fetching(_fetching_for_trial(content, 0)),
                *(
                    one.fetching(_fetching_for_trial(content, way), volume=f"claim-{way}", optional=True)
                    for way, one in enumerate(others, 1)
                ),
            ],
            "containers": [{**test, "args": [*test["args"], "--fetched"]}],
        },
    }


def _fetching_for_trial(content: revision.Content, way: int) -> Object:
    fetch = _container("fetch", content)
    if not way:
        return {**fetch, "args": [*fetch["args"], "--for-trial"]}
    return {**fetch, "name": f"fetch-{way}", "args": [*fetch["args"], "--for-trial", "--way", str(way)]}


def relays(template: Mapping[str, Any]) -> bool:
    """Whether pods of a template read what they shall pass on; those of an older operator don't."""
    return _has_volume(template, "relay")


def monitors(template: Mapping[str, Any]) -> bool:
    """Whether pods of a template read the live settings; those of an older operator don't."""
    return _has_volume(template, "monitoring")


def has_keys(template: Mapping[str, Any]) -> bool:
    """Whether pods of a template can sign their answers; those of an older operator can't."""
    return _has_volume(template, "keys")


def _has_volume(template: Mapping[str, Any], name: str) -> bool:
    return any(one.get("name") == name for one in template.get("spec", {}).get("volumes") or ())


def _assignment() -> Object:
    """The pod's own annotation as a file that the kubelet renews. A folder: a single file would never change."""
    field = {"fieldPath": f"metadata.annotations['{names.RELAY}']"}
    return {"name": "relay", "downwardAPI": {"items": [{"path": "relay", "fieldRef": field}]}}


def _live_settings(name: str) -> Object:
    """Settings that the kubelet renews while the pod serves. There are none, as long as all are as by default."""
    return {"name": "monitoring", "configMap": {"name": names.of_monitoring(name), "optional": True}}


def _keys(name: str) -> Object:
    """What all pods of the deployment sign with, whatever their revision. Optional: it is made when it is needed."""
    return {"name": "keys", "secret": {"secretName": names.of_keys(name), "optional": True, "defaultMode": 0o440}}


def _labels(name: str, content: revision.Content, component: str) -> dict[str, str]:
    return {**names.labels(name, content.revision), names.COMPONENT: component}


def _own_configuration() -> Object:
    field = {"fieldPath": f"metadata.annotations['{CONFIG_ANNOTATION}']"}
    return {"name": "config", "downwardAPI": {"items": [{"path": "config.json", "fieldRef": field}]}}


def _serving(content: revision.Content, wish: placement.Placement) -> Object:
    container = {**_container("serve", content, wish), "name": "server", "ports": _ports(), **_probes()}
    container["volumeMounts"].append({"name": "relay", "mountPath": RELAY, "readOnly": True})
    container["volumeMounts"].append({"name": "monitoring", "mountPath": MONITORING, "readOnly": True})
    container["volumeMounts"].append({"name": "keys", "mountPath": KEYS, "readOnly": True})
    if content.tls is not None:
        container["readinessProbe"]["httpGet"]["scheme"] = "HTTPS"
        container["volumeMounts"].append({"name": "tls", "mountPath": TLS, "readOnly": True})
    return container


def _certificates(content: revision.Content) -> list[Object]:
    """The volume with the certificate, which no container but the server's mounts."""
    if content.tls is None:
        return []
    return [{"name": "tls", "secret": {"secretName": content.tls.secret_ref.name}}]


def _ports() -> list[Object]:
    ports = {"http": names.REST_PORT, "grpc": names.GRPC_PORT, "metrics": names.METRICS_PORT}
    return [{"name": name, "containerPort": port} for name, port in ports.items()]


def _probes() -> Object:
    """A model may load for as long as the rollout's startTimeout waits; only then is silence a fault."""
    alive = {"httpGet": {"path": "/healthz", "port": "metrics"}}
    return {
        "startupProbe": {**alive, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": LOADING_SECONDS},
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": "http"},
            "periodSeconds": 2,
            "timeoutSeconds": 2,
        },
        "livenessProbe": {**alive, "periodSeconds": 10, "timeoutSeconds": 5},
    }


def _pod(content: revision.Content, config: Object, artifact: artifacts.Artifact, *more: Object) -> Object:
    most = content.resources.limits.ephemeral_storage
    work = {"name": "work", "emptyDir": {"sizeLimit": most} if most else {}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [config, work, *artifact.volumes(), *more],
    }


def _container(command: str, content: revision.Content, wish: placement.Placement = NO_DEFAULTS) -> Object:
    return {
        "name": command,
        "image": content.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [command, "--config", f"{CONFIG}/config.json", "--work", WORK],
        "env": [{"name": "TMPDIR", "value": WORK}, *placing.variables(wish)],
        "resources": _resources(content.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG, "readOnly": True},
            {"name": "work", "mountPath": WORK},
        ],
    }


def _resources(resources: spec.Resources) -> Object:
    plain: Object = msgspec.to_builtins(resources, enc_hook=values.encode_hook)
    named = {kind: {key: value for key, value in amounts.items() if value} for kind, amounts in plain.items()}
    return {kind: amounts for kind, amounts in named.items() if amounts}
