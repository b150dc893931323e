"""What can go wrong while packing. Every message says what to change.

PackError
├── BadInput         the model, the data or an option is not what it must be
├── CannotConvert    the library's model has no equal as a graph
├── AnswersDiffer    the graph answers otherwise than the model
├── CannotPush       the store did not take the package
└── TrialRefused     the package did not pass the trial
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from types import ModuleType


class PackError(Exception):
    """The root; nothing was written where nothing is said."""


class BadInput(PackError):
    """The model, the data or an option is not what it must be."""


class CannotConvert(PackError):
    """The library's model has no equal as a graph."""


class AnswersDiffer(PackError):
    """The graph answers otherwise than the model."""


class CannotPush(PackError):
    """The store did not take the package; the file is kept."""


class TrialRefused(PackError):
    """The package did not pass the trial; the file is kept."""


def needed(module: str, *, why: str, install: str = "") -> ModuleType:
    """Import a library that only this model or data needs.

    Raises:
        BadInput: says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput(f"{why} needs {module}: pip install {install or module.partition('.')[0]} ({error})") from error


def named(names: Iterable[object], *, most: int = 8) -> str:
    """A list for a message, which stays readable with a thousand columns."""
    texts = [repr(name) for name in names]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
