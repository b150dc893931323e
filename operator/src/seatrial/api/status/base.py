"""What every part of the status is made of: immutable, camelCase on the wire, and texts that are bounded."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=2048)]
Short = Annotated[str, Meta(max_length=256)]
Count = Annotated[int, Meta(ge=0)]
Revision = Annotated[Short, Meta(description="Name of a revision: a hash over everything that decides its pods.")]
ModelVersion = Annotated[Short, Meta(description="The model version's label, as in metrics and V2 model_version.")]
Digest = Annotated[Short, Meta(description="SHA-256 of the model's bytes as fetched.")]
ServedDigest = Annotated[Short, Meta(description="SHA-256 of the bytes served; differs from sha256 when quantized.")]
Precision = Annotated[
    Short, Meta(description="Precision served: fp32, fp16 or fp64 as exported, int8-static or int8-dynamic.")
]
Image = Annotated[str, Meta(description="Serving image, recorded when the revision was first seen.", max_length=512)]
ReadyReplicas = Annotated[Count, Meta(description="Pods that are Ready.")]


class Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Immutable, camelCase on the wire, defaults left out."""
