"""The pages as text: their shell blocks, headings and links.

A shell block says behind its language whether a test runs it, which no reader of the page sees:

    ```sh run=cluster churn=canary

`laptop`: in a folder with a model, its data, a package and a resource. `cluster`: against an API server that has the
object `churn`, in the named situation. `release`, `stubs`: by `test_releases` and `test_image`. `no`: by nobody,
because it needs what can't be had in a test, or never ends. A fence "text printed" is what a block on a laptop prints.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.harness import paths

SHELLS = ("sh", "bash", "console", "shell")
RUNS = ("laptop", "cluster", "release", "stubs", "no")
INDEX = paths.REPO / "docs" / "README.md"
_FENCE = re.compile(r"^( *)```([^`\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A shell block: where it stands, what is said behind its language, what to type."""

    page: str
    heading: str
    line: int
    said: Mapping[str, str]
    text: str

    @property
    def run(self) -> str:
        return self.said.get("run", "")


def pages() -> list[Path]:
    """Every page that people read."""
    top = [paths.REPO / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*top, paths.REPO / "helm" / "seatrial" / "README.md", *sorted((paths.REPO / "docs").rglob("*.md"))]


def name(page: Path) -> str:
    return str(page.relative_to(paths.REPO))


def shell(page: Path) -> list[Block]:
    """The page's shell blocks, in order."""
    return list(_shell(name(page), page.read_text()))


def _shell(page: str, content: str) -> Iterator[Block]:
    for found in _FENCE.finditer(content):
        language, *words = found[2].split() or [""]
        if language not in SHELLS:
            continue
        above = _HEADING.findall(content[: found.start()])
        yield Block(
            page=page,
            heading=above[-1] if above else "",
            line=content.count("\n", 0, found.start()) + 1,
            said=dict(word.split("=", 1) for word in words if "=" in word),
            text=_typed(found[3]) if language == "console" else found[3],
        )


def printed(page: Path) -> list[str]:
    """What the page says that its blocks print: the texts of its fences "text printed"."""
    return [found[3] for found in _FENCE.finditer(page.read_text()) if found[2].split() == ["text", "printed"]]


def _typed(text: str) -> str:
    """What is typed in a console: the lines behind a prompt, with those that go on."""
    lines, goes_on = [], False
    for line in text.splitlines():
        if goes_on or line.startswith("$ "):
            lines.append(line if goes_on else line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "\n".join(lines) + "\n"


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """File and anchor of every link to a file of the repository."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        yield (page.parent / path).resolve() if path else page, anchor


def anchors(page: Path) -> set[str]:
    """What links to this page's headings may say, as GitHub makes it."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
