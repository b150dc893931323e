"""Retraining in whole rollouts, in the small world: from an alarm or a command to version 8, and every way back."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.rollout import test_rollouts, trainer, woken
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Adopt, Duration, Model, Retraining, SecretReference, Spec, Trigger
from seatrial.api.status import Phase
from seatrial.api.trained import Run, RunOutcome
from seatrial.rollout import names
from seatrial.rollout.retraining import seen

settled, rolled_back = test_rollouts.settled, test_rollouts.rolled_back
DAY = timedelta(days=1)
WISH = Retraining(cron_job="churn-train", uri_prefix=trainer.PREFIX, adopt=Adopt.APPROVE)


def spec(version: str = "1", *, adopt: Adopt = Adopt.APPROVE, **changes: object) -> Spec:
    return worlds.spec(version, retraining=msgspec.structs.replace(WISH, adopt=adopt, **changes))


def serving(**changes: object) -> worlds.World:
    """Version 1 serves, and nothing asks for a run."""
    return woken.World(spec(**changes)).run(settled)


def told(world: worlds.World, **tokens: str) -> worlds.World:
    world.tokens = msgspec.structs.replace(world.tokens, **tokens)
    return world


def later(world: worlds.World, span: timedelta = timedelta(seconds=25)) -> worlds.World:
    """Time passes; what is due is done."""
    world.now += span
    for _ in range(5):
        world.step()
    return world


def runs(world: worlds.World) -> tuple[Run, ...]:
    return world.status.retraining.runs if world.status.retraining else ()


def outcomes(world: worlds.World) -> list[str]:
    """Of all runs, the oldest first."""
    return [one.outcome.value for one in reversed(runs(world))]


def state(world: worlds.World) -> tuple[str, str]:
    now = world.status.retraining
    return now.state.value, now.reason


def offered(world: worlds.World) -> bool:
    known = world.status.trained
    return known is not None and known.offered is not None


def on_its_way(world: worlds.World) -> bool:
    candidate = world.status.candidate
    return candidate is not None and candidate.model_version == "a" and candidate.weight > 0


def trained(world: worlds.World) -> worlds.World:
    """Version a is made by the first run, and waits."""
    return told(world, retrain="one").run(offered)


def adopted(world: worlds.World) -> worlds.World:
    """Version a has its first share."""
    return told(trained(world), adopt="a/yes").run(on_its_way)


def followed(world: worlds.World) -> worlds.World:
    """Version a serves, and its soak is over."""
    return adopted(world).run(
        lambda one: one.serving == "a" and settled(one) and one.status.trained.current is not None
    )


def ready(world: worlds.World) -> str:
    return world.condition("Ready")[0]


# The whole way


def test_a_run_makes_a_version_that_waits_for_approval():
    world = trained(serving())
    assert (world.status.trained.offered.version, outcomes(world)) == ("a", ["Trained"])
    assert state(world) == ("Adopting", "WaitingForApproval")
    assert "seatrial.dev/adopt with a/<token>" in world.status.retraining.message
    assert world.condition("Retraining") == ("True", "WaitingForApproval")
    for _ in range(20):
        world.step()
    assert world.status.candidate is None


def test_an_approved_version_goes_through_trial_and_canary_like_any_other():
    world = serving()
    before = world.spec
    followed(world)
    assert [weight for weight in (10, 50, 100) if weight in world.weights] == [10, 50, 100]
    assert outcomes(world) == ["Promoted"]
    assert (world.status.trained.current.version, world.status.trained.next) == ("a", None)
    assert world.spec is before
    assert ready(world) == "True"
    assert state(world) == ("Idle", "RetrainingIdle")


def test_the_address_of_what_serves_is_the_trained_one():
    world = followed(serving())
    assert world.records[world.status.stable.revision].uri == f"{trainer.PREFIX}:a"


def test_approving_one_version_never_approves_another():
    world = told(trained(serving()), adopt="b/yes")
    for _ in range(10):
        world.step()
    assert offered(world)
    assert world.status.candidate is None
    assert "CommandIgnored" in world.events
    told(world, adopt="a/yes").run(on_its_way)


def test_a_version_without_a_token_behind_it_is_not_approved():
    world = later(told(trained(serving()), adopt="a"))
    assert offered(world)


def test_what_the_job_is_told_and_keeps_of_the_template():
    world = trained(serving())
    (job,) = world.trainer.made
    assert job["metadata"]["name"] == "churn-train-1"
    assert job["metadata"]["labels"]["team"] == "shop"
    assert job["metadata"]["ownerReferences"][0]["uid"] == "u"
    own = job["spec"]
    assert (own["activeDeadlineSeconds"], own["ttlSecondsAfterFinished"], own["backoffLimit"]) == (21600, 604800, 1)
    pod = own["template"]
    assert pod["spec"]["serviceAccountName"] == "trainer"
    assert pod["metadata"]["labels"][names.COMPONENT] == "training"
    env = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
    assert env["LEVEL"] == "1"
    assert (env["SEATRIAL_RUN"], env["SEATRIAL_TRIGGER"], env["SEATRIAL_PARENT_VERSION"]) == ("1", "Command", "1")
    assert env["SEATRIAL_PARENT_URI"] == "http://store/1.onnx"


def test_the_parent_of_a_second_run_is_the_trained_version():
    world = later(followed(serving()), DAY)
    told(world, retrain="two").run(lambda one: len(one.trainer.made) == 2)
    env = {
        one["name"]: one["value"] for one in world.trainer.made[1]["spec"]["template"]["spec"]["containers"][0]["env"]
    }
    assert (env["SEATRIAL_PARENT_VERSION"], env["SEATRIAL_PARENT_URI"]) == ("a", f"{trainer.PREFIX}:a")


# Wanted version: any change of spec.model counts at once


CHANGES = {
    "uri": {"uri": "http://elsewhere/1.onnx"},
    "digest and all": {"uri": "http://store/2.onnx", "sha256": "2" * 64, "version": "2"},
    "version": {"version": "one"},
    "name": {"name": "churn-model"},
    "secret": {"secret_ref": SecretReference(name="store")},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("reach", [trained, adopted, followed], ids=["waiting", "in its canary", "serving"])
def test_a_change_of_spec_model_drops_a_trained_version_at_once(change, reach):
    world = reach(serving())
    world.spec = msgspec.structs.replace(world.spec, model=msgspec.structs.replace(world.spec.model, **CHANGES[change]))
    world.step()
    assert world.status.trained is None
    candidate = world.status.candidate
    assert candidate is None or candidate.model_version != "a"
    version = str(world.spec.model.version)
    world.run(lambda one: one.serving == version and settled(one))


def test_other_changes_of_the_spec_leave_a_trained_version_in_place():
    world = followed(serving())
    world.spec = msgspec.structs.replace(world.spec, replicas=3)
    later(world)
    assert (world.serving, len([pod for pod in world.pods.values() if pod.ready])) == ("a", 3)


def test_a_trained_version_that_fails_in_its_canary_is_dropped_and_nothing_is_stalled():
    world = adopted(serving())
    world.error_share["a"] = 0.3
    stalled = []
    for _ in range(30):
        world.step()
        stalled.append(world.condition("Stalled")[0])
    assert set(stalled) == {"False"}
    assert (world.serving, world.status.phase, ready(world)) == ("1", Phase.STABLE, "True")
    assert world.status.trained is None
    assert outcomes(world) == ["RolledBack"]
    assert world.status.retraining.attempts == 1


def test_a_trained_version_that_fails_in_its_soak_is_dropped_for_the_one_before():
    world = adopted(serving())
    world.run(lambda one: one.serving == "a")
    world.error_share["a"] = 0.5
    stalled = set()
    for _ in range(30):
        world.step()
        stalled.add(world.condition("Stalled")[0])
    assert stalled == {"False"}
    assert (world.serving, ready(world), outcomes(world)) == ("1", "True", ["RolledBack"])


def test_a_trained_version_refused_in_its_trial_never_has_a_pod():
    world = trained(serving())
    world.trial_result = lambda version: worlds.REJECTED if version == "a" else worlds.PASSED
    told(world, adopt="a/yes").run(lambda one: outcomes(one) == ["Refused"])
    later(world)
    assert (world.serving, ready(world), world.status.trained) == ("1", "True", None)
    assert not world.pods_of("a")


def test_a_rejected_second_version_leaves_the_first_trained_one_in_place():
    world = later(followed(serving()), DAY)
    told(world, retrain="two/now").run(offered)
    told(world, adopt="b/yes").run(
        lambda one: (
            one.status.candidate is not None
            and one.status.candidate.model_version == "b"
            and one.status.candidate.weight > 0
        )
    )
    world.error_share["b"] = 0.3
    world.run(lambda one: outcomes(one)[-1] == "RolledBack")
    later(world)
    assert (world.serving, world.status.trained.current.version, ready(world)) == ("a", "a", "True")


def test_unfollow_returns_to_the_version_of_the_spec_without_another_canary():
    world = followed(serving())
    weights = len(world.weights)
    told(world, unfollow="home").run(lambda one: one.serving == "1" and settled(one))
    assert set(world.weights[weights:]) <= {0, 100}
    assert world.status.trained is None
    assert "CommandIgnored" not in world.events


def test_unfollow_in_a_trained_canary_takes_its_share_away():
    world = told(adopted(serving()), unfollow="home")
    world.step()
    assert world.status.candidate is None
    later(world)
    assert (world.serving, ready(world), outcomes(world)) == ("1", "True", ["Superseded"])


def test_unfollow_without_a_trained_version_is_said_to_be_in_vain():
    world = later(told(serving(), unfollow="home"))
    assert "CommandIgnored" in world.events


def test_abort_in_a_trained_canary_stops_retraining_until_it_is_asked_for():
    world = told(adopted(serving()), abort="stop")
    later(world)
    assert (world.serving, ready(world), state(world)) == ("1", "True", ("Stopped", "RetrainingStopped"))
    world.spec = msgspec.structs.replace(
        world.spec, retraining=msgspec.structs.replace(WISH, triggers=(Trigger.AGE,), max_age=Duration.parse("24h"))
    )
    later(world, 3 * DAY)
    assert len(runs(world)) == 1
    told(world, retrain="on").run(lambda one: len(runs(one)) == 2)
    assert not world.status.retraining.aborted


def test_a_rollback_to_another_version_holds_against_what_was_trained():
    """Image updaters overwrite a rollback with the newest thing there is."""
    world = followed(serving())
    first = next(name for name, version in world.versions.items() if version == "1")
    told(world, rollback_to=f"{first}/back").run(lambda one: one.serving == "1")
    later(world, 10 * DAY)
    assert world.serving == "1"
    assert world.status.trained.current.version == "a"


def test_without_retraining_in_the_spec_an_adopted_version_serves_on():
    world = followed(serving())
    world.spec = msgspec.structs.replace(world.spec, retraining=None)
    later(world)
    assert world.serving == "a"
    assert not [one for one in world.status.conditions if one.type == "Retraining"]
    assert later(told(world, retrain="now")).serving == "a"
    assert "CommandIgnored" in world.events


def test_without_retraining_in_the_spec_a_run_under_way_ends():
    world = serving()
    world.trainer.takes = 1000
    told(world, retrain="one").run(lambda one: bool(one.trainer.running()))
    world.spec = msgspec.structs.replace(world.spec, retraining=None)
    later(world)
    assert (world.trainer.running(), outcomes(world)) == ([], ["Superseded"])


def test_an_external_version_waits_for_git_and_is_known_again_when_it_comes():
    world = serving(adopt=Adopt.EXTERNAL, uri_prefix=None)
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Trained"])
    assert world.status.trained is None
    assert state(world) == ("Adopting", "WaitingForApproval")
    later(world, 3 * DAY)
    assert (world.serving, len(runs(world))) == ("1", 1)
    world.spec = msgspec.structs.replace(
        world.spec, model=Model(uri=f"{trainer.PREFIX}:a", sha256="a" * 64, version="a")
    )
    world.run(lambda one: one.serving == "a")
    assert outcomes(world) == ["Promoted"]


def test_a_change_of_spec_model_during_a_run_ends_it():
    world = serving()
    world.trainer.takes = 1000
    told(world, retrain="one").run(lambda one: bool(one.trainer.running()))
    world.spec = spec("2")
    world.step()
    assert (world.trainer.running(), outcomes(world)) == ([], ["Superseded"])
    world.run(lambda one: one.serving == "2")


# What goes wrong around a run


def test_the_same_bytes_as_those_that_serve_are_no_new_model():
    world = serving()
    world.trainer.result = lambda number: trainer.message("2", sha256="1" * 64)
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Failed"])
    assert state(world) == ("Idle", "NoNewModel")
    assert world.status.trained is None


def test_a_loop_that_trains_the_same_bytes_stops_after_three():
    world = serving(triggers=(Trigger.AGE,), max_age=Duration.parse("24h"))
    world.trainer.result = lambda number: trainer.message("2", sha256="1" * 64)
    for _ in range(40):
        later(world, DAY / 2)
    assert outcomes(world) == ["Failed"] * 3
    assert state(world) == ("Stopped", "RetrainingStopped")
    assert world.events.count("RetrainingStopped") == 1
    assert len(world.trainer.made) == 3


def test_a_stopped_loop_goes_on_with_another_job_template():
    world = serving(triggers=(Trigger.AGE,), max_age=Duration.parse("24h"))
    world.trainer.result = lambda number: trainer.message("2", sha256="1" * 64)
    for _ in range(40):
        later(world, DAY / 2)
    world.trainer.template = msgspec.structs.replace(trainer.TEMPLATE, sha256="8f" * 32)
    world.trainer.result = trainer.eight_and_on
    later(world, DAY)
    assert outcomes(world)[-1] == "Trained"


def test_a_stopped_loop_goes_on_with_another_spec_model():
    world = serving(triggers=(Trigger.AGE,), max_age=Duration.parse("24h"))
    world.trainer.result = lambda number: None
    for _ in range(40):
        later(world, DAY / 2)
    assert state(world)[0] == "Stopped"
    world.spec = msgspec.structs.replace(world.spec, model=worlds.spec("2").model)
    world.run(lambda one: one.serving == "2" and settled(one))
    assert world.status.retraining.attempts == 0
    world.trainer.result = trainer.eight_and_on
    for _ in range(4):
        later(world, DAY)
    assert outcomes(world)[-1] == "Trained"


def test_a_job_that_somebody_deletes_is_a_failed_run_and_not_made_again():
    world = serving()
    world.trainer.takes = 1000
    told(world, retrain="one").run(lambda one: bool(runs(one)) and bool(runs(one)[0].job))
    world.trainer.delete(1)
    later(world)
    assert (outcomes(world), len(world.trainer.made)) == (["Failed"], 1)
    assert "was deleted" in runs(world)[0].message


def test_a_job_that_the_api_server_refuses_is_a_failed_run_in_its_words():
    world = serving()
    world.trainer.refusal = "exceeded quota: jobs.batch=5"
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Failed"])
    assert "exceeded quota" in world.status.retraining.message
    assert ready(world) == "True"


def test_a_job_that_fails_is_a_failed_run_in_its_words():
    world = serving()
    world.trainer.result = lambda number: None
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Failed"])
    assert "out of memory" in world.status.retraining.message


def test_a_run_that_never_ends_is_given_up_and_its_job_goes():
    world = serving()
    world.trainer.takes = 10**6
    told(world, retrain="one").run(lambda one: bool(one.trainer.running()))
    later(world, timedelta(hours=7))
    assert (outcomes(world), world.trainer.running()) == (["Failed"], [])


def test_a_run_whose_job_nobody_can_make_is_given_up_as_one_that_never_ends():
    world = serving()
    told(world, retrain="one")
    while not runs(world):
        world.writes_until_crash = 1  # the operator dies between the intent and the Job
        world.step()
    assert (outcomes(world), world.trainer.made) == (["Running"], [])
    world.trainer.template = None  # the API server doesn't give the CronJob
    later(world, timedelta(hours=7))
    assert (outcomes(world), world.status.retraining.attempts) == (["Failed"], 0)
    assert runs(world)[0].message.startswith("no Job was made within ")
    world.trainer.template = trainer.TEMPLATE
    told(world, retrain="two/now").run(offered)


def test_a_trained_version_with_a_label_that_somebody_has_spoilt_is_called_by_its_digest():
    world = followed(serving())
    spoilt = msgspec.structs.replace(world.status.trained.current, version="no label!")
    world.status = msgspec.structs.replace(
        world.status, trained=msgspec.structs.replace(world.status.trained, current=spoilt)
    )
    world.run(lambda one: one.serving == "aaaaaaaa" and settled(one))


def test_a_missing_cron_job_is_said_and_costs_no_attempt():
    world = serving()
    world.trainer.template = seen.Template(trouble="CronJob churn-train does not exist")
    later(told(world, retrain="one"))
    assert (state(world), world.condition("Retraining")) == (
        ("Idle", "RetrainingFailed"),
        ("False", "RetrainingFailed"),
    )
    assert (runs(world), world.status.retraining.attempts) == ((), 0)
    world.trainer.template = trainer.TEMPLATE
    world.run(offered)


def test_a_status_that_was_lost_finds_the_running_job_again():
    world = serving()
    world.trainer.takes = 1000
    told(world, retrain="one").run(lambda one: bool(one.trainer.running()))
    world.status = msgspec.structs.replace(world.status, retraining=None)
    later(world)
    assert [(one.number, one.outcome) for one in runs(world)] == [(1, RunOutcome.RUNNING)]
    assert len(world.trainer.made) == 1


def test_a_status_that_was_lost_never_gives_a_run_the_name_of_an_old_job():
    world = followed(serving())
    world.status = msgspec.structs.replace(world.status, retraining=None)
    later(world, DAY)
    told(world, retrain="two").run(lambda one: bool(runs(one)))
    assert runs(world)[0].number == 2


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(crashes=st.lists(st.integers(0, 6), min_size=1, max_size=40))
def test_an_operator_that_dies_between_any_two_writes_trains_once_and_comes_to_the_same_end(crashes):
    world = told(serving(), retrain="one", adopt="a/early")
    for writes in crashes:
        world.writes_until_crash = writes
        world.step()
        if offered(world):
            told(world, adopt="a/yes")
    world.run(lambda one: bool(runs(one)) and runs(one)[0].outcome is not RunOutcome.RUNNING)
    told(world, adopt="a/again") if offered(world) else None
    world.run(lambda one: one.serving == "a" and settled(one))
    assert (outcomes(world), len(world.trainer.made)) == (["Promoted"], 1)
