"""Data in pieces: what a column is doesn't depend on where the pieces are cut, and the sample is bounded."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from seatrial.packing import errors, tables


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PIECE", 100)
    monkeypatch.setattr(tables, "SAMPLE", 250)


def frame(rows: int = 1000) -> pandas.DataFrame:
    number = np.arange(rows, dtype=float)
    return pandas.DataFrame({"number": number, "city": np.where(number % 2, "Kyiv", "Lviv")})


@pytest.fixture(params=["csv", "csv.gz", "parquet", "frame"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "frame":
        return frame()
    path = tmp_path / f"data.{request.param}"
    frame().to_parquet(path) if request.param == "parquet" else frame().to_csv(path, index=False)
    return path


def test_all_rows_are_looked_at_and_a_part_is_kept(data: Any) -> None:
    table = tables.read(data, columns=["number", "city"])
    assert (table.rows, len(table.frame)) == (1000, 250)
    assert table.columns["number"] == tables.Column("number", "number", whole=True, lowest=0, highest=999)
    assert table.columns["city"].values == ("Kyiv", "Lviv")
    assert table.frame["number"].is_monotonic_increasing
    assert table.frame["number"].mean() == pytest.approx(500, abs=60)


def test_the_same_seed_takes_the_same_rows(data: Any) -> None:
    first = tables.read(data, columns=["number"], seed=3)
    assert first.frame.equals(tables.read(data, columns=["number"], seed=3).frame)
    assert not first.frame.equals(tables.read(data, columns=["number"], seed=4).frame)


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "PIECE", 1000)

    def peak(rows: int) -> int:
        path = tmp_path / "data.csv"
        frame(rows).assign(key=np.char.add("customer-", np.arange(rows).astype(str))).to_csv(path, index=False)
        tracemalloc.start()
        table = tables.read(path, columns=["number", "city", "key"])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert table.rows == rows
        return most

    peak(1000)  # what is imported and kept the first time
    assert peak(40_000) < 1.2 * peak(10_000)


def test_text_after_numbers_is_named_with_its_row(tmp_path: Path) -> None:
    """A CSV's column is numbers in one piece and text in the next."""
    path = tmp_path / "data.csv"
    path.write_text("age\n" + "1\n" * 100 + "n/a?\n" * 100)
    with pytest.raises(errors.BadInput, match=r"'age' is number before row 100 and text after it, such as 'n/a\?'"):
        tables.read(path, columns=["age"])


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(errors.BadInput, match=r"data\.parquet cannot be read"):
        tables.names(path)
