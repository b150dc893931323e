"""The chart as Helm renders it, without a cluster: what the tests of the chart's values stand on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.harness import binaries, paths, progress, shell

from seatrial.cli import generate

CHART = paths.REPO / generate.CHART
REGISTRY = "registry.example.com/ml"
IMAGES = ("--set", f"images.registry={REGISTRY}")

Object = dict[str, Any]


def helm4() -> list[str]:
    binaries.ensure(binaries.KUBE, say=progress.silent)
    return [str(binaries.KUBE.path()), "helm"]


def helm3() -> list[str]:
    binaries.ensure(binaries.HELM3, say=progress.silent)
    return [str(binaries.HELM3.path())]


def template(values: Mapping[str, Any], *, release: str = "seatrial", chart: Path = CHART, images: bool = True) -> str:
    """What `helm template` prints of these values. Raises CommandFailed with Helm's words."""
    flags = IMAGES if images and "registry" not in values.get("images", {}) else ()
    return shell.run(
        [*helm4(), "template", release, chart, "-n", "ops", "-f", "-", *flags], input=json.dumps(dict(values))
    )


def rendered(values: Mapping[str, Any], *, release: str = "seatrial", chart: Path = CHART) -> list[Object]:
    """The objects that these values make."""
    return [one for one in yaml.safe_load_all(template(values, release=release, chart=chart)) if one]


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    return [one for one in objects if one["kind"] == kind]


def pod(objects: list[Object]) -> Object:
    """The operator's pod template."""
    (deployment,) = of_kind(objects, "Deployment")
    template: Object = deployment["spec"]["template"]
    return template


def environment(objects: list[Object]) -> dict[str, str]:
    """The operator's plain variables."""
    (container,) = pod(objects)["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"] if "value" in one}
