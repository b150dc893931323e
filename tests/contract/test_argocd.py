"""The Lua for Argo CD in the Lua that Argo CD embeds, over every status that the small world's operator writes.

Argo CD itself doesn't run here. What runs is its interpreter with the libraries that it opens for scripts of argocd-cm.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
import yaml
from tests.cluster.harness import apiserver, binaries, paths, progress, shell
from tests.contract import small_operator
from tests.unit.plugin import recorded
from tests.unit.rollout import build, test_commands, test_conditions, test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api.spec import OnRegression
from seatrial.api.status import Phase, Status
from seatrial.cli import argocd
from seatrial.plugin import asking, view
from seatrial.rollout import names, statuses

PAGE = paths.REPO / "docs" / "how-to" / "gitops.md"
SHIPPED = paths.REPO / argocd.FOLDER / "argocd-cm.yaml"
KEY = "resource.customizations.{}.seatrial.dev_ModelDeployment"
Object = dict[str, Any]


def set_back() -> worlds.World:
    """A person went back to an older revision."""
    world = recorded.second_promoted()
    revision = next(one.revision for one in world.status.verdicts if one.model_version == "1")
    test_commands.told(world, rollback_to=revision)
    return world.run(lambda one: one.status.set_back is not None and test_rollouts.rolled_back(one))


def regression_to_look_at() -> worlds.World:
    """A regression that pauses instead of rejecting."""
    world = test_rollouts.installed()
    wish = worlds.spec("2")
    world.spec = msgspec.structs.replace(
        wish, rollout=msgspec.structs.replace(wish.rollout, on_regression=OnRegression.PAUSE)
    )
    world.error_share["2"] = 0.3
    return world.run(test_commands.paused)


def refused_pods() -> worlds.World:
    """The API server lets no pods in."""
    world = test_rollouts.installed()
    world.status = statuses.refused(world.snapshot(), world.status, test_conditions.REFUSAL, now=world.now)
    return world


def unreadable_spec() -> worlds.World:
    world = test_rollouts.installed()
    world.status = statuses.unreadable(world.status, generation=1, message="spec.replicas: a number", now=build.at(0))
    return world


def behind() -> worlds.World:
    """The spec has changed since the operator last looked."""
    world = test_rollouts.installed()
    world.status = msgspec.structs.replace(world.status, observed_generation=0)
    return world


SITUATIONS: dict[str, Callable[[], worlds.World]] = {
    **recorded.SITUATIONS,
    "never looked at": test_conditions.just_created,
    "behind": behind,
    "first trial": test_conditions.first_trial,
    "first model refused": lambda: test_conditions.refused_model(test_conditions.just_created(), "1"),
    "little traffic": test_conditions.too_little_traffic,
    "soaking blind": test_conditions.soaking_blind,
    "idle": test_conditions.idle,
    "set back": set_back,
    "regression to look at": regression_to_look_at,
    "refused pods": refused_pods,
    "unreadable spec": unreadable_spec,
}
DOCUMENTED = {
    "just created, or the spec has just changed": ("never looked at", "behind"),
    "on trial, pods starting": ("first trial", "on trial", "starting"),
    "canary, promoting": ("canary", "promoting"),
    "too little traffic, or no metrics, in a canary": ("little traffic", "blind"),
    "a step waits for approval, paused, a regression with `onRegression: Pause`": (
        "waiting for approval",
        "paused",
        "regression to look at",
    ),
    "promoted: soaking or done": ("soaking", "soaking blind", "stable", "second promoted", "idle"),
    "rolled back, aborted, set back by hand": ("rolled back", "aborted", "set back"),
    "model refused, pods refused, spec not understood": (
        "refused",
        "first model refused",
        "refused pods",
        "unreadable spec",
    ),
}


@functools.cache
def situation(name: str) -> worlds.World:
    return SITUATIONS[name]()


def raw(world: worlds.World, status: Status) -> Object:
    """The object as Argo CD reads it."""
    found = {**recorded.raw(world), "status": {"observedGeneration": -1, **msgspec.to_builtins(status)}}
    stored: Object = small_operator.without_nulls(found)
    return stored


def ever_written() -> list[Object]:
    """Every status of every situation's life, and objects whose status is missing."""
    found = [raw(world, one) for world in map(situation, SITUATIONS) for one in (*world.written, world.status)]
    bare = raw(situation("stable"), situation("stable").status)
    del bare["status"]
    return [bare, *({json.dumps(one, sort_keys=True): one for one in found}.values())]


def run(script: str, objects: Iterable[Object]) -> list[Any]:
    """What the script returns of each object; an error of the script is an error here."""
    binaries.ensure(binaries.LUA, say=progress.silent)
    asked = json.dumps({"script": script, "objects": list(objects)})
    answers = json.loads(shell.run([str(binaries.LUA.path())], input=asked))
    assert [one["error"] for one in answers if "error" in one] == []
    return [one["returned"] for one in answers]


def data() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(SHIPPED.read_text())["data"]
    return found


def health(objects: Iterable[Object]) -> list[dict[str, str]]:
    return run(data()[KEY.format("health")], objects)


def actions() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(data()[KEY.format("actions")])
    return found


def as_argocd_shows(obj: Object) -> str:
    """By the rules of kstatus, in Argo CD's words."""
    words = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}
    read = test_conditions.kstatus(obj) if "status" in obj else "InProgress"
    waits = read == "InProgress" and obj.get("status", {}).get("phase") == "Paused"
    current = obj.get("status", {}).get("observedGeneration") == obj["metadata"]["generation"]
    return "Suspended" if waits and current else words[read]


