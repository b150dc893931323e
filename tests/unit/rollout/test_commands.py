"""Commands in whole rollouts, in the small world: what each does in every stage, and that a crash changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rollout import test_rollouts
from tests.unit.rollout import world as worlds

from seatrial.api import stage as stages
from seatrial.api.spec import Duration, OnRegression, Promotion, Serving, Spec
from seatrial.api.status import Phase, Status
from seatrial.rollout import children, facts, revision

installed, in_canary = test_rollouts.installed, test_rollouts.in_canary
rolled_back, settled, verdicts = test_rollouts.rolled_back, test_rollouts.settled, test_rollouts.verdicts


def told(world: worlds.World, **tokens: str) -> worlds.World:
    """With more command annotations."""
    world.tokens = msgspec.structs.replace(world.tokens, **tokens)
    return world


def paused(world: worlds.World) -> bool:
    return world.status.phase is Phase.PAUSED


def later(world: worlds.World, steps: int = 20) -> worlds.World:
    for _ in range(steps):
        world.step()
    return world


def stage(world: worlds.World) -> stages.Stage | None:
    return stages.of(world.status.candidate) if world.status.candidate else None


def reached(kind: type) -> Callable[[worlds.World], bool]:
    return lambda world: isinstance(stage(world), kind)


def with_weight(weight: int) -> Callable[[worlds.World], bool]:
    return lambda world: world.status.candidate is not None and world.status.candidate.weight == weight


def on_trial() -> worlds.World:
    world = installed()
    world.trial_result = None
    world.spec = worlds.spec("2")
    world.run(reached(stages.Trial))
    world.trial_result = lambda version: worlds.PASSED
    return world


def starting() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2")
    return world.run(reached(stages.Starting))


def promoting() -> worlds.World:
    world = installed()
    world.spec = worlds.spec("2", **test_rollouts.with_steps(worlds.STEPS[0]))
    return world.run(reached(stages.Promoting))


def first_install() -> worlds.World:
    return worlds.World(worlds.spec("1")).run(reached(stages.TakingOver))


# pause and resume


@pytest.mark.parametrize(
    ("begin", "weight", "kind"),
    [
        pytest.param(on_trial, 0, stages.Starting, id="on trial: it ends, pods start"),
        pytest.param(starting, 0, stages.Starting, id="starting"),
        pytest.param(lambda: in_canary(installed()), 10, stages.Step, id="step 1"),
        pytest.param(lambda: in_canary(installed()).run(with_weight(50)), 50, stages.Step, id="step 2"),
        pytest.param(promoting, 10, stages.Promoting, id="promoting"),
        pytest.param(first_install, 0, stages.TakingOver, id="first install"),
    ],
)
def test_a_paused_rollout_keeps_its_weight_and_advances_nothing_until_it_is_resumed(begin, weight, kind):
    world = told(begin(), pause="wait-1").run(paused)
    wanted = world.spec.model.version
    later(world)
    assert (world.status.candidate.weight, world.condition("Ready")) == (weight, ("False", "Paused"))
    assert isinstance(stage(world), kind)
    assert world.status.commands.pause == "wait-1"
    told(world, resume="go-1").run(lambda one: one.status.stable is not None and one.serving == wanted)
    assert world.status.commands.resume == "go-1"


@pytest.mark.parametrize("command", ["retry", "abort", "promote"])
def test_a_command_that_nothing_can_come_of_is_said_to_be_in_vain(command):
    world = told(installed(), **{command: "again"})
    world.run(lambda one: "CommandIgnored" in one.events, limit=5)
    assert getattr(world.status.commands, command) == "again"


def test_a_token_pauses_once():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    told(world, resume="go-1").run(lambda one: one.serving == "2")
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")


def test_a_pause_that_comes_with_a_new_version_is_about_that_version():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.spec = worlds.spec("3")
    later(told(world, pause="wait-2"))
    assert (world.status.candidate.model_version, world.status.candidate.weight) == ("3", 0)
    assert paused(world)


def test_another_version_ends_the_pause():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")
    assert "Paused" in world.events


def test_the_promote_command_ends_a_pause_and_the_step():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    told(world, promote="ok-1").run(lambda one: one.status.candidate.weight == 50)
    world.run(lambda one: one.serving == "2")


def test_a_paused_version_that_fails_requests_is_rolled_back():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.error_share["2"] = 0.3
    world.run(rolled_back)
    assert verdicts(world)[0][:2] == ("2", "Rejected")


def test_a_paused_version_loses_its_weight_when_nothing_is_seen_and_gets_it_back_when_resumed():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.prometheus_down = True
    world.run(lambda one: one.status.candidate.weight == 0)
    assert world.condition("Ready") == ("False", "MetricsUnavailable")
    world.prometheus_down = False
    later(world)
    assert (world.status.candidate.weight, world.condition("Ready")) == (0, ("False", "Paused"))
    told(world, resume="go-1").run(lambda one: one.serving == "2")


def test_a_paused_version_refused_on_trial_is_rejected():
    world = told(on_trial(), pause="wait-1")
    world.trial_result = lambda version: worlds.REJECTED
    world.run(rolled_back)
    assert world.condition("Ready") == ("False", "ModelRejected")


@pytest.mark.long
def test_a_paused_version_takes_over_when_stable_has_gone():
    world = told(in_canary(installed()), pause="wait-1").run(paused)
    world.stuck.add("1")
    world.run(lambda one: one.serving == "2")


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_where_nothing_is_under_way_pause_and_resume_are_ignored_with_words(command):
    world = told(installed(), **{command: "now-1"})
    world.step()
    assert getattr(world.status.commands, command) == "now-1"
    assert world.events[-1] == "CommandIgnored"
    world.spec = worlds.spec("2")
    world.run(lambda one: one.serving == "2")


def test_pause_and_resume_at_once_go_on():
    world = told(in_canary(installed()), pause="wait-1", resume="go-1")
    world.run(lambda one: one.serving == "2")
    assert (world.status.commands.pause, world.status.commands.resume) == ("wait-1", "go-1")


def dying(world: worlds.World, crashes: list[int]) -> worlds.World:
    """The operator dies after so many writes, pass after pass."""
    for writes in crashes:
        world.writes_until_crash = writes
        world.step()
    world.writes_until_crash = None
    return world


CRASHES = st.lists(st.integers(0, 6), min_size=1, max_size=20)


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_during_a_pause_keeps_it(crashes):
    world = dying(told(in_canary(installed()), pause="wait-1"), crashes)
    assert world.run(paused).status.candidate.weight == 10
    told(world, resume="go-1")
    dying(world, crashes).run(lambda one: one.serving == "2")


# a regression that pauses


PAUSE = {"rollout": msgspec.structs.replace(worlds.spec().rollout, on_regression=OnRegression.PAUSE)}


def regressed(*, step: int = 1) -> worlds.World:
    """Held for failing requests; they are fine from now on."""
    world = installed()
    world.spec = worlds.spec("2", **PAUSE)
    world.run(with_weight(worlds.STEPS[step - 1].weight))
    world.error_share["2"] = 0.3
    world.run(paused)
    world.error_share["2"] = 0.0
    return world


def test_a_regression_that_pauses_gives_all_traffic_to_stable_without_a_verdict_and_keeps_the_pods():
    world = later(regressed())
    assert (world.condition("Ready"), world.condition("Stalled")[0]) == (("False", "ErrorsRegressed"), "False")
    assert [verdict[0] for verdict in verdicts(world)] == ["1"]
    assert world.status.last_rollback.zero_weight_at is not None
    assert any(world.version(pod.revision) == "2" and pod.ready for pod in world.pods.values())
    assert world.weights[-1] == 0
    assert world.evidence is not None


def test_promote_goes_on_after_a_regression_with_the_step_begun_again():
    world = told(regressed(step=2), promote="risk-1")
    world.run(with_weight(50))
    world.run(lambda one: one.serving == "2")


def test_promote_full_after_a_regression_skips_the_rest():
    world = told(regressed(), promote="risk-1/full").run(with_weight(10))
    world.weights.clear()
    world.run(lambda one: one.serving == "2")
    assert 50 not in world.weights


def test_a_second_regression_pauses_again():
    world = told(regressed(), promote="risk-1").run(with_weight(10))
    world.error_share["2"] = 0.3
    world.run(paused)
    assert world.status.candidate.weight == 0


def test_a_promote_command_that_came_before_the_regression_does_not_excuse_it():
    world = installed()
    world.spec = worlds.spec("2", **PAUSE)
    world.run(with_weight(50))
    world.prometheus_down = True
    told(world, promote="early-1/full").error_share["2"] = 0.3
    later(world, 3).prometheus_down = False
    world.weights.clear()
    assert paused(later(world))
    assert world.weights == sorted(world.weights, reverse=True)


def test_resume_is_no_answer_to_a_regression():
    world = told(regressed(), resume="go-1")
    assert paused(later(world))
    assert "CommandIgnored" in world.events


def test_abort_rejects_a_version_that_is_held():
    world = told(regressed(), abort="stop-1").run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "Aborted")


def test_a_held_version_is_rejected_when_the_spec_no_longer_pauses():
    world = regressed()
    world.spec = worlds.spec("2")
    world.run(rolled_back)
    assert verdicts(world)[0] == ("2", "Rejected", "ErrorsRegressed")


@pytest.mark.long
def test_a_version_held_for_a_regression_does_not_take_over_when_stable_has_gone():
    world = regressed()
    world.stuck.add("1")
    assert later(world, 100).serving == "1"


def test_a_regression_in_the_soak_goes_back_even_where_regressions_pause():
    world = installed()
    soak = msgspec.structs.replace(PAUSE["rollout"], soak=Duration.parse("5m"))
    world.spec = worlds.spec("2", rollout=soak)
    world.run(lambda one: one.serving == "2")
    world.error_share["2"] = 0.3
    world.run(rolled_back)
    assert (world.serving, verdicts(world)[0]) == ("1", ("2", "Rejected", "RegressedAfterPromotion"))


@settings(max_examples=5, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_while_it_takes_the_traffic_of_a_regression_holds_it_all_the_same(crashes):
    world = installed()
    world.spec = worlds.spec("2", **PAUSE)
    world.run(with_weight(10))
    world.error_share["2"] = 0.3
    dying(world, crashes).run(paused)
    assert [verdict[0] for verdict in verdicts(world)] == ["1"]


# rollback-to


def revision_of(world: worlds.World, version: str) -> str:
    return next(name for name, record in world.records.items() if record.content.model_version == version)


def history(*versions: str, soak: str = "30s") -> worlds.World:
    """These versions were promoted one after the other; the last one serves, its soak is over unless it is long."""
    world = installed()
    rollout = msgspec.structs.replace(worlds.spec().rollout, soak=Duration.parse(soak))
    for version in versions[1:]:
        world.spec = worlds.spec(version, rollout=rollout)
        world.run(lambda one, version=version: one.serving == version)
        if soak == "30s":
            world.run(settled)
    return world


def back(version: str) -> Callable[[worlds.World], bool]:
    """It serves alone, and the object says that this isn't what the spec asks for."""
    return lambda world: (world.serving, world.condition("Stalled")) == (version, ("True", "RolledBack"))


