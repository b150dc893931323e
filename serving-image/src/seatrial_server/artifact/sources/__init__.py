"""Where artifacts come from: one module per kind of store, all behind `source.Source`.

    web             http:// https://
    object_store    s3:// gs:// az://
    oci             oci://     (with oci_auth and oci_manifest)
    claim           pvc://

A source opens a stream and translates its store's failures; it never writes, hashes, bounds or retries: `model.fetch`
does that once for all of them. `find` imports only the module that is needed.
"""

from __future__ import annotations

import importlib
import urllib.parse

from seatrial_server.artifact.sources import source

_MODULES = {
    "http": "web",
    "https": "web",
    "s3": "object_store",
    "gs": "object_store",
    "az": "object_store",
    "oci": "oci",
    "pvc": "claim",
}


def find(uri: str) -> source.Source:
    """The source for the scheme of spec.model.uri."""
    scheme = urllib.parse.urlsplit(uri).scheme
    if scheme not in _MODULES:
        known = ", ".join(f"{name}://" for name in _MODULES)
        raise source.refused(uri, f"the scheme is not known: spec.model.uri must start with one of {known}")
    module = importlib.import_module(f"{__name__}.{_MODULES[scheme]}")
    opener: source.Source = module.open_artifact
    return opener