def test_health_is_that_of_kstatus_in_every_status_that_was_ever_written() -> None:
    objects = ever_written()
    shown = health(objects)
    assert [one["status"] for one in shown] == [as_argocd_shows(one) for one in objects]
    phases = {one["status"]["phase"] for one in objects if "phase" in one.get("status", {})}
    assert phases >= set(Phase) - {Phase.PENDING}
    assert {one["status"] for one in shown} == {"Healthy", "Progressing", "Suspended", "Degraded"}


def test_the_message_is_the_sentence_on_ready() -> None:
    world = situation("rolled back")
    [shown] = health([raw(world, world.status)])
    [ready] = [one for one in world.status.conditions if one.type == "Ready"]
    assert shown == {"status": "Degraded", "message": f"RolledBack: {ready.message}"}


def documented() -> dict[str, tuple[str, str]]:
    """The table of the page: situation -> (kstatus, Argo CD)."""
    rows = re.findall(r"^\| (.+?) \| (\w+) \| (\w+) \|$", PAGE.read_text(), re.MULTILINE)
    return {situation: (read, shown) for situation, read, shown in rows if read != "kstatus"}


def test_the_page_has_a_row_for_every_situation() -> None:
    assert set(documented()) == set(DOCUMENTED)
    assert {one for row in DOCUMENTED.values() for one in row} >= SITUATIONS.keys() - {"first install"}


@pytest.mark.parametrize("row", DOCUMENTED)
def test_what_the_page_says_of_a_situation_is_what_is_shown(row: str) -> None:
    objects = [raw(situation(one), situation(one).status) for one in DOCUMENTED[row]]
    shown = [one["status"] for one in health(objects)]
    assert [(test_conditions.kstatus(one), argo) for one, argo in zip(objects, shown, strict=True)] == [
        documented()[row]
    ] * len(objects)


def test_argo_cd_offers_the_commands_that_the_plugin_lets_through() -> None:
    """In every situation that a status is about."""
    objects = {name: raw(situation(name), situation(name).status) for name in SITUATIONS.keys() - {"behind"}}
    offered = run(actions()["discovery.lua"], objects.values())
    for (name, obj), buttons in zip(objects.items(), offered, strict=True):
        usable = {action for action, state in buttons.items() if not state["disabled"]}
        seen = view.of(obj)
        expected = {action for action, (field, _) in argocd.ACTIONS.items() if not asking.why_not(field, seen)}
        assert (name, usable) == (name, expected)


def cleaned(new: Any, old: Any) -> Any:
    """What Argo CD does with an object that came back: Lua can't tell an empty list from an empty object."""
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: cleaned(one, old.get(key)) for key, one in new.items()}
    if isinstance(new, list) and isinstance(old, list):
        return [cleaned(*pair) for pair in zip(new, old, strict=True)]
    return {} if new == [] and isinstance(old, dict) else new


@pytest.mark.parametrize("name", argocd.ACTIONS)
def test_an_action_sets_one_annotation_and_changes_nothing_else(name: str) -> None:
    """Annotations that Git doesn't have are no difference to Argo CD."""
    [script] = [one["action.lua"] for one in actions()["definitions"] if one["name"] == name]
    before = raw(situation("canary"), situation("canary").status)
    labelled = {**before, "metadata": {**before["metadata"], "annotations": {"team": "ml"}}}
    for obj, kept in ((before, {}), (labelled, {"team": "ml"})):
        [returned] = run(script, [obj])
        after = cleaned(returned, obj)
        field, ending = argocd.ACTIONS[name]
        [token] = [value for key, value in after["metadata"].pop("annotations").items() if key == names.command(field)]
        assert re.fullmatch(r"argocd-\d{8}T\d{6}Z" + ending, token)
        assert {**after["metadata"], **({"annotations": kept} if kept else {})} == obj["metadata"]
        assert {**after, "metadata": None} == {**obj, "metadata": None}


def test_the_operator_follows_the_token_of_an_action() -> None:
    [script] = [one["action.lua"] for one in actions()["definitions"] if one["name"] == "abort"]
    world = SITUATIONS["canary"]()
    [returned] = run(script, [raw(world, world.status)])
    test_commands.told(world, abort=returned["metadata"]["annotations"][names.command("abort")])
    world.run(test_rollouts.rolled_back)
    assert test_rollouts.verdicts(world)[0] == ("2", "Rejected", "Aborted")


@pytest.mark.apiserver
def test_the_documented_patch_keeps_what_argocd_cm_has(shop: apiserver.ApiServer) -> None:
    shop.kubectl("create", "namespace", "argocd")
    shop.kubectl("create", "configmap", "argocd-cm", "-n", "argocd", "--from-literal=url=https://argocd.example.com")
    command = re.search(r"^kubectl (patch configmap argocd-cm .*)$", PAGE.read_text(), re.MULTILINE)
    assert command is not None
    shop.kubectl(*command[1].replace(argocd.FOLDER, str(SHIPPED.parent)).split())
    found = json.loads(shop.kubectl("get", "configmap", "argocd-cm", "-n", "argocd", "-o", "json"))["data"]
    assert found == {"url": "https://argocd.example.com", **data()}
    shop.kubectl("delete", "namespace", "argocd", "--wait=false")


def test_scripts_have_no_more_libraries_than_in_argo_cd() -> None:
    """No strings, no files, no environment: a script that needs more would fail there as well."""
    asked = """
        local os = require("os")
        local has = {exit = os.exit ~= nil, date = os.date("!%Y")}
        for _, name in ipairs({"string", "math", "io", "debug", "os"}) do
          has[name] = _G[name] ~= nil
        end
        return has
    """
    [found] = run(asked, [{}])
    assert re.fullmatch(r"\d{4}", found.pop("date"))
    assert set(found.values()) == {False}
