"""A revision: the content that makes one model version on one server, and the name derived from it.

The same content has the same name on every cluster and under every release of the operator: verdicts, pods and metrics
are keyed by it. Not part of it: where the bytes are (uri, secretRef: the same bytes elsewhere are the same model),
replicas, rollout, analysis, trial.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import msgspec

from seatrial.api import placement, spec, values

SCHEMA = 1
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, no look-alikes: what Kubernetes uses for generated names
LENGTH = 10


class Content(msgspec.Struct, frozen=True, kw_only=True, dict=True, rename="camel"):
    """What a revision consists of."""

    sha256: str
    model_name: str
    model_version: str
    quantization: spec.Quantization
    resources: spec.Resources
    limits: spec.Limits
    cache: spec.Cache | None = None
    fallback: spec.Fallback | None = None
    version_pinning: spec.VersionPinning | None = None
    tls: spec.Tls | None = None
    cors: spec.Cors | None = None
    tracing: spec.Tracing | None = None
    placement: placement.Placement | None = None
    image: str

    @functools.cached_property  # a plan asks for it some twenty times
    def revision(self) -> str:
        """First 10 characters, base 27, of the SHA-256 over the canonical JSON of the content and a schema number."""
        plain = msgspec.to_builtins(self, enc_hook=values.encode_hook)
        text = json.dumps(_without_nulls({"schema": SCHEMA, **plain}), sort_keys=True, separators=(",", ":"))
        number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
        digits = []
        for _ in range(LENGTH):
            number, digit = divmod(number, len(ALPHABET))
            digits.append(ALPHABET[digit])
        return "".join(digits)


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A revision as its ControllerRevision keeps it: enough to recreate its pods byte for byte.

    The pod template is kept as it was rendered, so that another release of the operator restarts nothing.
    """

    content: Content
    uri: str
    secret: str | None = None
    """The Secret for the uri."""
    pod_template: dict[str, Any]
    number: int = 0

    @property
    def revision(self) -> str:
        return self.content.revision

    @property
    def address(self) -> tuple[str, str | None]:
        """Where the bytes are, and what opens the place."""
        return self.uri, self.secret


def wanted(wish: spec.Spec, *, name: str, default_image: str, known: Iterable[Record]) -> Content:
    """The content that the spec asks for.

    Where the spec names no image, a content seen before keeps the image it was seen with (the newest wins), so that
    an upgrade of the operator changes nothing by itself; a new one gets `default_image`.
    """

    pinning = wish.serving.version_pinning

    def with_image(image: str) -> Content:
        return Content(
            sha256=wish.model.sha256,
            model_name=wish.model.name or name,
            model_version=wish.model.label,
            quantization=wish.quantization,
            resources=wish.serving.resources,
            limits=wish.serving.limits,
            cache=wish.serving.cache,
            fallback=None if wish.serving.fallback == spec.Fallback() else wish.serving.fallback,
            version_pinning=None if pinning is spec.VersionPinning.ANSWER else pinning,
            tls=wish.serving.tls,
            cors=wish.serving.cors,
            tracing=wish.serving.tracing,
            placement=wish.serving.placement,
            image=image,
        )

    if wish.serving.image:
        return with_image(wish.serving.image)
    for record in sorted(known, key=lambda one: one.number, reverse=True):
        if with_image(record.content.image) == record.content:
            return record.content
    return with_image(default_image)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value
