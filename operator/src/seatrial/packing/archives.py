"""The package's bytes: the same content gives the same bytes (sorted names, no times, no owners). Pure."""

from __future__ import annotations

import gzip
import io
import tarfile
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
    """An .npz file; numpy gives its members no times."""
    content = io.BytesIO()
    plain: dict[str, Any] = {
        name: array.astype(np.str_) if array.dtype == np.object_ else array for name, array in feeds.items()
    }
    np.savez(content, **plain)
    return content.getvalue()


def document(content: Mapping[str, Any]) -> bytes:
    """A YAML file."""
    text = yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    return text.encode()
