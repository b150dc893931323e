"""The operator that dies at its writes, before any cluster: how it ends."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cluster import operators
from tests.cluster.harness import process


def test_one_that_was_ended_is_not_started_again_by_a_write_that_was_on_its_way(tmp_path: Path) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    mortal = operators.Mortal(iter(()), environment, tmp_path / "log")
    before = process.children(os.getpid())
    mortal.start()
    assert len(process.children(os.getpid())) == len(before) + 1
    mortal.end()
    mortal.die("PATCH /status")
    assert process.children(os.getpid()) == before
