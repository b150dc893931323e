"""Does the prepared model answer at all? A few calls on rows of the package, else on made-up ones. Runs in the sandbox.

A graph that loads may fail on every input, or never end; a first version would take all traffic with it. One answer is
enough to pass: what real rows get is for declared tests and the canary to judge. Made-up rows try several sizes of free
dimensions and several values, since nobody said what the model can take.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seatrial_server.artifact import package
from seatrial_server.host import errors
from seatrial_server.model import made, manifest, schema, session
from seatrial_server.model import rows as rows_

_GIVEN_ROWS = 8


def run(*, package_folder: str, prepared_folder: str) -> dict[str, Any]:
    """Nothing when there was an answer.

    Raises:
        Rejected: every call failed.
    """
    model, _ = manifest.opened(Path(prepared_folder))
    given = package.any_rows(Path(package_folder), model.schema)
    failures = []
    for feeds in made.feeds(model.schema) if given is None else _one_by_one(model.schema, given):
        failure = _failure(model, feeds)
        if not failure:
            return {}
        failures.append(failure)
    raise errors.Rejected("InvalidModel", _words(failures, given is not None))


def _one_by_one(model: schema.Schema, rows: dict[str, session.Array]) -> Iterator[dict[str, session.Array]]:
    first = {name: array[:_GIVEN_ROWS] for name, array in rows.items()}
    return (part.feeds for part in rows_.parts(model, first, 1))


def _failure(model: session.Session, feeds: dict[str, session.Array]) -> str:
    """Why there is no answer; empty when there is one."""
    try:
        outputs = model.run(feeds)
    except Exception as error:  # ONNX Runtime raises a dozen unrelated types
        if errors.of_memory(error):
            raise MemoryError(str(error)) from error
        return str(error)[:300]
    if all(np.isfinite(array).all() for array in outputs if array.dtype.kind == "f"):
        return ""
    return "it answers NaN or infinity"


def _words(failures: list[str], given: bool) -> str:
    last = failures[-1] if failures else "its inputs are too large to be made up"
    if given:
        return f"the model answers none of the package's first {len(failures)} rows: {last}"
    return (
        f"the model answers none of {len(failures)} made-up rows: {last}; "
        "if it needs particular values, give it a package with a reference.npz that holds some"
    )
