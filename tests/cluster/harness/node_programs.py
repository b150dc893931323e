"""The programs of the node beyond the control plane, with their configuration files.

Pure: returns texts and command lines. Every setting that is not a default says why.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster.harness import control_plane, images, network, supervisor

NODE_NAME = "node"
CGROUP = "/seatrial"
PROMETHEUS_PORT = 9090
USERS = (
    control_plane.ADMIN,
    control_plane.CONTROLLER_MANAGER,
    ("scheduler", "system:kube-scheduler", None),
    ("proxy", "system:kube-proxy", None),
    ("kubelet", f"system:node:{NODE_NAME}", "system:nodes"),
    ("coredns", "coredns", None),
    ("prometheus", "prometheus", None),
)


def containerd_socket(state: Path) -> Path:
    return state / "containerd.sock"


def control_socket(state: Path) -> Path:
    return state / "control.sock"


def registries(state: Path) -> Path:
    """Where containerd looks up how a registry is reached, at each pull."""
    return state / "registries"


def programs(plane: control_plane.ControlPlane, *, prometheus: Path) -> tuple[supervisor.Program, ...]:
    """All of them. Those after the API server wait for a start request: they need its bootstrap roles."""
    state = plane.state

    def file(name: str) -> Path:
        return state / "config" / name

    def plain(name: str, *argv: str | Path, autostart: bool = False) -> supervisor.Program:
        command = tuple(str(part) for part in argv)
        return supervisor.Program(name=name, argv=command, log=str(plane.log(name)), autostart=autostart)

    kubelet: dict[str, Path | str | int] = {
        "config": file("kubelet.yaml"),
        "kubeconfig": plane.kubeconfig("kubelet"),
        "hostname-override": NODE_NAME,
        "node-ip": network.NODE,
        "root-dir": state / "kubelet",
    }
    return (
        plain("containerd", "containerd", "--config", file("containerd.toml"), autostart=True),
        control_plane.etcd(plane),
        control_plane.apiserver(plane, node=True),
        control_plane.controller_manager(plane),
        control_plane.program(plane, "kube-scheduler", {"config": file("scheduler.yaml")}, autostart=False),
        control_plane.program(plane, "kubelet", kubelet, autostart=False),
        control_plane.program(plane, "kube-proxy", {"config": file("proxy.yaml")}, autostart=False),
        plain("coredns", plane.kube, "coredns", "-conf", file("Corefile")),
        plain(
            "prometheus",
            prometheus,
            f"--config.file={file('prometheus.yaml')}",
            f"--storage.tsdb.path={state / 'prometheus'}",
            "--storage.tsdb.retention.time=6h",
            f"--web.listen-address={network.NODE}:{PROMETHEUS_PORT}",
        ),
    )


def files(plane: control_plane.ControlPlane) -> dict[str, str]:
    """Configuration files by name, for the folder config/. Kubernetes' own are JSON, which is YAML."""
    documents = {
        "kubelet.yaml": _kubelet(plane),
        "proxy.yaml": _proxy(plane),
        "scheduler.yaml": _scheduler(plane),
        "prometheus.yaml": _prometheus(plane),
    }
    texts = {name: json.dumps(document, indent=1) for name, document in documents.items()}
    return {**texts, "containerd.toml": _containerd(plane.state), "Corefile": _corefile(plane)}


def network_config(state: Path) -> str:
    """The CNI network of the pods."""
    addresses = {
        "type": "host-local",
        "dataDir": str(state / "addresses"),
        "ranges": [[{"subnet": network.PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    plugins = [{**bridge, "ipam": addresses}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}, indent=1)


def _kubelet(plane: control_plane.ControlPlane) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{containerd_socket(plane.state)}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(plane.pki / "kubelet-server.crt"),
        "tlsPrivateKeyFile": str(plane.pki / "kubelet-server.key"),
        "clusterDNS": [network.NODE],
        "clusterDomain": "cluster.local",
        "resolvConf": "",  # no name outside the cluster resolves in a pod
        # An own root keeps pods apart from another kubelet of this machine, and makes cleaning up one removal.
        "cgroupRoot": CGROUP,
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # Tolerates what root in a container or a small virtual machine may not do: kernel settings, /dev/kmsg.
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,  # an image that was collected can't be pulled again
        "maxPods": 250,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
    }


def _proxy(plane: control_plane.ControlPlane) -> dict[str, object]:
    untouched = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(plane.kubeconfig("proxy"))},
        "mode": "nftables",
        "clusterCIDR": network.PODS,
        "conntrack": untouched,  # these are settings of the whole machine
        "hostnameOverride": NODE_NAME,
    }


def _scheduler(plane: control_plane.ControlPlane) -> dict[str, object]:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(plane.kubeconfig("scheduler"))},
        "leaderElection": {"leaderElect": False},
    }


def scrape_pods(discovery: dict[str, object]) -> dict[str, object]:
    """Prometheus' configuration: running pods with prometheus.io/scrape every 5 s, labels namespace and pod."""
    meta = "__meta_kubernetes_pod"
    relabel = [
        {"source_labels": [f"{meta}_annotation_prometheus_io_scrape"], "regex": "true", "action": "keep"},
        {"source_labels": [f"{meta}_phase"], "regex": "Running", "action": "keep"},
        # Address and port come from pod and annotation, so all ports and containers of a pod collapse into one target.
        {
            "source_labels": [f"{meta}_ip", f"{meta}_annotation_prometheus_io_port"],
            "separator": ":",
            "regex": r"(.+:\d+)",
            "target_label": "__address__",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{meta}_name"], "target_label": "pod"},
    ]
    job = {"job_name": "pods", "kubernetes_sd_configs": [{"role": "pod", **discovery}], "relabel_configs": relabel}
    intervals = {"scrape_interval": "5s", "scrape_timeout": "4s", "evaluation_interval": "5s"}
    return {"global": intervals, "scrape_configs": [job]}


def _prometheus(plane: control_plane.ControlPlane) -> dict[str, object]:
    return scrape_pods({"kubeconfig_file": str(plane.kubeconfig("prometheus"))})


def _containerd(state: Path) -> str:
    return f"""\
version = 2
root = "{state}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{containerd_socket(state)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{images.PAUSE}"
  # Without CAP_SYS_RESOURCE, which root lacks in many containers and virtual machines, sandboxes fail otherwise.
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{registries(state)}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def _corefile(plane: control_plane.ControlPlane) -> str:
    # The second zone matters: without an answer for other names, programs take them for a temporary failure.
    return f"""\
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    bind {network.NODE}
    errors
    cache 5
    kubernetes {{
        kubeconfig {plane.kubeconfig("coredns")}
        ttl 5
    }}
}}
.:53 {{
    bind {network.NODE}
    errors
    template IN ANY {{
        rcode NXDOMAIN
    }}
}}
"""
