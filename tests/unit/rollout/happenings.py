"""What happens in a random history: each happening by its name, as what it does to the world.

`pick` says which pod, child, version or value, where there are several; a token is new each time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
from tests.unit.rollout import gateway_world, surroundings
from tests.unit.rollout import world as worlds
from tests.unit.rollout.surroundings import Metrics

from seatrial.api.spec import Duration, InsufficientTraffic, OnRegression, Promotion, Provider, SecretReference
from seatrial.rollout.looks import Outcome

TOO_MANY = 10**6
World = surroundings.Surroundings
Happening = Callable[[World, int, str], None]


def _wants(world: World, pick: int, _: str) -> None:
    model = worlds.spec(str(1 + pick % 4)).model
    world.change(model=model)


def _address(world: World, pick: int, _: str) -> None:
    model = world.spec.model
    if pick % 2:
        world.change(
            model=msgspec.structs.replace(
                model, secret_ref=None if model.secret_ref else SecretReference(name=f"secret-{pick}")
            )
        )
    else:
        world.change(model=msgspec.structs.replace(model, uri=f"http://elsewhere-{pick}/{model.version}.onnx"))
    world.asked_again = True


def _replicas(world: World, pick: int, _: str) -> None:
    world.change(replicas=1 + pick % 5)


def _rollout(**changes: object) -> Happening:
    def happen(world: World, pick: int, _: str) -> None:
        world.change(rollout=msgspec.structs.replace(world.spec.rollout, **changes))

    return happen


def _steps(world: World, pick: int, _: str) -> None:
    first, second = worlds.STEPS
    replace = msgspec.structs.replace
    choices = (
        (first,),
        (first, second),
        (first, replace(first, weight=30), second),
        (replace(first, pause=True), second),
        (first, replace(second, weight=100)),
        (replace(first, min_requests=TOO_MANY), second),
    )
    world.change(rollout=msgspec.structs.replace(world.spec.rollout, steps=choices[pick % len(choices)]))


def _shadowed(world: World, pick: int, _: str) -> None:
    """Copies before, beside, or without the first answers."""
    replace, (first, second) = msgspec.structs.replace, worlds.STEPS
    choices = (
        worlds.RELAYED,
        (replace(first, shadow=30), second),
        (replace(first, weight=0, shadow=100), replace(second, shadow=50)),
        (replace(first, weight=0, shadow=10, pause=True), first, second),
    )
    world.change(rollout=replace(world.spec.rollout, steps=choices[pick % len(choices)]))


def _provider(world: World, pick: int, _: str) -> None:
    provider = (Provider.RELAY, Provider.SERVICE, Provider.GATEWAY_API, None)[pick % 4]
    gateway = gateway_world.GATEWAY if provider is Provider.GATEWAY_API else None
    traffic = msgspec.structs.replace(world.spec.rollout.traffic, provider=provider, gateway=gateway)
    world.change(rollout=msgspec.structs.replace(world.spec.rollout, traffic=traffic))


def _late(world: World, pick: int, _: str) -> None:
    """A Service's endpoints, or the gateway, stay as they are for a while."""
    who = ("gateway", "churn", gateway_world.STABLE, gateway_world.CANDIDATE)[pick % 4]
    world.late.symmetric_difference_update({who})


def _route(world: World, pick: int, _: str) -> None:
    """Somebody else overwrites it, or takes it away."""
    if world.route is None:
        return
    if pick % 3:
        world.overwrite(stable=10 * (pick % 10), candidate=100 - 10 * (pick % 10))
    else:
        world.lose_route()


def _traffic(**changes: object) -> Happening:
    def happen(world: World, pick: int, _: str) -> None:
        traffic = msgspec.structs.replace(world.spec.rollout.traffic, **changes)
        world.change(rollout=msgspec.structs.replace(world.spec.rollout, traffic=traffic))

    return happen


def _some_pods(field: str) -> Happening:
    """Every second pod that there is now."""

    def happen(world: World, pick: int, _: str) -> None:
        getattr(world, field).update(list(world.pods)[pick % 2 :: 2])

    return happen


def _hand_edit(world: World, pick: int, _: str) -> None:
    """Somebody writes an assignment, changes one, spoils one, or takes one away."""
    if not world.pods:
        return
    name = list(world.pods)[pick % len(world.pods)]
    text = world.pods[name].assignment
    made = [
        "",
        "{",
        text.replace('"weight":1', '"weight":6'),
        text.replace('"until":"2026', '"until":"2046'),
        next((pod.assignment for pod in world.pods.values() if pod.assignment), "elsewhere"),
    ]
    world.pods[name] = msgspec.structs.replace(world.pods[name], assignment=made[pick % len(made)])


def _errors(world: World, pick: int, _: str) -> None:
    version = str(1 + pick % 4)
    world.error_share[version] = 0.0 if world.error_share.get(version) else 0.3


def _outage(world: World, pick: int, _: str) -> None:
    world.outage = not world.outage


def _toggled(field: str) -> Happening:
    def happen(world: World, pick: int, _: str) -> None:
        getattr(world, field).__ixor__({str(1 + pick % 4)})

    return happen


def _set(field: str, *choices: object) -> Happening:
    def happen(world: World, pick: int, _: str) -> None:
        setattr(world, field, choices[pick % len(choices)])

    return happen


def _evicted(world: World, pick: int, _: str) -> None:
    alive = [pod for pod in world.pods.values() if pod.alive]
    for pod in alive if pick % 7 == 0 else alive[pick % len(alive) :][:1] if alive else []:
        world.evict(pod)


def _bad(role: str) -> Happening:
    def happen(world: World, pick: int, _: str) -> None:
        one = getattr(world.status, role)
        if one is not None:
            world.error_share[one.model_version] = 0.3

    return happen


