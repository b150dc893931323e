"""Runs in the laptop's environment: `execute.py NOTEBOOK` executes it in this folder and writes executed.ipynb."""

from __future__ import annotations

import sys
from pathlib import Path

import nbclient
import nbformat

if __name__ == "__main__":
    notebook = nbformat.read(sys.argv[1], as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": "."}}
    ).execute()
    nbformat.write(notebook, Path("executed.ipynb"))
