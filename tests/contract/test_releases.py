"""A release's life on a real API server with Helm 3 and Helm 4, and the documented ways from one release to another."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.harness import apiserver, paths, shell
from tests.contract import charts, established

from seatrial.api import crd

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

SYSTEM = "seatrial-system"
SAMPLE = paths.REPO / "manifests" / "samples" / "churn.yaml"
PAGE = paths.REPO / "docs" / "how-to" / "install.md"
HELMS = {"helm 3": charts.helm3, "helm 4": charts.helm4}


@pytest.fixture
def api() -> Iterator[apiserver.ApiServer]:
    """An API server that has never seen Seatrial."""
    with apiserver.running() as server:
        server.namespace(SYSTEM)
        yield server


@pytest.fixture
def typed(api: apiserver.ApiServer, tmp_path: Path) -> Callable[[str], str]:
    """Runs shell as a user types it, in a clone, with `helm` 4 and `kubectl` for this API server."""
    programs = {"helm": charts.helm4(), "kubectl": list(api.kubectl_argv)}
    for name, command in programs.items():
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
        (tmp_path / name).chmod(0o755)

    def run(text: str) -> str:
        environment = {**os.environ, **api.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        command = ["bash", "-euo", "pipefail", "-c", text.replace("/tmp/", f"{tmp_path}/")]
        done = subprocess.run(command, cwd=paths.REPO, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def documented(heading: str) -> str:
    """The shell block below a heading of the page on installing."""
    text = PAGE.read_text()
    below = text[text.index(f"## {heading}\n") :]
    found = re.search(r"```sh run=release\n(.*?)```", below, re.DOTALL)
    assert found is not None
    return found[1]


def uids(api: apiserver.ApiServer) -> dict[str, str]:
    """What is there of the operator and of models, and whether it is still the same."""
    kinds = "deploy,sa,role,rolebinding,service,mdeploy,crd,clusterrole,clusterrolebinding"
    kinds += ",validatingadmissionpolicy,validatingadmissionpolicybinding"
    items = json.loads(api.kubectl("get", kinds, "-A", "-o", "json"))["items"]
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["uid"]
        for one in items
        if one["kind"] == "ModelDeployment"
        or "seatrial" in one["metadata"]["name"]
        or one["metadata"]["name"] == crd.NAME
    }


def sample(api: apiserver.ApiServer) -> None:
    established.until_established(api)
    api.kubectl("create", "-f", str(SAMPLE))


@pytest.mark.parametrize("which", HELMS)
def test_install_upgrade_roll_back_uninstall_and_install_again(api: apiserver.ApiServer, which: str) -> None:
    def helm(*arguments: str) -> str:
        return shell.run([*HELMS[which](), *arguments, "-n", SYSTEM], env=api.environment)

    chart = str(charts.CHART)
    helm("install", "seatrial", chart, *charts.IMAGES)
    sample(api)
    before = uids(api)
    helm("upgrade", "seatrial", chart, *charts.IMAGES)
    assert uids(api) == before, "an upgrade without a change makes nothing anew"
    helm("upgrade", "seatrial", chart, *charts.IMAGES, "--set", "replicas=2,networkPolicy.install=true")
    assert api.kubectl("get", "pdb,networkpolicy", "-n", SYSTEM, "-o", "name").split() == [
        "poddisruptionbudget.policy/seatrial",
        "networkpolicy.networking.k8s.io/seatrial",
    ]
    helm("rollback", "seatrial", "1")
    assert api.kubectl("get", "pdb,networkpolicy", "-n", SYSTEM, "-o", "name") == ""
    helm("uninstall", "seatrial")
    assert api.kubectl("get", "deploy,clusterrole", "-A", "-l", "app.kubernetes.io/name=seatrial", "-o", "name") == ""
    assert "churn" in api.kubectl("get", "mdeploy", "-o", "name")
    helm("install", "seatrial", chart, *charts.IMAGES)
    after = uids(api)
    assert {name for name in before if before[name] == after.get(name)} == {
        f"CustomResourceDefinition/{crd.NAME}",
        "ModelDeployment/churn",
    }


def test_what_kustomize_made_becomes_a_release(api: apiserver.ApiServer, typed: Callable[[str], str]) -> None:
    api.kubectl("apply", "-k", str(paths.REPO / "manifests" / "cluster"), "--server-side")
    api.kubectl("apply", "-k", str(paths.REPO / "manifests" / "base"), "--server-side")
    sample(api)
    before = uids(api)
    typed(documented("From kustomize to Helm"))
    assert before.items() <= uids(api).items(), "nothing was deleted and made anew"
    assert "deployed" in typed(f"helm list -n {SYSTEM}")
    typed(f"helm uninstall seatrial -n {SYSTEM}")
    assert set(uids(api)) == {f"CustomResourceDefinition/{crd.NAME}", "ModelDeployment/churn"}


def test_a_release_of_another_name_takes_over(api: apiserver.ApiServer, typed: Callable[[str], str]) -> None:
    typed(f"helm install old helm/seatrial -n {SYSTEM} {' '.join(charts.IMAGES)}")
    sample(api)
    before = uids(api)
    typed(documented("To a release of another name"))
    after = uids(api)
    kept = {f"CustomResourceDefinition/{crd.NAME}", "ModelDeployment/churn"}
    assert {name for name in before if before[name] == after.get(name)} == kept
    assert "Deployment/new-seatrial" in after
    assert not [name for name in after if "old-seatrial" in name]
    owner = api.kubectl("get", "crd", crd.NAME, "-o", "yaml")
    assert yaml.safe_load(owner)["metadata"]["annotations"]["meta.helm.sh/release-name"] == "new"
