"""What the parts of `spec` are made of: the common base of its Structs and the text types that several of them use."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

FORM = "x-form"  # key of a Meta's extra schema, never of the CRD's


def form(words: str) -> dict[str, str]:
    """For `Meta(pattern=..., extra_json_schema=form(...))`: how the sentence "must be ..." goes on for people."""
    return {FORM: words}


Name = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        extra_json_schema=form("lower-case letters, digits and hyphens, such as churn-v7"),
    ),
]
ObjectName = Annotated[
    str,
    Meta(
        pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
        extra_json_schema=form("the name of an object: lower-case letters, digits, hyphens and dots"),
    ),
]

LabelKey = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
        extra_json_schema=form("the key of a label, such as topology.kubernetes.io/zone"),
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        max_length=63,
        extra_json_schema=form("the value of a label: letters, digits, hyphens, dots and underscores"),
    ),
]
Labels = Annotated[dict[str, LabelValue], Meta(max_length=32)]


class Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Immutable, keyword-only, camelCase on the wire."""


class SecretReference(Base, frozen=True, kw_only=True):
    """A Secret in the namespace of the object."""

    name: Annotated[ObjectName, Meta(description="metadata.name of the Secret.")]
