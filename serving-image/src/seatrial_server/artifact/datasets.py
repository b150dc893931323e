"""Files of rows for declared tests: `holdout.npz` and others of the package, and those of `spec.trial.datasets`.

Runs in the sandbox: the files come from people as packages do. Arrays are the model's inputs by name, `label`,
`expected:<output>`, and any others of one value per row, by which rows can be told apart in groups.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path

import msgspec
import numpy as np

from seatrial_server.artifact import package
from seatrial_server.host import errors
from seatrial_server.model import declared, schema, session

MAX_ROWS = 100_000
"""Of more rows so many are used, evenly spread: enough to tell shares that are 0.3 % apart."""
MAX_BYTES = 1024**3
_BROKEN = (OSError, ValueError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error)


class Rows(msgspec.Struct, frozen=True):
    """Arrays by name, of equal length; `numbers` are the rows' own in the file."""

    name: str
    arrays: dict[str, session.Array]
    numbers: session.Array

    @property
    def source(self) -> str:
        """For messages."""
        return f"dataset {self.name!r}"

    def feeds(self, model: schema.Schema) -> dict[str, session.Array]:
        """What a model gets of them."""
        wanted = {spec.name for spec in model.inputs}
        if lacking := sorted(wanted - set(self.arrays)):
            raise errors.Rejected("InvalidModel", f"{self.source}: has no array for the inputs {lacking}")
        given = {name: array for name, array in self.arrays.items() if name in wanted}
        return package.as_feeds(given, model, source=self.source)

    def column(self, name: str, model: schema.Schema) -> session.Array | None:
        """An array of one value per row that is no input."""
        found = None if any(spec.name == name for spec in model.inputs) else self.arrays.get(name)
        if found is not None and found.size != len(self.numbers):
            raise errors.Rejected("InvalidModel", f"{self.source}: array {name!r} must have one value per row")
        return None if found is None else found.reshape(-1)


def folder_of(work: Path) -> Path:
    """Where fetched datasets are."""
    return work / "datasets"


def read(name: str, *, package_folder: Path, fetched: Path) -> Rows:
    """The dataset of this name.

    Raises:
        Rejected: there is none, or it is no bounded file of arrays of equal length.
    """
    inside = name in declared.IN_PACKAGE
    path = (package_folder if inside else fetched) / f"{name}.npz"
    if not path.is_file():
        what = f"the package has no {name}.npz" if inside else "name it in spec.trial.datasets"
        raise errors.Rejected("InvalidModel", f"there is no dataset {name!r}: {what}")
    try:
        arrays, numbers = _arrays(path, name)
    except _BROKEN as error:
        how = ": save texts as np.array(values, dtype=str)" if "allow_pickle" in str(error) else ""
        raise _invalid(name, f"cannot be read: {str(error)[:200]}{how}") from error
    return Rows(name=name, arrays=arrays, numbers=numbers)


def _arrays(path: Path, name: str) -> tuple[dict[str, session.Array], session.Array]:
    if not zipfile.is_zipfile(path):
        raise _invalid(name, "is no .npz file")
    lengths = _check(path, name)
    numbers = np.arange(lengths)
    if lengths > MAX_ROWS:
        numbers = np.arange(MAX_ROWS) * lengths // MAX_ROWS
    kept = {}
    with np.load(path, allow_pickle=False) as archive:
        for key in archive.files:
            array = archive[key]
            kept[key] = array[numbers] if lengths > MAX_ROWS else array
    return kept, numbers


def _check(path: Path, name: str) -> int:
    """How many rows there are; looks at sizes and heads only, so that nothing is unpacked that is too large."""
    counts = set()
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise _invalid(name, f"unpacks to more than {MAX_BYTES >> 20} MiB: give fewer rows")
        for info in archive.infolist():
            with archive.open(info) as file:
                version = np.lib.format.read_magic(file)
                head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = head(file)
            if math.prod(shape) * dtype.itemsize > info.file_size and not dtype.hasobject:
                raise _invalid(name, f"array {info.filename.removesuffix('.npy')!r} is shorter than it says")
            counts.add(shape[0] if shape else 0)
    if len(counts) != 1 or not (count := counts.pop()):
        raise _invalid(name, "all arrays must have the same number of rows, at least one")
    return int(count)


def _invalid(name: str, message: str) -> errors.Rejected:
    return errors.Rejected("InvalidModel", f"dataset {name!r}: {message}")
