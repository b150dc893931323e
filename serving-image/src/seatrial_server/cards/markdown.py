"""The card as Markdown, with the front matter that Hugging Face and its tools read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from seatrial_server.cards import facts as facts_

MEDIA_TYPE = "text/markdown; charset=utf-8"
_TASKS = {"classification": "tabular-classification", "regression": "tabular-regression"}
Rows = Iterable[tuple[str, ...]]


def render(facts: facts_.Facts) -> bytes:
    """The document; the same facts give the same bytes."""
    front = yaml.safe_dump(_front(facts), sort_keys=False, allow_unicode=True)
    body = "\n".join(line for part in _sections(facts) for line in (*part, ""))
    return f"---\n{front}---\n\n# {_cell(facts.name)} {_cell(facts.version)}\n\n{body}".encode(errors="replace")


def _front(facts: facts_.Facts) -> dict[str, Any]:
    card = facts.card
    front: dict[str, Any] = {"library_name": "onnx", "tags": ["seatrial", "onnx"]}
    if card.license:
        front = {"license": card.license.lower(), **front}
    if card.task:
        front["pipeline_tag"] = _TASKS[card.task]
    if data := [one.uri for one in facts.lineage.data if one.uri]:
        front["datasets"] = data
    parent = dict(facts.lineage.parent)
    if parent.get("name"):
        front["base_model"] = parent["name"]
    results = [
        {
            "task": {"type": _TASKS.get(card.task or "", "other")},
            "dataset": {"name": one.name if not one.slice else f"{one.name} ({one.slice})", "type": one.name},
            "metrics": [{"type": one.metric, "value": one.value, "name": one.metric}],
        }
        for one in facts.evaluation
    ]
    if results:
        front["model-index"] = [{"name": facts.name, "results": results}]
    return front


def _sections(facts: facts_.Facts) -> Iterator[list[str]]:
    card, found = facts.card, facts.lineage
    yield ["## Details", "", *_table(("", ""), _details(facts))]
    yield ["## Intended use", "", *_said(card.intended_use)]
    yield ["## Out of scope", "", *_said(card.out_of_scope)]
    yield ["## Limitations", "", *_said(card.limitations)]
    yield ["## Ethical considerations", "", *_said(card.ethics)]
    data = [
        (one.purpose, one.uri or facts_.NOT_STATED, one.sha256 or facts_.NOT_STATED, _inline(one.more))
        for one in found.data
    ]
    yield ["## Data", "", *_table(("purpose", "uri", "sha256", "more"), data)]
    yield ["## Lineage", "", *_table(("", ""), _lineage(facts))]
    metrics = [
        (
            one.name,
            one.slice or "all",
            one.metric,
            f"{one.value:.4g}",
            f"{one.low:.4g}",
            f"{one.high:.4g}",
            str(one.rows),
        )
        for one in facts.evaluation
    ]
    yield ["## Metrics", "", *_table(("dataset or test", "rows of", "metric", "value", "low", "high", "rows"), metrics)]
    fairness = [
        (test.name, str(test.metric), f"{test.observed:.4g}", f"{test.bound:.4g}", test.outcome)
        for test in facts.fairness
    ]
    yield ["## Fairness", "", *_table(("test", "figure", "observed", "bound", "outcome"), fairness)]
    yield ["## Trial", "", *_table(("", ""), facts_.figures(facts))]
    if facts.serving:
        yield ["## Serving", "", *_table(("", ""), facts.serving)]


def _details(facts: facts_.Facts) -> Rows:
    card = facts.card
    yield "sha256", facts.sha256
    for name, value in (
        ("owner", card.owner),
        ("licence", card.license),
        ("task", card.task or ""),
        ("architecture", card.architecture),
        ("rationale", card.rationale),
    ):
        yield name, value or facts_.NOT_STATED
    for kind, specs in (("input", facts.inputs), ("output", facts.outputs)):
        yield from ((kind, f"{one.name}: {one.datatype} {list(one.shape)}") for one in specs)


def _lineage(facts: facts_.Facts) -> Rows:
    found = facts.lineage
    dirty = ", with changes that are not in it" if found.dirty else ""
    yield "code", f"{found.code_uri} {found.code_revision}{dirty}".strip() if found.code_revision else facts_.NOT_STATED
    yield "library", found.library or facts_.NOT_STATED
    yield "environment", f"{found.environment} {found.environment_sha256}".strip() or facts_.NOT_STATED
    yield "training run", _inline(found.run) or facts_.NOT_STATED
    yield "parent", _inline(found.parent) or facts_.NOT_STATED
    yield "hyperparameters", _inline(found.parameters) or facts_.NOT_STATED


def _said(given: tuple[str, ...] | str) -> list[str]:
    found = facts_.sentences(given)
    if len(found) == 1:
        return [found[0].strip()]
    return [f"- {one.strip()}" for one in found] or [facts_.NOT_STATED]


def _table(head: tuple[str, ...], rows: Rows) -> list[str]:
    lines = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not lines:
        return [facts_.NOT_STATED]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines]


def _inline(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in pairs)


def _cell(text: str) -> str:
    """In one line of one column, and no markup of its own."""
    plain = " ".join(text.split()).replace("\\", "\\\\")
    for sign in "|<>`*_[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
