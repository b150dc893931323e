"""The card as CycloneDX 1.6: one machine-learning model with its card, data, commits and ancestors. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Any

import seatrial_server
from seatrial_server.cards import facts as facts_
from seatrial_server.cards import lineage

MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"
_NAMESPACE = uuid.UUID("6b1d7f0e-0c5a-4f2e-9f0b-0b6a4a1d9c11")
_LICENSES = frozenset(
    {"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "GPL-2.0-only", "GPL-3.0-only", "LGPL-3.0-only", "MPL-2.0"}
    | {"CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "AGPL-3.0-only", "EUPL-1.2", "ISC", "Unlicense"}
)
Object = dict[str, Any]


def render(facts: facts_.Facts) -> bytes:
    """The document; the same facts give the same bytes."""
    datasets = [_dataset(one, number) for number, one in enumerate(facts.lineage.data)]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{facts.name} {facts.version} {facts.sha256}')}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "seatrial", "version": seatrial_server.VERSION}]},
            "component": _model(facts),
        },
        "components": datasets,
        "dependencies": [{"ref": "model", "dependsOn": [one["bom-ref"] for one in datasets]}],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode(errors="replace")


def _model(facts: facts_.Facts) -> Object:
    card = facts.card
    return _filled(
        {
            "type": "machine-learning-model",
            "bom-ref": "model",
            "name": facts.name,
            "version": facts.version,
            "supplier": {"name": card.owner} if card.owner else None,
            "description": card.intended_use,
            "hashes": _hashes(facts.sha256),
            "licenses": [{"license": _license(card.license)}] if card.license else None,
            "pedigree": _pedigree(facts.lineage),
            "modelCard": _card(facts),
            "properties": _properties(_details(facts)),
        }
    )


def _license(text: str) -> Object:
    return {"id": text} if text in _LICENSES else {"name": text}


def _pedigree(found: lineage.Lineage) -> Object | None:
    commit = _filled({"uid": found.code_revision, "url": found.code_uri})
    parent = dict(found.parent)
    ancestor = _filled(
        {
            "type": "machine-learning-model",
            "name": parent.get("name") or "parent",
            "version": parent.get("version", ""),
            "hashes": _hashes(parent.get("sha256", "")),
        }
    )
    pedigree = _filled({"commits": [commit] if commit else None, "ancestors": [ancestor] if parent else None})
    return pedigree or None


def _card(facts: facts_.Facts) -> Object:
    card = facts.card
    parameters = _filled(
        {
            "approach": {"type": "supervised"} if card.task else None,
            "task": card.task or "",
            "modelArchitecture": card.architecture,
            "datasets": [{"ref": f"data-{number}"} for number in range(len(facts.lineage.data))],
            "inputs": [{"format": f"{one.name}: {one.datatype} {list(one.shape)}"} for one in facts.inputs],
            "outputs": [{"format": f"{one.name}: {one.datatype} {list(one.shape)}"} for one in facts.outputs],
        }
    )
    considerations = _filled(
        {
            "useCases": list(facts_.sentences(card.intended_use)),
            "technicalLimitations": [
                *facts_.sentences(card.limitations),
                *(f"Out of scope: {one}" for one in facts_.sentences(card.out_of_scope)),
            ],
            "ethicalConsiderations": [{"name": one} for one in facts_.sentences(card.ethics)],
            "fairnessAssessments": [
                {
                    "groupAtRisk": test.name,
                    "harms": f"{test.metric}: {test.observed:.4g} of {test.rows} rows, {test.outcome}",
                }
                for test in facts.fairness
            ],
        }
    )
    metrics = [_metric(one) for one in facts.evaluation]
    return _filled(
        {
            "modelParameters": parameters,
            "quantitativeAnalysis": {"performanceMetrics": metrics} if metrics else None,
            "considerations": considerations,
        }
    )


def _metric(one: Any) -> Object:
    return _filled(
        {
            "type": one.metric,
            "value": f"{one.value:.6g}",
            "slice": f"{one.name}: {one.slice}" if one.slice else one.name,
            "confidenceInterval": {"lowerBound": f"{one.low:.6g}", "upperBound": f"{one.high:.6g}"},
        }
    )


def _dataset(one: lineage.Data, number: int) -> Object:
    return _filled(
        {
            "type": "data",
            "bom-ref": f"data-{number}",
            "name": one.purpose,
            "hashes": _hashes(one.sha256),
            "externalReferences": [{"type": "distribution", "url": one.uri}] if one.uri else None,
            "properties": _properties(one.more),
            "data": [{"type": "dataset", "name": one.purpose}],
        }
    )


def _details(facts: facts_.Facts) -> Iterable[tuple[str, str]]:
    found = facts.lineage
    yield from facts_.figures(facts)
    yield from facts.serving
    yield from ((f"parameter {name}", value) for name, value in found.parameters)
    yield from ((f"run {name}", value) for name, value in found.run)
    yield "rationale", facts.card.rationale
    yield "library", found.library
    yield "environment", found.environment
    yield "environment sha256", found.environment_sha256
    yield "code dirty", "true" if found.dirty else ""
    yield "not stated", ", ".join(facts.not_stated)


def _properties(pairs: Iterable[tuple[str, str]]) -> list[Object]:
    return [{"name": f"seatrial:{name}", "value": value} for name, value in pairs if value]


def _hashes(sha256: str) -> list[Object] | None:
    return [{"alg": "SHA-256", "content": sha256}] if lineage.digest(sha256) else None


def _filled(given: Object) -> Object:
    return {name: value for name, value in given.items() if value not in (None, "", [], {})}
