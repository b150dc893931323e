"""The bill of materials that an image carries: everything that is installed, said the same way every time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

from tests.cluster.harness import paths

SCRIPT = paths.REPO / "requirements" / "sbom.py"
DPKG = """\
Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u10

Package: gone
Status: deinstall ok config-files
Version: 1
"""


def made(*, epoch: str = "1700000000") -> str:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "random"}
    command = [sys.executable, str(SCRIPT), "operator", "0.1.0"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def packages(document: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["versionInfo"] for one in document["packages"]}


def test_it_lists_what_is_installed_with_an_address_for_each() -> None:
    document = json.loads(made())
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2023-11-14T22:13:20Z"
    found = packages(document)
    assert {"numpy", "msgspec", "seatrial-operator"} <= found.keys()
    (numpy,) = (one for one in document["packages"] if one["name"] == "numpy")
    assert numpy["externalRefs"][0]["referenceLocator"] == f"pkg:pypi/numpy@{found['numpy']}"
    assert "BSD-3-Clause" in numpy["licenseDeclared"]


def test_every_package_has_an_identifier_of_its_own_and_is_in_the_image() -> None:
    document = json.loads(made())
    identifiers = [one["SPDXID"] for one in document["packages"]]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in identifiers)
    contained = {
        one["relatedSpdxElement"] for one in document["relationships"] if one["relationshipType"] == "CONTAINS"
    }
    assert contained == set(identifiers) - {"SPDXRef-image"}


def test_the_same_content_is_the_same_bytes() -> None:
    assert made() == made()


def test_debian_packages_that_were_taken_away_are_not_listed() -> None:
    namespace: dict[str, Any] = {"__name__": "sbom"}
    exec(compile(SCRIPT.read_text(), SCRIPT, "exec"), namespace)
    (only,) = namespace["debian_packages"](DPKG)
    assert only["externalRefs"][0]["referenceLocator"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10"
