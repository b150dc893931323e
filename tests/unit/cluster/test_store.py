"""The memory: what counts as news, which of two accounts counts, and that nothing deleted comes back."""

from __future__ import annotations

import random
from typing import Any

import pytest

from seatrial.cluster import store, trimming
from seatrial.control import waking


def child(name: str = "churn-a", *, version: int = 1, uid: str = "u", kind: str = "ConfigMap", **more: Any) -> Any:
    labels = {"app.kubernetes.io/managed-by": "seatrial", "seatrial.dev/modeldeployment": "churn"}
    metadata = {"namespace": "shop", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"kind": kind, "metadata": metadata, **more}


@pytest.fixture
def seen() -> store.Store:
    return store.Store(waking.owner_of)


def put(seen: store.Store, raw: Any) -> store.Change | None:
    return seen.put(raw["kind"], raw)


def data(seen: store.Store) -> list[Any]:
    return [one["data"] for one in seen.children("ConfigMap", "shop", "churn")]


def test_an_object_comes_back_as_the_api_has_it(seen: store.Store) -> None:
    put(seen, child(version=7, data={"a": "1"}))
    [found] = seen.children("ConfigMap", "shop", "churn")
    assert (found["apiVersion"], found["kind"], found["metadata"]["resourceVersion"]) == ("v1", "ConfigMap", "7")
    assert found == seen.get("ConfigMap", "shop", "churn-a")


def test_what_changes_nothing_that_is_read_is_no_news_but_its_version_is_kept(seen: store.Store) -> None:
    assert put(seen, child(version=1, data={})) is not None
    again = child(version=2, data={})
    again["metadata"]["managedFields"] = [{"manager": "somebody"}]
    assert put(seen, again) is None
    assert seen.versions("ConfigMap", "shop") == {("shop", "churn-a"): ("u", 2)}


def test_an_older_account_of_an_object_never_replaces_a_newer_one(seen: store.Store) -> None:
    put(seen, child(version=5, data={"written": "by us"}))
    assert put(seen, child(version=4, data={"seen": "late"})) is None
    assert data(seen) == [{"written": "by us"}]


def test_what_was_deleted_does_not_come_back_with_an_event_that_was_under_way(seen: store.Store) -> None:
    put(seen, child(version=1, data={}))
    assert seen.forget("ConfigMap", "shop", "churn-a", uid="u") is not None
    assert put(seen, child(version=2, data={})) is None
    assert put(seen, child(version=3, uid="another", data={})) is not None


def test_a_deletion_that_is_told_late_does_not_take_its_successor_away(seen: store.Store) -> None:
    put(seen, child(version=5, uid="new", data={}))
    assert seen.drop("ConfigMap", child(version=4, uid="old")) is None
    assert len(data(seen)) == 1


def test_what_is_being_deleted_slowly_is_still_there(seen: store.Store) -> None:
    put(seen, child(version=1, data={}))
    seen.forget("ConfigMap", "shop", "churn-a", uid="u")
    going = child(version=2, data={})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert put(seen, going) is not None


def test_a_child_that_loses_our_label_is_gone(seen: store.Store) -> None:
    put(seen, child(version=1, data={}))
    stripped = child(version=2, data={})
    stripped["metadata"]["labels"] = {}
    change = put(seen, stripped)
    assert change is not None
    assert (change.owner, change.after) == ("churn", None)
    assert data(seen) == []


def test_a_full_list_takes_away_what_it_lacks_unless_that_came_meanwhile(seen: store.Store) -> None:
    put(seen, child("churn-gone", version=1, uid="g", data={}))
    put(seen, child("churn-kept", version=2, uid="k", data={}))
    put(seen, child("churn-changed", version=3, uid="c", data={}))
    before = seen.versions("ConfigMap", None)
    put(seen, child("churn-changed", version=9, uid="c", data={"a": "1"}))
    put(seen, child("churn-new", version=8, uid="n", data={}))
    swept = seen.sweep("ConfigMap", before, [("shop", "churn-kept")])
    assert [one.name for one in swept] == ["churn-gone"]
    assert {name for _, name in seen.versions("ConfigMap", None)} == {"churn-kept", "churn-changed", "churn-new"}


def test_nothing_is_believed_complete_before_it_was_read(seen: store.Store) -> None:
    assert not seen.complete("shop")
    seen.completed("shop")
    assert (seen.complete("shop"), seen.complete("other")) == (True, False)
    seen.lost("shop")
    assert not seen.complete("shop")
    seen.completed(None)
    assert seen.complete("other")


def test_any_order_of_events_and_own_writes_ends_with_what_the_server_has() -> None:
    """Histories of one name: created, changed, deleted, made anew; told by writes, and late by the watch."""
    for number in range(300):
        rng = random.Random(number)
        told = store.Store(waking.owner_of)
        server: Any = None
        late: list[tuple[str, Any]] = []
        version = 0
        for _ in range(20):
            version += 1
            if server is None:
                server = child(version=version, uid=f"u{version}", data={"v": str(version)})
                late.append(("ADDED", server))
            elif rng.random() < 0.3:
                late.append(
                    ("DELETED", {**server, "metadata": {**server["metadata"], "resourceVersion": str(version)}})
                )
                if rng.random() < 0.5:
                    told.forget("ConfigMap", "shop", "churn-a", uid=server["metadata"]["uid"])
                server = None
                continue
            else:
                server = child(version=version, uid=server["metadata"]["uid"], data={"v": str(version)})
                late.append(("MODIFIED", server))
            if rng.random() < 0.5:
                put(told, server)
            while late and rng.random() < 0.5:
                tell(told, *late.pop(0))
        for event in late:
            tell(told, *event)
        assert data(told) == ([server["data"]] if server else []), f"history {number}"


def tell(told: store.Store, type_: str, raw: Any) -> None:
    told.drop("ConfigMap", raw) if type_ == "DELETED" else put(told, raw)


def status_of_container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "server", "image": "i", "state": state, **more}]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            {"conditions": [{"type": "Ready", "status": "False", "lastProbeTime": None}]},
            {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T12:00:00Z"}]},
            id="times of conditions",
        ),
        pytest.param({"phase": "Pending"}, {"phase": "Running"}, id="phase"),
        pytest.param(
            status_of_container({"waiting": {"reason": "PodInitializing"}}), status_of_container({}), id="on its way"
        ),
        pytest.param(
            status_of_container({"running": {"startedAt": "2026-01-01T12:00:00Z"}}),
            status_of_container({"running": {"startedAt": "2026-01-01T12:00:01Z"}}, started=True),
            id="when a container started",
        ),
    ],
)
def test_what_a_kubelet_reports_and_nobody_reads_is_no_news(before: Any, after: Any) -> None:
    assert trimming.trim("Pod", child(status=before)) == trimming.trim("Pod", child(status=after))
