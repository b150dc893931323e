"""How a registry lets us in: anonymous or with OCI_USERNAME and OCI_PASSWORD (or OCI_TOKEN) of the environment.

A registry that wants more answers 401 with a challenge: Basic takes the password, Bearer sends us to a token server,
which gets it (or nothing, for public repositories). The password goes over https, or to loopback, or where
OCI_ALLOW_HTTP says so.
"""

from __future__ import annotations

import base64
import os
import re
import urllib.error
import urllib.parse

import msgspec

from seatrial_server.artifact.sources import addresses, source, web

SETTINGS = "OCI_USERNAME and OCI_PASSWORD, or OCI_TOKEN,"
_MAX_BYTES = 64 * 1024
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"', re.IGNORECASE)


class _Token(msgspec.Struct, frozen=True):
    """The token server's answer: the name differs between the specification's versions."""

    token: str = ""
    access_token: str = ""


class Login:
    """The credentials of one download. `headers` is what the next request sends."""

    def __init__(self, uri: str, *, base: str, repository: str, timeout: float) -> None:
        self._uri, self._base, self._repository, self._timeout = uri, base, repository, timeout
        token = os.environ.get("OCI_TOKEN", "")
        self.headers: dict[str, str] = {"Authorization": f"Bearer {token}"} if token else {}

    def answer(self, challenges: list[str]) -> bool:
        """Obtain what the registry asks for; False when we have nothing new to offer."""
        if self.headers:
            return False
        for challenge in challenges:
            scheme, _, rest = challenge.partition(" ")
            parameters = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
            if scheme.lower() == "bearer" and "realm" in parameters:
                self.headers = {"Authorization": f"Bearer {self._token(parameters)}"}
            elif scheme.lower() == "basic" and (basic := _basic()):
                self.headers = {"Authorization": basic}
            if self.headers:
                return True
        return False

    def _token(self, parameters: dict[str, str]) -> str:
        realm = parameters["realm"]
        plain_allowed = self._base.startswith("http://") and (
            addresses.is_loopback(realm) or addresses.switched_on("OCI_ALLOW_HTTP")
        )
        if not (realm.startswith("https://") or (realm.startswith("http://") and plain_allowed)):
            raise source.refused(self._uri, "the registry sends logins to an address without https: refused")
        query = {"scope": f"repository:{self._repository}:pull"}
        if "service" in parameters:
            query["service"] = parameters["service"]
        url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
        basic = _basic()
        secret = {"Authorization": basic} if basic else {}
        try:
            with web.get(url, timeout=self._timeout, headers={}, secret=secret) as response:
                answer = msgspec.json.decode(response.read(_MAX_BYTES), type=_Token)
        except urllib.error.HTTPError as error:
            with error:
                raise web.refusal(self._uri, error.code, SETTINGS) from None
        except msgspec.MsgspecError as error:
            raise source.refused(self._uri, f"the registry's token server does not send a token: {error}") from None
        return answer.token or answer.access_token


def _basic() -> str:
    user, password = os.environ.get("OCI_USERNAME", ""), os.environ.get("OCI_PASSWORD", "")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() if user else ""
