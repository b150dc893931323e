"""`spec.model` and `spec.quantization`: which version, and whether it is served in int8."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta

from seatrial.api.base import Base, Name, SecretReference, form
from seatrial.api.values import Label, Ratio, percent

Sha256 = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{64}$",
        max_length=64,
        extra_json_schema=form("64 lower-case hex digits, as sha256sum prints them; quote it where all are digits"),
    ),
]


class Model(Base, frozen=True, kw_only=True):
    """The model version to serve, named by the digest of its bytes."""

    uri: Annotated[
        str,
        Meta(
            description=(
                "Where the bytes are: one .onnx file or a model package (.tar, .tar.gz, .zip). http://, https://, "
                "s3://bucket/key, gs://bucket/key, az://container/path, oci://registry/repository@sha256:... or :tag, "
                "pvc://claim/path."
            ),
            pattern="^(https?|s3|gs|az|oci|pvc)://[^ ]+$",
            extra_json_schema=form(
                "an address that begins with http://, https://, s3://, gs://, az://, oci:// or pvc://"
            ),
            max_length=2048,
        ),
    ]
    sha256: Annotated[
        Sha256, Meta(description="SHA-256 of the bytes at uri, 64 lower-case hex digits, such as sha256sum prints.")
    ]
    version: (
        Annotated[
            Label,
            Meta(
                description=(
                    "Label for people; V2 model_version and metrics carry it. Default: the first 8 digits of sha256."
                )
            ),
        ]
        | None
    ) = None
    name: Annotated[Name, Meta(description="V2 model name. Default: metadata.name.")] | None = None
    secret_ref: (
        Annotated[
            SecretReference,
            Meta(
                description=(
                    "Secret with the store's credentials. Its keys are environment variables (AWS_*, GOOGLE_*, "
                    "AZURE_*, OCI_*) of the containers that fetch, never of the server. Not part of the revision."
                )
            ),
        ]
        | None
    ) = None

    @property
    def secret(self) -> str | None:
        """Name of the Secret with the credentials."""
        return self.secret_ref.name if self.secret_ref else None

    @property
    def label(self) -> str:
        return str(self.version or self.sha256[:8])


class QuantizationMode(enum.StrEnum):
    AUTO = "Auto"
    STATIC = "Static"
    DYNAMIC = "Dynamic"
    NONE = "None"


class QuantizationFailure(enum.StrEnum):
    SERVE_ORIGINAL = "ServeOriginal"
    REJECT = "Reject"


class Quantization(Base, frozen=True, kw_only=True):
    """Whether the model is served in int8, and what that may cost."""

    mode: Annotated[
        QuantizationMode,
        Meta(
            description=(
                "Auto: static int8 when the graph has something to quantize and the package has calibration "
                "rows, else the original. Static: int8 or onFailure. Dynamic: int8 with ranges taken at run time, "
                "which needs no calibration rows but forbids batching. None: the original."
            )
        ),
    ] = QuantizationMode.AUTO
    max_disagreement: Annotated[
        Ratio,
        Meta(description="Held-out rows whose answer may differ from the original's, by the upper 95 % limit."),
    ] = percent("1%")
    min_speedup: Annotated[
        Ratio, Meta(description="Speed gained that is worth it, measured on the node at batch 1 and 32.")
    ] = percent("0%")
    on_failure: Annotated[
        QuantizationFailure,
        Meta(description="What happens when int8 misses a bound: ServeOriginal or Reject the version."),
    ] = QuantizationFailure.SERVE_ORIGINAL
