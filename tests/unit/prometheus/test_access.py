"""Whose Prometheus may be asked: the operator reaches more than the user who names a URL."""

from __future__ import annotations

import pytest

from seatrial.prometheus import access, errors

ALLOW = [access.allowed("https://thanos.monitoring.svc:10902/tenant"), access.allowed("*.metrics.example.com")]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://prometheus.shop.svc:9090", "http://prometheus.shop.svc:9090"),
        ("http://Prometheus.shop.svc.cluster.local.:9090/", "http://prometheus.shop.svc.cluster.local:9090"),
        ("http://prometheus.shop.svc:80/x/", "http://prometheus.shop.svc/x"),
        ("https://thanos.monitoring.svc:10902/tenant", "https://thanos.monitoring.svc:10902/tenant"),
        ("https://thanos.monitoring.svc:10902/tenant/a", "https://thanos.monitoring.svc:10902/tenant/a"),
        ("https://eu.metrics.example.com", "https://eu.metrics.example.com"),
    ],
    ids=str,
)
def test_an_object_may_name_a_service_of_its_namespace_and_what_the_operator_allows(url: str, asked: str) -> None:
    assert access.held(url, namespace="shop", allow=ALLOW).url == asked


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://prometheus.other.svc:9090",
        "http://prometheus.shop",
        "http://shop.svc",
        "http://evil.example.com/prometheus.shop.svc",
        "http://prometheus.shop.svc.evil.example.com",
        "http://thanos.monitoring.svc:10902/tenant",
        "https://thanos.monitoring.svc:9090/tenant",
        "https://thanos.monitoring.svc:10902/tenants",
        "https://thanos.monitoring.svc:10902/",
        "https://metrics.example.com",
        "http://localhost:9090",
    ],
    ids=str,
)
def test_what_nobody_allowed_is_refused_with_what_to_change(url: str) -> None:
    with pytest.raises(errors.PrometheusRefused, match=r"spec\.analysis\.prometheus\.url .*--prometheus-allow"):
        access.held(url, namespace="shop", allow=ALLOW)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://p.shop.svc/api/v1/admin/tsdb/delete_series?match[]=up&x=", r"no \? and no #"),
        ("http://p.shop.svc/#", r"no \? and no #"),
        ("http://user:hunter2@p.shop.svc", "secretRef"),
        ("http://p.shop.svc/..", "without %"),
        ("http://p.shop.svc/a/%2e%2e/b", "without %"),
        ("http://p.shop.svc:99999", "must be like"),
        ("http://[::1", "must be like"),
        ("http://:9090", "must be like"),
        ("ftp://p.shop.svc", "must be like"),
        ("http://p.shop.svc\\@evil", "must be like"),
        ("http://p shop.svc", "must be like"),
        ("http://p.shop.svc\n", "must be like"),
    ],
    ids=str,
)
def test_a_url_is_scheme_host_and_path_and_nothing_else(url: str, said: str) -> None:
    with pytest.raises(errors.PrometheusRefused, match=said) as caught:
        access.held(url, namespace="shop", allow=ALLOW)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "url", "covered"),
    [
        ("prometheus", "http://prometheus:9090", True),
        ("prometheus:9090", "http://prometheus:9090", True),
        ("prometheus:9090", "http://prometheus:9091", False),
        ("*.monitoring.svc", "http://prometheus.monitoring.svc", True),
        ("*.monitoring.svc", "http://monitoring.svc", False),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "http://a.example.com", False),
        ("[fd00::1]:9090", "http://[fd00::1]:9090", True),
    ],
    ids=str,
)
def test_an_entry_is_a_url_prefix_or_a_host(entry: str, url: str, covered: bool) -> None:
    assert access.allowed(entry).covers(access.place(url)) is covered


@pytest.mark.parametrize("entry", ["", "*", "http://", "a b", "http://p?x"], ids=str)
def test_an_entry_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"must|neither"):
        access.allowed(entry)
