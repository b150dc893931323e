"""An API server with objects in every situation of the small world, and the plugin as a user of it has it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from tests.cluster.harness import apiserver, paths, waiting
from tests.contract import established
from tests.unit.plugin import recorded
from tests.unit.rollout import world as worlds

from seatrial.api import crd
from seatrial.plugin import main

NAMESPACE = "shop"
READ = [
    {"apiGroups": ["seatrial.dev"], "resources": ["modeldeployments"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["list"]},
]
WRITE = [{"apiGroups": ["seatrial.dev"], "resources": ["modeldeployments"], "verbs": ["patch"]}]
Run = Callable[..., Result]


class Api:
    """The API server, what it said before it had the CRD, and objects in the situations of the small world."""

    def __init__(self, server: apiserver.ApiServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.without_crd = run(server.kubeconfig)("get")
        self.worlds: dict[str, worlds.World] = {}

    def put(self, situation: str, name: str) -> str:
        """An object in that situation."""
        if situation not in self.worlds:
            self.worlds[situation] = recorded.SITUATIONS[situation]()
        raw = recorded.raw(self.worlds[situation], name=name, namespace=NAMESPACE)
        made = {**raw, "metadata": {"name": name, "namespace": NAMESPACE}}
        self.server.kubectl("apply", "-f", "-", input=json.dumps(made))
        self.tell(name, raw["status"])
        return name

    def tell(self, name: str, status: dict[str, Any]) -> None:
        """The status is written, as the operator writes it."""
        patch = json.dumps({"status": {**status, "observedGeneration": 1}})
        where = ("mdeploy", name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)
        self.server.kubectl("patch", *where)

    def annotations(self, name: str) -> dict[str, str]:
        found = json.loads(self.server.kubectl("get", "mdeploy", name, "-n", NAMESPACE, "-o", "json"))
        annotations: dict[str, str] = found["metadata"].get("annotations", {})
        return {key: value for key, value in annotations.items() if key.startswith("seatrial.dev/")}

    def account(self, name: str, *rules: dict[str, Any]) -> Path:
        """The kubeconfig of a service account with these rights in the namespace."""
        self.server.kubectl("create", "serviceaccount", name, "-n", NAMESPACE)
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "rules": list(rules),
        }
        self.server.kubectl("apply", "-f", "-", input=json.dumps(role))
        subject = f"--serviceaccount={NAMESPACE}:{name}"
        self.server.kubectl("create", "rolebinding", name, f"--role={name}", subject, "-n", NAMESPACE)
        self._until_in_force(name, rules)
        token = self.server.kubectl("create", "token", name, "-n", NAMESPACE).strip()
        return self.kubeconfig(name, user={"token": token})

    def _until_in_force(self, name: str, rules: Sequence[dict[str, Any]]) -> None:
        """Rights count a moment after they have been stored."""
        who = f"--as=system:serviceaccount:{NAMESPACE}:{name}"
        for rule in rules[:1]:
            what = f"{rule['resources'][0]}.{rule['apiGroups'][0]}".rstrip(".")
            question = ("auth", "can-i", rule["verbs"][0], what, who, "-n", NAMESPACE)
            waiting.until(
                lambda: self.server.kubectl(*question, check=False).strip() == "yes",  # noqa: B023  waited for here
                what=f"the rights of {name}",
                seconds=60,
            )

    def kubeconfig(self, name: str, *, user: dict[str, Any] | None = None, **cluster: Any) -> Path:
        """The administrator's, changed."""
        config = json.loads(self.server.kubectl("config", "view", "--raw", "--flatten", "-o", "json"))
        config["contexts"][0]["context"]["namespace"] = NAMESPACE
        if user is not None:
            config["users"][0]["user"] = user
        config["clusters"][0]["cluster"].update(cluster)
        file = self.folder / f"{name}.kubeconfig"
        file.write_text(json.dumps(config))
        return file


def run(kubeconfig: Path) -> Run:
    """The plugin in this process, with that kubeconfig."""

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main.group, arguments, env={"KUBECONFIG": str(kubeconfig), "COLUMNS": "200"})

    return invoke


def process(kubeconfig: Path, *arguments: str) -> subprocess.Popen[str]:
    """The plugin as a process of its own."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "COLUMNS": "200"}
    command = [sys.executable, "-m", "seatrial.plugin.main", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@contextlib.contextmanager
def dashboard(kubeconfig: Path) -> Iterator[str]:
    """The link of a dashboard, which ends with the block whatever happens in it."""
    with process(kubeconfig, "dashboard") as page:
        try:
            assert page.stdout is not None
            yield page.stdout.readline().strip()
        finally:
            page.terminate()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Api]:
    """The server, with an object for each situation."""
    with apiserver.running() as server:
        api = Api(server, folder)
        server.kubectl("apply", "-f", str(paths.REPO / "crds" / f"{crd.NAME}.yaml"))
        established.until_established(server)
        server.namespace(NAMESPACE)
        for situation in recorded.SITUATIONS:
            api.put(situation, situation.replace(" ", "-"))
        yield api
