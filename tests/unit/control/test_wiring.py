"""kopf's handlers and settings: nothing that writes, children filtered by the server, keys from labels."""

from __future__ import annotations

from seatrial.control import wiring
from seatrial.control.queue import Key


def test_a_childs_key_is_its_namespace_and_the_name_in_its_label() -> None:
    labelled = {"namespace": "shop", "name": "churn-abc", "labels": {"seatrial.dev/modeldeployment": "churn"}}
    assert wiring.key_of_child(labelled) == Key("shop", "churn")
    assert wiring.key_of_child({"namespace": "shop", "name": "other"}) is None


def test_kopf_gets_only_handlers_that_never_write() -> None:
    registry = wiring.registry(lambda key, urgent: None)
    assert len(registry._watching.get_all_handlers()) == 1 + len(wiring.CHILDREN)
    for writing in (registry._changing, registry._spawning, registry._webhooks):
        assert not writing.get_all_handlers()


def test_kopf_is_configured_to_keep_to_itself() -> None:
    settings = wiring.settings()
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    assert settings.watching.inactivity_timeout == 70
    assert set(settings.watching.label_selectors.values()) == {
        "app.kubernetes.io/managed-by=seatrial,seatrial.dev/modeldeployment"
    }
    assert len(settings.watching.label_selectors) == len(wiring.CHILDREN)
