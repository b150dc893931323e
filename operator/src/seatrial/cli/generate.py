"""`seatrial generate`: writes the files that are made from types and commands, or says which of them are stale.

Runs in a clone of the repository, for its developers. What the files say is in `documents` and `reference`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click

from seatrial.api import crd

from . import argocd, catalogue, chart, documents, help_pages, licences, reference, runbooks

CHART = "helm/seatrial"
SERVER = "serving-image/src/seatrial_server/__init__.py"
LISTS = ("operator", "server", "plugin", "pack")  # of requirements/
NAMESPACE = "seatrial-system"
REGISTRY = "seatrial.dev"  # of the kustomize base, whose users name theirs in an overlay
OWN_ROLE = f"{NAMESPACE}-seatrial"  # the operator's own rights: cluster-wide, but no part of what all operators share


def files() -> dict[str, str]:
    """Path in the repository -> content, of everything that is made from the types and the commands alone."""
    document = crd.document()
    return {
        f"crds/{crd.NAME}.yaml": documents.crd_file(document),
        f"{CHART}/templates/crd.yaml": documents.crd_template(document),
        "manifests/cluster/crd.yaml": documents.crd_file(document),
        "docs/reference/modeldeployment.md": reference.page(document),
        "docs/reference/kubectl-seatrial.md": help_pages.page(),
        "docs/reference/operator.md": catalogue.page(),
    }


def of_project(root: Path) -> dict[str, str]:
    """Path -> content, of what is made from pyproject.toml and the lists of packages: the version and the licences."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    meta, server = ((root / path).read_text() for path in (f"{CHART}/Chart.yaml", SERVER))
    lists = {name: (root / "requirements" / f"{name}.txt").read_text() for name in LISTS}
    return {
        f"{CHART}/Chart.yaml": re.sub(r"^(version|appVersion): .*$", rf"\1: {version}", meta, flags=re.MULTILINE),
        SERVER: re.sub(r'^VERSION = "[^"]*"', f'VERSION = "{version}"', server, flags=re.MULTILINE),
        "docs/reference/licences.md": licences.page(lists),
    }


def of_chart(root: Path, *, meta: str) -> dict[str, str]:
    """Path -> content, of what is made from the chart's own files; `meta` is its Chart.yaml."""
    folder = root / CHART
    values, rules = (folder / "values.yaml").read_text(), (folder / "files" / "rules.yaml").read_text()
    return {
        f"{CHART}/values.schema.json": chart.values_schema((folder / "values.schema.json").read_text()),
        f"{CHART}/README.md": chart.readme(chart=meta, given=values),
        "docs/how-to/alerts.md": runbooks.alerts(rules),
        "docs/reference/reasons.md": runbooks.reasons(),
    }


def of_argocd(root: Path) -> dict[str, str]:
    """Path -> content, of what is made from the Lua for Argo CD."""
    health, discovery = ((root / argocd.FOLDER / name).read_text() for name in ("health.lua", "discovery.lua"))
    return {f"{argocd.FOLDER}/argocd-cm.yaml": argocd.fragment(health=health, discovery=discovery)}


def everything(root: Path) -> dict[str, str]:
    """All that needs no other program."""
    project = of_project(root)
    return {**files(), **project, **of_chart(root, meta=project[f"{CHART}/Chart.yaml"]), **of_argocd(root)}


def base(root: Path, *, helm: str) -> dict[str, str]:
    """The kustomize bases, made from the chart: one source for RBAC, policies and the Deployment.

    Raises:
        click.ClickException: Helm is missing or refuses the chart.
    """
    arguments = ["template", "seatrial", str(root / CHART), "--namespace", NAMESPACE, "--set"]
    arguments.append(f"crds.install=false,images.registry={REGISTRY}")
    try:
        rendered = subprocess.run(  # noqa: S603  # a developer's own command
            [*shlex.split(helm), *arguments], check=True, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise click.ClickException(f"--helm must be a command that runs Helm, not {helm!r}") from error
    except subprocess.CalledProcessError as error:
        raise click.ClickException(f"Helm refused {CHART}: {error.stderr.strip()}") from error
    cluster, operator = documents.base_files(rendered.stdout, own=OWN_ROLE)
    return {"manifests/cluster/cluster.yaml": cluster, "manifests/base/operator.yaml": operator}


def stale(root: Path, contents: dict[str, str]) -> list[str]:
    """The paths whose file is missing or says something else."""
    return [path for path, text in contents.items() if not (root / path).is_file() or (root / path).read_text() != text]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; end with status 1 and the names of stale files.")
@click.option("--helm", metavar="COMMAND", help="A Helm command; renders manifests/base from the chart as well.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="The repository's folder.",
)
def command(*, check: bool, helm: str | None, root: Path) -> None:
    """Write the files made from the resource's types and the commands: CRD, its copies, reference pages."""
    if not (root / CHART / "Chart.yaml").is_file():
        raise click.ClickException(f"{root} is not a clone of the repository: run it there, or give --root")
    contents = everything(root)
    found = stale(root, contents)
    if not check:
        _write(root, contents, found)
    if helm:
        rendered = base(root, helm=helm)  # after the CRD's copy in the chart is written
        more = stale(root, rendered)
        if not check:
            _write(root, rendered, more)
        found += more
    if check and found:
        raise click.ClickException(f"stale: {', '.join(found)}; run `make generate`")


def _write(root: Path, contents: dict[str, str], paths: list[str]) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(contents[path])
        click.echo(f"wrote {path}")
