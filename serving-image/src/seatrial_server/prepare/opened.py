"""The package's graph, looked at and opened: what the decision about its quantization starts from. Runs in the sandbox.

A large model's weights stay in a file beside the graph, from which they are mapped.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from seatrial_server.artifact import package
from seatrial_server.host import config, logs, sandbox
from seatrial_server.model import axis, dimensions, fallback_rows, features, schema, session, weights
from seatrial_server.prepare import adapt, precision, quantize, verify

log = logging.getLogger(__name__)
_TRYING_SECONDS = 60
_MAPPED = "mapped.onnx"


class Examined(msgspec.Struct, frozen=True):
    """What is left of the parsed graph: a large model isn't kept in memory twice.

    `original`: the file that is served when nothing is quantized. `opened`: the file to open it from, the same or one
    that keeps a large model's weights beside it.
    """

    original: Path
    opened: Path
    adapted: adapt.Adapted
    precision: config.Precision
    applicable: bool
    shares_scales: bool

    @property
    def large(self) -> bool:
        """Whether it is opened from another file."""
        return self.opened != self.original


class Opened(msgspec.Struct, frozen=True):
    """What the steps share. `scratch` is deleted afterwards."""

    folder: Path
    scratch: Path
    examined: Examined
    loaded: session.Session
    card: schema.Card
    example: dict[str, session.Array] | None

    @property
    def original(self) -> Path:
        """The verified graph with embedded data."""
        return self.examined.original


def read(folder: Path, scratch: Path, *, mode: str) -> Opened:
    """The package's graph, tried on some rows, with what the package says about it.

    Raises:
        Rejected: it can't be served, or the package doesn't fit it.
    """
    examined = _examine(folder, scratch, mode=mode)
    adapted = examined.adapted
    logs.info(log, "opening the model")
    loaded = session.load(examined.opened, packed=not examined.large)
    card = adapted.described(package.card(folder))
    sizes = dimensions.settled(card.dimensions, loaded.schema)
    loaded.schema = msgspec.structs.replace(loaded.schema, tables=adapted.tables, sizes=sizes)
    with sandbox.cpu_seconds(_TRYING_SECONDS):
        found = axis.find(loaded, package.any_rows(folder, loaded.schema))
    loaded.schema = found.model
    logs.info(log, "row axis", **msgspec.structs.asdict(found.model.axis))
    for output, labels in adapted.unzipped:
        logs.info(log, "served without its ZipMap: probabilities as a tensor", output=output, labels=list(labels))
    card = msgspec.structs.replace(card, features=features.settled(card.features, loaded.schema, set(adapted.missing)))
    features.by_input(card.features, loaded.schema)
    schema.check_outputs(card, loaded.schema)
    if card.fallback:
        fallback_rows.read(card, loaded.schema)
    return Opened(
        folder=folder,
        scratch=scratch,
        examined=examined,
        loaded=loaded,
        card=card,
        example=found.example,
    )


def _examine(folder: Path, scratch: Path, *, mode: str) -> Examined:
    source, mapped = folder / "model.onnx", scratch / _MAPPED
    logs.info(log, "reading the model", bytes=source.stat().st_size)
    graph = verify.read(source, weights=mapped.with_suffix(".weights"))
    adapted = adapt.adapt(graph.proto)
    if graph.split:
        mapped.write_bytes(quantize.serialize(graph.proto))
    if graph.embedded or adapted.changed:
        source = scratch / "embedded.onnx"
        with source.open("wb") as file:
            file.writelines(weights.joined(mapped) if graph.split else [quantize.serialize(graph.proto)])
    applicable, shares = quantize.applicable(graph.proto, mode), quantize.rows_share_scales(graph.proto)
    opened = mapped if graph.split else source
    return Examined(
        original=source,
        opened=opened,
        adapted=adapted,
        precision=precision.of(graph.proto.graph),
        applicable=applicable,
        shares_scales=shares,
    )
