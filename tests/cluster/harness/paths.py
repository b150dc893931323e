"""Where the harness keeps its files: always outside the clone, so that a fresh clone starts warm.

    <cache>/bin/        programs, named by the hash of what they were built from
    <cache>/images/     OCI archives, named by the hash of their inputs; buildah's storage; downloaded wheels
    <cache>/run/NAME/   the running cluster: certificates, kubeconfig, logs, state; deleted by `down`

This module only names places; it creates nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = "seatrial"
HARNESS = Path(__file__).resolve().parent
REPO = HARNESS.parents[2]


def cache() -> Path:
    """$SEATRIAL_CACHE, else ~/.cache/seatrial."""
    chosen = os.environ.get("SEATRIAL_CACHE")
    return Path(chosen).resolve() if chosen else Path.home() / ".cache" / "seatrial"


def binaries() -> Path:
    return cache() / "bin"


def images() -> Path:
    return cache() / "images"


def run() -> Path:
    return cache() / "run" / NAME
