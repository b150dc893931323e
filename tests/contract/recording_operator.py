"""The operator process with a reconcile that only tells which key it got (`-m tests.contract.recording_operator`).

Standard output has one line per look, `namespace/name`; logs go to standard error. Settings come from the environment
variables NAME, PROBE_PORT, METRICS_PORT, NAMESPACES, LEASE; LOOK_SECONDS makes a look last, ended by a second line.
"""

from __future__ import annotations

import asyncio
import os
import sys

from seatrial.control import operator, queue, settings, workers


def build(parts: operator.Parts) -> workers.Reconcile:
    seconds = float(os.environ.get("LOOK_SECONDS", "0"))

    async def reconcile(key: queue.Key) -> queue.Result:
        print(key, flush=True)
        if seconds:
            await asyncio.sleep(seconds)
            print(f"{key} finished", flush=True)
        return queue.Result()

    return reconcile


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
