"""The default cluster: one node made of processes, in its own network, mount and pid namespace.

`up` takes a healthy node as it is and replaces anything else. `down` leaves nothing but the cache. One of them at a
time.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.harness import (
    apiserver,
    binaries,
    control,
    debian,
    errors,
    images,
    importing,
    network,
    node_programs,
    node_removal,
    node_setup,
    paths,
    progress,
    readiness,
    supervisor,
)
from tests.cluster.harness.cluster import Cluster

_SECONDS_TO_START = 120
_SECONDS_TO_RECOVER = 30


def up(*, say: progress.Say) -> Cluster:
    """A usable node: the one that runs, when it is healthy and made of the same programs and settings, else a new
    one.
    """
    debian.ensure(say=say)
    binaries.ensure(binaries.KUBE, binaries.PROMETHEUS, binaries.PAUSE, say=say)
    with _exclusive():
        if not _reused(say=say):
            node_removal.remove()
            _start(say=say)
    return _handle(say=say)


def down(*, say: progress.Say) -> None:
    with _exclusive(), progress.step(say, "test cluster stopped, nothing left of it"):
        node_removal.remove()


def attach() -> Cluster:
    """The handle on the running node; NotReady when there is none."""
    if why := unusable():
        raise errors.NotReady(f"there is no test cluster to use ({why}); run make cluster-up")
    return _handle(say=progress.silent)


def unusable() -> str:
    """Why the node can't be taken as it is, in words; empty when it can."""
    record = node_setup.read_record()
    if record is None:
        return "it was not started"
    if not record.holder.alive():
        return "it has died"
    if record.setup != node_setup.setup_hash():
        return "it was made from other programs or settings"
    try:
        control.status(node_programs.control_socket(paths.run()))
    except errors.NotReady:
        return "its supervisor does not answer"
    return ""


def programs() -> dict[str, supervisor.State]:
    """What the supervisor keeps running, by name."""
    return control.status(node_programs.control_socket(paths.run()))


def _reused(*, say: progress.Say) -> bool:
    why = unusable()
    if not why:
        try:
            with progress.step(say, "test cluster runs already, checked"):
                readiness.start_all(node_setup.plane(), say=progress.silent, seconds=_SECONDS_TO_RECOVER)
        except errors.HarnessError as error:
            why = f"it does not become healthy: {str(error).splitlines()[0]}"
    if why and paths.run().exists():
        say(f"test cluster: starting anew, {why}")
    return not why


def _start(*, say: progress.Say) -> None:
    pause = images.pause(say=say)
    plane = node_setup.plane()
    with progress.step(say, "test cluster"):
        try:
            node_setup.create()
            importing.import_archive(pause, say=progress.silent)
            readiness.start_all(plane, say=say, seconds=_SECONDS_TO_START)
        except BaseException:
            # Interrupted or failed: no half node stays, but its logs do.
            node_removal.remove(keep_logs=True)
            raise


def _handle(*, say: progress.Say) -> Cluster:
    state, plane = paths.run(), node_setup.plane()
    kubeconfig = plane.kubeconfig("admin")
    switch = functools.partial(control.Switch, node_programs.control_socket(state))
    api_ready = functools.partial(readiness.api_ready, plane)
    return Cluster(
        kubeconfig=kubeconfig,
        kubectl_argv=(str(plane.kube), "kubectl", "--kubeconfig", str(kubeconfig)),
        helm_argv=(str(plane.kube), "helm", "--kubeconfig", str(kubeconfig)),
        environment=apiserver.client_environment(state, kubeconfig),
        prometheus_url=readiness.PROMETHEUS,
        prometheus_in_cluster=readiness.PROMETHEUS,
        prometheus=switch("prometheus", ready=readiness.prometheus_ready),
        apiserver=switch("kube-apiserver", ready=api_ready),
        etcd=switch("etcd", ready=api_ready),
        inside_argv=network.enter(),
        import_images=functools.partial(_import, say=say),
        host=network.HOST,
        pull_over_http=_pull_over_http,
        image_digest=lambda name: images.identity(images.archive(name, say=say))[1],
    )


def _pull_over_http(registry: str) -> None:
    folder, url = node_programs.registries(paths.run()) / registry, f"http://{registry}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts.toml").write_text(f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n')


def _import(names: tuple[str, ...], *, say: progress.Say) -> None:
    for name in names:
        importing.import_archive(images.archive(name, say=say), say=say)


@contextlib.contextmanager
def _exclusive() -> Iterator[None]:
    lock: Path = paths.run().with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
