"""etcd, API server and controller manager: their certificates and command lines, the same in the node and on loopback.

Pure except for `write_certificates`; starts nothing.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.harness import pki, supervisor

ISSUER = "https://kubernetes.default.svc"
ADMIN = ("admin", "admin", "system:masters")
CONTROLLER_MANAGER = ("controller-manager", "system:kube-controller-manager", None)

_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclasses.dataclass(frozen=True)
class ControlPlane:
    """Where one control plane lives and listens."""

    kube: Path
    state: Path
    """Folder of everything it writes; holds pki/, kubeconfig/ and log/."""
    bind: str
    address: str
    """How clients reach it."""
    port: int
    etcd_port: int
    etcd_peer_port: int
    services: str
    """Address range of services; its first address is the API server's own service."""

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    def kubeconfig(self, user: str) -> Path:
        return self.state / "kubeconfig" / user

    def log(self, program: str) -> Path:
        return self.state / "log" / program


def write_certificates(
    plane: ControlPlane, *, service_address: str, users: Sequence[tuple[str, str, str | None]], now: datetime.datetime
) -> pki.Authority:
    """pki/ and kubeconfig/ with a certificate and a kubeconfig for every (file name, user, group)."""
    for folder in ("pki", "kubeconfig", "log"):
        (plane.state / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = pki.Authority(now=now)
    authority.credentials.write(plane.pki, "ca")
    names = ("localhost", "127.0.0.1", plane.address, service_address, *_SERVICE_NAMES)
    authority.issue("kube-apiserver", names=names).write(plane.pki, "apiserver")
    private, public = pki.service_account_key()
    pki.write_secret(plane.pki / "service-account.key", private)
    (plane.pki / "service-account.pub").write_bytes(public)
    for file, user, group in users:
        credentials = authority.issue(user, organization=group)
        credentials.write(plane.pki, file)
        text = pki.kubeconfig(server=plane.url, authority=authority.credentials, user=credentials)
        pki.write_secret(plane.kubeconfig(file), text.encode())
    return authority


def etcd(plane: ControlPlane) -> supervisor.Program:
    client, peer = f"http://127.0.0.1:{plane.etcd_port}", f"http://127.0.0.1:{plane.etcd_peer_port}"
    flags: dict[str, Path | str | int] = {
        "data-dir": plane.state / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        # A single member waits a whole election timeout before it leads; the default of 1 s is for real networks.
        "heartbeat-interval": 50,
        "election-timeout": 250,
        "unsafe-no-fsync": "true",  # the data is thrown away anyway, and slow disks would make leases time out
    }
    return program(plane, "etcd", flags)


def apiserver(plane: ControlPlane, *, node: bool) -> supervisor.Program:
    """With `node`, it also authorizes and calls a kubelet."""
    flags: dict[str, Path | str | int] = {
        "etcd-servers": f"http://127.0.0.1:{plane.etcd_port}",
        "bind-address": plane.bind,
        "advertise-address": plane.address,
        "secure-port": plane.port,
        "service-cluster-ip-range": plane.services,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": plane.pki / "ca.crt",
        "tls-cert-file": plane.pki / "apiserver.crt",
        "tls-private-key-file": plane.pki / "apiserver.key",
        "cert-dir": plane.state / "etcd",
        "service-account-issuer": ISSUER,
        "service-account-key-file": plane.pki / "service-account.pub",
        "service-account-signing-key-file": plane.pki / "service-account.key",
        "allow-privileged": "true",
        # An API server on loopback can't be an endpoint: the API refuses loopback addresses there.
        "endpoint-reconciler-type": "lease" if node else "none",
    }
    if node:
        flags["kubelet-client-certificate"] = plane.pki / "admin.crt"
        flags["kubelet-client-key"] = plane.pki / "admin.key"
        flags["kubelet-preferred-address-types"] = "InternalIP"
    return program(plane, "kube-apiserver", flags)


def controller_manager(plane: ControlPlane) -> supervisor.Program:
    kubeconfig = plane.kubeconfig("controller-manager")
    flags: dict[str, Path | str | int] = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "secure-port": 0,
        "service-account-private-key-file": plane.pki / "service-account.key",
        "root-ca-file": plane.pki / "ca.crt",
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        "service-cluster-ip-range": plane.services,
        "cluster-signing-cert-file": plane.pki / "ca.crt",
        "cluster-signing-key-file": plane.pki / "ca.key",
    }
    # Waits for a start request: it exits when the RBAC bootstrap roles do not exist yet.
    return program(plane, "kube-controller-manager", flags, autostart=False)


def program(
    plane: ControlPlane, name: str, flags: dict[str, Path | str | int], *, autostart: bool = True
) -> supervisor.Program:
    """A program of the multi-call binary with --flag=value arguments."""
    arguments = tuple(f"--{flag}={value}" for flag, value in flags.items())
    argv = (str(plane.kube), name, *arguments)
    return supervisor.Program(name=name, argv=argv, log=str(plane.log(name)), autostart=autostart)
