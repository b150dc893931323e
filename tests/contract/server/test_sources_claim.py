"""Artifacts from a mounted volume."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.contract.server import stores
from tests.contract.server.stores import CONTENT, download

from seatrial_server.host import errors


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stores.clean_environment(monkeypatch)
    mount = tmp_path / "mount"
    (mount / "churn").mkdir(parents=True)
    (mount / "churn" / "7 a.onnx").write_bytes(CONTENT)
    (tmp_path / "outside.onnx").write_bytes(CONTENT)
    monkeypatch.setenv("SEATRIAL_CLAIM", str(mount))
    return mount


def test_a_file_of_the_volume_arrives(volume: Path, tmp_path: Path) -> None:
    assert download("pvc://shared-models/churn/7 a.onnx", tmp_path) == CONTENT


def test_links_inside_the_volume_are_followed(volume: Path, tmp_path: Path) -> None:
    (volume / "latest").symlink_to("churn")
    assert download("pvc://shared-models/latest/7 a.onnx", tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none.onnx", "the volume holds no such file: check the path"),
        ("churn/7 a.onnx/model.onnx", "the volume holds no such file: check the path"),
        ("churn", "not a regular file: check the path"),
        ("pipe", "not a regular file: check the path"),
        ("out", "a link that leads out of the volume"),
        ("out-absolute", "a link that leads out of the volume"),
        ("circle", "links lead in circles"),
        ("../outside.onnx", r"must be pvc://claim/path, without \.\."),
        ("", "must be pvc://claim/path"),
    ],
)
def test_what_is_no_file_of_the_volume_is_refused(volume: Path, tmp_path: Path, path: str, words: str) -> None:
    (volume / "out").symlink_to("../outside.onnx")
    (volume / "out-absolute").symlink_to(tmp_path / "outside.onnx")
    (volume / "circle").symlink_to("circle")
    os.mkfifo(volume / "pipe")
    with pytest.raises(errors.Rejected, match=words) as caught:
        download(f"pvc://shared-models/{path}", tmp_path)
    assert caught.value.reason == "FetchRefused"


def test_a_file_beyond_the_bound_is_not_read(volume: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match="it has 5000 bytes, more than the allowed 4999 bytes"):
        download("pvc://shared-models/churn/7 a.onnx", tmp_path, max_bytes=4999)


def test_other_bytes_fail_closed(volume: Path, tmp_path: Path) -> None:
    (volume / "churn" / "7 a.onnx").write_bytes(b"other")
    with pytest.raises(errors.Rejected, match=r"but spec\.model\.sha256 says") as caught:
        download("pvc://shared-models/churn/7 a.onnx", tmp_path)
    assert caught.value.reason == "DigestMismatch"


def test_without_a_volume_it_says_what_is_missing(
    volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEATRIAL_CLAIM")
    with pytest.raises(errors.Unavailable, match="no volume is mounted here: set SEATRIAL_CLAIM"):
        download("pvc://shared-models/churn/7 a.onnx", tmp_path)