def test_rollback_to_brings_a_version_of_the_history_back_by_the_straight_way():
    world = history("1", "2", "3")
    world.weights.clear()
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    assert set(world.weights) == {0, 100}
    assert verdicts(world)[:2] == [("1", "Promoted", "Promoted"), ("3", "Rejected", "RolledBack")]
    assert world.condition("Ready") == ("False", "RolledBack")
    assert later(world).serving == "1"
    assert world.status.previous is None
    assert world.status.last_rollback.zero_weight_at is not None


def test_rollback_to_the_warm_version_is_one_flip():
    world = history("1", "2", soak="10m")
    told(world, rollback_to=revision_of(world, "1"))
    world.run(back("1"), limit=2)
    assert later(world).serving == "1"


def test_rollback_to_another_than_the_warm_version_does_not_go_through_that_one():
    world = history("1", "2", "3", soak="10m")
    served: list[str] = []
    told(world, rollback_to=revision_of(world, "1"))
    world.run(lambda one: bool(served.append(one.serving)) or back("1")(one))
    assert set(served) == {"3", "1"}


def test_rollback_to_during_a_canary_rejects_the_candidate():
    world = in_canary(history("1", "2"), "3")
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    assert ("3", "Rejected", "RolledBack") in verdicts(world)
    assert later(world).serving == "1"


