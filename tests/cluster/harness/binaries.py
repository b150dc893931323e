"""The programs of the cluster, built from Go modules and cached under the hash of everything that went into them.

`kube` is Kubernetes, etcd, kubectl, CoreDNS and Helm in one multi-call binary (folder kube/). Prometheus and the
gateway are built in their own modules' folders of the Go module cache, so that their own go.mod counts. `pause` is the
sandbox container's program (folder pause/). Nothing is downloaded as a binary and no toolchain is fetched. A build ends
in an atomic rename; two builders of one program wait for each other.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.harness import errors, paths, progress, shell

KUBERNETES = "1.34.4"
_HELM = "4.0.5"
_PROMETHEUS = "3.9.1"
_PROMETHEUS_MODULE = "github.com/prometheus/prometheus@v0.309.1"
_TRAEFIK = "3.6.12"
_HELM3 = "3.19.5"
_PROMETHEUS_OPERATOR = "0.85.0"
_FLUX = "1.7.3"
_METRICS_SERVER = "0.8.0"

_GO_ENV = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def _kube_ldflags() -> str:
    """Versions the programs report. Without them kubelet and API server call themselves v0.0.0 and Helm renders
    charts for v1.20.
    """
    major, minor, _ = KUBERNETES.split(".")
    values = {
        "k8s.io/component-base/version.gitVersion": f"v{KUBERNETES}",
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": f"v{KUBERNETES}",
        "helm.sh/helm/v4/internal/version.version": f"v{_HELM}",
        "helm.sh/helm/v4/internal/version.kubeClientVersionMajor": major,
        "helm.sh/helm/v4/internal/version.kubeClientVersionMinor": minor,
        "helm.sh/helm/v4/pkg/chart/common.k8sVersionMajor": major,
        "helm.sh/helm/v4/pkg/chart/common.k8sVersionMinor": minor,
    }
    return "-s -w " + " ".join(f"-X {name}={value}" for name, value in values.items())


@dataclasses.dataclass(frozen=True)
class Program:
    """How to build one program: from a folder of ours or from a published module."""

    name: str
    title: str
    ldflags: str
    folder: Path | None = None
    module: str = ""
    package: str = "."
    published: tuple[str, ...] = ()
    """Modules that the module's go.mod takes from folders of its repository, which its archive hasn't got."""

    def key(self) -> str:
        """Hash of everything that decides the bytes: source files, module version, flags."""
        decides = [self.module, self.package, self.ldflags, sorted(_GO_ENV.items())]
        if self.published:
            decides.append(self.published)
        digest = hashlib.sha256(json.dumps(decides).encode())
        for path in sorted(self.folder.iterdir()) if self.folder else []:
            if path.name in ("go.mod", "go.sum") or path.suffix == ".go":
                digest.update(f"{path.name}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def path(self) -> Path:
        return paths.binaries() / f"{self.name}-{self.key()}"


KUBE = Program("kube", f"Kubernetes {KUBERNETES}, CoreDNS and Helm", _kube_ldflags(), folder=paths.HARNESS / "kube")
PROMETHEUS = Program(
    "prometheus",
    f"Prometheus {_PROMETHEUS}",
    f"-s -w -X github.com/prometheus/common/version.Version={_PROMETHEUS}",
    module=_PROMETHEUS_MODULE,
    package="./cmd/prometheus",
)
PROMTOOL = Program(
    "promtool",
    f"promtool {_PROMETHEUS}",
    f"-s -w -X github.com/prometheus/common/version.Version={_PROMETHEUS}",
    module=_PROMETHEUS_MODULE,
    package="./cmd/promtool",
)
GATEWAY = Program(
    "traefik",
    f"the gateway Traefik {_TRAEFIK}",
    f"-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=v{_TRAEFIK}",
    module=f"github.com/traefik/traefik/v3@v{_TRAEFIK}",
    package="./cmd/traefik",
)
PAUSE = Program("pause", "the pause program", "-s -w", folder=paths.HARNESS / "pause")
# The stores that the contract tests of model artifacts talk to; no part of a cluster.
S3_SERVER = Program(
    "versitygw",
    "the S3 server versitygw 1.8.0",
    "-s -w -X main.Version=v1.8.0",
    module="github.com/versity/versitygw@v1.8.0",
    package="./cmd/versitygw",
)
OCI_REGISTRY = Program(
    "registry",
    "the OCI registry distribution 3.1.2",
    "-s -w",
    module="github.com/distribution/distribution/v3@v3.1.2",
    package="./cmd/registry",
)
# Beside the node, for the test that scales on a cluster.
METRICS_SERVER = Program(
    "metrics-server",
    f"metrics-server {_METRICS_SERVER}",
    "-s -w",
    module=f"sigs.k8s.io/metrics-server@v{_METRICS_SERVER}",
    package="./cmd/metrics-server",
)

# What people run beside Seatrial, for the contract tests of the chart; no part of a cluster.
HELM3 = Program(
    "helm3",
    f"Helm {_HELM3}",
    f"-s -w -X helm.sh/helm/v3/internal/version.version=v{_HELM3} "
    + " ".join(
        f"-X helm.sh/helm/v3/pkg/{package}.k8sVersion{part}={value}"
        for package in ("lint/rules", "chartutil")
        for part, value in zip(("Major", "Minor"), KUBERNETES.split("."), strict=False)
    ),
    module=f"helm.sh/helm/v3@v{_HELM3}",
    package="./cmd/helm",
)
PROMETHEUS_OPERATOR_MODULE = f"github.com/prometheus-operator/prometheus-operator@v{_PROMETHEUS_OPERATOR}"
PROMETHEUS_OPERATOR = Program(
    "prometheus-operator",
    f"the prometheus-operator {_PROMETHEUS_OPERATOR}",
    f"-s -w -X github.com/prometheus/common/version.Version={_PROMETHEUS_OPERATOR}",
    module=PROMETHEUS_OPERATOR_MODULE,
    package="./cmd/operator",
    published=(
        "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring",
        "github.com/prometheus-operator/prometheus-operator/pkg/client",
    ),
)

SOURCE_CONTROLLER_MODULE = f"github.com/fluxcd/source-controller@v{_FLUX}"
SOURCE_CONTROLLER = Program(
    "source-controller",
    f"Flux's source-controller {_FLUX}",
    "-s -w",
    module=SOURCE_CONTROLLER_MODULE,
    published=("github.com/fluxcd/source-controller/api",),
)
KUSTOMIZE_CONTROLLER_MODULE = f"github.com/fluxcd/kustomize-controller@v{_FLUX}"
KUSTOMIZE_CONTROLLER = Program(
    "kustomize-controller",
    f"Flux's kustomize-controller {_FLUX}",
    "-s -w",
    module=KUSTOMIZE_CONTROLLER_MODULE,
    published=("github.com/fluxcd/kustomize-controller/api",),
)
LUA = Program("argocd-lua", "the Lua of Argo CD", "-s -w", folder=paths.HARNESS / "lua")


def ensure(*programs: Program, say: progress.Say) -> None:
    """Builds what is not in the cache, in parallel."""
    missing = [program for program in programs if not program.path().exists()]
    if not missing:
        return
    check_go()
    paths.binaries().mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(len(missing)) as pool:
        for build in [pool.submit(_build, program, say=say) for program in missing]:
            build.result()


def check_go() -> None:
    """One clear message when Go is missing or older than the kube module asks for."""
    wanted = required_go((paths.HARNESS / "kube" / "go.mod").read_text())
    remedy = (
        f"Install Go {wanted} or newer and run again, or use your own Docker and kind: make cluster-up CLUSTER=kind"
    )
    try:
        found = shell.run(["go", "env", "GOVERSION"], env=_GO_ENV).strip()
    except errors.MissingTool as error:
        raise errors.MissingTool(f"Go is not installed; it builds the cluster's programs. {remedy}") from error
    if _numbers(found) < _numbers(wanted):
        raise errors.MissingTool(f"Go is {found}, too old to build the cluster's programs. {remedy}")


def required_go(gomod: str) -> str:
    """The version in the `go` line of a go.mod."""
    line = re.search(r"^go (\S+)$", gomod, re.MULTILINE)
    if line is None:
        raise errors.HarnessError("kube/go.mod has no `go` line; restore it from version control")
    return line[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _build(program: Program, *, say: progress.Say) -> None:
    target = program.path()
    with _locked(target.with_name(f"{program.name}.lock")):
        if target.exists():
            return
        # Same folder as the target: a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{program.name}.") as scratch:
            with progress.step(say, f"building {program.title} from Go modules (minutes the first time)"):
                built = Path(scratch) / program.name
                flags = ["-trimpath", "-ldflags", program.ldflags, "-o", str(built)]
                environment = {**_GO_ENV, "GOFLAGS": "-mod=mod"} if program.published else _GO_ENV
                source = _source(program, Path(scratch))
                shell.run(["go", "build", *flags, program.package], cwd=source, env=environment)
            os.replace(built, target)


def _source(program: Program, scratch: Path) -> Path:
    if program.folder is not None:
        return program.folder
    source = _downloaded(program.module, scratch)
    return _with_published(source, program.published, scratch) if program.published else source


def _with_published(source: Path, modules: tuple[str, ...], scratch: Path) -> Path:
    """A copy whose go.mod takes these modules as they are published, in the version that it names anyway."""
    copy = scratch / "source"
    shutil.copytree(source, copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    drop = [f"-dropreplace={module}" for module in modules]
    shell.run(["go", "mod", "edit", *drop], cwd=copy, env={**_GO_ENV, "GOFLAGS": ""})
    return copy


def module(name: str) -> Path:
    """The folder of a module in the Go module cache, read-only; for what isn't a program."""
    check_go()
    with tempfile.TemporaryDirectory() as scratch:
        return _downloaded(name, Path(scratch))


def _downloaded(module: str, scratch: Path) -> Path:
    # Called outside any module, else the surrounding go.mod would have a say.
    answer = shell.run(["go", "mod", "download", "-json", module], cwd=scratch, env={**_GO_ENV, "GOFLAGS": ""})
    return Path(str(json.loads(answer)["Dir"]))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
