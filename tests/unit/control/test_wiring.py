"""kopf's handlers and settings: nothing that writes, children filtered by the server."""

from __future__ import annotations

from seatrial import api
from seatrial.cluster import kinds, trimming
from seatrial.control import wiring


def test_kopf_gets_only_handlers_that_never_write() -> None:
    registry = wiring.registry(lambda kind, type_, raw: None)
    assert len(registry._watching.get_all_handlers()) == len(trimming.KINDS - kinds.OPTIONAL)
    for writing in (registry._changing, registry._spawning, registry._webhooks):
        assert not writing.get_all_handlers()


def test_kopf_is_configured_to_keep_to_itself() -> None:
    settings = wiring.settings()
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    assert settings.watching.inactivity_timeout == 70
    selectors = settings.watching.label_selectors
    assert selectors[wiring.resource("CronJob")] == "seatrial.dev/for-models=true"
    children = [selectors[wiring.resource(kind)] for kind in trimming.KINDS - {api.KIND, "CronJob"}]
    assert set(children) == {"app.kubernetes.io/managed-by=seatrial,seatrial.dev/modeldeployment"}
    assert len(selectors) == len(trimming.KINDS) - 1
