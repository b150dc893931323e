"""End to end on a real cluster: a training Job makes a version, a registry keeps it, it comes to serve; `.spec` stays.

The Job fits a model with scikit-learn, pushes its package to a real OCI registry and names it in its termination
message. A client sends requests all the time and must lose none.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import installation, operators, watching
from tests.cluster.harness import images
from tests.cluster.test_rollouts import LONG_STEP, ONE_STEP, outcome, resource, wait_for_canary, wait_for_verdict

from seatrial.api.status import VerdictKind
from seatrial.api.trained import RetrainingState

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]  # two images are built the first time

SECONDS = 240.0
PREFIX = "oci://registry:5000/digits"


def wish(platform: installation.Platform) -> dict[str, Any]:
    made = resource(platform, "digits-v2", steps=ONE_STEP)
    made["spec"]["model"]["secretRef"] = {"name": "registry"}
    made["spec"]["retraining"] = {"cronJob": "digits-train", "uriPrefix": PREFIX}
    return made


def spec_of(subject: watching.Subject) -> str:
    raw = subject.raw()
    assert raw is not None
    return json.dumps([raw["metadata"]["generation"], raw["spec"]])


def trained(subject: watching.Subject, version: str, *, model: str) -> None:
    """A run makes this version of this model, and it waits."""
    installation.retraining(subject.platform, space=subject.namespace, model=model, version=version)
    subject.tell("retrain", f"{version}/now")

    def offered(sight: watching.Sight) -> bool:
        known = sight.status.trained
        return known is not None and known.offered is not None and known.offered.version == version

    subject.wait(offered, what=f"version {version} trained", seconds=SECONDS)


def test_a_trained_version_is_promoted_and_a_git_change_in_the_middle_of_the_next_drops_both_at_once(
    subject: watching.Subject,
) -> None:
    installation.retraining(subject.platform, space=subject.namespace)
    subject.apply(wish(subject.platform))
    wait_for_verdict(subject, "2")
    subject.start_client()
    subject.wait(lambda sight: sight.settled, what="the end of the soak", seconds=SECONDS)
    trained(subject, "8", model="digits-v2b")
    before = spec_of(subject)
    subject.tell("adopt", "8/yes")
    sight = wait_for_verdict(subject, "8")
    assert sight.verdict("8").verdict is VerdictKind.PROMOTED
    sight = subject.wait(
        lambda one: one.settled and one.status.trained is not None and one.status.trained.current is not None,
        what="the end of the soak",
        seconds=SECONDS,
    )
    assert sight.status.stable.model_version == "8"
    assert sight.ready == ("True", "Promoted")
    assert spec_of(subject) == before

    slowly = wish(subject.platform)
    slowly["spec"]["rollout"]["steps"] = LONG_STEP
    subject.apply(slowly)
    trained(subject, "9", model="digits-v2c")
    subject.tell("adopt", "9/yes")
    wait_for_canary(subject, "9")
    changed = copy.deepcopy(wish(subject.platform))
    changed["spec"]["model"]["version"] = "2-again"
    subject.apply(changed)
    sight = subject.wait(
        lambda one: one.current and one.status.trained is None, what="the end of both", seconds=SECONDS
    )
    assert sight.status.candidate is None or sight.status.candidate.model_version == "2-again"
    sight = wait_for_verdict(subject, "2-again")
    assert sight.verdict("9").verdict is VerdictKind.SUPERSEDED
    assert outcome(sight, "2-again") == ("Promoted", "Promoted", "2-again")
    books = subject.books()
    assert (books.lost, books.not_the_models_fault) == (0, 0), books


def same_again(subject: watching.Subject, sha256: str) -> dict[str, Any]:
    """A template whose runs say that they have made version 8: the bytes that serve."""
    result = json.dumps({"uri": f"{PREFIX}:8", "sha256": sha256, "version": "8"})
    container = {
        "name": "train",
        "image": images.lookup("serving").tag,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import os; open('/dev/termination-log', 'w').write(os.environ['RESULT'])"],
        "env": [{"name": "RESULT", "value": result}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {"restartPolicy": "Never", "containers": [container], "securityContext": secure}
    labels = {"seatrial.dev/for-models": "true"}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "digits-train", "namespace": subject.namespace, "labels": labels},
        "spec": {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    }


def jobs(subject: watching.Subject) -> list[str]:
    found = subject.platform.list("jobs", subject.namespace, "seatrial.dev/training")
    return sorted(one["metadata"]["name"] for one in found)


def test_a_loop_that_makes_the_same_bytes_again_stops_after_three_runs_until_somebody_acts(
    subject: watching.Subject, tmp_path: Path
) -> None:
    """With hours of a second: the version is too old after 24, and runs may start one apart. Its traffic is not
    watched: within a second nothing is scraped twice, and nothing starts while nobody can see what serves.
    """
    asked = resource(subject.platform, "digits-v2", steps=ONE_STEP)
    asked["spec"]["retraining"] = {
        "cronJob": "digits-train",
        "uriPrefix": PREFIX,
        "triggers": ["Age"],
        "maxAge": "24h",
        "minInterval": "1h",
    }
    asked["spec"]["monitoring"] = {"drift": {"mode": "Off"}}
    subject.platform.apply(same_again(subject, asked["spec"]["model"]["sha256"]))
    hours = {"SEATRIAL_TEST_DRIFT_HOUR_SECONDS": "1"}
    with operators.in_its_place(subject.platform, namespace=subject.namespace, folder=tmp_path, **hours):
        subject.apply(asked)
        sight = subject.wait(
            lambda one: one.status.retraining is not None and one.status.retraining.state is RetrainingState.STOPPED,
            what="the end of the loop",
            seconds=SECONDS,
        )
        runs = sight.status.retraining.runs
        assert [(one.number, one.trigger, one.outcome, one.reason) for one in runs] == [
            (number, "Age", "Failed", "NoNewModel") for number in (3, 2, 1)
        ]
        assert sight.condition("Retraining")[:2] == ("False", "RetrainingStopped")
        assert "3 runs in a row brought no good version" in sight.condition("Retraining")[2]
        assert (sight.ready[0], sight.status.stable.model_version) == ("True", "2")
        assert sight.status.trained is None
        assert jobs(subject) == [f"digits-train-{number}" for number in (1, 2, 3)]
        subject.tell("retrain", "looked-at-it/now")
        subject.wait(lambda _: len(jobs(subject)) == 4, what="the run that somebody asked for", seconds=SECONDS)
