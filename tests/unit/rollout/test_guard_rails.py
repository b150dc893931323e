"""Guard rails of retraining, each by itself, in the small world: when no run starts although something asks for one."""

from __future__ import annotations

import itertools
from datetime import timedelta

import msgspec
import pytest
from tests.unit.rollout import test_retraining, test_rollouts, trainer
from tests.unit.rollout import world as worlds

from seatrial.api.spec import Adopt, Duration, Trigger, VersionPinning
from seatrial.api.status import SetBack
from seatrial.rollout import quality, report
from seatrial.rollout.retraining import seen

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
later, told, runs, outcomes = (
    test_retraining.later,
    test_retraining.told,
    test_retraining.runs,
    test_retraining.outcomes,
)
offered, state, serving = test_retraining.offered, test_retraining.state, test_retraining.serving
DRIFT = {"triggers": (Trigger.DRIFT,)}
AGE = {"triggers": (Trigger.AGE,), "max_age": Duration.parse("24h")}


def drifted(world: worlds.World, *columns: str, **changes: object) -> worlds.World:
    """Columns have begun to alarm now."""
    since = dict.fromkeys(columns, world.now)
    world.trainer.alarm = seen.Alarm(**{"columns": columns, "since": since, "words": "drifted", **changes})
    return world


def started(world: worlds.World) -> bool:
    return bool(world.trainer.made)


def waits(world: worlds.World, span: timedelta = timedelta(seconds=25)) -> str:
    """Nothing starts; why, as people read it."""
    before = len(world.trainer.made)
    later(world, span)
    assert len(world.trainer.made) == before
    return world.status.retraining.message


# what starts a run


def test_drift_starts_a_run_and_the_run_knows_the_columns():
    world = drifted(serving(**DRIFT), "income", "age").run(started)
    assert (runs(world)[0].trigger, runs(world)[0].cause) == ("Drift", ("income", "age"))


def test_drift_that_is_not_among_the_triggers_starts_nothing():
    assert waits(drifted(serving(**AGE), "income")) == "nothing asks for a run"


QUALITY = {"triggers": (Trigger.QUALITY,)}


def worse(world: worlds.World, **changes: object) -> worlds.World:
    """Labels prove now that answers have become worse."""
    alarm = {"since": {quality.NAME: world.now}, "dropped": "20% were wrong", **changes}
    world.trainer.alarm = seen.Alarm(**alarm)
    return world


def test_dropped_quality_starts_a_run_and_the_run_says_so():
    world = worse(serving(**QUALITY)).run(started)
    [run] = runs(world)
    assert (run.trigger, run.cause, run.message) == ("Quality", (quality.NAME,), "20% were wrong")


def test_dropped_quality_that_is_not_among_the_triggers_starts_nothing():
    assert waits(worse(serving(**DRIFT))) == "nothing asks for a run"


def test_drift_does_not_start_a_run_that_quality_alone_may_start():
    assert waits(drifted(serving(**QUALITY), "income")) == "nothing asks for a run"


def test_of_quality_and_drift_quality_is_the_reason_of_the_run():
    world = drifted(serving(triggers=(Trigger.DRIFT, Trigger.QUALITY)), "income")
    world.trainer.alarm = msgspec.structs.replace(
        world.trainer.alarm, dropped="worse", since={"income": world.now, quality.NAME: world.now}
    )
    assert runs(world.run(started))[0].trigger == "Quality"


def test_bad_data_keeps_dropped_quality_from_starting_a_run():
    assert "values of age are missing" in waits(worse(serving(**QUALITY), invalid=("age",)))


def test_age_starts_a_run_when_the_version_is_old_and_not_before():
    world = serving(**AGE)
    assert waits(world, 23 * HOUR) == "nothing asks for a run"
    later(world, HOUR)
    assert runs(world)[0].trigger == "Age"


def test_where_an_hour_is_a_second_as_in_tests_on_a_cluster_so_are_the_hours_of_age(monkeypatch):
    monkeypatch.setattr(worlds, "OPERATOR", msgspec.structs.replace(worlds.OPERATOR, hour=timedelta(seconds=1)))
    world = serving(**AGE)
    later(world, timedelta(seconds=30))
    assert runs(world)[0].trigger == "Age"


def test_the_age_is_that_of_the_bytes_not_of_the_pods():
    """More memory for the same model is a rollout, and makes the model no younger."""
    world = later(serving(**AGE), 20 * HOUR)
    world.spec = msgspec.structs.replace(
        world.spec, serving=msgspec.structs.replace(world.spec.serving, version_pinning=VersionPinning.REJECT)
    )
    world.run(lambda one: len(one.records) == 2 and test_rollouts.settled(one))
    later(world, 4 * HOUR)
    assert [one.trigger for one in runs(world)] == ["Age"]


