"""A model package as an archive: the same content gives the same bytes (sorted names, no times, no owners)."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import yaml
from tests.cluster.models import export


def archive(files: Mapping[str, bytes]) -> bytes:
    """A .tar.gz of `files`, reproducible."""
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


def files(
    graph: onnx.ModelProto,
    *,
    description: Mapping[str, Any],
    calibration: np.ndarray,
    tests: Mapping[str, Any],
) -> dict[str, bytes]:
    """The four files of a package. `calibration` has one row per line, `tests` is the content of tests.yaml."""
    rows = io.BytesIO()
    np.savez(rows, **{export.INPUT: calibration})
    return {
        "model.onnx": graph.SerializeToString(deterministic=True),
        "model.yaml": _yaml(description),
        "calibration.npz": rows.getvalue(),
        "tests.yaml": _yaml(tests),
    }


def functional_test(name: str, *, rows: np.ndarray, labels: np.ndarray, min_accuracy: float) -> dict[str, Any]:
    """One minimum-functionality test: these rows must get these labels, up to `min_accuracy`."""
    expect = {"labels": labels.tolist(), "minAccuracy": min_accuracy}
    return {"name": name, "rows": {export.INPUT: rows.tolist()}, "expect": expect}


def _yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=120).encode()
