"""config.json of the serving image: what a trial or a server of one revision has to know."""

from __future__ import annotations

from typing import Any

import msgspec

from seatrial.api import spec, values

from . import beside, monitoring, report, revision, templates

MAX_ARTIFACT_BYTES = 2 * 1024**3


def render(
    *,
    namespace: str,
    name: str,
    record: revision.Record,
    analysis: spec.Analysis,
    passed: report.Report | None = None,
    others: beside.Beside | None = None,
) -> str:
    """The configuration as JSON text. With a passed trial, pods must end with the bytes that the trial recorded.

    `others`: what a trial may need beside the model.
    The latency threshold is the spec's at the time of rendering: it becomes an edge of the histogram.
    """
    content = record.content
    quantization, limits = content.quantization, content.limits
    document: dict[str, Any] = {
        "deployment": name,
        "namespace": namespace,
        "revision": content.revision,
        "model": {
            "name": content.model_name,
            "version": content.model_version,
            "uri": record.uri,
            "sha256": content.sha256,
        },
        "quantization": {
            "mode": quantization.mode,
            "maxDisagreement": float(quantization.max_disagreement),
            "minSpeedup": float(quantization.min_speedup),
            "onFailure": quantization.on_failure,
        },
        "limits": {
            "maxQueueRows": limits.max_queue_rows,
            "timeoutSeconds": limits.timeout.total_seconds(),
            "maxBodyBytes": values.quantity(limits.max_body_bytes),
        },
        "latencyThresholdSeconds": analysis.latency.threshold.total_seconds(),
        "maxArtifactBytes": MAX_ARTIFACT_BYTES,
    }
    if content.cache is not None:
        document["cache"] = {
            "maxBytes": values.quantity(content.cache.max_bytes),
            "ttlSeconds": content.cache.ttl.total_seconds(),
        }
    if content.fallback is not None:
        document["fallback"] = {"mode": content.fallback.mode}
    if content.version_pinning is not None:
        document["versionPinning"] = content.version_pinning
    if content.tls is not None:
        document["tls"] = {"certificate": f"{templates.TLS}/tls.crt", "key": f"{templates.TLS}/tls.key"}
    if content.cors is not None:
        document["cors"] = {"allowOrigins": content.cors.allow_origins}
    if content.tracing is not None:
        document["tracing"] = {"endpoint": content.tracing.endpoint, "ratio": float(content.tracing.ratio)}
    if templates.relays(record.pod_template):
        document["relay"] = {"file": f"{templates.RELAY}/relay"}
    if others is not None and (needed := others.document()) is not None:
        document["trial"] = needed
    if templates.monitors(record.pod_template):
        document["monitoring"] = {"file": f"{templates.MONITORING}/{monitoring.FILE}"}
    if templates.has_keys(record.pod_template):
        document["feedback"] = {"keys": templates.KEYS}
    if passed is not None:
        document["expected"] = {
            "servedSha256": passed.served_sha256,
            "precision": passed.precision,
            "calibration": passed.calibration,
        }
    return msgspec.json.encode(document, order="sorted").decode()
