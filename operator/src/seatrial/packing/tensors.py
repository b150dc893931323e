"""A graph that takes tensors (images, series, tokens), with rows as arrays: packed as it is, its answers to come again.

There is no table to describe and no library to compare with. What the graph answers here is written beside the
reference rows, and the trial asks for the same where it will be served.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from seatrial.packing import archives, errors, expectations, layouts, splitting, tables

Array = np.ndarray[Any, Any]
LABEL = "label"
MOST_BYTES = 64 * 1024 * 1024
"""Of a file of rows: large ones are fewer."""
_BATCH = 32
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = {
    **{name: name for name in (*_WHOLE, "float16", "bool")},
    "float": "float32",
    "double": "float64",
    "string": "object",
}


class Rows(msgspec.Struct, frozen=True):
    """Arrays of equal length: the model's inputs, and `right` where an array says it."""

    inputs: layouts.Feeds
    right: Array | None
    count: int
    table: tables.Table
    """The data as the provenance tells it."""


class Files(msgspec.Struct, frozen=True):
    """The package's files but what is known of where it came from, and what the user should know of them."""

    files: dict[str, bytes]
    findings: tuple[str, ...]


class Graph:
    """The graph, asked for rows."""

    def __init__(self, content: bytes) -> None:
        onnxruntime = errors.needed("onnxruntime", why="an .onnx model", install="'seatrial[pack]'")
        onnxruntime.set_default_logger_severity(3)
        try:
            self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no root
            raise errors.BadInput(f"ONNX Runtime cannot load the model: {str(error).partition(chr(10))[0]}") from error
        self.inputs = {one.name: one for one in self._session.get_inputs()}
        self._outputs = [one.name for one in self._session.get_outputs() if one.type.startswith("tensor(")]

    @property
    def free(self) -> bool:
        """Whether it takes as many rows as one likes."""
        return all(one.shape and not isinstance(one.shape[0], int) for one in self.inputs.values())

    def whole(self, feeds: layouts.Feeds) -> bool:
        """Whether each row is a feed of its own. Raises BadInput for rows of another shape than the inputs'."""
        more = {feeds[name].ndim - len(one.shape) for name, one in self.inputs.items()}
        for name, one in self.inputs.items():
            wanted = list(one.shape) if more == {1} else list(one.shape)[1:]
            given = list(feeds[name].shape)[1:]
            fits = len(wanted) == len(given) and all(
                size == there or not isinstance(size, int) for size, there in zip(wanted, given, strict=True)
            )
            if more not in ({0}, {1}) or not fits:
                raise errors.BadInput(
                    f"array {name!r} has shape {list(feeds[name].shape)}, the model takes {list(one.shape)}: rows must "
                    "lie along the first dimension, or along one more than the model's"
                )
        return more == {1}

    def answers(self, feeds: layouts.Feeds) -> tuple[layouts.Feeds, tuple[str, ...]]:
        """Outputs for all rows, and the names of those that have no answer of one shape for each row."""
        parts = [self._run(part, count) for part, count in self._parts(feeds)]
        found: layouts.Feeds = {}
        for place, name in enumerate(self._outputs):
            pieces = [part[place] for part in parts]
            if (
                all(one is not None for one in pieces)
                and len({one.shape[1:] for one in pieces if one is not None}) == 1
            ):
                found[name] = np.concatenate([one for one in pieces if one is not None])
        return found, tuple(name for name in self._outputs if name not in found)

    def _parts(self, feeds: layouts.Feeds) -> Iterator[tuple[layouts.Feeds, int]]:
        """Feeds, and how many rows each has; 0: it is one row. A fixed number is filled up with the last row."""
        total = len(next(iter(feeds.values())))
        if self.whole(feeds):
            yield from (({name: array[row] for name, array in feeds.items()}, 0) for row in range(total))
            return
        fixed = [one.shape[0] for one in self.inputs.values() if one.shape and isinstance(one.shape[0], int)]
        step = fixed[0] if fixed else _BATCH
        for start in range(0, total, step):
            count = min(step, total - start)
            chosen = np.arange(start, start + (step if fixed else count)).clip(max=total - 1)
            yield {name: array[chosen] for name, array in feeds.items()}, count

    def _run(self, feeds: layouts.Feeds, count: int) -> list[Array | None]:
        try:
            given = self._session.run(self._outputs, feeds)
        except Exception as error:  # as above
            raise errors.BadInput(f"the model fails on the data: {str(error).partition(chr(10))[0]}") from error
        if not count:
            return [np.asarray(one)[np.newaxis] for one in given]
        return [one[:count] if np.ndim(one) and len(one) >= count else None for one in given]


def takes(data: Any) -> bool:
    """Whether these are arrays: an .npz file, or a mapping of names to arrays."""
    if isinstance(data, str | Path):
        return Path(data).suffix == ".npz"
    return isinstance(data, Mapping)


