"""Which children without an owner are ours."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.control import observing
from seatrial.rollout import facts

OWNER = facts.Owner(namespace="shop", name="churn", uid="u", generation=1)
REVISION = "seatrial.dev/revision"


def child(name: str, **meta: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "seatrial", "seatrial.dev/modeldeployment": "churn"}
    labels |= meta.pop("labels", {})
    return {"metadata": {"name": name, "labels": labels, **meta}}


@pytest.mark.parametrize(
    "orphan",
    [
        pytest.param(child("churn"), id="Service or disruption budget"),
        pytest.param(child("churn-bcd", labels={REVISION: "bcd"}), id="of a revision"),
        pytest.param(child("churn-bcd-trial", labels={REVISION: "bcd"}), id="trial"),
    ],
)
def test_a_child_that_lost_its_owner_is_adopted(orphan):
    assert observing.adoptable(orphan, OWNER)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(child("churn", ownerReferences=[{"uid": "x", "controller": True}]), id="has an owner"),
        pytest.param(child("churn", ownerReferences=[{"uid": "x"}]), id="has an owner that doesn't control it"),
        pytest.param(child("churn-x"), id="another name"),
        pytest.param(child("churn", labels={REVISION: "bcd"}), id="a name that isn't its revision's"),
        pytest.param(child("churn", labels={"app.kubernetes.io/managed-by": "helm"}), id="managed by another"),
        pytest.param(child("churn", labels={"seatrial.dev/modeldeployment": "fraud"}), id="of another object"),
        pytest.param(child("churn", deletionTimestamp="2026-01-01T12:00:00Z"), id="on its way out"),
        pytest.param({"metadata": {"name": "churn"}}, id="without labels"),
    ],
)
def test_nothing_is_adopted_that_may_be_somebody_elses(other):
    assert not observing.adoptable(other, OWNER)
