"""The server that most tests talk to: a linear model of four features, a process for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.server import process
from tests.unit.server import graphs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Server]:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(graphs.linear())
    with process.serving(path) as running:
        yield running