def test_the_operator_looks_again_when_the_version_will_be_too_old():
    world = serving(**AGE)
    later(world)
    due = world.status.stable.since + DAY
    assert world.plan().look_again == due - world.now


def test_a_cron_job_that_comes_back_is_noticed_within_a_minute_though_nobody_watches_it():
    world = serving(**AGE)
    world.trainer.template = seen.Template(trouble="CronJob churn-train does not exist")
    later(world, DAY)
    world.trainer.template = trainer.TEMPLATE
    world.run(started, limit=13)


def test_the_row_of_failures_ends_within_a_minute_of_another_job_template():
    world = serving(**AGE)
    world.trainer.result = lambda number: None
    later(world, DAY).run(lambda one: outcomes(one) == ["Failed"])
    world.trainer.template = msgspec.structs.replace(trainer.TEMPLATE, sha256="8f" * 32)
    world.run(lambda one: one.status.retraining.attempts == 0, limit=13)


def test_a_retraining_that_nothing_asks_for_rests_until_the_version_is_old():
    world = later(serving())
    assert world.plan().look_again is None


# 1


def test_bad_data_starts_no_run_and_says_so_once():
    world = drifted(serving(**DRIFT), "income", invalid=("age",))
    assert "values of age are missing, outside or unseen" in waits(world)
    assert (state(world), world.condition("Retraining")) == (("Idle", "DataSuspect"), ("False", "DataSuspect"))
    later(world)
    assert world.events.count("DataSuspect") == 1


def test_bad_data_alone_is_said_too():
    world = serving(**DRIFT)
    world.trainer.alarm = seen.Alarm(invalid=("age",))
    waits(world)
    assert state(world) == ("Idle", "DataSuspect")


def test_a_person_who_has_seen_the_bad_data_may_train():
    world = told(drifted(serving(**DRIFT), "income", invalid=("age",)), retrain="all the same")
    world.run(started)


# 2


def test_a_second_run_waits_for_the_first():
    world = serving()
    world.trainer.takes = 20
    told(world, retrain="one").run(started)
    told(world, retrain="two/now")
    for _ in range(10):
        world.step()
    assert len(world.trainer.made) == 1
    world.run(lambda one: len(one.trainer.made) == 2)


def test_no_run_starts_beside_a_candidate_and_one_that_was_asked_for_comes_after_the_soak():
    world = test_rollouts.in_canary(serving())
    world.spec = test_retraining.spec("2")
    told(world, retrain="one")
    world.step()
    assert "version 2 is on its way" in world.status.retraining.message
    world.run(started)
    assert (world.serving, world.status.previous, world.status.candidate) == ("2", None, None)


def test_no_run_starts_while_the_wanted_version_is_refused():
    world = serving()
    world.trial_result = lambda version: worlds.REJECTED
    world.spec = test_retraining.spec("2")
    world.run(test_rollouts.rolled_back)
    assert "the version that is wanted does not serve" in waits(told(world, retrain="one/now"))


def test_no_run_starts_while_no_pod_is_ready():
    world = serving()
    world.stuck.add("1")
    world.step()
    assert "does not serve" in waits(told(world, retrain="one"))
    assert not started(world)


def test_no_run_starts_while_nobody_can_see_what_serves():
    world = drifted(serving(**DRIFT), "income", blind="Prometheus does not answer")
    assert "Prometheus does not answer" in waits(world)


def test_a_command_starts_a_run_before_the_first_hour_of_traffic_was_seen():
    world = drifted(serving(**DRIFT), blind="no counters were found for the last hour")
    told(world, retrain="one").run(started)


def test_no_run_starts_while_a_rollback_by_hand_holds():
    world = drifted(serving(**DRIFT), "income")
    world.spec = test_retraining.spec("2", **DRIFT)
    world.trainer.alarm = seen.Alarm()
    world.run(lambda one: one.serving == "2" and test_rollouts.settled(one))
    first = next(name for name, version in world.versions.items() if version == "1")
    told(world, rollback_to=f"{first}/back").run(lambda one: one.serving == "1")
    world.run(lambda one: one.status.previous is None)
    assert isinstance(world.status.set_back, SetBack)
    assert "somebody's decision" in waits(drifted(world, "income"), DAY)


# 3


def test_runs_start_min_interval_apart_also_by_command():
    world = told(serving(), retrain="one").run(offered)
    waits(told(world, retrain="two"), 23 * HOUR)
    later(world, HOUR)
    assert len(runs(world)) == 2


