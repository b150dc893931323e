"""`make image`: what it asks of docker, podman and buildah, and the lines that it leaves to copy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.harness import paths
from tests.unit.cli import stubs

from seatrial.cli import image

pytestmark = pytest.mark.long  # a process for every call of a program

ENGINES = ("docker", "podman", "buildah")
DIGEST = "sha256:" + "9f86d081" * 8


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH without any engine: tests put there what they need."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def make(programs: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`make image` with these variables, as a user types it."""
    command = [shutil.which("make", path="/usr/bin:/bin") or "make", "--no-print-directory", "image"]
    command += [f"{name}={value}" for name, value in variables.items()]
    environment = {**os.environ, "PATH": f"{programs}:/nowhere"}
    return subprocess.run(
        [*command, f"PYTHON={sys.executable}", "SHELL=/bin/bash"],
        cwd=paths.REPO, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_each_engine_builds_both_images_under_the_version(programs: Path, engine: str) -> None:
    stubs.program(programs, engine)
    done = make(programs, VERSION="1.2.3")
    assert done.returncode == 0, done.stderr
    built = [call for call in stubs.calls(programs) if call[1] == "build"]
    assert [call[call.index("-t") + 1] for call in built] == [
        "seatrial.dev/operator:1.2.3",
        "seatrial.dev/serving:1.2.3",
    ]
    assert [Path(call[call.index("-f") + 1]).name for call in built] == ["Containerfile", "Containerfile"]
    assert all(call[-1] == str(paths.REPO) for call in built)


@pytest.mark.parametrize(
    ("engine", "lines"),
    [
        ("docker", ["kind load docker-image seatrial.dev/operator:1 seatrial.dev/serving:1",
                    "minikube image load seatrial.dev/serving:1"]),
        ("podman", ["podman save -o serving.tar seatrial.dev/serving:1", "kind load image-archive serving.tar"]),
        ("buildah", ["buildah push seatrial.dev/serving:1 docker-archive:serving.tar:seatrial.dev/serving:1",
                     "minikube image load operator.tar"]),
    ],
)  # fmt: skip
def test_it_says_how_to_load_push_and_install_them(programs: Path, engine: str, lines: list[str]) -> None:
    stubs.program(programs, engine)
    said = [line.strip() for line in make(programs, VERSION="1").stdout.splitlines()]
    assert [line for line in lines if line not in said] == []
    assert "make image REGISTRY=registry.example.com/ml PUSH=1" in said
    assert said[-1].endswith("--set-string images.registry=seatrial.dev --set-string images.tag=1")


def test_without_a_version_it_is_the_projects(programs: Path) -> None:
    stubs.program(programs, "docker")
    assert "seatrial.dev/operator:0.1.0" in make(programs).stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_pushing_ends_with_the_digests_to_install_by(programs: Path, engine: str) -> None:
    name = "localhost:5000/ml"
    both = f"other.example.com/operator@sha256:0\n{name}/operator@{DIGEST}\n{name}/serving@{DIGEST}\n"
    stubs.program(
        programs,
        engine,
        {"words": ["--digestfile"], "files": {"--digestfile": f"{DIGEST}\n"}},
        {"words": ["inspect"], "says": both},
    )
    done = make(programs, VERSION="1", REGISTRY=name, PUSH="1")
    assert done.returncode == 0, done.stderr
    pushes = [call[-1] for call in stubs.calls(programs) if call[1] == "push"]
    assert pushes == [f"{name}/operator:1", f"{name}/serving:1"]
    assert f"--set-string images.operator.digest={DIGEST} --set-string images.serving.digest={DIGEST}" in done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_both_images_stand_on_the_digest_that_the_bases_name_has_now(programs: Path, engine: str) -> None:
    stubs.program(programs, engine, {"words": ["inspect"], "says": f"{DIGEST}\n"})
    done = make(programs)
    builds = [call for call in stubs.calls(programs) if call[1] == "build"]
    base = f"docker.io/library/python:3.11-slim-bookworm@{DIGEST}"
    assert [f"BASE={base}" in call for call in builds] == [True, True]
    assert f"base: {base}" in done.stdout


@pytest.mark.parametrize("engine", ENGINES)
def test_a_base_that_no_registry_knows_is_taken_by_its_name(programs: Path, engine: str) -> None:
    stubs.program(programs, engine, {"words": ["pull"], "status": 1}, {"words": ["imagetools"], "status": 1})
    make(programs, BASE="localhost/mine:1")
    (build, _) = (call for call in stubs.calls(programs) if call[1] == "build")
    assert "BASE=localhost/mine:1" in build


@pytest.mark.parametrize("engine", ENGINES)
def test_an_image_is_dated_as_it_is_told(programs: Path, engine: str) -> None:
    stubs.program(programs, engine)
    assert make(programs, SOURCE_DATE_EPOCH="1700000000").returncode == 0
    (build, _) = (call for call in stubs.calls(programs) if call[1] == "build")
    assert "SOURCE_DATE_EPOCH=1700000000" in build
    assert engine == "docker" or build[build.index("--timestamp") + 1] == "1700000000"


def test_an_engine_that_does_not_answer_is_passed_over(programs: Path) -> None:
    """A docker client whose daemon is away is on many a machine."""
    stubs.program(programs, "docker", {"words": ["info"], "status": 1, "complains": "Cannot connect to the daemon"})
    stubs.program(programs, "podman")
    assert "with podman" in make(programs).stdout


def test_without_any_engine_it_says_what_was_tried(programs: Path) -> None:
    stubs.program(programs, "docker", {"words": ["info"], "status": 1, "complains": "Cannot connect to the daemon"})
    done = make(programs)
    assert done.returncode != 0
    for said in ("docker: Cannot connect to the daemon", "podman: not on the PATH", "buildah: not on the PATH"):
        assert said in done.stderr


def test_a_build_that_fails_ends_it_and_is_quoted(programs: Path) -> None:
    stubs.program(programs, "podman", {"words": ["build"], "status": 3})
    done = make(programs)
    assert done.returncode != 0
    assert "`podman build -t seatrial.dev/operator:0.1.0" in done.stderr
    assert len([call for call in stubs.calls(programs) if call[1] == "build"]) == 1


def test_buildah_needs_no_root_and_no_namespaces(programs: Path) -> None:
    stubs.program(programs, "buildah")
    make(programs)
    (build, *_) = (call for call in stubs.calls(programs) if call[1] == "build")
    assert build[build.index("--isolation") + 1] == "chroot"


@pytest.mark.parametrize("engine", ENGINES)
def test_another_base_reaches_the_containerfile(programs: Path, engine: str) -> None:
    stubs.program(programs, engine)
    make(programs, BASE="mirror.example.com/python:3.11")
    (build, *_) = (call for call in stubs.calls(programs) if call[1] == "build")
    assert build[build.index("BASE=mirror.example.com/python:3.11") - 1] == "--build-arg"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"VERSION": "v 1"}, "VERSION must be a tag"),
        ({"VERSION": "1/2"}, "VERSION must be a tag"),
        ({"REGISTRY": "https://registry.example.com"}, "REGISTRY must be like"),
        ({"REGISTRY": "registry.example.com/Models"}, "REGISTRY must be like"),
        ({"ENGINE": "kaniko"}, "ENGINE must be docker, podman or buildah"),
        ({"PUSH": "1"}, "PUSH=1 needs REGISTRY"),
        ({"SOURCE_DATE_EPOCH": "today"}, "SOURCE_DATE_EPOCH must be whole seconds"),
        ({"ENGINE": "podman"}, "podman: not on the PATH"),
    ],
    ids=str,
)
def test_variables_that_can_not_be_meant_are_named(
    variables: dict[str, str], said: str, programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stubs.program(programs, "docker")
    assert image.main(variables, root=paths.REPO) == 1
    assert said in capsys.readouterr().err
    assert [call for call in stubs.calls(programs) if "build" in call] == []


def test_an_image_is_dated_by_the_commit_that_it_is_made_of(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    dated = {**os.environ, "GIT_COMMITTER_DATE": "1700000001 +0000"}
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True, env=dated)
    assert image._commit_time(tmp_path) == "1700000001"


@pytest.mark.parametrize("place", ["kind", "minikube"])
def test_the_documented_commands_load_what_was_built_and_install_it(programs: Path, place: str) -> None:
    text = (paths.REPO / "docs" / "how-to" / "images.md").read_text()
    block = text[text.index(f"\n## {place}\n") :].partition("```sh run=stubs\n")[2].partition("```")[0]
    for name in ("docker", place, "helm"):
        stubs.program(programs, name)
    make_ = f'make() {{ /usr/bin/make "$@" PYTHON={sys.executable} SHELL=/bin/bash; }}\n'
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", make_ + block], cwd=paths.REPO,
        env={**os.environ, "PATH": f"{programs}:/nowhere"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    calls = stubs.calls(programs)
    built = [call[call.index("-t") + 1] for call in calls if call[1] == "build"]
    loaded = [part for call in calls if call[0] == place for part in call if part.startswith("seatrial.dev/")]
    assert loaded == built
    (install,) = (call for call in calls if call[0] == "helm")
    assert "images.registry=seatrial.dev" in install
