"""Unpack a model package without trusting it.

Only regular files with plain relative names; bounded in number and in bytes actually written, never in bytes announced.
Runs in the sandbox: a hostile tar header can make the standard library read gigabytes into memory.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from seatrial_server import errors

MAX_FILES = 1000
_CHUNK = 1024 * 1024
Member = tuple[str, IO[bytes] | None]


def unpack(*, source: str, target: str, max_bytes: int) -> dict[str, str]:
    """Fill the folder `target` from a .onnx file or an archive that holds model.onnx at its top."""
    path, folder = Path(source), Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file:
        head = file.read(512)
    try:
        if head.startswith(b"PK\x03\x04"):
            _write(_zip_members(path), folder, max_bytes=max_bytes)
        elif head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
            _write(_tar_members(path), folder, max_bytes=max_bytes)
        else:
            shutil.copyfile(path, folder / "model.onnx")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise _invalid(f"the archive cannot be read: {error}") from error
    if not (folder / "model.onnx").is_file():
        raise _invalid("the archive has no model.onnx at its top level")
    return {}


def _write(members: Iterator[Member], folder: Path, *, max_bytes: int) -> None:
    left, names = max_bytes, set[PurePosixPath]()
    for count, (name, source) in enumerate(members, start=1):
        relative = _safe(name)
        if count > MAX_FILES:
            raise _invalid(f"the archive has more than {MAX_FILES} entries")
        if source is None:
            continue
        if relative in names:
            raise _invalid(f"the archive holds {name!r} twice")
        names.add(relative)
        destination = folder / relative
        destination.parent.mkdir(parents=True, exist_ok=True)
        with source, destination.open("xb") as file:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _invalid(f"the unpacked archive is larger than the allowed {max_bytes} bytes")
                file.write(chunk)


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\x00" in name or not name:
        raise _invalid(f"the archive holds the path {name!r}; only plain relative paths are allowed")
    return path


def _tar_members(path: Path) -> Iterator[Member]:
    """Files as (name, stream), folders as (name, None); refuses links and devices."""
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _invalid(f"the archive holds {member.name!r}, which is a link or a special file")
            yield member.name, archive.extractfile(member) if member.isreg() else None


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = (info.external_attr >> 16) & 0o170000
            if kind not in (0, 0o100000, 0o040000):
                raise _invalid(f"the archive holds {info.filename!r}, which is a link or a special file")
            yield info.filename, None if info.is_dir() else archive.open(info)


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", message)
