"""The operator's and the serving image on the way that a user's take: pushed to a registry that asks for a login, named
by digest in the chart's values, pulled by the node with a pull secret; then a version is rolled out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import installation, watching
from tests.cluster.harness import images, shell, waiting
from tests.cluster.test_rollouts import outcome, resource, wait_for_verdict
from tests.contract import test_image_push
from tests.contract.server import registry

from seatrial.cli import image

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

PULL = "harbour"


@pytest.fixture
def harbour(platform: installation.Platform, tmp_path: Path) -> Iterator[registry.Registry]:
    """A real registry on this machine, as the node reaches it."""
    (tmp_path / "registry").mkdir()
    with registry.with_password(tmp_path / "registry", address=platform.cluster.host) as running:
        platform.cluster.pull_over_http(running.host)
        yield running


@pytest.fixture
def digests(harbour: registry.Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the registry calls the images that the test cluster runs, after a push as `make image PUSH=1` does it."""
    archives = {name: images.archive(name, say=print) for name in image.CONTAINERFILES}  # before the home is another
    for variable, value in test_image_push.login(harbour.host, tmp_path / "builder", driver="overlay").items():
        monkeypatch.setenv(variable, value)
    wish = image.Wish(engine="buildah", version="7", registry=f"{harbour.host}/ml", base="", push=True, epoch="")
    found = {}
    for name, archive in archives.items():
        (loaded, *_) = shell.run(["buildah", "pull", f"oci-archive:{archive}"]).split()
        shell.run(["buildah", "tag", loaded, wish.tag(name)])
        found[name] = image.pushed(wish, name)
    return found


@contextlib.contextmanager
def installed(platform: installation.Platform, host: str, digests: dict[str, str]) -> Iterator[None]:
    """The chart with images by digest; afterwards as it was."""
    named = {name: {"repository": name, "digest": digest} for name, digest in digests.items()}
    secrets = [{"name": PULL}]
    values = {"registry": f"{host}/ml", **named, "pullSecrets": secrets}
    try:
        installation.operator(platform.cluster, images=values, serving={"pods": {"imagePullSecrets": secrets}})
        yield
    finally:
        installation.operator(platform.cluster)


def pull_secret(platform: installation.Platform, host: str, namespace: str) -> None:
    words = (f"--docker-server={host}", f"--docker-username={registry.USER}", f"--docker-password={registry.PASSWORD}")
    made = platform.cluster.kubectl(
        "create", "secret", "docker-registry", PULL, "-n", namespace, *words, "--dry-run=client", "-o", "yaml"
    )
    platform.cluster.kubectl("apply", "-f", "-", input=made)


def runs(platform: installation.Platform, namespace: str, selector: str) -> set[str]:
    """Digests of the images that Ready containers were started from; the node may know them by other names as well."""
    pods: list[dict[str, Any]] = platform.list("pods", namespace, selector)
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    containers = [one for pod in alive for one in pod["status"].get("containerStatuses", ()) if one["ready"]]
    return {one["imageID"].rpartition("@")[2] for one in containers}


def until_it_runs(platform: installation.Platform, namespace: str, selector: str, digest: str) -> None:
    """Nothing else does: a pod is not Ready while a busy machine keeps its probe waiting, and its predecessor goes."""

    def found() -> set[str]:
        return runs(platform, namespace, selector)

    waiting.until(lambda: found() == {digest}, what=digest, seconds=60, explain=lambda: f"there run {found()}")


def test_both_images_are_pulled_by_digest_with_a_pull_secret_and_a_version_rolls_out(
    platform: installation.Platform,
    subject: watching.Subject,
    harbour: registry.Registry,
    digests: dict[str, str],
) -> None:
    for namespace in (installation.SYSTEM, subject.namespace):
        pull_secret(platform, harbour.host, namespace)
    with installed(platform, harbour.host, digests):
        subject.apply(resource(platform, "digits-v2"))
        assert outcome(wait_for_verdict(subject, "2"), "2") == ("Promoted", "Promoted", "2")
        servers = "app.kubernetes.io/component=server"
        until_it_runs(platform, subject.namespace, servers, digests["serving"])
        until_it_runs(platform, installation.SYSTEM, "app.kubernetes.io/name=seatrial", digests["operator"])
        platform.cluster.kubectl("delete", watching.RESOURCE, subject.name, "-n", subject.namespace, "--wait")
    platform.cluster.kubectl("delete", "secret", PULL, "-n", installation.SYSTEM)
