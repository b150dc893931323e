"""Answers of the API server as errors of our own tree."""

from __future__ import annotations

import json

import pytest

from seatrial.cluster import errors, kinds, rest


def failure(status: int, body: object, *, retry_after: str | None = None) -> errors.ClusterError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rest.failure(status, content, retry_after=retry_after, request="GET /x")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.Refused),
        (401, errors.Unavailable),
        (403, errors.Refused),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (422, errors.Refused),
        (429, errors.Unavailable),
        (500, errors.Unavailable),
        (504, errors.Unavailable),
    ],
    ids=str,
)
def test_each_status_has_its_error(status: int, kind: type[errors.ClusterError]) -> None:
    assert type(failure(status, {"message": "said"})) is kind


def test_a_refusal_carries_the_words_of_the_api() -> None:
    error = failure(403, {"kind": "Status", "reason": "Forbidden", "message": "exceeded quota: pods", "code": 403})
    assert isinstance(error, errors.Refused)
    assert (error.status, error.reason, error.message) == (403, "Forbidden", "exceeded quota: pods")


def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    header = failure(429, b"slow down", retry_after="7")
    details = failure(504, {"details": {"retryAfterSeconds": 3}})
    assert [error.retry_after for error in (header, details) if isinstance(error, errors.Unavailable)] == [7, 3]


def test_a_proxy_in_between_may_answer_anything() -> None:
    error = failure(502, b"<html>\xff" + b"x" * 10_000)
    assert isinstance(error, errors.Unavailable)
    assert len(str(error)) < 2100


def test_paths_are_those_of_the_api_and_names_cant_leave_them() -> None:
    assert kinds.KINDS["Pod"].path("shop", "a", "log") == "/api/v1/namespaces/shop/pods/a/log"
    assert kinds.KINDS["Job"].path(None) == "/apis/batch/v1/jobs"
    assert kinds.KINDS["Pod"].path("shop", "../x") == "/api/v1/namespaces/shop/pods/..%2Fx"
