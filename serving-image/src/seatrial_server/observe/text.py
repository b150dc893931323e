"""Prometheus' text format, written by hand where a thousand series must not hold up requests."""

from __future__ import annotations


def family(name: str, kind: str, text: str) -> str:
    """The two lines before a family's series."""
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def escaped(label: str) -> str:
    """A label's value."""
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
