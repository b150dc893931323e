"""A client that names a version while versions change: one meaning over both transports, and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from tests.contract.server import prepared, process
from tests.contract.server.process import Server

from seatrial_server.host import config


def ask(library: Any, address: str, *, name: str = "model", version: str) -> Any:
    """The answering version, or the error."""
    rows = library.InferInput("x", [1, 4], "FP32")
    rows.set_data_from_numpy(np.ones((1, 4), np.float32))
    with library.InferenceServerClient(address) as client:
        try:
            response = client.infer(name, [rows], model_version=version).get_response()
        except library.InferenceServerException as error:
            return str(error)
        return response["model_version"] if isinstance(response, dict) else response.model_version


def counts(server: Server, transport: str) -> list[float]:
    outcomes = [
        server.metric("seatrial_requests_total", transport=transport, outcome=outcome, **prepared.LABELS)
        for outcome in ("ok", "rejected")
    ]
    return [*outcomes, server.metric("seatrial_other_version_requests_total", transport=transport, **prepared.LABELS)]


@pytest.mark.parametrize(
    ("pinning", "answer", "counted"),
    [
        pytest.param("Answer", "3", [2, 0, 1], id="answered by the version that serves"),
        pytest.param("Reject", "unknown version '7'; this server has '3'", [1, 1, 1], id="refused"),
    ],
)
def test_another_version_means_the_same_over_both_transports(
    tmp_path: Path, pinning: config.VersionPinning, answer: str, counted: list[float]
) -> None:
    with process.serving(*prepared.pod(tmp_path, versionPinning=pinning)) as server:
        ports = {"grpc": (triton_grpc, server.grpc), "rest": (triton_http, server.url.removeprefix("http://"))}
        for transport, (library, address) in ports.items():
            assert ask(library, address, version="3") == "3"
            assert answer in ask(library, address, version="7")
            assert counts(server, transport) == counted


def test_another_model_is_refused_and_counted_over_both_transports(tmp_path: Path) -> None:
    with process.serving(*prepared.pod(tmp_path)) as server:
        ports = {"grpc": (triton_grpc, server.grpc), "rest": (triton_http, server.url.removeprefix("http://"))}
        for transport, (library, address) in ports.items():
            assert "unknown model" in ask(library, address, name="other", version="")
            assert counts(server, transport) == [0, 1, 0]
