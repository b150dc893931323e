"""Prints what is in an image as SPDX 2.3: the Python packages of this environment, and the Debian packages of its base.

    /opt/seatrial/bin/python sbom.py operator 0.1.0 > /opt/seatrial/sbom.spdx.json

Runs while the image is built, so it needs Python alone, and says the same of the same content: packages are sorted, the
time is SOURCE_DATE_EPOCH, and the document's name in the world is a digest of what it says.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DPKG = Path("/var/lib/dpkg/status")
NAMESPACE = "https://seatrial.dev/spdx"
UNKNOWN = "NOASSERTION"
OWN = "SPDXRef-image"

Package = dict[str, Any]


def document(image: str, version: str, packages: list[Package], *, created: datetime.datetime) -> dict[str, Any]:
    """The SPDX document of an image with these packages."""
    listed = sorted(packages, key=lambda one: str(one["SPDXID"]))
    content = hashlib.sha256(json.dumps([image, version, listed], sort_keys=True).encode()).hexdigest()
    own = {"SPDXID": OWN, "name": f"seatrial-{image}", "versionInfo": version, "downloadLocation": UNKNOWN,
           "filesAnalyzed": False, "licenseConcluded": UNKNOWN, "licenseDeclared": "Apache-2.0",
           "copyrightText": UNKNOWN, "primaryPackagePurpose": "CONTAINER"}  # fmt: skip
    contains = [
        {"spdxElementId": OWN, "relationshipType": "CONTAINS", "relatedSpdxElement": one["SPDXID"]} for one in listed
    ]
    describes = {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": OWN}
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"seatrial-{image}-{version}",
        "documentNamespace": f"{NAMESPACE}/{image}-{version}-{content[:32]}",
        "creationInfo": {
            "created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: seatrial-sbom", "Organization: The Seatrial authors"],
        },
        "packages": [own, *listed],
        "relationships": [describes, *contains],
    }


def python_packages() -> Iterator[Package]:
    """Every distribution that this interpreter can import."""
    for one in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        yield _package("pypi", name, one.version, license_=one.metadata.get("License-Expression") or UNKNOWN)


def debian_packages(status: str) -> Iterator[Package]:
    """Every package that dpkg's status file has as installed."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Status): (.+)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            yield _package("deb/debian", fields["Package"], fields["Version"], license_=UNKNOWN)


def _package(kind: str, name: str, version: str, *, license_: str) -> Package:
    locator = f"pkg:{kind}/{name}@{version.replace('+', '%2B')}"
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}-{version}"),
        "name": name,
        "versionInfo": version,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": license_,
        "copyrightText": UNKNOWN,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}
        ],
    }


def main(image: str, version: str) -> None:
    """The document on standard output."""
    created = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), datetime.UTC)
    packages = list(python_packages())
    if DPKG.exists():
        packages += debian_packages(DPKG.read_text(encoding="utf-8"))
    json.dump(document(image, version, packages, created=created), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
