"""The chart's values: what is refused, what each toggle makes, and what the operator reads of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.harness import errors, shell
from tests.contract import charts

from seatrial.api import placement
from seatrial.control import settings

DIGEST = "sha256:" + "9f86d081" * 8

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt value": ({"promtheus": {"url": "http://p"}}, "'promtheus' not allowed"),
    "a misspelt limit": ({"resources": {"limitz": {"memory": "1Gi"}}}, "'limitz' not allowed"),
    "a limit that is no quantity": ({"resources": {"limits": {"memory": "lots"}}}, "/resources/limits/memory"),
    "a resource that pods don't have": ({"resources": {"limits": {"memroy": "1Gi"}}}, "'memroy' not allowed"),
    "an affinity of no kind": ({"affinity": {"foo": {}}}, "'foo' not allowed"),
    "a wrong toleration": ({"tolerations": [{"key": "a", "effect": "NoRun"}]}, "/tolerations/0/effect"),
    "a name in capitals": ({"fullnameOverride": "UPPER_case"}, "/fullnameOverride"),
    "an image as one text": ({"image": "bad image"}, "'image' not allowed"),
    "a repository with a space": ({"images": {"serving": {"repository": "bad image"}}}, "/images/serving/repository"),
    "a repository with a tag": ({"images": {"serving": {"repository": "serving:1"}}}, "/images/serving/repository"),
    "a registry with a scheme": ({"images": {"registry": "https://registry.example.com"}}, "/images/registry"),
    "a digest that is none": ({"images": {"operator": {"digest": "sha256:abc"}}}, "/images/operator/digest"),
    "a tag with a slash": ({"images": {"tag": "1/2"}}, "/images/tag"),
    "no interval at all": ({"scrapeInterval": "0s"}, "/scrapeInterval"),
    "an interval without a unit": ({"scrapeInterval": "15"}, "/scrapeInterval"),
    "a URL without a scheme": ({"prometheus": {"url": "prometheus:9090"}}, "/prometheus/url"),
    "a namespace in capitals": ({"namespaces": ["Shop"]}, "/namespaces/0"),
    "a label that is none": ({"podLabels": {"team": "risk and more"}}, "/podLabels/team"),
    "a label of the chart's own": ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "app.kubernetes.io/name"),
    "a label of Helm's": ({"commonLabels": {"helm.sh/chart": "mine"}}, "'helm.sh/chart'"),
    "a variable without a name": ({"env": [{"value": "x"}]}, "/env/0"),
    "too many replicas": ({"replicas": 50}, "/replicas"),
    "a pod setting that is none": ({"serving": {"pods": {"nodeSelecter": {}}}}, "'nodeSelecter' not allowed"),
    "a wrong pull secret": ({"serving": {"pods": {"imagePullSecrets": ["registry"]}}}, "/imagePullSecrets/0"),
    "a wrong affinity of serving pods": (
        {"serving": {"pods": {"affinity": {"nodeAffinity": {"required": {}}}}}},
        "'required' not allowed",
    ),
    "a budget above all": ({"monitoring": {"rules": {"errorBudget": 1}}}, "/monitoring/rules/errorBudget"),
    "a relabelling that is none": (
        {"monitoring": {"podMonitor": {"relabelings": [{"source_labels": ["a"]}]}}},
        "'source_labels' not allowed",
    ),
    "a monitor's interval in words": ({"monitoring": {"podMonitor": {"interval": "often"}}}, "podMonitor/interval"),
    "a peer that is none": ({"networkPolicy": {"metricsFrom": [{"namespace": "x"}]}}, "'namespace' not allowed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_work_is_refused_with_its_place(name: str) -> None:
    values, said = REFUSED[name]
    with pytest.raises(errors.CommandFailed) as refused:
        charts.template(values)
    assert said in str(refused.value)


ACCEPTED: dict[str, dict[str, Any]] = {
    "numbers as quantities": {"resources": {"limits": {"cpu": 1, "memory": "512Mi"}, "requests": {"cpu": 0.5}}},
    "disk": {"resources": {"limits": {"ephemeral-storage": "1Gi"}}},
    "a registry with a port": {"images": {"registry": "localhost:5000"}},
    "no resources": {"resources": {"requests": {}, "limits": {}}},
    "a variable from a Secret": {
        "env": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}]
    },
    "a parent's condition": {"enabled": True, "global": {"anything": {"goes": 1}}},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_works_is_accepted(name: str) -> None:
    assert charts.rendered(ACCEPTED[name])


def test_without_a_registry_the_chart_says_how_to_get_images() -> None:
    with pytest.raises(errors.CommandFailed, match=r"images\.registry is empty.*make image.*docs/how-to/images\.md"):
        charts.template({}, images=False)


@pytest.mark.parametrize(
    ("images", "operator", "serving"),
    [
        pytest.param({}, "operator:0.1.0", "serving:0.1.0", id="the chart's version"),
        pytest.param({"tag": "7"}, "operator:7", "serving:7", id="one tag for both"),
        pytest.param({"tag": "7", "serving": {"tag": "8"}}, "operator:7", "serving:8", id="a tag of its own"),
        pytest.param({"serving": {"digest": DIGEST}}, "operator:0.1.0", f"serving@{DIGEST}", id="a digest"),
        pytest.param({"operator": {"digest": DIGEST, "tag": "1"}}, f"operator@{DIGEST}", "serving:0.1.0", id="both"),
        pytest.param({"operator": {"repository": "a/b"}}, "a/b:0.1.0", "serving:0.1.0", id="a repository"),
    ],
)
def test_registry_repository_tag_and_digest_make_a_name(images: dict[str, Any], operator: str, serving: str) -> None:
    made = charts.rendered({"images": images})
    (container,) = charts.pod(made)["spec"]["containers"]
    assert container["image"] == f"{charts.REGISTRY}/{operator}"
    assert charts.environment(made)["SEATRIAL_SERVING_IMAGE"] == f"{charts.REGISTRY}/{serving}"


def test_values_reach_the_operators_environment() -> None:
    made = charts.rendered(
        {
            "prometheus": {"url": "http://prom:9090"},
            "scrapeInterval": "5s",
            "namespaces": ["shop", "bank"],
            "serving": {"imageAllow": ["local", "other/team"]},
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        }
    )
    assert charts.environment(made) == {
        "SEATRIAL_SERVING_IMAGE": f"{charts.REGISTRY}/serving:0.1.0",
        "SEATRIAL_SERVING_IMAGE_ALLOW": "local,other/team",
        "SEATRIAL_LEASE_NAME": "seatrial",
        "SEATRIAL_PROMETHEUS_URL": "http://prom:9090",
        "SEATRIAL_SCRAPE_INTERVAL": "5s",
        "SEATRIAL_NAMESPACES": "shop,bank",
        "HTTPS_PROXY": "http://proxy:3128",
    }


SERVING = {
    "nodeSelector": {"pool": "models"},
    "tolerations": [{"key": "models", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
    "env": [{"name": "GREETING", "value": "costs $5, $(HOME)"}],
    "terminationGracePeriod": "1m",
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"app": "batch"}},
                    },
                }
            ]
        }
    },
}


def test_defaults_of_serving_pods_are_read_by_the_operator_as_they_are_written() -> None:
    text = charts.environment(charts.rendered({"serving": {"pods": SERVING}}))["SEATRIAL_SERVING_DEFAULTS"]
    given = text.replace("$$", "$")  # as the kubelet does, so that it expands nothing
    assert "$$(HOME)" in text
    read = settings.parse(
        serving_image="i", pod_namespace="ops", pod_name="a", prometheus_url="", scrape_interval="15s", namespaces="",
        workers=2, probe_port=1, metrics_port=2, log_level="info", serving_defaults=given,
    ).serving_defaults  # fmt: skip
    assert read.node_selector == {"pool": "models"}
    assert read.env == (placement.Variable(name="GREETING", value="costs $5, $(HOME)"),)
    assert read.affinity is not None
    assert read.affinity.pod_anti_affinity is not None


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"monitoring": {"serviceMonitor": {"install": True}}}, ["ServiceMonitor"]),
        ({"monitoring": {"podMonitor": {"install": True}}}, ["PodMonitor"]),
        ({"monitoring": {"rules": {"install": True}}}, ["PrometheusRule"]),
        ({"networkPolicy": {"install": True}}, ["NetworkPolicy"]),
        ({"replicas": 2}, ["PodDisruptionBudget"]),
        ({"replicas": 2, "podDisruptionBudget": {"install": False}}, []),
    ],
    ids=str,
)
def test_a_toggle_makes_what_it_says_and_nothing_else(values: dict[str, Any], kinds: list[str]) -> None:
    def made(chosen: dict[str, Any]) -> set[tuple[str, str]]:
        return {(one["kind"], one["metadata"]["name"]) for one in charts.rendered(chosen)}

    assert {kind for kind, _ in made(values) - made({})} == set(kinds)
    assert made({}) <= made(values)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        ({"crds": {"install": False}}, ["CustomResourceDefinition"]),
        (
            {"policies": {"install": False}},
            ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
        ),
    ],
    ids=str,
)
def test_a_toggle_takes_away_what_it_says(values: dict[str, Any], kinds: list[str]) -> None:
    before, after = charts.rendered({}), charts.rendered(values)
    assert {one["kind"] for one in before} - {one["kind"] for one in after} == set(kinds)


def test_a_monitor_has_the_labels_interval_and_relabelling_that_were_asked_for() -> None:
    asked = {
        "install": True,
        "labels": {"release": "kube-prometheus-stack"},
        "interval": "10s",
        "relabelings": [{"action": "labeldrop", "regex": "endpoint"}],
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}],
    }
    made = charts.rendered({"monitoring": {"serviceMonitor": asked, "podMonitor": asked}, "namespaces": ["shop"]})
    (service,), (pods,) = charts.of_kind(made, "ServiceMonitor"), charts.of_kind(made, "PodMonitor")
    assert pods["spec"]["namespaceSelector"] == {"matchNames": ["shop"]}
    for one, endpoints in ((service, service["spec"]["endpoints"]), (pods, pods["spec"]["podMetricsEndpoints"])):
        (endpoint,) = endpoints
        assert one["metadata"]["labels"]["release"] == "kube-prometheus-stack"
        assert endpoint["interval"] == "10s"
        assert endpoint["relabelings"] == asked["relabelings"]
        assert endpoint["metricRelabelings"] == asked["metricRelabelings"]


def test_the_operators_pods_are_spread_labelled_and_placed() -> None:
    made = charts.rendered(
        {
            "commonLabels": {"team": "ml"},
            "podLabels": {"tier": "control"},
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"pool": "system"},
            "affinity": SERVING["affinity"],
            "images": {"pullSecrets": [{"name": "registry"}]},
        }
    )
    assert all(one["metadata"]["labels"]["team"] == "ml" for one in made)
    template = charts.pod(made)
    assert {"team": "ml", "tier": "control"}.items() <= template["metadata"]["labels"].items()
    assert template["spec"]["priorityClassName"] == "system-cluster-critical"
    assert template["spec"]["affinity"] == SERVING["affinity"]
    assert template["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    (spread,) = template["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart of somebody's platform, which has Seatrial as a part under another name."""
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "seatrial").symlink_to(charts.CHART)
    dependency = {"name": "seatrial", "version": "*", "alias": "models", "condition": "models.enabled"}
    (tmp_path / "Chart.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]})
    )
    (tmp_path / "values.yaml").write_text(
        yaml.safe_dump(
            {
                "models": {"enabled": True, "replicas": 2},
                "global": {"imageRegistry": "mirror.example.com", "imagePullSecrets": [{"name": "mirror"}]},
            }
        )
    )
    return tmp_path


