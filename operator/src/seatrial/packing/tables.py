"""The data: CSV, parquet or a DataFrame, read in pieces. Files larger than the memory are sampled while they stream.

What a column is (numbers or text, ends, values, how many are missing) is found over all rows, not over the sample.
Decides nothing about the model.
"""

from __future__ import annotations

import decimal
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from seatrial.packing import errors

Frame = Any
"""A pandas DataFrame; pandas has no types of its own."""
SAMPLE = 20_000
PIECE = 50_000
MOST_VALUES = 100
_READ_BYTES = 1024 * 1024


class Column(msgspec.Struct, frozen=True):
    """One column over all rows. `values`: the distinct texts, if they are at most 100; `commonest`: of the sample."""

    name: str
    kind: Literal["number", "text"]
    whole: bool = False
    lowest: float = 0.0
    highest: float = 0.0
    missing: int = 0
    values: tuple[str, ...] = ()
    commonest: str = ""


class Table(msgspec.Struct, frozen=True):
    """`frame` is the sample, `rows` how many there are in all. `origin` names the file, `sha256` its bytes."""

    frame: Frame
    rows: int
    columns: dict[str, Column]
    origin: str
    sha256: str


def names(data: Any) -> list[str]:
    """The columns, without reading the rows."""
    pandas = errors.needed("pandas", why="data", install="'seatrial[pack]'")
    if isinstance(data, pandas.DataFrame):
        return _checked([str(name) for name in data.columns])
    path = _path(data)
    if path.suffix == ".parquet":
        parquet = errors.needed("pyarrow.parquet", why="a parquet file", install="'seatrial[pack]'")
        return _checked(list(_opened(parquet.ParquetFile, path).schema_arrow.names))
    return _checked([str(name) for name in _opened(pandas.read_csv, path, nrows=0).columns])


def read(data: Any, *, columns: Sequence[str], seed: int = 0) -> Table:
    """These columns of the data, sampled to at most 20 000 rows; the same seed takes the same rows.

    Raises:
        BadInput: the file can't be read, has no rows, or a column is neither numbers nor text throughout.
    """
    gathered, looks, rows = _Reservoir(seed), {name: _Look(name) for name in columns}, 0
    for piece in _pieces(data, columns):
        for name in columns:
            looks[name].add(piece[name], first=rows)
        gathered.add(piece)
        rows += len(piece)
    if not rows:
        raise errors.BadInput(f"{_origin(data)} has no rows: give data like those the model was made for")
    frame = gathered.frame()
    return Table(
        frame=frame,
        rows=rows,
        columns={name: look.column(frame[name]) for name, look in looks.items()},
        origin=_origin(data),
        sha256=_digest(data),
    )


def _checked(found: list[str]) -> list[str]:
    twice = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
    if twice:
        raise errors.BadInput(f"the data has columns of the same name: {errors.named(twice)}: rename them")
    return found


def _path(data: Any) -> Path:
    if not isinstance(data, str | Path):
        raise errors.BadInput(f"data must be a DataFrame or the path of a .csv or .parquet file, not {type(data)}")
    path = Path(data)
    if not path.is_file():
        raise errors.BadInput(f"{path}: there is no such file: give the data as .csv, .csv.gz or .parquet")
    if path.suffix != ".parquet" and ".csv" not in path.suffixes:
        raise errors.BadInput(f"{path}: data must be a .csv, .csv.gz or .parquet file")
    return path


