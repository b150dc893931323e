"""Packages that must not be unpacked, and one that must."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from seatrial_server import errors
from seatrial_server.model import archive


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def unpack(source: Path, *, max_bytes: int = 10_000) -> Path:
    target = source.parent / "package"
    archive.unpack(source=str(source), target=str(target), max_bytes=max_bytes)
    return target


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_package_is_unpacked(tmp_path: Path, mode: str) -> None:
    source = tar(tmp_path / "a", (entry("./model.onnx"), b"model"), (entry("data/w.bin"), b"data"), mode=mode)
    package = unpack(source)
    assert (package / "model.onnx").read_bytes() == b"model"
    assert (package / "data" / "w.bin").read_bytes() == b"data"


def test_a_zip_package_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr("model.onnx", b"model")
    assert (unpack(tmp_path / "a") / "model.onnx").read_bytes() == b"model"


def test_a_bare_model_is_a_package(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x08\x0a model")
    assert (unpack(tmp_path / "a") / "model.onnx").is_file()


@pytest.mark.parametrize(
    "member",
    [
        entry("../escape"),
        entry("/absolute"),
        entry("a/../../escape"),
        entry("a\\b"),
        entry("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("hard", tarfile.LNKTYPE, "model.onnx"),
        entry("device", tarfile.CHRTYPE),
        entry("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: member.name,
)
def test_a_member_that_could_reach_outside_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    source = tar(tmp_path / "a", (entry("model.onnx"), b"m"), (member, b""))
    with pytest.raises(errors.Rejected, match=r"only plain relative paths|link or a special file"):
        unpack(source)
    assert not (tmp_path / "escape").exists()


def test_a_zip_with_a_traversal_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as file:
        file.writestr("../escape", b"x")
    with pytest.raises(errors.Rejected, match="only plain relative paths"):
        unpack(tmp_path / "a")


def test_unpacked_bytes_are_bounded_whatever_the_archive_announces(tmp_path: Path) -> None:
    source = tar(tmp_path / "a", (entry("model.onnx"), b"\x00" * 100_000))
    assert source.stat().st_size < 10_000
    with pytest.raises(errors.Rejected, match="larger than the allowed 10000 bytes"):
        unpack(source)


def test_the_number_of_entries_is_bounded(tmp_path: Path) -> None:
    source = tar(tmp_path / "a", *((entry(f"f{index}"), b"") for index in range(archive.MAX_FILES + 1)))
    with pytest.raises(errors.Rejected, match="more than 1000 entries"):
        unpack(source)


def test_a_member_given_twice_is_refused(tmp_path: Path) -> None:
    source = tar(tmp_path / "a", (entry("model.onnx"), b"one"), (entry("./model.onnx"), b"two"))
    with pytest.raises(errors.Rejected, match="twice"):
        unpack(source)


@pytest.mark.parametrize("content", [b"\x1f\x8b broken", b"PK\x03\x04 broken"], ids=["gzip", "zip"])
def test_a_broken_archive_is_an_invalid_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(errors.Rejected) as caught:
        unpack(tmp_path / "a")
    assert caught.value.reason == "InvalidModel"


def test_an_archive_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match=r"no model\.onnx"):
        unpack(tar(tmp_path / "a", (entry("readme"), b"")))