def test_as_a_part_of_another_chart_it_follows_that_charts_globals(parent: Path) -> None:
    made = [one for one in yaml.safe_load_all(charts.template({}, chart=parent, release="site", images=False)) if one]
    template = charts.pod(made)["spec"]
    assert template["containers"][0]["image"] == "mirror.example.com/operator:0.1.0"
    assert template["imagePullSecrets"] == [{"name": "mirror"}]
    assert charts.of_kind(made, "Deployment")[0]["metadata"]["name"] == "site-seatrial"
    assert charts.environment(made)["SEATRIAL_SERVING_IMAGE"] == "mirror.example.com/serving:0.1.0"
    assert charts.template({"models": {"enabled": False}}, chart=parent, images=False).strip() == ""


def test_helm_3_renders_what_helm_4_renders() -> None:
    values = ["--set", "replicas=2,networkPolicy.install=true,monitoring.rules.install=true", *charts.IMAGES]
    values += ["--set", "monitoring.podMonitor.install=true,monitoring.serviceMonitor.install=true"]
    three, four = (
        {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(shell.run(command)) if one}
        for command in (
            [*helm, "template", "seatrial", str(charts.CHART), "-n", "ops", *values]
            for helm in (charts.helm3(), charts.helm4())
        )
    )
    assert three == four


def test_helm_3_refuses_what_helm_4_refuses() -> None:
    with pytest.raises(errors.CommandFailed, match="limitz"):
        shell.run([*charts.helm3(), "template", charts.CHART, *charts.IMAGES, "--set", "resources.limitz.memory=1"])
