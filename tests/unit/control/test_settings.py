"""Settings: parsed once, every mistake named with its flag and variable."""

from __future__ import annotations

from typing import Any

import pytest

from seatrial.api import placement
from seatrial.api.values import Duration
from seatrial.control import settings

GOOD: dict[str, Any] = {
    "serving_image": "registry.example.com/serving:1",
    "pod_namespace": "seatrial-system",
    "pod_name": "operator-0",
    "prometheus_url": "http://prometheus:9090",
    "scrape_interval": "15s",
    "namespaces": "shop, lab",
    "workers": 4,
    "probe_port": 8080,
    "metrics_port": 9090,
    "log_level": "info",
}


def test_good_settings_are_typed() -> None:
    parsed = settings.parse(**GOOD)
    assert parsed.namespaces == ("shop", "lab")
    assert parsed.scrape_interval == Duration(seconds=15)


def test_images_and_lease_have_defaults_of_one_installation() -> None:
    parsed = settings.parse(**GOOD)
    assert (parsed.serving_images, parsed.lease_name) == ((), settings.LEASE)
    parsed = settings.parse(**GOOD, serving_image_allow="registry.example.com, other.example.com/team", lease_name="a")
    assert (parsed.serving_images, parsed.lease_name) == (("registry.example.com", "other.example.com/team"), "a")


def test_defaults_of_serving_pods_are_fields_of_the_resource() -> None:
    assert settings.parse(**GOOD).serving_defaults == placement.Placement()
    text = '{"nodeSelector": {"pool": "models"}, "terminationGracePeriod": "1m"}'
    parsed = settings.parse(**GOOD, serving_defaults=text).serving_defaults
    assert (parsed.node_selector, parsed.termination_grace_period) == ({"pool": "models"}, Duration(seconds=60))


def test_no_namespaces_are_all_of_them_and_no_prometheus_is_fine() -> None:
    parsed = settings.parse(**{**GOOD, "namespaces": "", "prometheus_url": ""})
    assert (parsed.namespaces, parsed.prometheus_url) == ((), "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"serving_image": ""}, "SEATRIAL_SERVING_IMAGE must name"),
        ({"pod_namespace": ""}, "POD_NAMESPACE must be"),
        ({"pod_name": ""}, "POD_NAME must be"),
        ({"prometheus_url": "prometheus:9090"}, "SEATRIAL_PROMETHEUS_URL must be like"),
        ({"prometheus_url": "http://["}, "SEATRIAL_PROMETHEUS_URL must be like"),
        ({"scrape_interval": "15"}, "SEATRIAL_SCRAPE_INTERVAL must be a duration"),
        ({"scrape_interval": "0s"}, "SEATRIAL_SCRAPE_INTERVAL must be more"),
        (
            {"serving_image_allow": "registry.example.com,two words"},
            "SEATRIAL_SERVING_IMAGE_ALLOW: 'two words' is no registry",
        ),
        ({"lease_name": "My Lease"}, "'My Lease' is not the name of an object"),
        ({"namespaces": "shop,Lab"}, "'Lab' is not the name of a namespace"),
        ({"serving_defaults": "{"}, "SEATRIAL_SERVING_DEFAULTS: "),
        ({"serving_defaults": '{"nodeSelecter": {}}'}, "unknown field 'nodeSelecter'; there are nodeSelector"),
        ({"serving_defaults": '{"imagePullSecrets": [{"name": "A B"}]}'}, r"at `\$\.imagePullSecrets\[0\]\.name`"),
        ({"serving_defaults": '{"env": [{"name": "LD_PRELOAD", "value": "x"}]}'}, "LD_PRELOAD is read by"),
        ({"serving_defaults": '{"podLabels": {"seatrial.dev/revision": "x"}}'}, "is the operator's own"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_named(change: dict[str, str], said: str) -> None:
    with pytest.raises(settings.SettingsError, match=said):
        settings.parse(**{**GOOD, **change})


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.parse(**{**GOOD, "serving_image": "", "pod_namespace": "", "scrape_interval": "soon"})
    assert len(str(caught.value).splitlines()) == 3


def test_what_prometheus_asks_for_is_taken_together() -> None:
    given = settings.parse(
        **GOOD,
        prometheus_token_file="/run/token",
        prometheus_headers=("X-Scope-OrgID=shop",),
        prometheus_allow=("*.monitoring.svc", "https://thanos.example.com/tenant"),
        prometheus_secret_names=("prom",),
    ).sources
    assert (given.own.files, given.own.texts) == ({"token": "/run/token"}, {"header.X-Scope-OrgID": "shop"})
    assert [entry.host for entry in given.allow] == ["*.monitoring.svc", "thanos.example.com"]
    assert (given.secret_names, given.own.verify) == ({"prom"}, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prometheus_username": "ann"}, "must be given together"),
        ({"prometheus_headers": ("X-Scope-OrgID",)}, "must be like X-Scope-OrgID=shop"),
        ({"prometheus_allow": ("http://p/?q",)}, "SEATRIAL_PROMETHEUS_ALLOW"),
        ({"prometheus_url": "http://ann:hunter2@prometheus"}, "must hold no user"),
    ],
    ids=["no password", "no value", "query", "user in the url"],
)
def test_a_mistake_about_prometheus_is_named_without_its_secret(change: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.SettingsError, match=said) as caught:
        settings.parse(**{**GOOD, **change})
    assert "hunter2" not in str(caught.value)
