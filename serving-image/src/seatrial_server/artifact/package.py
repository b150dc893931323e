"""The files of a model package beside the graph: `model.yaml`, two files of rows, `tests.yaml`. Runs in the sandbox.

Decodes and checks them against the graph; decides nothing.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import yaml

from seatrial_server.host import errors
from seatrial_server.model import datatypes, declared, schema, session

_T = TypeVar("_T")
LABEL = "label"
"""The array with what is right for each row."""
EXPECTED = "expected:"
"""Before an output's name: the array with what the model answered where it was trained."""
_MAX_ALIASED = 1_000_000
_ENDLESS = 10**12
_NAMED_ROWS = 5


def card(folder: Path) -> schema.Card:
    """`model.yaml`, or an empty card for a bare graph."""
    return _decode(folder / "model.yaml", schema.Card) or schema.Card()


def tests(folder: Path) -> declared.Tests:
    """`tests.yaml`, or no tests."""
    return _decode(folder / "tests.yaml", declared.Tests) or declared.Tests()


def calibration(folder: Path, model: schema.Schema) -> dict[str, session.Array] | None:
    """Calibration rows by input name, all with the same number of rows; None when the package has none."""
    return _rows(folder / "calibration.npz", model)


def reference(folder: Path, model: schema.Schema) -> dict[str, session.Array] | None:
    """Rows like those the model was made for; the calibration rows when the package has no others."""
    rows = _rows(folder / "reference.npz", model)
    return calibration(folder, model) if rows is None else rows


def any_rows(folder: Path, model: schema.Schema) -> dict[str, session.Array] | None:
    """Rows of whichever file of the package has some."""
    rows = reference(folder, model)
    if rows is None:
        for test in tests(folder).functional:
            return as_feeds(test.rows, model, source=f"tests.yaml: {test.name}")
    return rows


def _rows(path: Path, model: schema.Schema) -> dict[str, session.Array] | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if not beside_inputs(name, model)}
    except (OSError, ValueError, EOFError, RuntimeError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise errors.Rejected("InvalidModel", f"{path.name} cannot be read: {error}") from error
    return as_feeds(arrays, model, source=path.name)


def beside_inputs(name: str, model: schema.Schema) -> bool:
    """Whether an array of rows is what is known about them, not what the model gets: the right label or answer."""
    told = name == LABEL or name.startswith(EXPECTED)
    return told and all(spec.name != name for spec in model.inputs)


def as_feeds(arrays: dict[str, Any], model: schema.Schema, *, source: str) -> dict[str, session.Array]:
    """Rows in the datatypes of the model's inputs; a message names what does not fit."""
    wanted = {spec.name for spec in model.inputs}
    if set(arrays) != wanted:
        raise errors.Rejected(
            "InvalidModel", f"{source}: must hold exactly the inputs {sorted(wanted)}, has {sorted(arrays)}"
        )
    feeds = {spec.name: _array(arrays[spec.name], spec, model, source=source) for spec in model.inputs}
    if len({len(array) for array in feeds.values()}) != 1:
        raise errors.Rejected("InvalidModel", f"{source}: all inputs must have the same number of rows")
    if len({feeds[spec.name].ndim - len(spec.shape) for spec in model.inputs}) != 1:
        raise errors.Rejected(
            "InvalidModel", f"{source}: either all inputs have a dimension for rows before the graph's own, or none has"
        )
    return feeds


def _array(values: Any, spec: schema.TensorSpec, model: schema.Schema, *, source: str) -> session.Array:
    dtype = datatypes.BY_NAME[spec.datatype].dtype
    try:
        array = np.asarray(values)
        if spec.datatype != "BYTES":
            array = array.astype(dtype, casting="same_kind" if array.dtype.kind == dtype.kind else "safe")
        else:
            array = array.astype(np.object_)
    except (ValueError, TypeError):
        try:
            with np.errstate(invalid="raise"):
                array = np.array(values, dtype)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise errors.Rejected(
                "InvalidModel", f"{source}: input {spec.name!r} is not {spec.datatype}{_where(values, dtype)}"
            ) from error
    if array.ndim == 0 or len(array) == 0 or not _fits(array, spec):
        raise errors.Rejected(
            "InvalidModel",
            f"{source}: input {spec.name!r} has shape {list(array.shape)}, the model wants {list(spec.shape)}",
        )
    whole = array.ndim == len(spec.shape) + 1
    if model.first_sized and not whole:
        raise errors.Rejected(
            "InvalidModel",
            f"{source}: input {spec.name!r} must have one dimension more than the graph, for rows, because model.yaml "
            "declares sizes of a first dimension",
        )
    for dimension in model.sizes:
        if dimension.input == spec.name and (dimension.axis > 0 or whole):
            _check_size(array.shape[dimension.axis + whole], dimension, source=source)
    return np.ascontiguousarray(array)


def _where(values: Any, dtype: np.dtype[Any]) -> str:
    """The first rows that can't be converted, by number: a message never has their values."""
    found = []
    for number, row in enumerate(values):
        try:
            with np.errstate(invalid="raise"):
                np.array(row, dtype)
        except (ValueError, TypeError, ArithmeticError):
            found.append(str(number))
            if len(found) == _NAMED_ROWS:
                break
    return f": see rows {', '.join(found)}" if found else ": its rows are of different lengths"


def _check_size(size: int, dimension: schema.Dimension, *, source: str) -> None:
    if dimension.nearest(size) != size:
        raise errors.Rejected(
            "InvalidModel",
            f"{source}: input {dimension.input!r} has size {size} in dimension {dimension.axis}, model.yaml declares "
            f"{dimension.bound}",
        )


def _fits(array: session.Array, spec: schema.TensorSpec) -> bool:
    """Rows along the graph's first dimension, or along one more."""
    wanted = spec.shape if array.ndim == len(spec.shape) + 1 else spec.row_shape
    return len(wanted) == array.ndim - 1 and all(
        size in (schema.FREE, given) for size, given in zip(wanted, array.shape[1:], strict=True)
    )


def _yaml(path: Path) -> Any:
    """The document; aliases may make it longer, but not without bound: ten lines can stand for 10^9 values."""
    loader = yaml.SafeLoader(path.read_bytes())
    try:
        node = loader.get_single_node()
        sizes: dict[int, int] = {}
        if node is not None and _size(node, sizes) > max(_MAX_ALIASED, 2 * len(sizes)):
            raise errors.Rejected("InvalidModel", f"{path.name}: its aliases stand for too many values: write them out")
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes it is with every alias written out; a node within itself is endless."""
    if id(node) not in known:
        known[id(node)] = _ENDLESS
        children = node.value if isinstance(node, yaml.CollectionNode) else ()
        pairs = [part for pair in children for part in pair] if isinstance(node, yaml.MappingNode) else children
        known[id(node)] = min(_ENDLESS, 1 + sum(_size(child, known) for child in pairs))
    return known[id(node)]


def _decode(path: Path, kind: type[_T]) -> _T | None:
    if not path.exists():
        return None
    try:
        return msgspec.convert(_yaml(path), kind)
    except yaml.YAMLError as error:
        raise errors.Rejected("InvalidModel", f"{path.name} is not YAML: {error}") from error
    except msgspec.ValidationError as error:
        raise errors.Rejected("InvalidModel", f"{path.name}: {error}") from error
    except RecursionError:
        raise errors.Rejected("InvalidModel", f"{path.name} is nested too deeply") from None