def _origin(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else "the DataFrame"


def _opened(opener: Any, path: Path, **options: Any) -> Any:
    try:
        return opener(path, **options)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are all ValueErrors
        raise errors.BadInput(f"{path} cannot be read: {error}") from error


def _pieces(data: Any, columns: Sequence[str]) -> Iterator[Frame]:
    pandas = errors.needed("pandas", why="data", install="'seatrial[pack]'")
    if isinstance(data, pandas.DataFrame):
        named = data.rename(columns=str)[list(columns)]
        yield from (named.iloc[start : start + PIECE] for start in range(0, len(named), PIECE))
        return
    path = _path(data)
    try:
        if path.suffix == ".parquet":
            parquet = errors.needed("pyarrow.parquet", why="a parquet file", install="'seatrial[pack]'")
            for batch in parquet.ParquetFile(path).iter_batches(PIECE, columns=list(columns)):
                yield batch.to_pandas()
        else:
            with pandas.read_csv(path, usecols=list(columns), chunksize=PIECE) as pieces:
                yield from pieces
    except (OSError, ValueError) as error:
        raise errors.BadInput(f"{path} cannot be read: {error}") from error


def _digest(data: Any) -> str:
    if isinstance(data, str | Path):
        with Path(data).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    import pandas

    return hashlib.sha256(pandas.util.hash_pandas_object(data, index=False).to_numpy().tobytes()).hexdigest()


class _Reservoir:
    """A uniform sample of rows, in their order: those with the smallest random numbers."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._kept: list[Frame] = []
        self._marks = np.empty(0)

    def add(self, piece: Frame) -> None:
        """One more piece; what can't be in the sample any more is let go."""
        import pandas

        self._kept.append(piece)
        self._marks = np.concatenate([self._marks, self._random.random(len(piece))])
        if len(self._marks) > SAMPLE:
            chosen = np.sort(np.argpartition(self._marks, SAMPLE)[:SAMPLE])
            self._kept = [pandas.concat(self._kept, ignore_index=True).iloc[chosen]]
            self._marks = self._marks[chosen]

    def frame(self) -> Frame:
        """The sample."""
        import pandas

        return pandas.concat(self._kept, ignore_index=True)


class _Look:
    """What is known of a column so far."""

    def __init__(self, name: str) -> None:
        self._name, self._kind, self._seen = name, "", 0
        self._whole, self._lowest, self._highest, self._missing = True, np.inf, -np.inf, 0
        self._values: set[str] = set()

    def add(self, values: Any, *, first: int) -> None:
        """One more piece, whose first row is number `first`."""
        present = values[values.notna()]
        self._missing += len(values) - len(present)
        if not len(present):
            return
        kind = self._kind_of(present)
        if self._kind and kind != self._kind:
            raise errors.BadInput(
                f"column {self._name!r} is {self._kind} before row {first} and {kind} after it, such as "
                f"{present.iloc[0]!r}: make it one of them"
            )
        self._kind = kind
        if kind == "text":
            if len(self._values) <= MOST_VALUES:
                self._values.update(present.unique()[: MOST_VALUES + 1])
            return
        numbers = present.to_numpy(np.float64)
        if np.isinf(numbers).any():
            row = first + int(np.flatnonzero(np.isinf(values.to_numpy(np.float64, na_value=np.nan)))[0])
            raise errors.BadInput(f"column {self._name!r} is infinite in row {row}: replace or drop such values")
        self._lowest, self._highest = min(self._lowest, numbers.min()), max(self._highest, numbers.max())
        self._whole = self._whole and bool((numbers == np.floor(numbers)).all())

    def column(self, sample: Any) -> Column:
        """What all pieces said."""
        if not self._kind:
            raise errors.BadInput(f"column {self._name!r} is empty: leave it out, or give data that has it")
        if self._kind == "text":
            values = tuple(sorted(self._values)) if len(self._values) <= MOST_VALUES else ()
            commonest = str(sample.dropna().mode().iloc[0])
            return Column(self._name, "text", missing=self._missing, values=values, commonest=commonest)
        lowest, highest = float(self._lowest), float(self._highest)
        return Column(self._name, "number", whole=self._whole, lowest=lowest, highest=highest, missing=self._missing)

    def _kind_of(self, present: Any) -> Literal["number", "text"]:
        from pandas.api import types

        if types.is_bool_dtype(present.dtype) or types.is_numeric_dtype(present.dtype):
            if types.is_complex_dtype(present.dtype):
                raise errors.BadInput(f"column {self._name!r} is complex: split it into real numbers")
            return "number"
        if types.is_datetime64_any_dtype(present.dtype) or types.is_timedelta64_dtype(present.dtype):
            raise errors.BadInput(f"column {self._name!r} holds times: make numbers of them, such as days since a date")
        return self._of_objects(present)

    def _of_objects(self, present: Any) -> Literal["number", "text"]:
        distinct = _distinct(present)
        if all(isinstance(value, str) for value in distinct):
            return "text"
        if all(isinstance(value, bool | int | float | np.number | decimal.Decimal) for value in distinct):
            return "number"
        kinds = sorted({type(value).__name__ for value in distinct})
        raise errors.BadInput(
            f"column {self._name!r} has values of mixed types ({', '.join(kinds)}): make it numbers or text throughout"
        )


def _distinct(present: Any) -> list[Any]:
    try:
        return list(present.unique())
    except TypeError:  # lists and the like cannot be told apart
        return list(present)
