"""The clients that people use, with and without TLS: each a program or library of its own, on kept connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.server import authority, clients, prepared, process

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "clients.md"
MISTAKE = b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}'


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bodies")
    contents = [process.row(1), process.row(2), process.row(3), MISTAKE, process.row(4), process.row(5)]
    contents[4] = contents[4][:-1] + b" " * 300_000 + b"}"
    for number, content in enumerate(contents):
        (folder / f"{number}.json").write_bytes(content)
    assert len(contents) == len(clients.SENDS)
    return folder


@pytest.fixture(scope="module", params=["plain", "TLS"])
def target(
    request: pytest.FixtureRequest, bodies: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[clients.Target]:
    folder = tmp_path_factory.mktemp("pod")
    if request.param == "plain":
        with process.serving(*prepared.pod(folder)) as server:
            yield clients.Target(server, bodies)
        return
    ca = authority.Authority(folder)
    ca.issue(folder / "tls")
    files = {"certificate": str(folder / "tls/tls.crt"), "key": str(folder / "tls/tls.key")}
    with process.serving(*prepared.pod(folder, tls=files)) as server:
        yield clients.Target(server, bodies, ca.file)


@pytest.mark.timeout(clients.SECONDS + 30)
@pytest.mark.parametrize("name", clients.CLIENTS)
def test_a_client_gets_the_answers_to_its_requests_in_order(target: clients.Target, name: str) -> None:
    try:
        answers = clients.CLIENTS[name].ask(target)
    except clients.MissingProgram as missing:
        pytest.fail(str(missing))
    documents = [json.loads(body) for _, body in answers]
    assert [status for status, _ in answers] == [200, 200, 200, 200, 400, 200, 200]
    assert documents[0]["platform"] == "onnx_onnxv1"
    assert "must be [-1, 4]" in documents[4]["error"]
    values = [document["outputs"][0]["data"] for document in documents[1:4] + documents[5:]]
    assert values == [[4 * value, -4 * value] for value in (1, 2, 3, 4, 5)]


def test_the_page_lists_the_clients_that_are_tried() -> None:
    assert clients.table() in PAGE.read_text()
