"""What the parts of `spec` are made of: the common base of its Structs and the text types that several of them use."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
ObjectName = Annotated[str, Meta(pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]

LabelKey = Annotated[
    str, Meta(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=317)
]
LabelValue = Annotated[str, Meta(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
Labels = Annotated[dict[str, LabelValue], Meta(max_length=32)]


class Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Immutable, keyword-only, camelCase on the wire."""


class SecretReference(Base, frozen=True, kw_only=True):
    """A Secret in the namespace of the object."""

    name: Annotated[ObjectName, Meta(description="metadata.name of the Secret.")]
