"""kind: not yet."""

from __future__ import annotations

from tests.cluster.harness import progress
from tests.cluster.harness.cluster import Cluster


def up(*, say: progress.Say) -> Cluster:
    raise NotImplementedError


def down(*, say: progress.Say) -> None:
    raise NotImplementedError