def test_rollback_to_stable_during_a_canary_ends_the_canary():
    world = in_canary(history("1", "2"), "3")
    told(world, rollback_to=revision_of(world, "2")).run(back("2"))
    assert world.status.candidate is None


def test_a_change_of_the_spec_after_rollback_to_is_a_rollout_like_any_other():
    world = history("1", "2")
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    world.weights.clear()
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")
    assert {10, 50, 100} <= set(world.weights)
    assert world.status.set_back is None


def test_a_version_set_aside_comes_back_by_a_retry_through_a_canary():
    world = history("1", "2")
    told(world, rollback_to=revision_of(world, "1")).run(back("1"))
    world.weights.clear()
    told(world, retry="again-1").run(lambda one: one.serving == "2")
    assert {10, 50, 100} <= set(world.weights)


def test_another_token_for_the_same_revision_is_another_command():
    world = history("1", "2")
    first = revision_of(world, "1")
    told(world, rollback_to=first).run(back("1"))
    told(world, retry="again-1").run(lambda one: one.serving == "2" and settled(one))
    assert later(world).serving == "2"
    told(world, rollback_to=f"{first}/2").run(back("1"))


@pytest.mark.parametrize("named", ["nobody", "rejected", "wanted"])
def test_rollback_to_a_version_that_may_not_serve_is_ignored_with_those_that_may(named):
    world = history("1", "2")
    world.error_share["3"] = 0.3
    in_canary(world, "3").run(rolled_back)
    world.spec = worlds.spec("2")
    world.run(settled)
    token = {"nobody": "xyz", "rejected": revision_of(world, "3"), "wanted": revision_of(world, "2")}[named]
    told(world, rollback_to=token)
    said = " ".join(event.message for event in world.plan().events)
    world.step()
    assert (world.serving, world.status.commands.rollback_to) == ("2", token)
    assert world.condition("Ready") == ("True", "Promoted")
    assert named == "wanted" or f"{revision_of(world, '1')} (version 1)" in said
    assert world.events[-1] == "CommandIgnored"


