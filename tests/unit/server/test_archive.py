"""Packages that must not be unpacked, and one that must."""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import resource
import stat
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial_server.artifact import archive
from seatrial_server.host import errors


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


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as file:
        warnings.simplefilter("ignore", UserWarning)  # about duplicate names
        for name, content in members:
            file.writestr(name, content)
    return path


def linked(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = kind << 16
    return info


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/passwd", "only plain relative paths"),
        ("a/../../escape", "only plain relative paths"),
        ("a\\..\\escape", "only plain relative paths"),
        (linked("link", stat.S_IFLNK), "link or a special file"),
        (linked("pipe", stat.S_IFIFO), "link or a special file"),
        (linked("device", stat.S_IFCHR), "link or a special file"),
        ("model.onnx", "twice"),
        ("./model.onnx", "twice"),
        ("model.onnx/weights", "both as a file and as a folder"),
        ("x" * 256, "too long"),
        ("x/" * 600 + "x", "too long"),
    ],
    ids=str,
)
def test_a_zip_member_that_does_not_belong_is_refused(tmp_path: Path, name: str | zipfile.ZipInfo, words: str) -> None:
    with pytest.raises(errors.Rejected, match=words) as caught:
        unpack(zipped(tmp_path / "a", ("model.onnx", b"m"), (name, b"x")))
    assert caught.value.reason == "InvalidModel"
    assert not (tmp_path / "escape").exists()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.GNUTYPE_SPARSE, "link or a special file|cannot be read"),
        (tarfile.BLKTYPE, "link or a special file"),
        (b"Z", "cannot be read|link or a special file|no model"),
    ],
    ids=["sparse", "block device", "unknown"],
)
def test_an_unusual_tar_member_is_refused(tmp_path: Path, kind: bytes, words: str) -> None:
    with pytest.raises(errors.Rejected, match=words):
        unpack(tar(tmp_path / "a", (entry("weights", kind), b"x" * 600)))


def test_a_tar_member_below_a_file_is_refused(tmp_path: Path) -> None:
    source = tar(tmp_path / "a", (entry("model.onnx"), b"m"), (entry("model.onnx/weights"), b"x"))
    with pytest.raises(errors.Rejected, match="both as a file and as a folder"):
        unpack(source)


def test_a_file_may_not_replace_the_folder(tmp_path: Path) -> None:
    with pytest.raises(errors.Rejected, match="both as a file and as a folder"):
        unpack(tar(tmp_path / "a", (entry("."), b"x")))


@pytest.mark.long
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_ends_at_the_bound(tmp_path: Path, compression: int) -> None:
    source = zipped(tmp_path / "a", ("model.onnx", bytes(50_000_000)), compression=compression)
    assert source.stat().st_size < 60_000
    with pytest.raises(errors.Rejected, match="larger than the allowed 1000000 bytes"):
        unpack(source, max_bytes=1_000_000)
    assert (tmp_path / "package" / "model.onnx").stat().st_size <= 1_000_000


def test_many_small_bombs_share_one_bound(tmp_path: Path) -> None:
    members = [(f"f{number}", bytes(1000)) for number in range(20)]
    with pytest.raises(errors.Rejected, match="larger than the allowed 10000 bytes"):
        unpack(zipped(tmp_path / "a", *members))


@pytest.mark.long
def test_a_zip_with_very_many_entries_is_refused(tmp_path: Path) -> None:
    members = [(f"f{number}", b"") for number in range(20_000)]
    with pytest.raises(errors.Rejected, match="more than 1000 entries"):
        unpack(zipped(tmp_path / "a", *members))


def test_overlapping_zip_entries_are_bounded_like_all_others(tmp_path: Path) -> None:
    """Many names for the same compressed bytes: the central directory points at one place again and again."""
    source = zipped(tmp_path / "a", ("model.onnx", bytes(9000)), ("other.onnx", bytes(9000)))
    content = source.read_bytes()
    start = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", start + 4)
    offset = second + 42
    source.write_bytes(content[:offset] + bytes(4) + content[offset + 4 :])
    with pytest.raises(errors.Rejected):
        unpack(source)


def test_a_nested_archive_is_a_file_like_any_other(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner", ("../escape", b"x")).read_bytes()
    package = unpack(zipped(tmp_path / "a", ("model.onnx", b"m"), ("inner.zip", inner)))
    assert sorted(path.name for path in package.iterdir()) == ["inner.zip", "model.onnx"]


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    source = zipped(tmp_path / "a", ("model.onnx", b"m"))
    content = bytearray(source.read_bytes())
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + flags] |= 1
    source.write_bytes(content)
    with pytest.raises(errors.Rejected, match="encrypted"):
        unpack(source)


@pytest.mark.parametrize(
    ("content", "packer"),
    [(bz2.compress(b"x"), "bzip2"), (lzma.compress(b"x"), "xz"), (b"\x28\xb5\x2f\xfd....", "zstd")],
    ids=["bzip2", "xz", "zstd"],
)
def test_another_packer_is_named(tmp_path: Path, content: bytes, packer: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(errors.Rejected, match=rf"packed with {packer}: use \.tar, \.tar\.gz or \.zip"):
        unpack(tmp_path / "a")


def good(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("model.onnx", b"model" * 50)
            file.writestr("data/w.bin", b"data")
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "gzip" else "w") as archive_:  # type: ignore[call-overload]
            info = entry("model.onnx")
            info.size = 250
            archive_.addfile(info, io.BytesIO(b"model" * 50))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "gzip", "tar"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_a_verdict_or_harmless(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    """Any few bytes changed, or the end missing: never another exception, never a file outside."""
    content = bytearray(good(kind))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        (Path(folder) / "a").write_bytes(content)
        with contextlib.suppress(errors.Rejected):
            unpack(Path(folder) / "a")
        assert {path.name for path in Path(folder).iterdir()} <= {"a", "package"}


def test_a_full_disk_is_not_the_models_fault(tmp_path: Path) -> None:
    source = zipped(tmp_path / "a", ("model.onnx", bytes(500_000)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(errors.Unavailable, match=r"cannot write the package: .*: give the work volume more room"):
            unpack(source, max_bytes=1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
