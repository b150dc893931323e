"""The objects of a manifest, read as kubectl reads YAML: JSON's values, YAML 1.1's words, no key twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml


class NotReadable(ValueError):
    """Not YAML, or not an object; says where."""


class _Loader(yaml.SafeLoader):
    """Without what Kubernetes doesn't have: time stamps stay text, and a key may not come twice."""


_Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise NotReadable(f"line {key.start_mark.line + 1}: the field {key.value!r} must not come twice")
            seen.add(key.value)
    return {_key(name): value for name, value in loader.construct_mapping(node, deep=True).items()}


def _key(name: Any) -> str:
    """A key is text; `on:` and `yes:` are true in YAML 1.1, which JSON then spells like that."""
    return str(name).lower() if isinstance(name, bool) else str(name)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(text: str) -> Iterator[dict[str, Any]]:
    """Each object of the file; of a List its items. Empty documents are passed over.

    Raises:
        NotReadable: what is wrong, and in which line.
    """
    try:
        for number, document in enumerate(yaml.load_all(text, Loader=_Loader), start=1):  # a SafeLoader
            if document is None:
                continue
            if not isinstance(document, dict):
                raise NotReadable(f"document {number} must be an object, not {type(document).__name__}")
            items = document.get("items") if document.get("kind") == "List" else [document]
            for item in items if isinstance(items, list) else []:
                if not isinstance(item, dict):
                    raise NotReadable(f"document {number}: items must be objects, not {type(item).__name__}")
                yield item
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise NotReadable(f"line {line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise NotReadable(f"not YAML: {error}") from error