def test_where_the_named_version_can_not_come_back_the_other_serves_on_and_says_so():
    world = history("1", "2")
    world.stuck.add("1")
    told(world, rollback_to=revision_of(world, "1"))
    world.run(lambda one: one.condition("Stalled") == ("True", "RolledBack"))
    assert world.serving == "2"
    world.spec = worlds.spec("3")
    world.run(lambda one: one.serving == "3")


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(crashes=CRASHES, soak=st.sampled_from(["30s", "10m"]))
def test_an_operator_that_dies_while_it_rolls_back_by_command_comes_to_the_same_end(crashes, soak):
    world = history("1", "2", soak=soak)
    told(world, rollback_to=revision_of(world, "1"))
    dying(world, crashes).run(back("1"))
    assert later(world).serving == "1"


# refresh-image


NEW = msgspec.structs.replace(worlds.OPERATOR, serving_image="seatrial.dev/serving:2")


class Upgraded(worlds.World):
    """The operator is of a newer release from now on; which image each revision has is on its record."""

    operator = worlds.OPERATOR

    def __init__(self, wish: Spec) -> None:
        super().__init__(wish)
        self.error_by_image: dict[str, float] = {}

    def snapshot(self) -> facts.Snapshot:
        seen = super().snapshot()
        content = revision.wanted(
            self.spec, name="churn", default_image=self.operator.serving_image, known=self.records.values()
        )
        record = children.new_record("churn", content=content, wish=self.spec, known=self.records)
        return msgspec.structs.replace(seen, operator=self.operator, wanted=record)

    def errors_of(self, pod: facts.Pod) -> float:
        image = self.records[pod.revision].content.image
        return self.error_by_image.get(image, super().errors_of(pod))


def upgraded(**changes: object) -> Upgraded:
    world = Upgraded(worlds.spec("1", **changes))
    world.run(settled)
    world.operator = NEW
    later(world, 5)
    assert world.status.stable.image == worlds.OPERATOR.serving_image
    return world


def refreshed(world: worlds.World) -> bool:
    return world.status.stable.image == NEW.serving_image


def test_refresh_image_takes_the_operators_image_as_a_rollout_with_trial_and_canary():
    world = told(upgraded(), refresh_image="now-1")
    world.weights.clear()
    world.run(refreshed)
    assert {10, 50, 100} <= set(world.weights)
    assert len(world.records) == 2
    assert world.status.commands.refresh_image == "now-1"
    later(world, 30)
    assert (world.condition("Ready"), len(world.records)) == (("True", "Promoted"), 2)


def test_refresh_image_during_a_canary_begins_again_with_the_new_image():
    world = upgraded()
    world.operator = worlds.OPERATOR
    in_canary(world)
    world.operator = NEW
    told(world, refresh_image="now-1").run(lambda one: refreshed(one) and one.serving == "2")
    assert ("2", "Superseded", "Superseded") in verdicts(world)


def test_a_refreshed_image_that_regresses_leaves_the_version_with_its_old_image_and_ready():
    world = told(upgraded(), refresh_image="now-1").run(with_weight(10))
    world.error_by_image[NEW.serving_image] = 0.3
    world.run(lambda one: one.status.candidate is None)
    later(world)
    assert verdicts(world)[0] == ("1", "Rejected", "ErrorsRegressed")
    assert (world.condition("Ready"), refreshed(world)) == (("True", "Promoted"), False)
    told(world, refresh_image="now-2").step()
    assert world.events[-1] == "CommandIgnored"
    assert not refreshed(later(world))


