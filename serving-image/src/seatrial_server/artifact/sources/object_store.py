"""s3://bucket/key, gs://bucket/key and az://container/path through obstore.

Credentials, region and endpoint come from the environment alone (AWS_*, GOOGLE_*, AZURE_*). Plain http is for loopback,
or where <PREFIX>_ALLOW_HTTP=true says so. obstore's own retries are off: `model.fetch` retries, and resumes.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import obstore
from obstore import exceptions, store

from seatrial_server.artifact.sources import addresses, source

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_NO_RETRY: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
_RETRIED = frozenset({408, 425, 429})
_UNKNOWN_USER = "XAdminUserNotFound"  # versitygw answers 404 for an access key that it does not know
# Where obstore asks the cloud for the node's identity when the environment has none.
_METADATA_PATHS = ("/latest/api/token", "/latest/meta-data/", "computeMetadata/v1", "/metadata/identity/")


class Kind(msgspec.Struct, frozen=True):
    """One family of stores; `endpoints` are the variables that move it elsewhere, the first that is set counts."""

    container: str
    prefix: str
    endpoints: tuple[str, ...]
    credentials: str


_KINDS = {
    "s3": Kind(
        "bucket",
        "AWS",
        ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_ENDPOINT_URL"),
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION (AWS_SKIP_SIGNATURE=true for public ones)",
    ),
    "gs": Kind(
        "bucket",
        "GOOGLE",
        ("GOOGLE_BASE_URL",),
        "GOOGLE_SERVICE_ACCOUNT_KEY (GOOGLE_SKIP_SIGNATURE=true for public ones)",
    ),
    "az": Kind(
        "container",
        "AZURE",
        ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN "
        "(AZURE_SKIP_SIGNATURE=true for public ones)",
    ),
}


@contextlib.contextmanager
def open_artifact(ask: source.Ask) -> Iterator[source.Body]:
    """One GET of the object, from `ask.offset` on if it still is the same version."""
    scheme, _, rest = ask.uri.partition("://")
    kind = _KINDS[scheme]
    container, _, key = rest.partition("/")
    if not container or not key:
        raise source.refused(ask.uri, f"spec.model.uri must be {scheme}://{kind.container}/path")
    options: obstore.GetOptions = {}
    if ask.offset and ask.version:
        options = {"range": {"offset": ask.offset}, "if_match": ask.version}
    with _translated(ask, kind):
        result = obstore.get(_store(scheme, container, ask.timeout), key, options=options)
        version = result.meta["e_tag"] or ""
        total, start = result.meta["size"], result.range[0]
    yield source.Body(
        chunks=_chunks(result, ask, kind),
        start=start,
        total=total,
        version="" if version.startswith("W/") else version,
    )


def _store(scheme: str, container: str, timeout: float) -> store.ObjectStore:
    kind = _KINDS[scheme]
    patience = timedelta(seconds=timeout)
    client: ClientConfig = {
        "connect_timeout": patience,
        "read_timeout": patience,
        "timeout": timedelta(days=1),  # the whole is bounded by the caller
        "allow_http": _may_be_plain(kind),
        "user_agent": "seatrial-server",
    }
    if scheme == "s3":
        return store.S3Store(container, client_options=client, retry_config=_NO_RETRY)
    if scheme == "gs":
        return store.GCSStore(container, client_options=client, retry_config=_NO_RETRY)
    return store.AzureStore(container, client_options=client, retry_config=_NO_RETRY)


def _endpoint(kind: Kind) -> str:
    """Name of the variable that counts."""
    return next((name for name in kind.endpoints if os.environ.get(name)), kind.endpoints[-1])


def _may_be_plain(kind: Kind) -> bool:
    endpoint = os.environ.get(_endpoint(kind), "")
    return addresses.is_loopback(endpoint) or addresses.switched_on(f"{kind.prefix}_ALLOW_HTTP")


def _chunks(result: obstore.GetResult, ask: source.Ask, kind: Kind) -> Iterator[bytes]:
    with _translated(ask, kind):
        # Whatever has arrived: waiting for a full chunk would let a trickle escape the deadline.
        for chunk in result.stream(min_chunk_size=1):
            yield bytes(chunk)


@contextlib.contextmanager
def _translated(ask: source.Ask, kind: Kind) -> Iterator[None]:
    """obstore's exceptions as ours. Its texts hold addresses and whole answers: only known parts are passed on."""
    try:
        yield
    except (exceptions.BaseError, FileNotFoundError, ValueError) as error:
        raise _ours(error, ask, kind) from None


def _ours(error: Exception, ask: source.Ask, kind: Kind) -> Exception:
    text = str(error)
    code = _code(text)
    if any(path in text and path not in ask.uri for path in _METADATA_PATHS):
        return source.Transient(f"no credentials are set and the node offers none: set {kind.credentials}")
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError) or code == _UNKNOWN_USER:
        return source.refused(ask.uri, f"{code or 'denied'}: {source.denied(kind.credentials)}")
    if isinstance(error, FileNotFoundError):
        what = f"no such {kind.container} or object{f' ({code})' if code else ''}"
        return source.refused(ask.uri, f"the store has {what}: check both in spec.model.uri")
    if isinstance(error, exceptions.PreconditionError):
        return source.Transient("the artifact changed while it was read", restart=True)
    return _other(text, ask, kind)


def _other(text: str, ask: source.Ask, kind: Kind) -> Exception:
    """Failures that obstore has no class for: read off the debug text, which is why its version is pinned."""
    if "non-partial response" in text or "unexpected range" in text.lower():
        return source.Transient("the store cannot go on in the middle of an object", restart=True)
    if "TooManyRedirects" in text:
        return source.refused(ask.uri, f"the store redirects in circles: check {_endpoint(kind)}")
    status = re.search(r"\bstatus: (\d{3})", text)
    if status is not None and int(status[1]) < 500 and int(status[1]) not in _RETRIED:
        advice = f"check {_endpoint(kind)}, the region and spec.model.uri"
        return source.refused(ask.uri, f"the store answered {status[1]} {_code(text)}".rstrip() + f": {advice}")
    if status is not None:
        return source.Transient(f"the store answered {status[1]}")
    if "TimedOut" in text or "kind: Timeout" in text:
        return source.Transient(f"no data for {ask.timeout:g} s")
    if "IncompleteBody" in text or "UnexpectedEof" in text:
        return source.Transient("the connection ended too early")
    if "BadScheme" in text or "URL scheme is not allowed" in text:
        return source.refused(ask.uri, f"plain http needs {kind.prefix}_ALLOW_HTTP=true beside {_endpoint(kind)}")
    if re.search(r"kind: (Connect|Request|Interrupted|Unknown|Decode)", text):
        return source.Transient("the connection failed")
    first = source.scrub(text.partition("\n")[0])[:200]
    return source.refused(ask.uri, f"{first}: check spec.model.uri, {kind.credentials} and {_endpoint(kind)}")


def _code(text: str) -> str:
    """The store's own word for the failure, such as NoSuchBucket."""
    found = re.search(r"<Code>([A-Za-z]{1,60})</Code>", text)
    return found[1] if found else ""
