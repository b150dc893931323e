"""A package to where clusters fetch it: s3://, gs://, az:// or oci://. Its address never comes to mean another.

Credentials come from the same environment variables as in the Secret that a cluster fetches with. What is there already
is never overwritten: versions that serve may be pinned to it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from seatrial.packing import errors, registry, transport

CREDENTIALS: Mapping[str, str] = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, and AWS_ENDPOINT_URL for stores of others",
    "gs": "GOOGLE_SERVICE_ACCOUNT_KEY",
    "az": "AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}
_ENDPOINTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "s3": ("AWS", ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_ENDPOINT_URL")),
    "gs": ("GOOGLE", ("GOOGLE_BASE_URL",)),
    "az": ("AZURE", ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")),
}
_SECRETS = re.compile(r"(?i)(x-amz-[a-z-]+|sig|signature|credential)=[^&\s\"]+")


def check(uri: str) -> None:
    """Refuse an address that nothing can be pushed to, before the work is done.

    Raises:
        BadInput: says which form it must have.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "oci":
        registry.parse(uri)
    elif scheme not in CREDENTIALS:
        raise errors.BadInput(f"--push must start with s3://, gs://, az:// or oci://, not {uri!r}")
    elif not rest.partition("/")[0] or not rest.partition("/")[2]:
        raise errors.BadInput(
            f"--push must be {scheme}://bucket/path, or {scheme}://bucket/folder/ for the file's own name"
        )


def push(package: Path, uri: str) -> str:
    """The pinned address.

    Raises:
        CannotPush: the store refuses, can't be reached, or has another package of that name.
    """
    check(uri)
    scheme = uri.partition("://")[0]
    if scheme == "oci":
        return registry.push(package, uri)
    whole = f"{uri}{package.name}" if uri.endswith("/") else uri
    bucket, _, key = whole.partition("://")[2].partition("/")
    _put(scheme, bucket, key, package)
    return whole


def _put(scheme: str, bucket: str, key: str, package: Path) -> None:
    obstore = errors.needed("obstore", why="--push", install="'seatrial[pack]'")
    from obstore import exceptions

    try:
        store = _store(scheme, bucket)
        try:
            obstore.put(store, key, package, mode="create")
        except exceptions.AlreadyExistsError:
            if _digest(obstore.get(store, key)) != _digest_of(package):
                raise errors.CannotPush(
                    f"{scheme}://{bucket}/{key} is another package, and versions that serve may be pinned to it: give "
                    "this one another name"
                ) from None
    except (exceptions.BaseError, FileNotFoundError, ValueError) as error:
        first = _SECRETS.sub(r"\1=...", str(error).strip().partition("\n")[0])[:300]
        raise errors.CannotPush(
            f"{scheme}://{bucket}: {first}: check the bucket, and the variables {CREDENTIALS[scheme]}; the package is "
            f"kept in {package}"
        ) from None


def _store(scheme: str, bucket: str) -> Any:
    from obstore import store

    kinds: Mapping[str, Any] = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
    prefix, variables = _ENDPOINTS[scheme]
    endpoint = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    plain = transport.may_be_plain(endpoint, switch=f"{prefix}_ALLOW_HTTP")
    return kinds[scheme](bucket, client_options={"allow_http": plain, "timeout": timedelta(hours=1)})


def _digest(found: Any) -> str:
    digest = hashlib.sha256()
    for chunk in found.stream():
        digest.update(chunk)
    return digest.hexdigest()


def _digest_of(package: Path) -> str:
    with package.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
