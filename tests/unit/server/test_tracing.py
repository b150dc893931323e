"""Request ids, and what the log says of a failed request."""

from __future__ import annotations

import logging

import pytest

from seatrial_server.host import errors
from seatrial_server.protocol import tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("given", ["mine", b"mine"], ids=["gRPC", "REST"])
def test_a_client_s_id_is_taken_over(given: str | bytes) -> None:
    assert tracing.RequestIds().choose(given) == "mine"


@pytest.mark.parametrize("given", [None, "", "x" * 300, "two\nlines", b"\x00"], ids=repr)
def test_an_unusable_id_is_replaced(given: str | bytes | None) -> None:
    ids = tracing.RequestIds()
    made = [ids.choose(given) for _ in range(3)]
    assert len(set(made)) == 3
    assert all(one.isprintable() and one != given for one in made)


def logged(caplog: pytest.LogCaptureFixture, traceparent: str) -> dict[str, object]:
    error = errors.RequestError(500, "no", code="ModelFailed", outcome="error", details={"id": "7"})
    with caplog.at_level(logging.WARNING):
        tracing.failed(error, transport="grpc", traceparent=traceparent)
    fields: dict[str, object] = caplog.records[-1].fields  # type: ignore[attr-defined]
    return fields


def test_a_failed_request_is_logged_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    fields = logged(caplog, f"00-{TRACE}-{SPAN}-01")
    assert (fields["trace_id"], fields["span_id"], fields["id"]) == (TRACE, SPAN, "7")
    assert (fields["transport"], fields["code"]) == ("grpc", "ModelFailed")


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{TRACE}-{SPAN}", f"00-{TRACE.upper()}-{SPAN}-01"])
def test_what_is_no_trace_context_is_left_out(caplog: pytest.LogCaptureFixture, given: str) -> None:
    assert "trace_id" not in logged(caplog, given)
