"""Which changes make an image be built again, and which do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.harness import containerfile

TEXT = """\
FROM base AS build
COPY requirements.txt /tmp/
COPY --chown=1:1 src/*.py \\
    lib /app/
FROM base
COPY --from=build /app /app
ADD ["one name.txt", "/app/"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in ("Containerfile", "requirements.txt", "src/a.py", "src/b.txt", "lib/deep/c.py", "one name.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "Containerfile").write_text(TEXT)
    return tmp_path


def digest(context: Path, also: str = "") -> str:
    return containerfile.digest(context / "Containerfile", context=context, also=also)


def test_sources_are_read_from_every_line_that_copies_from_the_context() -> None:
    assert containerfile.sources(TEXT) == ["requirements.txt", "src/*.py", "lib", "one name.txt"]


def test_patterns_and_folders_stand_for_their_files(context: Path) -> None:
    files = [str(path.relative_to(context)) for path in containerfile.inputs(TEXT, context=context)]
    assert files == ["lib/deep/c.py", "one name.txt", "requirements.txt", "src/a.py"]


@pytest.mark.parametrize("name", ["Containerfile", "requirements.txt", "src/a.py", "lib/deep/c.py"])
def test_a_changed_input_changes_the_digest(context: Path, name: str) -> None:
    before = digest(context)
    (context / name).write_text("changed")
    assert digest(context) != before


@pytest.mark.parametrize("name", ["src/b.txt", "elsewhere.py", "lib/__pycache__/c.cpython-311.pyc"])
def test_a_file_that_is_not_copied_does_not(context: Path, name: str) -> None:
    before = digest(context)
    (context / name).parent.mkdir(exist_ok=True)
    (context / name).write_text("changed")
    assert digest(context) == before


def test_another_base_image_changes_the_digest(context: Path) -> None:
    assert digest(context, also="one") != digest(context, also="two")
