"""What is kept on a revision's record beside its content, and may change: one annotation of the ControllerRevision.

Its data is immutable and says how the revision's pods are made. The notes say what became of it: the standing, what it
passed its trial with (the ConfigMap of its pods can be made again from that), the last spec that could be read while
it was wanted, and another address of the same bytes. One annotation, so that it is written whole or not at all.
"""

from __future__ import annotations

import base64
import gzip
import zlib
from typing import Any

import msgspec

from seatrial.api.spec import Spec
from seatrial.api.values import encode_hook

from .standing import Mark

ANNOTATION = "seatrial.dev/notes"
MAX_PASSED = 160_000  # an object's annotations may have 256 KiB together
MAX_PLAIN = 1_000_000  # a ConfigMap may have 1 MiB


class LastSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A spec that could be read, and the generation of the object that had it."""

    generation: int
    spec: dict[str, Any]


class Address(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the same bytes are now, and the pods that fetch them from there."""

    uri: str
    secret: str | None = None
    pod_template: dict[str, Any]


class Notes(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """See the module."""

    mark: Mark | None = None
    passed: str = ""
    spec: LastSpec | None = None
    address: Address | None = None


def render(notes: Notes) -> str:
    return msgspec.json.encode(notes, order="sorted").decode()


def read(text: str) -> Notes:
    """Raises msgspec.MsgspecError for what isn't ours."""
    return msgspec.json.decode(text, type=Notes)


def last_spec(spec: Spec, *, generation: int) -> LastSpec:
    return LastSpec(generation=generation, spec=msgspec.to_builtins(spec, enc_hook=encode_hook))


def pack(files: dict[str, str]) -> str:
    """The ConfigMap's files, compressed; nothing where they are too long to be kept twice."""
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(files, order="sorted"), mtime=0)).decode()
    return packed if len(packed) <= MAX_PASSED else ""


def unpack(passed: str) -> dict[str, str]:
    """The files again; none where nothing was kept or it can't be read."""
    try:
        plain = zlib.decompressobj(wbits=31).decompress(base64.b64decode(passed), MAX_PLAIN)
        return msgspec.json.decode(plain, type=dict[str, str])
    except (ValueError, zlib.error, msgspec.MsgspecError):
        return {}
