"""`spec.serving`'s placement as fields of a pod: node, priority, account, secrets to pull with; its variables. Pure.

Labels and annotations are the template's matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from seatrial.api import placement

Object = dict[str, Any]

# Over nodes alone: with a second constraint over zones, nodes without a zone's label would be no longer told apart.
SPREAD = (placement.Spread(topology_key="kubernetes.io/hostname"),)


def fields(wish: placement.Placement, *, counted: Mapping[str, str] | None) -> Object:
    """Fields of the pod's spec, those alone that were asked for.

    `counted` are the labels of the pods that a spread counts; None for a pod that is alone.
    """
    grace = wish.termination_grace_period
    asked = {
        "nodeSelector": wish.node_selector,
        "tolerations": [_plain(one) for one in wish.tolerations or ()],
        "affinity": _plain(wish.affinity) if wish.affinity is not None else None,
        "topologySpreadConstraints": [_spread(one, counted) for one in wish.topology_spread_constraints or SPREAD]
        if counted
        else None,
        "serviceAccountName": wish.service_account_name,
        "imagePullSecrets": [_plain(one) for one in wish.image_pull_secrets or ()],
        "priorityClassName": wish.priority_class_name,
        "terminationGracePeriodSeconds": max(1, round(grace.total_seconds())) if grace is not None else None,
    }
    return {name: value for name, value in asked.items() if value}


def variables(wish: placement.Placement) -> list[Object]:
    """Those of the containers that hold the model; a name that an older API server let pass is left out."""
    return [_plain(one) for one in wish.env or () if not re.search(placement.RESERVED_ENV, one.name)]


def _spread(one: placement.Spread, counted: Mapping[str, str]) -> Object:
    return {
        "topologyKey": one.topology_key,
        "maxSkew": one.max_skew,
        "whenUnsatisfiable": one.when_unsatisfiable,
        "labelSelector": {"matchLabels": dict(counted)},
    }


def _plain(one: msgspec.Struct) -> Object:
    """As it comes back from the API server: lists, where a struct has tuples."""
    return dict(msgspec.json.decode(msgspec.json.encode(one)))
