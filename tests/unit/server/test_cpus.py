"""The CPUs that are really granted: affinity and quotas of either version of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seatrial_server.host import cpus


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


def granted(folder: Path, membership: str, **files: str) -> int:
    for path, content in files.items():
        target = folder / "fs" / path.replace("__", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    (folder / "cgroup").write_text(membership)
    return cpus.granted(root=folder / "fs", membership=folder / "cgroup")


def test_without_a_quota_the_affinity_counts(tmp_path: Path) -> None:
    assert granted(tmp_path, "0::/\n", **{"cpu.max": "max 100000\n"}) == 8


@pytest.mark.parametrize(("quota", "expected"), [("200000", 2), ("150000", 1), ("50000", 1), ("1000000", 8)])
def test_a_quota_of_version_2_is_rounded_down(tmp_path: Path, quota: str, expected: int) -> None:
    assert granted(tmp_path, "0::/\n", **{"cpu.max": f"{quota} 100000\n"}) == expected


def test_a_quota_further_up_counts_too(tmp_path: Path) -> None:
    files = {"pods__one__cpu.max": "max 100000", "pods__cpu.max": "300000 100000"}
    assert granted(tmp_path, "0::/pods/one\n", **files) == 3


def test_a_quota_of_version_1_counts(tmp_path: Path) -> None:
    files = {"cpu__pod__cpu.cfs_quota_us": "200000\n", "cpu__pod__cpu.cfs_period_us": "100000\n"}
    assert granted(tmp_path, "4:memory:/pod\n2:cpu,cpuacct:/pod\n", **files) == 2


def test_version_1_without_a_quota_is_unbounded(tmp_path: Path) -> None:
    assert granted(tmp_path, "2:cpu:/\n", **{"cpu__cpu.cfs_quota_us": "-1\n"}) == 8


def test_unreadable_groups_leave_the_affinity(tmp_path: Path) -> None:
    assert cpus.granted(root=tmp_path / "none", membership=tmp_path / "none") == 8
