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
    **datasets: Mapping[str, np.ndarray],
) -> dict[str, bytes]:
    """The files of a package. `calibration` has one row per line, `tests` is the content of tests.yaml, `datasets` are
    further files of rows by their names.
    """
    return {
        **{f"{name}.npz": _rows(arrays) for name, arrays in datasets.items()},
        "model.onnx": graph.SerializeToString(deterministic=True),
        "model.yaml": _yaml(description),
        "calibration.npz": _rows({export.INPUT: calibration}),
        "tests.yaml": _yaml(tests),
    }


def functional_test(name: str, *, rows: np.ndarray, labels: np.ndarray, min_accuracy: float) -> dict[str, Any]:
    """One minimum-functionality test: these rows must get these labels, up to `min_accuracy`."""
    expect = {"labels": labels.tolist(), "minAccuracy": min_accuracy}
    return {"name": name, "rows": {export.INPUT: rows.tolist()}, "expect": expect}


def _rows(arrays: Mapping[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def _yaml(content: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(content), sort_keys=False, default_flow_style=None, width=120).encode()