def test_when_the_next_run_may_start_is_said():
    world = serving()
    world.trainer.result = lambda number: None
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Failed"])
    assert "24h apart" in waits(told(world, retrain="two"))
    assert world.status.retraining.next_allowed_at == runs(world)[0].started_at + DAY
    assert state(world) == ("Waiting", "CoolingDown")


def test_a_token_that_ends_in_now_does_not_wait():
    world = told(serving(), retrain="one").run(offered)
    told(world, retrain="two/now").run(lambda one: len(one.trainer.made) == 2)


def test_a_token_starts_one_run():
    world = told(serving(), retrain="one").run(offered)
    later(world, 5 * DAY)
    assert len(world.trainer.made) == 1


# 4


def test_no_more_than_max_runs_start_within_thirty_days():
    world = serving(max_runs=2, min_interval=Duration.parse("1h"))
    for number in range(2):
        told(world, retrain=f"{number}/now").run(lambda one, number=number: len(one.trainer.made) == number + 1)
        world.run(offered)
    told(world, unfollow="away")
    assert "2 runs have started within 30 days" in waits(told(world, retrain="three/now"), 10 * DAY)
    later(world, 20 * DAY)
    assert len(world.trainer.made) == 3


# 5


def test_after_failed_runs_the_pause_doubles():
    world = drifted(serving(**DRIFT, max_attempts=10, max_runs=100), "income")
    world.trainer.result = lambda number: None
    for _ in range(24 * 16):
        later(world, HOUR)
    starts = [one.started_at for one in reversed(runs(world))]
    days = [round((then - before) / DAY) for before, then in itertools.pairwise(starts)]
    assert days == [1, 2, 4, 8]


def test_the_pause_is_never_longer_than_eight_times_min_interval():
    world = drifted(serving(**DRIFT, max_attempts=10, max_runs=100, min_interval=Duration.parse("1h")), "income")
    world.trainer.result = lambda number: None
    for _ in range(200):
        later(world, HOUR / 4)
    starts = [one.started_at for one in reversed(runs(world))]
    assert round(max(then - before for before, then in itertools.pairwise(starts)) / HOUR) == 8


def test_max_attempts_in_a_row_stop_it_until_somebody_asks():
    world = drifted(serving(**DRIFT), "income")
    world.trainer.result = lambda number: '{"skipped": "only 212 new labels"}'
    for _ in range(60):
        later(world, DAY / 2)
    assert outcomes(world) == ["Skipped"] * 3
    assert state(world) == ("Stopped", "RetrainingStopped")
    assert "only 212 new labels" in world.status.retraining.message
    world.trainer.result = trainer.eight_and_on
    told(world, retrain="on").run(offered)
    assert world.status.retraining.attempts == 0


# 6


@pytest.mark.parametrize("sha256", ["1" * 64, "2" * 64], ids=["of stable", "of a rejected version"])
def test_bytes_that_are_known_are_no_new_model(sha256):
    world = serving()
    world.trial_result = lambda version: worlds.REJECTED if version == "2" else worlds.PASSED
    world.spec = test_retraining.spec("2")
    world.run(test_rollouts.rolled_back)
    world.spec = test_retraining.spec("1")
    world.run(test_rollouts.settled)
    world.trainer.result = lambda number: trainer.message("9", sha256=sha256)
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Failed"])
    assert state(world) == ("Idle", "NoNewModel")


def test_bytes_of_an_earlier_run_are_no_new_model():
    world = told(serving(), retrain="one").run(offered)
    world.trainer.result = lambda number: trainer.message("b", sha256="a" * 64)
    told(world, retrain="two/now").run(lambda one: outcomes(one)[-1] == "Failed")
    assert "run 1 made the same bytes" in runs(world)[0].message


def test_a_version_that_is_called_as_the_one_that_serves_is_no_new_model():
    world = serving()
    world.trainer.result = lambda number: trainer.message("1", sha256="c" * 64)
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Failed"])
    assert "called version 1" in runs(world)[0].message


def test_the_same_data_again_is_no_answer_to_an_alarm_but_to_a_command():
    data = {"uri": "s3://data/may.parquet", "sha256": "d" * 64}
    world = serving(**DRIFT)
    world.trainer.result = lambda number: trainer.message("abcdef"[number], data=data)
    told(world, retrain="one").run(offered)
    told(world, retrain="two/now").run(lambda one: len(runs(one)) == 2 and runs(one)[0].outcome == "Trained")
    told(world, unfollow="away")
    drifted(later(world, 2 * DAY), "income").run(lambda one: len(runs(one)) == 3 and runs(one)[0].outcome == "Failed")
    assert "trained on the same data as in run 2" in runs(world)[0].message


