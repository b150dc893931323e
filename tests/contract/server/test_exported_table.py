"""The table of docs/reference/models.md: every model of every exporter, every way to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.server import exported

CASES = {case.title: case for case in exported.cases()}
WRITTEN = exported.DOCUMENT.read_text()


@pytest.mark.parametrize("title", CASES)
def test_a_model_works_as_its_exporter_wrote_it(tmp_path: Path, title: str) -> None:
    row = exported.measure(CASES[title], tmp_path)
    assert {cell: found for cell, found in row.items() if cell != "rows" and found not in ("yes", "-")} == {}
    assert exported.line(title, row) in WRITTEN, "python -m tests.contract.server.exported"


def test_the_page_has_no_other_models() -> None:
    assert [line.split(" | ")[0][2:] for line in WRITTEN.splitlines() if line.count("| yes")] == list(CASES)