@pytest.mark.parametrize("why", ["the same image", "an image in the spec"])
def test_where_the_image_can_not_be_refreshed_the_command_is_ignored_with_words(why):
    named = worlds.spec("1", serving=Serving(image="seatrial.dev/serving:1"))
    world = installed() if why == "the same image" else Upgraded(named).run(settled)
    world.operator = NEW if why == "an image in the spec" else worlds.OPERATOR
    told(world, refresh_image="now-1")
    said = " ".join(event.message for event in world.plan().events)
    later(world)
    assert ("already" in said) == (why == "the same image")
    assert ("spec.serving.image" in said) == (why != "the same image")
    assert (world.status.commands.refresh_image, len(world.records)) == ("now-1", 1)


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(crashes=CRASHES)
def test_an_operator_that_dies_while_it_refreshes_the_image_comes_to_the_same_end(crashes):
    world = told(upgraded(), refresh_image="now-1")
    dying(world, crashes).run(refreshed)
    assert len(later(world).records) == 2


# NonInferiority


def test_where_proof_is_asked_for_a_version_without_a_bad_answer_waits_for_the_promote_command():
    world = installed()
    strict = msgspec.structs.replace(worlds.spec().rollout, promotion=Promotion.NON_INFERIORITY)
    world.spec = worlds.spec("2", rollout=strict)
    world.run(lambda one: one.condition("Ready")[1] == "InsufficientEvidence")
    assert later(world).status.candidate.weight == 10
    told(world, promote="ok-1/full").run(lambda one: one.serving == "2")


# whatever happens


OTHERS = ["1", "2", "3", "errors", "blind", "stuck", "replicas", "abort", "retry", "promote"]
COMMANDS = ["pause", "resume", "rollback-to", "refresh-image", "onRegression"]


class Watched(Upgraded):
    """Promises that commands make, checked after every write of the status."""

    def check_weight(self, before: Status, after: Status) -> None:
        super().check_weight(before, after)
        old, new = before.candidate, after.candidate
        if new is None or new.weight <= (old.weight if old is not None else 0):
            return
        mark = self.snapshot().standing(new.revision)
        assert mark is None or not mark.rejected, "a rejected version gets traffic"
        gone = before.stable is not None and before.stable.missing_since is not None
        assert new.hold is None or gone, "a held version gets traffic"


def disturb(world: Watched, change: str, *, token: str) -> None:
    match change:
        case "1" | "2" | "3":
            world.spec = msgspec.structs.replace(world.spec, model=worlds.spec(change).model)
        case "pause" | "resume":
            told(world, **{change: token})
        case "rollback-to":
            named = sorted(world.records)
            told(world, rollback_to=f"{named[len(token) % len(named)]}/{token}")
        case "refresh-image":
            image = {worlds.OPERATOR: NEW, NEW: worlds.OPERATOR}[world.operator]
            world.operator = image
            told(world, refresh_image=token)
        case "onRegression":
            pauses = world.spec.rollout.on_regression is OnRegression.PAUSE
            policy = OnRegression.ROLLBACK if pauses else OnRegression.PAUSE
            rollout = msgspec.structs.replace(world.spec.rollout, on_regression=policy)
            world.spec = msgspec.structs.replace(world.spec, rollout=rollout)
        case "errors":
            world.error_share["2"] = 0.3 - world.error_share.get("2", 0.0)
        case "blind":
            world.prometheus_down = not world.prometheus_down
        case "stuck":
            world.stuck ^= {"2"}
        case "replicas":
            world.spec = msgspec.structs.replace(world.spec, replicas=5 - world.spec.replicas)
        case "abort" | "retry" | "promote":
            told(world, **{change: token})


def assert_settles(world: Watched) -> None:
    """At one instant, with the children in place, looking again and again comes to an end."""
    for _ in range(6):
        before = world.status
        plan = world.plan()
        world.apply(plan)
        if plan.status == before:
            return
    raise AssertionError("the status is written again and again")


@settings(max_examples=6, deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(OTHERS + COMMANDS * 2), st.integers(0, 6), st.none() | st.integers(0, 6)),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_is_commanded_promises_hold_and_a_second_look_changes_nothing(changes):
    happens(changes)


def happens(changes: list[tuple[str, int, int | None]]) -> None:
    """Each change, with so many passes after it; the operator may die after so many writes."""
    world = Watched(worlds.spec("1"))
    world.run(settled)
    for number, (change, steps, writes) in enumerate(changes):
        disturb(world, change, token="t" * (number + 1))
        world.writes_until_crash = writes
        later(world, steps + 1)
        world.writes_until_crash = None
        assert_settles(world)
