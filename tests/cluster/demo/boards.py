"""The shipped boards: their queries as Grafana asks them, and which of them a Prometheus has answered."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from tests.cluster.harness import paths

_FILES = paths.REPO / "helm" / "seatrial" / "files"
BOARDS: Mapping[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((_FILES / "boards").glob("*.json"))
}
RULES = _FILES / "rules.yaml"
ANSWERED = ("operator", "rollout")
"""Those whose every query has an answer at some time of the demo. The third waits for labels, which nobody sends."""
UNSEEN = frozenset(
    {
        "Looks and errors, B",
        "Looks at drift, B",
        "From breach to no traffic, A",
        "From breach to no traffic, B",
        "Last rollback, A",
        "annotation rolled back",
    }
)
"""Of what need not happen in a demo: failures by their kind, of which there is no series before the first, and
rollbacks of versions with traffic, when the bad ones have failed on copies already.
"""
STEP = 5  # seconds


@dataclasses.dataclass(frozen=True)
class Query:
    """A query of a board, with the variables filled in, and where it stands."""

    where: str
    text: str


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for one in board["panels"] if one["type"] != "row"]


def queries(board: Mapping[str, Any], variables: Mapping[str, str]) -> Iterator[Query]:
    """Those of panels, of the board's own variables and of its marks."""
    for one in panels(board):
        for target in one["targets"]:
            yield Query(f"{one['title']}, {target['refId']}", filled(target["expr"], variables))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield Query(f"variable {variable['name']}", filled(of_variable(variable["query"]), variables))
    for annotation in board["annotations"]["list"]:
        yield Query(f"annotation {annotation['name']}", filled(annotation["expr"], variables))


def of_variable(text: str) -> str:
    """What Grafana asks for `label_values(selector, label)`, as a query."""
    asked = re.fullmatch(r"label_values\((.+), ([a-z_]+)\)", text)
    assert asked, text
    return f"count by ({asked[2]}) ({asked[1]})"


def filled(text: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        text = text.replace(name, value)
    assert "$" not in text, f"a variable that nobody knows: {text}"
    return text


def unrecorded(asked: Iterable[Query]) -> list[Query]:
    """The same with what is recorded in place of a record's name, for a Prometheus without the rules."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    known = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    names = re.compile("|".join(map(re.escape, known)))
    return [Query(one.where, names.sub(lambda found: f"({known[found[0]]})", one.text)) for one in asked]


def unanswered(url: str, asked: Iterable[Query], *, start: float, end: float) -> list[Query]:
    """Those that never had a finite value in between; Unix seconds."""
    return [one for one in asked if not _answered(url, one.text, start=start, end=end)]


def _answered(url: str, text: str, *, start: float, end: float) -> bool:
    form = urllib.parse.urlencode({"query": text, "start": start, "end": end, "step": STEP}).encode()
    with urllib.request.urlopen(f"{url}/api/v1/query_range", data=form, timeout=30) as said:
        series: list[dict[str, Any]] = json.load(said)["data"]["result"]
    return any(math.isfinite(float(value)) for one in series for _, value in one["values"])
