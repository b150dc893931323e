"""One call to the Kubernetes API: authentication, deadline, the server's time, and errors of our own tree.

`kubernetes.aio` contributes configuration (service account with token rotation, kubeconfig), TLS and the connection
pool; its generated model classes are not used, bodies stay plain JSON. It re-reads a service account's token every
minute by itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from kubernetes.aio import client as kube
from kubernetes.aio import config as kube_config

from seatrial.cluster import clock, errors

_CONNECTIONS = 32
_MESSAGE_LIMIT = 2000

JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"  # JSON is YAML; the JSON spelling of this type is younger than some servers


class _Details(msgspec.Struct):
    retry_after: float | None = msgspec.field(default=None, name="retryAfterSeconds")


class _Failure(msgspec.Struct):
    """The API's `Status` object, as far as it is read."""

    reason: str = ""
    message: str = ""
    details: _Details = msgspec.field(default_factory=_Details)


def in_cluster() -> bool:
    """Whether the pod's service account is used: KUBECONFIG, when set, has precedence."""
    return "KUBERNETES_SERVICE_HOST" in os.environ and not os.environ.get("KUBECONFIG")


async def configuration() -> kube.Configuration:
    """Connection settings of the pod's service account, else of $KUBECONFIG or ~/.kube/config.

    Raises:
        Refused: neither can be used.
    """
    # The API server is reached directly: proxies of the environment are for the outside world (kopf does the same).
    settings = kube.Configuration(client_session_kwargs={"trust_env": False})
    settings.connection_pool_maxsize = _CONNECTIONS
    try:
        if in_cluster():
            kube_config.load_incluster_config(settings)
        else:
            # Named, since the library reads the variable only once, when it is imported.
            file = os.environ.get("KUBECONFIG") or None
            await kube_config.load_kube_config(config_file=file, client_configuration=settings)
    except (kube_config.ConfigException, OSError) as error:
        raise errors.Refused(
            0,
            reason="NoCredentials",
            message=f"can't connect to a cluster: {error}; run in a pod with a service account or set KUBECONFIG",
        ) from error
    return settings


class Rest:
    """Calls the API server. Close it when done."""

    def __init__(
        self, settings: kube.Configuration, *, timeout: float = 10.0, server: clock.ServerClock | None = None
    ) -> None:
        self._client = kube.ApiClient(settings)
        self._client.user_agent = "seatrial"
        self._timeout = timeout
        self.server = server or clock.ServerClock()

    async def close(self) -> None:
        await self._client.close()
        # TLS connections are closed by callbacks that aiohttp doesn't wait for; a loop that ends now would leak them.
        await asyncio.sleep(0.05)

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> bytes:
        """The body of a 2xx answer; everything else is raised as a ClusterError within the deadline."""
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            async with asyncio.timeout(self._timeout):
                request = await self._client.param_serialize(
                    method=method,
                    resource_path=path,
                    query_params=list((query or {}).items()),
                    header_params=headers,
                    body=body,
                    auth_settings=["BearerToken"],
                )
                # The library's own limit (5 minutes) is put out of the way; the block's deadline counts.
                answer = await self._client.call_api(*request, _request_timeout=aiohttp.ClientTimeout(total=None))
                content: bytes = await answer.read()
        except TimeoutError as error:
            raise errors.Unavailable(f"{method} {path}: no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError, kube_config.ConfigException) as error:
            raise errors.Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        self.server.heard(answer.headers.get("Date"))
        if 200 <= answer.status < 300:
            return content
        raise failure(answer.status, content, retry_after=answer.headers.get("Retry-After"), request=f"{method} {path}")


def failure(status: int, content: bytes, *, retry_after: str | None, request: str) -> errors.ClusterError:
    """The exception for an answer other than 2xx. Proxies answer without a Status object, or with any other text."""
    try:
        said = msgspec.json.decode(content, type=_Failure)
    except msgspec.DecodeError:
        said = _Failure(message=content[:_MESSAGE_LIMIT].decode(errors="replace").strip())
    message = (said.message or f"HTTP status {status}")[:_MESSAGE_LIMIT]
    if status == 404:
        return errors.NotFound(f"{request}: {message}")
    if status == 409:
        return errors.Conflict(f"{request}: {message}")
    if status in (401, 408, 429) or status >= 500:
        wait = float(retry_after) if retry_after and retry_after.isdecimal() else said.details.retry_after
        return errors.Unavailable(f"{request}: {status} {message}", retry_after=wait)
    return errors.Refused(status, reason=said.reason, message=message)
