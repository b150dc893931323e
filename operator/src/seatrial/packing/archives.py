"""The package's bytes: the same content gives the same bytes (sorted names, no times, no owners). Pure."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import yaml

from seatrial.packing import layouts


def archive(files: Mapping[str, bytes]) -> bytes:
    """A .tar.gz."""
    compressed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=compressed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return compressed.getvalue()


def rows(feeds: layouts.Feeds) -> bytes:
    """An .npz file, as numpy.savez writes it; that one takes no array called `file`, which is a fine column's name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in feeds.items():
            plain = array.astype(np.str_) if array.dtype == np.object_ else array
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, plain, allow_pickle=False)
    return content.getvalue()


def document(content: Mapping[str, Any]) -> bytes:
    """A YAML file."""
    text = yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return text.encode()
