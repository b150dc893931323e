"""CLUSTER=kind on a machine that has nothing but docker, kind, kubectl and helm: every command, in order."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.cluster import harness, installation
from tests.cluster.harness import generated, images, paths, progress
from tests.unit.cli import stubs

pytestmark = pytest.mark.long  # a process for every call of a program


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The four programs alone on the PATH, and a cache that nothing was ever put into."""
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CLUSTER", "kind")
    stubs.program(folder, "docker", {"words": ["inspect"], "says": "sha256:abc\n"})
    context = "current-context: kind-seatrial\n"
    stubs.program(folder, "kind", {"words": ["create"], "files": {"--kubeconfig": context}})
    stubs.program(folder, "kubectl", {"words": ["serviceaccount"], "says": "serviceaccount/default\n"})
    stubs.program(folder, "helm")
    return folder


@pytest.fixture
def made_before(programs: Path) -> None:
    """What the store and the client are filled with takes a while to make, and isn't what this is about."""
    for context in (images.MODELS, images.ROWS):
        (paths.images() / f"context-{context.name}-{context.key()}").mkdir(parents=True)


def test_what_images_are_filled_with_is_made_in_a_cache_that_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "package"
    package.mkdir()
    context = generated.Context("none", "compileall", package)  # makes nothing of nothing, but must be able to run
    with pytest.raises(FileNotFoundError, match="out"):
        context.folder(say=progress.silent)
    assert paths.images().is_dir()


@pytest.mark.usefixtures("made_before")
def test_the_whole_installation_uses_these_four_programs_alone(programs: Path) -> None:
    platform = installation.install(say=progress.silent)
    calls = stubs.calls(programs)
    assert {call[0] for call in calls} == {"docker", "kind", "kubectl", "helm"}
    assert [call[1:3] for call in calls if call[0] == "kind"][:2] == [["get", "clusters"], ["create", "cluster"]]
    built = [call[call.index("-t") + 1] for call in calls if call[:2] == ["docker", "build"]]
    loaded = [call for call in calls if call[:3] == ["kind", "load", "image-archive"]]
    assert set(built) == {images.lookup(name).tag for name in installation.IMAGES}
    assert len(loaded) == len(built)
    assert platform.cluster.kubeconfig.parent != paths.run(), "the kind cluster has files of its own"


@pytest.mark.usefixtures("made_before")
def test_the_chart_gets_the_images_that_were_loaded(programs: Path) -> None:
    installation.install(say=progress.silent)
    documents = yaml.safe_load_all(stubs.inputs(programs))
    (values,) = (one for one in documents if one and "images" in one)
    assert values["images"] == {
        "registry": "seatrial.dev",
        "operator": {"repository": "operator", "tag": "dev"},
        "serving": {"repository": "serving", "tag": "dev"},
    }
    assert values["podAnnotations"]["seatrial.dev/image-digest"] == "sha256:abc"


@pytest.mark.usefixtures("made_before")
def test_an_image_on_another_of_ours_is_built_after_it_from_its_contexts(programs: Path) -> None:
    installation.install(say=progress.silent)
    built = [call for call in stubs.calls(programs) if call[:2] == ["docker", "build"]]
    tags = [call[call.index("-t") + 1] for call in built]
    (store,) = (call for call in built if "seatrial.dev/store:dev" in call)
    assert tags.index("seatrial.dev/serving:dev") < tags.index("seatrial.dev/store:dev")
    assert store[store.index("--build-arg") + 1] == "BASE=seatrial.dev/serving:dev"
    assert store[store.index("--build-context") + 1].startswith("models=")


def test_down_deletes_the_cluster_and_its_files(programs: Path) -> None:
    harness.up(images=(), say=progress.silent)
    stubs.program(programs, "kind", {"words": ["get", "clusters"], "says": "seatrial\n"})
    harness.down(say=progress.silent)
    assert [call[1:3] for call in stubs.calls(programs) if call[0] == "kind"][-1] == ["delete", "cluster"]
    assert not (paths.run().with_name("kind-seatrial")).exists()
