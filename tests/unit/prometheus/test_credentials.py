"""Credentials: from a Secret that has opted in, and never shown."""

from __future__ import annotations

import base64
import ssl
from typing import Any

import pytest

from seatrial.prometheus import credentials, errors


def secret(*, opted_in: bool = True, **data: str) -> dict[str, Any]:
    labels = {credentials.OPT_IN: "true"} if opted_in else {}
    encoded = {key.replace("__", "."): base64.b64encode(text.encode()).decode() for key, text in data.items()}
    return {"metadata": {"name": "prom", "labels": labels}, "data": encoded}


def test_a_token_with_headers_of_a_tenant() -> None:
    data = secret(token="abc\n")
    data["data"]["header.X-Scope-OrgID"] = base64.b64encode(b"shop").decode()
    found = credentials.of_secret(data, name="prom")
    assert dict(found.headers) == {"Authorization": "Bearer abc", "X-Scope-OrgID": "shop"}
    assert found.tls.verify_mode is ssl.CERT_REQUIRED


def test_a_user_with_password() -> None:
    found = credentials.of_secret(secret(username="ann", password="b:c"), name="prom")
    assert found.headers == (("Authorization", "Basic " + base64.b64encode(b"ann:b:c").decode()),)


def test_their_repr_shows_no_value() -> None:
    assert "abc" not in repr(credentials.of_secret(secret(token="abc"), name="prom"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "does not exist"),
        (secret(opted_in=False, token="abc"), r'must have the label seatrial\.dev/prometheus-credentials: "true"'),
        (secret(username="ann"), "a username .* and a password"),
        (secret(username="a:b", password="s3cret"), "without a colon"),
        (secret(token="s3cret\nHost: evil"), "one line of printable ASCII"),
        (secret(header__Host="s3cret"), r"header\.Host must name a header that may be set"),
        (secret(header__Authorization="s3cret"), "may be set"),
        (secret(ca__crt="s3cret"), r"ca\.crt must hold PEM certificates"),
        ({"metadata": {"labels": {credentials.OPT_IN: "true"}}, "data": {"token": "/w=="}}, "must hold text"),
    ],
    ids=["missing", "not opted in", "no password", "colon", "two lines", "host", "authorization", "ca", "bytes"],
)
def test_what_cannot_be_used_is_refused_without_being_shown(given: Any, said: str) -> None:
    with pytest.raises(errors.PrometheusRefused, match=said) as caught:
        credentials.of_secret(given, name="prom")
    assert "s3cret" not in str(caught.value)


def test_verification_is_only_left_out_when_asked() -> None:
    assert credentials.parse({}, where="settings", verify=False).tls.verify_mode is ssl.CERT_NONE
    assert credentials.NONE.tls.verify_mode is ssl.CERT_REQUIRED
