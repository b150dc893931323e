"""The operator's own process (`python -m seatrial`) in front of an API server, for one namespace."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.harness import ports


class Process:
    """How it ended and what it logged, known afterwards."""

    status: int
    said: str


@contextlib.contextmanager
def running(kubeconfig: Path, *, namespace: str, lease: str, environment: Mapping[str, str] = {}) -> Iterator[Process]:
    """Ends it in order when the block ends. `environment` is added to this one's."""
    settings = {
        "KUBECONFIG": str(kubeconfig),
        "SEATRIAL_SERVING_IMAGE": "serving:1",
        "SEATRIAL_NAMESPACES": namespace,
        "SEATRIAL_LEASE_NAME": lease,
        "SEATRIAL_PROBE_PORT": str(ports.free_port()),
        "SEATRIAL_METRICS_PORT": str(ports.free_port()),
        "POD_NAME": "operator-0",
        "POD_NAMESPACE": namespace,
    }
    told = Process()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "seatrial"], env={**os.environ, **settings, **environment}, stdout=log, stderr=log
        )
        try:
            yield told
        finally:
            process.send_signal(signal.SIGTERM)
            told.status = process.wait(timeout=60)
            log.seek(0)
            told.said = log.read()
