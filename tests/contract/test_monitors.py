"""PodMonitor, ServiceMonitor and PrometheusRule in front of a real prometheus-operator on a real API server."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.harness import apiserver, beside, binaries, progress, shell, waiting
from tests.contract import charts

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

STACK = {"release": "kube-prometheus-stack"}
EVERYTHING: dict[str, Any] = {
    "replicas": 2,
    "networkPolicy": {"install": True, "metricsFrom": [{"namespaceSelector": {"matchLabels": {"team": "watch"}}}]},
    "monitoring": {
        "podMonitor": {
            "install": True,
            "labels": STACK,
            "interval": "7s",
            "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}],
            "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}],
        },
        "serviceMonitor": {"install": True, "labels": STACK},
        "rules": {"install": True, "labels": STACK, "alertLabels": {"team": "ml"}, "errorBudget": 0.02},
        "boards": {"install": True, "annotations": {"grafana_folder": "Seatrial"}},
    },
}
PLACED: dict[str, Any] = {
    "podLabels": {"tier": "control"},
    "podAnnotations": {"note": "mind the gap"},
    "commonLabels": {"team": "ml"},
    "priorityClassName": "system-cluster-critical",
    "nodeSelector": {"pool": "system"},
    "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}]
            }
        }
    },
    "topologySpreadConstraints": [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 2}],
    "env": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}],
    "resources": {"limits": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "1Gi"}},
    "images": {"tag": "7", "pullPolicy": "Always", "pullSecrets": [{"name": "registry"}]},
    "serving": {"pods": {"nodeSelector": {"pool": "models"}}, "imageAllow": ["registry.example.com"]},
    "prometheus": {"url": "http://p", "auth": {"secretName": "p", "tokenKey": "t"}, "secretNames": ["mimir"]},
}
TOGGLES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "everything": EVERYTHING,
    "some namespaces": {**EVERYTHING, "namespaces": ["shop", "bank"]},
    "placed": PLACED,
    "no policies": {"policies": {"install": False}, "crds": {"keep": False, "annotations": {"team": "ml"}}},
    "another account": {"serviceAccount": {"name": "told", "annotations": {"eks.amazonaws.com/role-arn": "arn:x"}}},
    "another name": {"fullnameOverride": "canary", "metrics": {"annotations": {}}},
    "nobody": {"replicas": 0, "resources": {"requests": {}, "limits": {}}},
}


@pytest.fixture(scope="module")
def api() -> Iterator[apiserver.ApiServer]:
    """With the prometheus-operator's own CRDs, from its module."""
    crds = binaries.module(binaries.PROMETHEUS_OPERATOR_MODULE) / "example" / "prometheus-operator-crd"
    with apiserver.running() as server:
        server.kubectl(
            "apply", "--server-side", *(part for path in sorted(crds.glob("*.yaml")) for part in ("-f", str(path)))
        )
        for namespace in ("ops", "shop", "bank"):
            server.namespace(namespace)
        waiting.until(
            lambda: served(server) >= {"podmonitors", "servicemonitors", "prometheusrules", "prometheuses"},
            what="the prometheus-operator's kinds served",
            seconds=60,
        )
        yield server


def served(api: apiserver.ApiServer) -> set[str]:
    """Names of the prometheus-operator's kinds that the API server has."""
    lines = api.kubectl("api-resources", "--api-group=monitoring.coreos.com", "--no-headers").splitlines()
    return {line.split()[0] for line in lines}


@pytest.mark.parametrize("name", TOGGLES)
def test_the_api_server_takes_what_every_toggle_makes(api: apiserver.ApiServer, name: str) -> None:
    """Decoded, defaulted and validated as if it were stored; an unknown field is an error."""
    text = charts.template(TOGGLES[name])
    api.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=text)


def prometheus_operator(api: apiserver.ApiServer) -> contextlib.AbstractContextManager[None]:
    """The real program, until the block ends."""
    binaries.ensure(binaries.PROMETHEUS_OPERATOR, say=progress.silent)
    command = [binaries.PROMETHEUS_OPERATOR.path(), "--web.listen-address=127.0.0.1:0", "--kubelet-endpoints=false"]
    return beside.running(command, what="prometheus-operator", environment={"KUBECONFIG": str(api.kubeconfig)})


