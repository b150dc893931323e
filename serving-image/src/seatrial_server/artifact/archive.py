"""Unpack a model package without trusting it.

Only regular files with plain relative names; bounded in number and in bytes actually written, never in bytes announced.
Runs in the sandbox: a hostile tar header can make the standard library read gigabytes into memory. Whatever fails while
reading is the archive's fault and a verdict; what fails while writing is this machine's.
"""

from __future__ import annotations

import contextlib
import functools
import io
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from seatrial_server.host import errors

MAX_FILES = 1000
MAX_NAME = 255
MAX_PATH = 1024
_CHUNK = 1024 * 1024
Member = tuple[str, Callable[[], IO[bytes] | None] | None]
"""A name, and how to open it: folders cannot be opened, and names are checked before."""

# Everything that the readers of the standard library raise on broken input; OSError is gzip's and bz2's.
_UNREADABLE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
_OTHER_PACKERS = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}


def unpack(*, source: str, target: str, max_bytes: int) -> dict[str, str]:
    """Fill the folder `target` from a .onnx file or an archive that holds model.onnx at its top."""
    path, folder = Path(source), Path(target)
    folder.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        _unpack(_zip_members(path), folder, max_bytes=max_bytes)
    elif head.startswith(b"\x1f\x8b") or head[257:262] == b"ustar":
        _unpack(_tar_members(path), folder, max_bytes=max_bytes)
    elif packer := next((name for magic, name in _OTHER_PACKERS.items() if head.startswith(magic)), ""):
        raise _invalid(f"the artifact is packed with {packer}: use .tar, .tar.gz or .zip")
    else:
        shutil.copyfile(path, folder / "model.onnx")
    if not (folder / "model.onnx").is_file():
        raise _invalid("the archive has no model.onnx at its top level")
    return {}


def _unpack(members: Generator[Member], folder: Path, *, max_bytes: int) -> None:
    try:
        with contextlib.closing(members):
            _write(members, folder, max_bytes=max_bytes)
    except _UNREADABLE as error:
        raise _invalid(f"the archive cannot be read: {error}") from error


def _write(members: Iterator[Member], folder: Path, *, max_bytes: int) -> None:
    left, names = max_bytes, set[PurePosixPath]()
    for count, (name, opener) in enumerate(members, start=1):
        relative = _safe(name)
        if count > MAX_FILES:
            raise _invalid(f"the archive has more than {MAX_FILES} entries")
        if opener is None:
            continue
        if relative in names:
            raise _invalid(f"the archive holds {name!r} twice")
        names.add(relative)
        source = opener()
        if source is None:
            raise _invalid(f"the archive holds {name!r}, which is no file")
        with source, _create(folder, relative) as file:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise _invalid(f"the unpacked archive is larger than the allowed {max_bytes} bytes")
                _store(file, chunk)


def _create(folder: Path, relative: PurePosixPath) -> io.FileIO:
    destination = folder / relative
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: closing a buffered file on a full disk fails again, and would hide why.
        return destination.open("xb", buffering=0)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _invalid(f"the archive holds {str(relative)!r} both as a file and as a folder") from None
    except OSError as error:
        raise _cannot_write(error) from error


def _store(file: io.FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _cannot_write(error) from error


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\x00" in name or not name:
        raise _invalid(f"the archive holds the path {name!r}; only plain relative paths are allowed")
    if len(name) > MAX_PATH or any(len(part.encode(errors="surrogateescape")) > MAX_NAME for part in path.parts):
        raise _invalid(f"the archive holds the path {name[:50]!r}..., which is too long")
    return path


def _tar_members(path: Path) -> Generator[Member]:
    """Refuses links and devices."""
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise _invalid(f"the archive holds {member.name!r}, which is a link or a special file")
            yield member.name, functools.partial(archive.extractfile, member) if member.isreg() else None


def _zip_members(path: Path) -> Generator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = (info.external_attr >> 16) & 0o170000
            if kind not in (0, 0o100000, 0o040000):
                raise _invalid(f"the archive holds {info.filename!r}, which is a link or a special file")
            yield info.filename, None if info.is_dir() else functools.partial(archive.open, info)


def _invalid(message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", message)


def _cannot_write(error: OSError) -> errors.Unavailable:
    return errors.Unavailable(f"cannot write the package: {error.strerror}: give the work volume more room")