# 7


@pytest.mark.parametrize(
    ("triggers", "alarms"),
    [(DRIFT, lambda world: drifted(world, "income")), (QUALITY, worse)],
    ids=["drift", "quality"],
)
def test_a_loop_that_promotes_without_curing_stops_after_three(triggers, alarms):
    world = alarms(serving(**triggers, adopt=Adopt.APPROVE))
    promoted = ""
    for _ in range(80):
        later(world, DAY / 4)
        if offered(world):
            told(world, adopt=f"{world.status.trained.offered.version}/yes")
            world.trainer.alarm = seen.Alarm()
        world.run(lambda one: one.status.candidate is None and one.status.previous is None)
        if world.serving != promoted and test_rollouts.settled(world):
            promoted = world.serving
            alarms(world)
    assert outcomes(world) == ["NotCured"] * 3
    assert state(world) == ("Stopped", "RetrainingStopped")


def test_a_version_that_has_cured_ends_the_row_of_failures():
    world = drifted(serving(**DRIFT, min_interval=Duration.parse("1h")), "income")
    world.trainer.result = lambda number: None if number == 1 else trainer.eight_and_on(number)
    world.run(lambda one: outcomes(one) == ["Failed"])
    later(world, 2 * HOUR)
    world.run(offered)
    told(world, adopt="b/yes")
    world.trainer.alarm = seen.Alarm()
    world.run(lambda one: one.serving == "b" and test_rollouts.settled(one))
    assert world.status.retraining.attempts == 1
    later(world, 9 * DAY)
    assert world.status.retraining.attempts == 0


def test_an_alarm_of_other_columns_is_no_proof_that_a_version_has_not_helped():
    world = drifted(serving(**DRIFT), "income").run(offered)
    told(world, adopt="a/yes")
    world.trainer.alarm = seen.Alarm()
    world.run(lambda one: one.serving == "a" and test_rollouts.settled(one))
    later(drifted(world, "age"))
    assert outcomes(world)[0] == "Promoted"


# 10


def test_while_its_columns_alarm_a_version_that_waits_is_the_answer():
    world = drifted(serving(**DRIFT), "income").run(offered)
    later(world, 10 * DAY)
    drifted(world, "income", "age")
    later(world, 10 * DAY)
    assert len(world.trainer.made) == 1
    assert world.events.count("RetrainingStarted") == 1


def test_an_alarm_that_goes_on_with_another_version_is_answered_already():
    """The same alarm, not a new one, right after the promotion: monitoring has not looked yet."""
    world = drifted(serving(**DRIFT), "income").run(offered)
    told(world, adopt="a/yes").run(lambda one: one.serving == "a" and test_rollouts.settled(one))
    later(world, 5 * DAY)
    assert len(world.trainer.made) == 1
    assert outcomes(world) == ["Promoted"]


def test_nothing_is_written_while_nothing_changes():
    world = drifted(serving(**DRIFT), "income").run(offered)
    later(world)
    written = len(world.written)
    later(world, DAY)
    assert len(world.written) == written


# 8


def with_test(outcome: str, against: str = "Stable") -> report.Report:
    made = report.ModelTest(name="not worse than stable", outcome=outcome, against=against)
    return msgspec.structs.replace(worlds.PASSED, tests=(made,))


def test_an_automatic_version_that_passed_a_test_against_stable_serves():
    world = serving(adopt=Adopt.AUTOMATIC)
    world.trial_result = lambda version: with_test("Pass")
    told(world, retrain="one").run(lambda one: one.serving == "a" and test_rollouts.settled(one))
    assert outcomes(world) == ["Promoted"]


@pytest.mark.parametrize(
    "seen_in_trial",
    [worlds.PASSED, with_test("Pass", against=""), with_test("Skipped")],
    ids=["no test", "tests against bounds only", "a test that was skipped"],
)
def test_an_automatic_version_without_a_passed_test_against_stable_never_has_a_pod(seen_in_trial):
    world = serving(adopt=Adopt.AUTOMATIC)
    world.trial_result = lambda version: seen_in_trial if version == "a" else worlds.PASSED
    told(world, retrain="one").run(lambda one: outcomes(one) == ["Refused"])
    later(world)
    assert not world.pods_of("a")
    assert runs(world)[0].reason == "BaselineUnavailable"
    assert (world.serving, world.status.retraining.attempts) == ("1", 1)


def test_what_a_person_has_approved_needs_no_such_test():
    world = told(told(serving(), retrain="one").run(offered), adopt="a/yes")
    world.run(lambda one: one.serving == "a")