def read(data: Any, graph: Graph, *, target: str | None) -> Rows:
    """The rows in the types that the graph takes.

    Raises:
        BadInput: an array is missing, of another type, or of another length.
    """
    arrays, origin, digest = _arrays(data)
    named = target or (LABEL if LABEL in arrays and LABEL not in graph.inputs else "")
    if named and (named not in arrays or named in graph.inputs):
        raise errors.BadInput(f"--target {target!r} is no array beside the model's inputs: there are {sorted(arrays)}")
    absent = [name for name in graph.inputs if name not in arrays]
    if absent:
        raise errors.BadInput(
            f"the data has no arrays {errors.named(absent)}, the model's inputs: it has {sorted(arrays)}"
        )
    inputs = {name: _typed(arrays[name], name, one.type) for name, one in graph.inputs.items()}
    right = arrays[named].reshape(-1) if named else None
    lengths = {len(array) if array.ndim else 0 for array in [*inputs.values(), *([] if right is None else [right])]}
    if len(lengths) != 1 or not (count := lengths.pop()):
        raise errors.BadInput(
            "the arrays must have the same number of rows, at least one: rows lie along the first dimension"
        )
    table = tables.Table(frame=None, rows=count, columns={}, origin=origin, sha256=digest)
    return Rows(inputs=inputs, right=right, count=count, table=table)


def files(content: bytes, graph: Graph, rows: Rows, *, max_differing: float, seed: int) -> Files:
    """All but `model.yaml`."""
    classifies = rows.right is not None and rows.right.dtype.kind in "iubUSO"
    strata = (
        np.unique(rows.right.astype(str), return_inverse=True)[1] if classifies and rows.right is not None else None
    )
    parted = splitting.split(rows.count, strata=strata, seed=seed, held_out=rows.right is None)
    size = max(1, sum(array.nbytes for array in rows.inputs.values()) // rows.count)
    most = max(1, MOST_BYTES // size)
    reference = _chosen(rows, parted.reference, most)
    answered, uneven = graph.answers(reference)
    expected = {f"{expectations.EXPECTED}{name}": array for name, array in answered.items()}
    parity = expectations.Parity.of(answered, differing=max_differing)
    made = {
        "model.onnx": content,
        "reference.npz": archives.rows({**expected, **reference}),
        "calibration.npz": archives.rows(_chosen(rows, parted.calibration, most)),
        "tests.yaml": expectations.of_tensors(parity, rebatch=graph.free and not graph.whole(reference)).encode(),
    }
    if rows.right is not None and len(parted.holdout):
        holdout = _chosen(rows, parted.holdout, most)
        made["holdout.npz"] = archives.rows({**holdout, LABEL: rows.right[_spread(parted.holdout, most)]})
    return Files(files=made, findings=tuple(_findings(graph, rows, reference, answered, uneven)))


def card(rows: Rows, *, provenance: Mapping[str, Any], intended_use: str) -> dict[str, Any]:
    """The content of model.yaml: what scores and labels are only their maker knows."""
    said: dict[str, Any] = {}
    if rows.right is not None:
        said["task"] = "regression" if rows.right.dtype.kind == "f" else "classification"
    return {**said, "provenance": dict(provenance), **({"intendedUse": intended_use} if intended_use else {})}


def _findings(
    graph: Graph, rows: Rows, reference: layouts.Feeds, answered: layouts.Feeds, uneven: tuple[str, ...]
) -> Iterator[str]:
    yield f"data: {rows.table.origin}, {rows.count} rows"
    yield f"inputs: {', '.join(f'{name} {one.type} {list(one.shape)}' for name, one in graph.inputs.items())}"
    count = len(next(iter(reference.values())))
    yield f"rows: {count} reference, with the answers of {', '.join(answered) or 'no output'}"
    if uneven:
        yield f"note: no answers of {', '.join(uneven)} are kept: there is none of one shape for each row"
    if rows.right is None:
        yield "note: without --target (or an array 'label') nothing says what is right: no holdout rows"


def _arrays(data: Any) -> tuple[dict[str, Array], str, str]:
    if isinstance(data, Mapping):
        arrays = {str(name): np.asarray(array) for name, array in data.items()}
        return arrays, "arrays in memory", hashlib.sha256(archives.rows(arrays)).hexdigest()
    path = Path(data)
    if not path.is_file():
        raise errors.BadInput(f"{path}: there is no such file: give the rows as .npz")
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # zipfile's, zlib's and numpy's share no root
        how = ": save texts as np.array(values, dtype=str)" if "allow_pickle" in str(error) else ""
        raise errors.BadInput(f"{path} cannot be read: {error}{how}") from error
    return arrays, str(path), hashlib.sha256(content).hexdigest()


def _typed(array: Array, name: str, kind: str) -> Array:
    """In the input's type, without losing anything but digits."""
    wanted = _DTYPES.get(kind.removeprefix("tensor(").removesuffix(")"))
    if wanted is None or (wanted == "object") is (array.dtype.kind in "fiub"):
        raise errors.BadInput(f"array {name!r} holds {array.dtype}, the model takes {kind}")
    if wanted == "object":
        return array.astype(np.object_)
    typed = array.astype(wanted)
    if typed.dtype.kind != "f" and not np.array_equal(typed, array):
        raise errors.BadInput(f"array {name!r} has values that are no {wanted}, which the model takes")
    return typed


def _chosen(rows: Rows, numbers: Array, most: int) -> layouts.Feeds:
    chosen = _spread(numbers, most)
    return {name: array[chosen] for name, array in rows.inputs.items()}


def _spread(numbers: Array, most: int) -> Array:
    """At most so many of them, evenly."""
    return numbers[np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(np.int64)]
