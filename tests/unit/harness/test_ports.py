"""Ports for programs: no two of one test run get the same."""

from __future__ import annotations

import runpy

import pytest
from tests.cluster.harness import ports


def test_a_port_is_not_given_twice() -> None:
    taken = [ports.free_port() for _ in range(300)]
    assert len(set(taken)) == len(taken)


def test_workers_that_run_side_by_side_share_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    taken: list[int] = []
    for worker in range(3):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        taken += runpy.run_path(str(ports.__file__))["free"](400)
    assert len(set(taken)) == 1200
