"""`make image PUSH=1` with a real buildah and a real registry that asks for a login; then both images by digest."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.cluster.harness import debian, errors, progress, shell
from tests.contract import charts
from tests.contract.server import registry

from seatrial.cli import image

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True, scope="module")
def engine() -> None:
    debian.bring({"buildah": "buildah"}, say=progress.silent)


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[registry.Registry]:
    (tmp_path / "registry").mkdir()
    with registry.with_password(tmp_path / "registry") as running:
        yield running


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose images hold one file each: what is in them is tested elsewhere."""
    root = tmp_path / "clone"
    for name, path in image.CONTAINERFILES.items():
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(f"ARG BASE=scratch\nFROM ${{BASE}}\nCOPY {name}.txt /{name}\n")
        (root / f"{name}.txt").write_text(f"the {name}")
    (root / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    return root


def login(host: str, folder: Path, *, known: bool = True, driver: str = "vfs") -> dict[str, str]:
    """buildah with storage and logins of its own, so that nothing of this machine has a part in it."""
    folder.mkdir(exist_ok=True)
    auths = {host: {"auth": registry.basic().removeprefix("Basic ")}} if known else {}
    (folder / "auth.json").write_text(json.dumps({"auths": auths}))
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    )
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
    }


def pushed(clone: Path, environment: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["python3", "-m", "seatrial.cli.image"]
    source = str(Path(image.__file__).parents[2])
    return subprocess.run(
        command, cwd=clone, env={**environment, "PYTHONPATH": source, "ENGINE": "buildah", "PUSH": "1", **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_both_images_are_pushed_with_a_login_and_installed_by_digest(
    harbour: registry.Registry, clone: Path, tmp_path: Path
) -> None:
    name = f"{harbour.host}/ml"
    done = pushed(clone, login(harbour.host, tmp_path / "builder"), REGISTRY=name, VERSION="7")
    assert done.returncode == 0, done.stderr
    values = re.findall(r"--set-string (\S+)", done.stdout)
    flags = [part for value in values for part in ("--set-string", value)]
    rendered = shell.run([*charts.helm4(), "template", "seatrial", charts.CHART, *flags])
    (deployment,) = (one for one in yaml.safe_load_all(rendered) if one and one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    serving = next(one["value"] for one in container["env"] if one["name"] == "SEATRIAL_SERVING_IMAGE")
    node = login(harbour.host, tmp_path / "node")
    for own, reference in (("operator", container["image"]), ("serving", serving)):
        assert re.fullmatch(rf"{name}/{own}@sha256:[0-9a-f]{{64}}", reference)
        shell.run(["buildah", "pull", reference], env=node)
        (mounted,) = shell.run(["buildah", "from", "--pull-never", reference], env=node).split()
        root = shell.run(["buildah", "mount", mounted], env=node).strip()
        assert (Path(root) / own).read_text() == f"the {own}"
        shell.run(["buildah", "rm", mounted], env=node)


def test_a_push_without_a_login_fails_and_says_which(harbour: registry.Registry, clone: Path, tmp_path: Path) -> None:
    done = pushed(clone, login(harbour.host, tmp_path / "stranger", known=False), REGISTRY=f"{harbour.host}/ml")
    assert done.returncode == 1
    assert f"{harbour.host}/ml/operator:0.1.0` ended with status" in done.stderr


def test_nobody_pulls_them_without_a_login(harbour: registry.Registry, clone: Path, tmp_path: Path) -> None:
    pushed(clone, login(harbour.host, tmp_path / "builder"), REGISTRY=f"{harbour.host}/ml")
    stranger = login(harbour.host, tmp_path / "stranger", known=False)
    with pytest.raises(errors.CommandFailed, match=r"authentication required|unauthorized"):
        shell.run(["buildah", "pull", f"{harbour.host}/ml/operator:0.1.0"], env=stranger)
