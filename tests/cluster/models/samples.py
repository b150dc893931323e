"""The samples in manifests/samples as objects to apply, with the digests that this machine's build of the models has.

Digests depend on the versions of numpy and scikit-learn and on the processor, so the files carry zeros in their place.
A sample with any other digest, such as the deliberately wrong one, is left as it is.
"""

from __future__ import annotations

import pathlib
from typing import Any

import yaml
from tests.cluster.models import catalog

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "manifests" / "samples"
PLACEHOLDER = "0" * 64


def sample(name: str, *, models: pathlib.Path) -> dict[str, Any]:
    """The ModelDeployment of manifests/samples/`name`.yaml; `models` is the folder that `catalog.build` wrote."""
    resource: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    model = resource["spec"]["model"]
    if model["sha256"] == PLACEHOLDER:
        model["sha256"] = _by_file(models)[model["uri"].rpartition("/")[2]].sha256
    return resource


def version(package: str, *, models: pathlib.Path) -> dict[str, str]:
    """A `spec.model` for any package of the catalog, such as `digits-v2b`; its version is what follows the `v`."""
    entry = catalog.read(models)[package]
    return {
        "uri": f"http://store.seatrial-demo/{entry.file}",
        "sha256": entry.sha256,
        "version": package.rpartition("-")[2].removeprefix("v"),
    }


def _by_file(models: pathlib.Path) -> dict[str, catalog.Entry]:
    return {entry.file: entry for entry in catalog.read(models).values()}
