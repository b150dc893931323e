"""Calls from web pages: what a browser asks before, and what it lets a page read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.server import prepared, process, raw
from tests.contract.server.process import Server, Wire

PAGE, OTHER = b"https://app.example.com", b"https://elsewhere.example.com"
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, origins = tmp_path_factory.mktemp("pod"), [PAGE.decode(), "http://localhost:3000"]
    settings = {"cors": {"allowOrigins": origins}, "limits": {"maxBodyBytes": 1000}}
    with process.serving(*prepared.pod(folder, **settings)) as running:
        yield running


def asked(server: Server, content: bytes) -> tuple[int, dict[str, str], bytes]:
    with Wire(server.port) as wire:
        [answer] = wire.send(content).responses(1)
    return answer


def preflight(origin: bytes, *headers: bytes) -> bytes:
    lines = [b"OPTIONS /v2/models/model/infer HTTP/1.1", b"Host: test", b"Origin: " + origin, *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


WISH = (b"Access-Control-Request-Method: POST", b"Access-Control-Request-Headers: content-type,authorization")


def test_an_allowed_page_may_call_with_the_headers_it_asks_for(server: Server) -> None:
    status, headers, body = asked(server, preflight(PAGE, *WISH))
    assert (status, headers[ALLOWED], body) == (200, PAGE.decode(), b"")
    assert headers["access-control-allow-headers"] == "content-type,authorization"
    assert "POST" in headers["access-control-allow-methods"]
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize("headers", [(), WISH], ids=["no preflight", "another origin"])
def test_any_other_question_is_answered_as_without_cors(server: Server, headers: tuple[bytes, ...]) -> None:
    status, found, _ = asked(server, preflight(OTHER if headers else PAGE, *headers))
    assert status == 405
    assert "access-control-allow-methods" not in found


@pytest.mark.parametrize(
    ("content", "status"),
    [
        pytest.param(raw.post(process.row(), b"Origin: " + PAGE), 200, id="an answer"),
        pytest.param(raw.post(b"{}", b"Origin: " + PAGE), 400, id="a mistake"),
        pytest.param(raw.post(bytes(2000), b"Origin: " + PAGE), 413, id="too large"),
        pytest.param(raw.get(b"/v2", b"Origin: " + PAGE), 200, id="metadata"),
    ],
)
def test_an_allowed_page_may_read_every_answer(server: Server, content: bytes, status: int) -> None:
    found, headers, _ = asked(server, content)
    assert (found, headers[ALLOWED]) == (status, PAGE.decode())
    assert "seatrial-revision" in headers["access-control-expose-headers"]


def test_a_page_that_calls_again_and_again_may_read_each_answer(server: Server) -> None:
    with Wire(server.port) as wire:
        for value in range(6):
            for origin in (PAGE, OTHER, b""):
                lines = (b"Origin: " + origin,) if origin else ()
                [(status, headers, _)] = wire.send(raw.post(process.row(value), *lines)).responses(1)
                assert (status, headers.get(ALLOWED)) == (200, PAGE.decode() if origin == PAGE else None)


def test_all_pages_may_where_the_setting_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    arguments = prepared.pod(tmp_path_factory.mktemp("pod"), cors={"allowOrigins": ["*"]})
    with process.serving(*arguments) as running:
        assert asked(running, preflight(OTHER, *WISH))[1][ALLOWED] == "*"
        assert asked(running, raw.post(process.row(), b"Origin: " + OTHER))[1][ALLOWED] == "*"


def test_without_the_setting_nobody_may(tmp_path_factory: pytest.TempPathFactory) -> None:
    with process.serving(*prepared.pod(tmp_path_factory.mktemp("pod"))) as running:
        assert asked(running, preflight(PAGE, *WISH))[0] == 405
        assert ALLOWED not in asked(running, raw.post(process.row(), b"Origin: " + PAGE))[1]
