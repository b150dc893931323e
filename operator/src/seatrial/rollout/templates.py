"""Pod templates: the trial's and the server's. Rendered once per revision, kept in its record.

Pod Security `restricted`: non-root, read-only root, no capabilities; one emptyDir is all that is writable.
"""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.api import spec, values

from . import artifacts, names, revision

Object = dict[str, Any]

WORK = "/work"
CONFIG = "/etc/seatrial"
USER = 65532
CONFIG_ANNOTATION = "seatrial.dev/config"
GRACE_SECONDS = 30


def server(name: str, content: revision.Content, *, artifact: artifacts.Artifact) -> Object:
    """Template of the pods that serve one revision: fetch and prepare as init containers, then the server.

    The names of its objects follow from the content's revision, so the template holds no moving part.
    """
    config = {"name": "config", "configMap": {"name": names.of_revision(name, content.revision)}}
    return {
        "metadata": {
            "labels": {**names.labels(name, content.revision), names.COMPONENT: names.SERVER},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(names.METRICS_PORT)},
        },
        "spec": {
            **_pod(config, artifact),
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "initContainers": [artifact.fetching(_container("fetch", content)), _container("prepare", content)],
            "containers": [
                {
                    **_container("serve", content),
                    "name": "server",
                    "ports": [
                        {"name": "http", "containerPort": names.REST_PORT},
                        {"name": "grpc", "containerPort": names.GRPC_PORT},
                        {"name": "metrics", "containerPort": names.METRICS_PORT},
                    ],
                    "readinessProbe": {
                        "httpGet": {"path": "/v2/health/ready", "port": "http"},
                        "periodSeconds": 2,
                        "timeoutSeconds": 2,
                    },
                    "livenessProbe": {
                        "httpGet": {"path": "/healthz", "port": "metrics"},
                        "initialDelaySeconds": 10,
                        "periodSeconds": 10,
                        "timeoutSeconds": 5,
                    },
                }
            ],
        },
    }


def trial(name: str, record: revision.Record, *, config: str) -> Object:
    """Template of the trial's pod. Its configuration is an annotation: there is no ConfigMap before a passed trial."""
    content, artifact = record.content, artifacts.Artifact(record.uri, record.secret)
    volume = {
        "name": "config",
        "downwardAPI": {
            "items": [
                {"path": "config.json", "fieldRef": {"fieldPath": f"metadata.annotations['{CONFIG_ANNOTATION}']"}}
            ]
        },
    }
    return {
        "metadata": {
            "labels": {**names.labels(name, content.revision), names.COMPONENT: names.TRIAL},
            "annotations": {CONFIG_ANNOTATION: config},
        },
        "spec": {
            **_pod(volume, artifact),
            "restartPolicy": "Never",
            "containers": [artifact.fetching(_container("trial", content))],
        },
    }


def _pod(config: Object, artifact: artifacts.Artifact) -> Object:
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
        "volumes": [config, {"name": "work", "emptyDir": {}}, *artifact.volumes()],
    }


def _container(command: str, content: revision.Content) -> Object:
    return {
        "name": command,
        "image": content.image,
        "imagePullPolicy": "IfNotPresent",
        "args": [command, "--config", f"{CONFIG}/config.json", "--work", WORK],
        "env": [{"name": "TMPDIR", "value": WORK}],
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
