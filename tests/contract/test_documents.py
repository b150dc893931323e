"""The pages: what they tell people to type works as it is typed, links lead somewhere, what they ask for is true."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import pytest
from tests.cluster.harness import apiserver, binaries, paths, ports, progress
from tests.contract import charts, documents, established
from tests.contract.packing import samples
from tests.unit.plugin import recorded

from seatrial.api import crd

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]

PAGES = documents.pages()
LAPTOP = [page for page in PAGES if any(block.run == "laptop" for block in documents.shell(page))]
CLUSTER = [page for page in PAGES if any(block.run == "cluster" for block in documents.shell(page))]
PORTS = ("8080", "8081", "8082")
CRD = paths.REPO / "crds" / f"{crd.NAME}.yaml"

# Blocks that stand on an installed release, and what the tutorial's object is.
INSTALLED = {("docs/how-to/install.md", "Upgrading"), ("docs/how-to/install.md", "Uninstalling"),
             ("docs/how-to/security.md", "Images")}  # fmt: skip
TUTORIAL = "docs/tutorial.md"
INSTALL = "helm install seatrial helm/seatrial -n seatrial-system --create-namespace --set images.registry=seatrial.dev"
NOTHING_YET = f"""
for release in $(helm list -A -o json | python -c '
import json, sys
print(*(one["namespace"] + "/" + one["name"] for one in json.load(sys.stdin)))'); do
  helm uninstall "${{release#*/}}" -n "${{release%/*}}"
done
kubectl delete crd {crd.NAME} --ignore-not-found
kubectl delete clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding \
  -l app.kubernetes.io/name=seatrial
"""

Typed = Callable[[str, Path], str]


@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_every_shell_block_says_whether_a_test_runs_it(page: Path) -> None:
    for block in documents.shell(page):
        assert block.run in documents.RUNS, f"{block.page}:{block.line} says run={block.run}"


def test_what_other_tests_run_is_what_they_find() -> None:
    found = {(block.page, block.heading) for page in PAGES for block in documents.shell(page) if block.run == "release"}
    assert found == {
        ("docs/how-to/install.md", heading) for heading in ("From kustomize to Helm", "To a release of another name")
    }


@pytest.mark.parametrize("page", PAGES, ids=documents.name)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    for target, anchor in documents.links(page):
        assert target.exists(), f"{documents.name(page)} links to {target}"
        if anchor and target.suffix == ".md":
            assert anchor in documents.anchors(target), f"{documents.name(page)} links to {target.name}#{anchor}"


def test_every_page_is_in_the_index() -> None:
    listed = {target for target, _ in documents.links(documents.INDEX)}
    written = {page for page in (paths.REPO / "docs").rglob("*") if page.suffix in (".md", ".ipynb")}
    assert {documents.name(page) for page in written - listed - {documents.INDEX}} == set()


def required(programs: Sequence[binaries.Program]) -> str:
    """The newest Go that a module of these asks for."""
    texts = [(one.folder or binaries.module(one.module)).joinpath("go.mod").read_text() for one in programs]
    return max((binaries.required_go(text) for text in texts), key=binaries._numbers)


def test_the_readme_asks_for_the_go_that_the_modules_ask_for() -> None:
    every = [one for one in vars(binaries).values() if isinstance(one, binaries.Program)]
    demo = [binaries.KUBE, binaries.PAUSE, binaries.PROMETHEUS]
    asked = re.search(r"Go (\S+) or\s+newer \((\S+) for `make test`\)", (paths.REPO / "README.md").read_text())
    assert asked is not None
    assert (asked[1], asked[2]) == (required(demo), required(every))


def test_the_readme_asks_for_the_python_that_the_package_asks_for() -> None:
    wanted = re.search(r'requires-python = ">=([\d.]+)"', (paths.REPO / "pyproject.toml").read_text())
    assert wanted is not None
    for page in ("README.md", "docs/laptop.md"):
        assert re.search(rf"Python\s+{re.escape(wanted[1])}\s+or newer", (paths.REPO / page).read_text()), page


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the PATH: kubectl and helm as users call them, and this environment's commands."""
    binaries.ensure(binaries.KUBE, say=progress.silent)
    folder = tmp_path_factory.mktemp("bin")
    for command in ("kubectl", "helm"):
        (folder / command).symlink_to(binaries.KUBE.path())
    (folder / "tmp").mkdir()
    return folder


@pytest.fixture(scope="module")
def typed(programs: Path) -> Typed:
    """Types shell in a folder; what it prints. /tmp is a folder of the test's own."""

    def run(text: str, folder: Path, environment: dict[str, str] | None = None) -> str:
        own = {**os.environ, **(environment or {})}
        own |= {"PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
        command = ["bash", "-euo", "pipefail", "-c", text.replace("/tmp/", f"{programs}/tmp/")]
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a data scientist has: a model, its data, a resource."""
    folder = tmp_path_factory.mktemp("laptop")
    frame = samples.customers()
    frame.to_parquet(folder / "train.parquet")
    joblib.dump(samples.pipeline(frame), folder / "model.joblib")
    (folder / "churn.yaml").write_text((paths.REPO / "manifests" / "samples" / "churn.yaml").read_text())
    return folder


def packed(folder: Path, typed: Typed) -> None:
    if not (folder / "churn-7.tar.gz").exists():
        typed("seatrial pack model.joblib --data train.parquet --target churned -o churn-7.tar.gz", folder)


@pytest.mark.parametrize("page", LAPTOP, ids=documents.name)
def test_what_a_page_does_on_a_laptop_works(page: Path, customers: Path, typed: Typed) -> None:
    text = "".join(block.text for block in documents.shell(page) if block.run == "laptop")
    if "churn-7.tar.gz" in text and "seatrial pack" not in text:
        packed(customers, typed)
    for port in PORTS:
        text = re.sub(rf"\b{port}\b", str(ports.free_port()), text)
    said = typed(text, customers)
    assert [shown for shown in documents.printed(page) if shown not in said] == []


class World:
    """An API server, as blocks of pages find it. Files that a block names are those of the repository."""

    def __init__(self, server: apiserver.ApiServer, typed: Callable[..., str]) -> None:
        self.server, self._typed = server, typed
        self._has_crd = False
        self._seen: set[str] = set()

    def type(self, text: str) -> str:
        return self._typed(text, paths.REPO, self.server.environment)

    def follow(self, block: documents.Block, text: str) -> None:
        """Type what begins with this block. Several pages begin with the same lines; once will do."""
        if begins(block) and text in self._seen:
            return
        self._prepare(block)
        self.type(text)
        self._seen.add(text)

    def _prepare(self, block: documents.Block) -> None:
        """What the block stands on."""
        if begins(block):
            self._nothing()
        elif (block.page, block.heading) in INSTALLED:
            self._nothing()
            self.type(INSTALL)
        elif block.page == TUTORIAL:
            self._objects("digits", namespace="seatrial-demo", situation="refused")
        else:
            self._objects("churn", namespace="shop", situation=block.said.get("churn", "stable").replace("-", " "))
            self.server.kubectl("delete", "secret", "store", "--ignore-not-found")
            if "create secret" not in block.text:
                self.server.kubectl("create", "secret", "generic", "store")

    def _nothing(self) -> None:
        self.type(NOTHING_YET)
        self._has_crd = False

    def _objects(self, name: str, *, namespace: str, situation: str) -> None:
        """One object, as the operator would have left it, and the evidence of its rollback."""
        if not self._has_crd:
            self._nothing()
            self.server.kubectl("apply", "--server-side", "-f", str(CRD))
            established.until_established(self.server)
            self._has_crd = True
        world = recorded.SITUATIONS[situation]()
        raw = recorded.raw(world, name=name, namespace=namespace)
        where = ("mdeploy", name, "-n", namespace)
        self.server.kubectl("delete", *where, "--ignore-not-found")
        made = {**raw, "metadata": {"name": name, "namespace": namespace}}
        self.server.kubectl("create", "-f", "-", input=json.dumps(made))
        patch = json.dumps({"status": {**raw["status"], "conditions": [*raw["status"]["conditions"], not_drifted()]}})
        self.server.kubectl("patch", *where, "--subresource=status", "--type=merge", "-p", patch)
        if world.evidence is not None:
            kept = world.evidence["metadata"]["name"].replace("churn", name)
            evidence = {**world.evidence, "metadata": {"name": kept, "namespace": namespace}}
            self.server.kubectl("apply", "-f", "-", input=json.dumps(evidence))


def begins(block: documents.Block) -> bool:
    """It installs something, where nothing was before."""
    return "helm install" in block.text or "kubectl apply" in block.text


def together(block: documents.Block) -> tuple[str, ...]:
    """What consecutive blocks have in common that are typed one after the other: an object, or else a heading."""
    if begins(block) or (block.page, block.heading) in INSTALLED:
        return ("heading", block.heading)
    return ("object", block.said.get("churn", ""))


def not_drifted() -> dict[str, Any]:
    """As of every object whose traffic is watched."""
    now = {"observedGeneration": 1, "lastTransitionTime": "2026-01-01T12:00:00Z"}
    return {"type": "Drifted", "status": "False", "reason": "NoDrift", "message": "", **now}


@pytest.fixture(scope="module")
def world(typed: Typed) -> Iterator[World]:
    with apiserver.running() as server:
        for namespace in ("shop", "seatrial-demo"):
            server.kubectl("create", "namespace", namespace)
        server.kubectl("config", "set-context", "--current", "--namespace=shop")
        server.kubectl("create", "serviceaccount", "models")
        server.kubectl("apply", "-f", "-", input=json.dumps(claim("shared-models")))
        yield World(server, typed)


def claim(name: str) -> dict[str, Any]:
    storage = {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": storage}


@pytest.mark.parametrize("page", CLUSTER, ids=documents.name)
def test_what_a_page_does_to_a_cluster_works(page: Path, world: World) -> None:
    blocks = [block for block in documents.shell(page) if block.run == "cluster"]
    for _, some in itertools.groupby(blocks, key=together):
        first, *others = some
        world.follow(first, "".join(block.text for block in (first, *others)))


def test_a_block_that_fails_would_be_found(world: World) -> None:
    with pytest.raises(AssertionError, match="NotFound"):
        world.type("kubectl get namespace nowhere\nkubectl get namespace shop\n")


def test_the_charts_readme_is_a_page_too() -> None:
    assert charts.CHART / "README.md" in PAGES
