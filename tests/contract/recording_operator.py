"""The operator process with a reconcile that only tells which key it got (`-m tests.contract.recording_operator`).

Standard output has one line per look, `namespace/name`; logs go to standard error. Settings come from the environment
variables NAME, PROBE_PORT, METRICS_PORT, NAMESPACES, LEASE; LOOK_SECONDS makes a look last, ended by a second line.
With PROMOTES a look ends by writing that this revision serves.
"""

from __future__ import annotations

import asyncio
import os
import sys

from seatrial import api
from seatrial.cluster import access
from seatrial.control import operator, queue, settings, workers


def build(parts: operator.Parts) -> workers.Reconcile:
    seconds, promoted = float(os.environ.get("LOOK_SECONDS", "0")), os.environ.get("PROMOTES", "")

    async def reconcile(key: queue.Key) -> queue.Result:
        print(key, flush=True)
        if seconds:
            await asyncio.sleep(seconds)
            print(f"{key} finished", flush=True)
        if promoted:
            await promote(parts.cluster, key, promoted)
        return queue.Result()

    return reconcile


async def promote(cluster: access.Cluster, key: queue.Key, revision: str) -> None:
    found = await cluster.get(api.KIND, key.namespace, key.name)
    if found is not None and "stable" not in found["status"]:
        stable = {"revision": revision, "modelVersion": "1", "sha256": "1" * 64, "since": "2026-01-01T00:00:00Z"}
        await cluster.write_status({**found, "status": {**found["status"], "stable": stable}})


if __name__ == "__main__":
    chosen = settings.parse(
        serving_image="serving:test",
        pod_namespace="shop",
        pod_name=os.environ["NAME"],
        prometheus_url="",
        scrape_interval="15s",
        namespaces=os.environ.get("NAMESPACES", ""),
        workers=4,
        probe_port=int(os.environ["PROBE_PORT"]),
        metrics_port=int(os.environ["METRICS_PORT"]),
        log_level="info",
        lease_name=os.environ.get("LEASE", settings.LEASE),
    )
    sys.exit(operator.start(chosen, build))
