"""`kubectl seatrial lint` says of every object what the API server says of it: yes, or no at the same place."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.cluster.harness import apiserver, errors
from tests.contract import test_crd
from tests.unit.rollout import placed

from seatrial.api import rules, schema
from seatrial.plugin.linting import checking

pytestmark = pytest.mark.apiserver

ACCEPTED: dict[str, dict[str, Any]] = {
    "smallest": {},
    "everything that places pods": {"serving": schema.sparse(placed.EVERYTHING)},
    "durations of many parts": {"rollout": {"soak": "1h30m15s500ms", "stepTimeout": "168h"}},
    "bare numbers": {
        "model": {**test_crd.MODEL, "version": 7},
        "serving": {"resources": {"requests": {"cpu": 1, "memory": 2**27}, "limits": {"cpu": 2, "memory": 2**30}}},
    },
    "milli against whole": {"serving": {"resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": "2"}}}},
    "null where there is a default": {"replicas": None},
    **{uri: {"model": {**test_crd.MODEL, "uri": uri}} for uri in test_crd.ACCEPTED},
}
MORE_REFUSED: dict[str, dict[str, Any]] = {
    "text for a number": {"replicas": "2"},
    "a number for a duration": {"rollout": {"soak": 600}},
    "two mistakes": {"replicas": 0, "rollout": {"soak": "ten"}},
    "null without a default": {"rollout": {"steps": [{"weight": None}]}},
    "a map for a list": {"rollout": {"steps": {"weight": 10}}},
    "a list for a map": {"rollout": []},
    "milli above whole": {"serving": {"resources": {"requests": {"cpu": "2500m"}, "limits": {"cpu": "2"}}}},
    "memory in other units": {"serving": {"resources": {"requests": {"memory": "1100M"}}}},
    "no model": {"model": {}},
    "a step without a weight": {"rollout": {"steps": [{"minRequests": 5}]}},
}
REFUSED = {**test_crd.REFUSED, **test_crd.BOUNDS, **MORE_REFUSED}


def document(members: dict[str, Any], name: str = "linted") -> dict[str, Any]:
    made: dict[str, Any] = json.loads(test_crd.manifest(name, **members))
    return made


def server_says(api: apiserver.ApiServer, document: dict[str, Any]) -> str:
    """The API server's complaint; "" when it accepts."""
    try:
        api.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(document))
    except errors.CommandFailed as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("members", ACCEPTED.values(), ids=ACCEPTED)
def test_what_the_api_server_takes_has_no_error(shop: apiserver.ApiServer, members: dict[str, Any]) -> None:
    assert server_says(shop, document(members)) == ""
    assert [one for one in checking.check(document(members), rate=None) if one.level is checking.Level.ERROR] == []


@pytest.mark.parametrize("members", REFUSED.values(), ids=REFUSED)
def test_what_the_api_server_refuses_is_an_error_at_the_same_place(
    shop: apiserver.ApiServer, members: dict[str, Any]
) -> None:
    refused = server_says(shop, document(members))
    found = [one for one in checking.check(document(members), rate=None) if one.level is checking.Level.ERROR]
    assert refused
    assert found
    named, here = places(refused), {one.path for one in found}
    assert all(any(one.startswith(path) for one in named) for path in here), (here, refused)
    assert all(any(one.startswith(path) for path in here) for one in named), (here, refused)


@pytest.mark.parametrize(("words", "members"), test_crd.REFUSED.items(), ids=test_crd.REFUSED)
def test_each_rule_refuses_here_in_the_same_words(words: str, members: dict[str, Any]) -> None:
    (rule,) = (rule for rule in rules.RULES if words in rule.message)
    (found,) = checking.check(document(members), rate=None)
    assert rule.message in (found.message, f"{found.path} {found.message}", str(found))


@pytest.mark.parametrize("name", ["7churn", "churn.v7", "c" * 47])
def test_a_name_that_the_api_server_refuses_is_an_error(shop: apiserver.ApiServer, name: str) -> None:
    assert server_says(shop, document({}, name))
    assert checking.check(document({}, name), rate=None)[0].level is checking.Level.ERROR


def places(refused: str) -> set[str]:
    """The fields that a refusal names; that some rules were not tried is none of them."""
    named = re.findall(r"(spec[\w.\[\]]*): (?:Invalid|Required|Unsupported|Too)", refused)
    unknown = re.findall(r'unknown field \\?"([\w.\[\]]+)', refused)
    return {*named, *unknown}
