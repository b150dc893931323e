"""The tutorial's notebook does what it says, up to the point where a cluster is needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
import yaml
from tests.contract.packing import laptop

from seatrial.api import spec, values

NOTEBOOK = laptop.ROOT / "docs" / "tutorial" / "notebook-to-canary.ipynb"


@laptop.needed
@pytest.mark.timeout(400)
def test_the_notebook_ends_with_a_package_and_a_resource_to_apply(tmp_path: Path) -> None:
    laptop.run(Path(__file__).with_name("execute.py"), NOTEBOOK, folder=tmp_path, seconds=380)
    executed = json.loads((tmp_path / "executed.ipynb").read_text())
    texts = [str(output.get("text", "")) for cell in executed["cells"] for output in cell.get("outputs", [])]
    assert any("0 of 398 rows differ" in text for text in texts), texts
    assert any("tests passed, served as" in text for text in texts), texts
    wanted = msgspec.convert(
        yaml.safe_load((tmp_path / "tumours.yaml").read_text())["spec"], spec.Spec, dec_hook=values.decode_hook
    )
    assert wanted.model.version == "1"
    assert wanted.model.sha256 == hashlib.sha256((tmp_path / "tumours-1.tar.gz").read_bytes()).hexdigest()


def test_the_notebook_is_kept_without_what_one_machine_answered() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
