"""The page of the reference with the server's figures: two benchmarks write it, each its own part."""

from __future__ import annotations

from pathlib import Path

OTHERS = "## Beside other servers"
"""Begins the second part."""


def write_own(page: Path, part: str) -> None:
    """The server by itself; what was measured beside others stays."""
    _, heading, beside = _read(page).partition(OTHERS)
    page.write_text(part.rstrip("\n") + "\n" + (f"\n{heading}{beside}" if heading else ""))


def write_beside(page: Path, part: str) -> None:
    """The part that begins with `OTHERS`; what the server does by itself stays."""
    own, _, _ = _read(page).partition(OTHERS)
    page.write_text((own.rstrip("\n") + "\n\n" if own else "") + part.rstrip("\n") + "\n")


def _read(page: Path) -> str:
    return page.read_text() if page.exists() else ""