def _lost(role: str) -> Happening:
    """All pods of the one that is stable, or a candidate, go at once, and come back or don't."""

    def happen(world: World, pick: int, _: str) -> None:
        one = getattr(world.status, role)
        for pod in [pod for pod in world.pods.values() if one is not None and pod.revision == one.revision]:
            world.evict(pod)
        if one is not None and pick % 2:
            world.room = sum(pod.alive for pod in world.pods.values())

    return happen


def _node_lost(world: World, pick: int, _: str) -> None:
    for pod in list(world.pods.values())[pick % 2 :: 2]:
        world.remove(pod)


def _deleted(world: World, pick: int, _: str) -> None:
    kinds = {
        "ControllerRevision": world.records,
        "ConfigMap": world.configs,
        "Job": world.trials,
        "Deployment": world.deployments,
        "Service": world.selectors,
    }
    there = [(kind, name) for kind, known in kinds.items() for name in sorted(known)]
    if there:
        world.lose(*there[pick % len(there)])


def _token(command: str, suffix: str = "") -> Happening:
    def happen(world: World, pick: int, token: str) -> None:
        world.tokens = msgspec.structs.replace(world.tokens, **{command: token + suffix})

    return happen


def _rollback_to(world: World, pick: int, token: str) -> None:
    """Any revision that there is a record of: whether it may be named is for the operator to say."""
    names = sorted(world.records)
    if names:
        world.tokens = msgspec.structs.replace(world.tokens, rollback_to=f"{names[pick % len(names)]}/{token}")


def _on_regression(world: World, pick: int, _: str) -> None:
    choice = (OnRegression.PAUSE, OnRegression.PAUSE, OnRegression.ROLLBACK)[pick % 3]
    world.change(rollout=msgspec.structs.replace(world.spec.rollout, on_regression=choice))


def _proof(world: World, pick: int, _: str) -> None:
    """No regression is asked for, or proof that there is none."""
    choice = (Promotion.NON_INFERIORITY, Promotion.NO_REGRESSION)[pick % 2]
    world.change(rollout=msgspec.structs.replace(world.spec.rollout, promotion=choice))


def _unreadable(world: World, pick: int, _: str) -> None:
    world.unreadable = "" if world.unreadable else "spec: rollout.steps: expected `array`"


def _refused_on_trial(world: World, pick: int, _: str) -> None:
    refused = str(1 + pick % 4)
    answers = [
        lambda version: worlds.PASSED,
        lambda version: worlds.REJECTED if version == refused else worlds.PASSED,
        None,
    ]
    world.trial_result = answers[pick % 3]


def _stranger(world: World, pick: int, _: str) -> None:
    """Somebody's pod carries our labels, and a revision's: the candidate's, stable's, another's; or all of them go."""
    if pick % 5 == 4:
        world.strangers.clear()
        return
    roles = (world.status.candidate, world.status.stable, None)
    one = roles[pick % 3]
    world.strangers[f"stranger-{len(world.strangers)}"] = one.revision if one is not None else "elsewhere"


def _status_of_another_release(world: World, pick: int, _: str) -> None:
    world.downgraded_for_a_while()


SECONDS = tuple(timedelta(seconds=seconds) for seconds in (0, 20, -20))
HAPPENINGS: dict[str, Happening] = {
    "wants": _wants,
    "address": _address,
    "replicas": _replicas,
    "soak off": _rollout(soak=Duration.parse("0s")),
    "soak short": _rollout(soak=Duration.parse("30s")),
    "soak long": _rollout(soak=Duration.parse("5m")),
    "promote without traffic": _rollout(on_insufficient_traffic=InsufficientTraffic.PROMOTE),
    "steps": _steps,
    "errors": _errors,
    "outage": _outage,
    "bad candidate": _bad("candidate"),
    "bad stable": _bad("stable"),
    "stable lost": _lost("stable"),
    "candidate lost": _lost("candidate"),
    "stuck": _toggled("stuck"),
    "crashing": _toggled("crashing"),
    "metrics": _set("metrics", *Metrics),
    "own metric": _toggled("out_of_bounds"),
    "own source": _set("own_source", Outcome.ERROR, Outcome.NO_DATA, Outcome.PASS),
    "proof": _proof,
    "metrics well": _set("metrics", Metrics.WELL),
    "room": _set("room", 2, 3, 4, None),
    "quota": _set("quota", 2, 3, 5, None),
    "store": _set("store_away", True, False),
    "evicted": _evicted,
    "node lost": _node_lost,
    "deleted": _deleted,
    "clock": _set("skew", *SECONDS),
    "job clock": _set("job_skew", *SECONDS),
    "retry": _token("retry"),
    "abort": _token("abort"),
    "promote": _token("promote"),
    "promote full": _token("promote", "/full"),
    "pause": _token("pause"),
    "resume": _token("resume"),
    "rollback to": _rollback_to,
    "on regression": _on_regression,
    "unreadable": _unreadable,
    "trial": _refused_on_trial,
    "away": _set("away", True, False),
    "crash": _set("writes_until_crash", *range(7)),
    "stranger": _stranger,
    "status of another release": _status_of_another_release,
    "shadowed": _shadowed,
    "provider": _provider,
    "sticky": _traffic(sticky="x-user-id"),
    "uncovered": _traffic(cover=False),
    "deaf": _some_pods("deaf"),
    "mute": _some_pods("mute"),
    "hand edit": _hand_edit,
    "gateway": _set("answer", None, ("False", "NotAllowedByListeners", "no"), gateway_world.ACCEPTED),
    "late": _late,
    "route": _route,
}
WHATS = tuple(HAPPENINGS)
COMMON = ("wants", "errors", "bad candidate", "bad stable", "retry", "stable lost", "candidate lost", "metrics")