@pytest.fixture(scope="module")
def selected(api: apiserver.ApiServer) -> dict[str, Any]:
    """What a Prometheus as the stack installs it is configured with: its scrape jobs, by name, and its rule files."""
    own = charts.rendered(EVERYTHING)
    other = charts.rendered(
        {"monitoring": {"podMonitor": {"install": True, "labels": {"release": "another"}}}}, release="other-seatrial"
    )
    objects = [one for one in (*own, *other) if one["apiVersion"].startswith("monitoring.coreos.com")]
    selector = {"matchLabels": STACK}
    spec = {
        "serviceAccountName": "default",
        **{f"{kind}Selector": selector for kind in ("podMonitor", "serviceMonitor", "rule")},
        **{f"{kind}NamespaceSelector": {} for kind in ("podMonitor", "serviceMonitor", "rule")},
    }
    objects.append(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "Prometheus",
            "metadata": {"name": "stack", "namespace": "bank"},
            "spec": spec,
        }
    )
    api.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump_all(objects))

    def configured() -> str:
        path = "jsonpath={.data.prometheus\\.yaml\\.gz}"
        text = api.kubectl("get", "secret", "prometheus-stack", "-n", "bank", "-o", path, check=False)
        return gzip.decompress(base64.b64decode(text)).decode() if text else ""

    def rules() -> dict[str, str]:
        text = api.kubectl("get", "configmap", "prometheus-stack-rulefiles-0", "-n", "bank", "-o", "json", check=False)
        return dict(json.loads(text).get("data") or {}) if text else {}

    with prometheus_operator(api):
        waiting.until(
            lambda: "podMonitor/ops" in configured() and bool(rules()),
            what="the prometheus-operator made a configuration",
            seconds=180,
        )
        return {"configuration": configured(), "rules": rules()}


def jobs(selected: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["job_name"]: one for one in yaml.safe_load(selected["configuration"])["scrape_configs"]}


def test_the_monitors_with_its_label_are_selected_and_no_others(selected: dict[str, Any]) -> None:
    assert set(jobs(selected)) == {"podMonitor/ops/seatrial-serving/0", "serviceMonitor/ops/seatrial/0"}


def test_serving_pods_of_all_namespaces_are_scraped_with_the_labels_that_evidence_needs(
    selected: dict[str, Any],
) -> None:
    job = jobs(selected)["podMonitor/ops/seatrial-serving/0"]
    assert job["scrape_interval"] == "7s"
    assert all("namespaces" not in one or one["namespaces"]["names"] == [] for one in job["kubernetes_sd_configs"])
    targets = {one.get("target_label"): one.get("source_labels") for one in job["relabel_configs"]}
    assert targets["namespace"] == ["__meta_kubernetes_namespace"]
    assert targets["pod"] == ["__meta_kubernetes_pod_name"]
    assert targets["node"] == ["__meta_kubernetes_pod_node_name"]
    assert job["metric_relabel_configs"] == [{"source_labels": ["__name__"], "regex": "python_.*", "action": "drop"}]


def test_the_configuration_is_one_that_prometheus_takes(selected: dict[str, Any], tmp_path: Path) -> None:
    binaries.ensure(binaries.PROMTOOL, say=progress.silent)
    text = selected["configuration"].replace("/var/run/secrets/", f"{tmp_path}/")
    (tmp_path / "prometheus.yaml").write_text(text)
    shell.run([binaries.PROMTOOL.path(), "check", "config", "--syntax-only", tmp_path / "prometheus.yaml"])


def test_the_rules_are_valid_in_the_operators_eyes_and_carry_what_was_asked_for(selected: dict[str, Any]) -> None:
    (text,) = selected["rules"].values()
    found = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    shipped = yaml.safe_load((charts.CHART / "files" / "rules.yaml").read_text())
    assert len(found) == sum(len(group["rules"]) for group in shipped["groups"])
    alerts = [rule for rule in found if "alert" in rule]
    assert all(rule["labels"]["team"] == "ml" for rule in alerts)
    assert all(rule["annotations"]["runbook_url"].endswith(f"#{rule['alert'].lower()}") for rule in alerts)
    burns = [rule["expr"] for rule in alerts if rule["alert"].startswith("SeatrialErrorBudget")]
    assert all("* 0.02" in expression and "* 0.01" not in expression for expression in burns)
