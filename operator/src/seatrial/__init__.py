"""Seatrial's operator: model versions get a sea trial before they carry passengers.

Layers, top to bottom, checked by import contracts: `control` (kopf wiring, queue, reconcile) uses `cluster` and
`prometheus` (I/O); `rollout` decides (pure), with `analysis` (statistics, pure); everything rests on `api`
(the resource's types). `cli` holds the commands of a person, `packing` what makes a package of a model on their
machine: `seatrial.pack(...)` in a notebook, which needs the extra `seatrial[pack]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seatrial.packing import pack

__all__ = ["pack"]


def __getattr__(name: str) -> Any:
    """`pack` is found when it is asked for: the operator's image has none of its libraries."""
    if name != "pack":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seatrial import packing

    return packing.pack
