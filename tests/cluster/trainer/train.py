"""A training run as a user would write one: fit on the samples' data, push the package, say what was made.

Environment: MODEL, one of the catalog's; REPOSITORY, such as registry:5000/digits; VERSION; and what Seatrial tells.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib

from tests.cluster.models import catalog

from seatrial.packing import pushing

MESSAGE = "/dev/termination-log"


def main() -> None:
    version = os.environ["VERSION"]
    content = catalog.MODELS[os.environ["MODEL"]].make()
    package = pathlib.Path("/tmp") / f"digits-{version}.tar.gz"
    package.write_bytes(content)
    uri = pushing.push(package, f"oci://{os.environ['REPOSITORY']}:{version}")
    digest = hashlib.sha256(content).hexdigest()
    result = {"uri": uri, "sha256": digest, "version": version, "code": {"revision": os.environ["SEATRIAL_RUN"]}}
    pathlib.Path(MESSAGE).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
