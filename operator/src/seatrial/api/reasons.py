"""What each reason means and what to do about it: the catalogue that reference and runbooks are made from.

One line for every member of `status.Reason`; a reason without one is a failing test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .status import Reason


class Meaning(NamedTuple):
    """What has happened; what to do, nothing where nothing has to be done."""

    what: str
    todo: str = ""


_READ = "Read the message; it has the numbers."
_VERDICT = "The version before serves. Go back in Git, ship a fixed version, or annotate seatrial.dev/retry."

MEANINGS: Mapping[Reason, Meaning] = {
    Reason.PENDING: Meaning("The operator has not looked at it yet.", "If it stays: see whether an operator leads."),
    Reason.TRIAL_RUNNING: Meaning("The version is fetched, verified, quantized and tested, without traffic."),
    Reason.STARTING: Meaning("Its pods start; they get no traffic before they are Ready."),
    Reason.CANARY_PROGRESSING: Meaning("It has a share of the traffic and is compared with the running version."),
    Reason.PAUSED: Meaning(
        "A step waits for a person, or evidence was found and onRegression is Pause.",
        "Look at status.analysis, then annotate seatrial.dev/promote or seatrial.dev/abort.",
    ),
    Reason.INSUFFICIENT_TRAFFIC: Meaning(
        "Too few requests to judge by at the step's time-out; the weight is held.",
        "Wait, lower minRequests, raise the step's weight, or annotate seatrial.dev/promote.",
    ),
    Reason.INSUFFICIENT_EVIDENCE: Meaning(
        "What promotion: NonInferiority asks for is not proven yet.", "Wait, or annotate seatrial.dev/promote."
    ),
    Reason.INSUFFICIENT_CAPACITY: Meaning(
        "The cluster has no room for its pods, for reasons that are not the version's own.",
        "See events and quota of the namespace; it goes on by itself when there is room.",
    ),
    Reason.STABLE_ALSO_BREACHING: Meaning(
        "The running version is over the absolute limits as well, so the candidate is not blamed.",
        "Look for what both share: a store, a network, the limits themselves.",
    ),
    Reason.REGRESSION_SUSPECTED: Meaning("Something speaks against the candidate, not enough to convict; it is held."),
    Reason.METRIC_OUT_OF_BOUNDS: Meaning("A number of your own in spec.analysis.metrics is out of its bounds.", _READ),
    Reason.QUALITY_REGRESSED: Meaning("More of the candidate's answers turned out wrong than of stable's.", _READ),
    Reason.OUTCOMES_REGRESSED: Meaning("An outcome of spec.analysis.outcomes is worse with the candidate.", _READ),
    Reason.FEEDBACK_UNEVEN: Meaning(
        "Labels come for one of the two versions more often than for the other; quality is not judged, it is held.",
        "See to it that labels are sent back for all answers alike, or annotate seatrial.dev/promote.",
    ),
    Reason.METRICS_UNAVAILABLE: Meaning(
        "Neither Prometheus nor the pods say how requests end; the rollout is held, and later has no traffic.",
        "Read the message: it names what is missing. Check prometheus.url, its targets, and that port 8082 of the "
        "pods can be reached from the operator.",
    ),
    Reason.PROMOTING: Meaning("It passed; all traffic moves to it."),
    Reason.PROMOTED: Meaning("What the spec asks for serves."),
    Reason.SUPERSEDED: Meaning("The spec asked for another version before this one was judged."),
    Reason.ROLLED_BACK: Meaning("Evidence was found against the version; the one before serves.", _VERDICT),
    Reason.RETRAINING_IDLE: Meaning("Nothing asks for a training run."),
    Reason.RETRAINING_STARTED: Meaning("A training run is under way, or the version that it made is."),
    Reason.MODEL_TRAINED: Meaning("A training run has made a version."),
    Reason.WAITING_FOR_APPROVAL: Meaning(
        "A trained version waits to be let in.",
        "Annotate seatrial.dev/adopt with its version and a token; with adopt: External, name it in spec.model.",
    ),
    Reason.COOLING_DOWN: Meaning("A run is asked for and waits; the message says for what, and until when."),
    Reason.RETRAINING_FAILED: Meaning(
        "The last run brought no good version, or no Job can be made.",
        "Read the message: it quotes the Job, its result, the API server or the trial. It is tried again by itself.",
    ),
    Reason.NO_NEW_MODEL: Meaning(
        "The run made bytes that are known already, or learned from the same data again.",
        "Give the training code new data, or leave retraining to the retrain command.",
    ),
    Reason.DATA_SUSPECT: Meaning(
        "Values are missing, outside or unseen: an outage upstream, nothing to learn from.",
        "Mend the pipeline. Annotate seatrial.dev/retrain to train all the same.",
    ),
    Reason.RETRAINING_STOPPED: Meaning(
        "Too many runs in a row brought no good version, or a trained version was aborted.",
        "Look at status.retraining.runs, then annotate seatrial.dev/retrain, or change spec.model or the jobTemplate.",
    ),
    Reason.BASELINE_UNAVAILABLE: Meaning(
        "A version was trained and adopted by itself, and no declared test has compared it with the running one.",
        "Declare a test with against: Stable in the package, or set spec.retraining.adopt to Approve.",
    ),
    Reason.MODEL_REJECTED: Meaning(
        "The trial refused the version: digest, graph, quantization or tests.", "Read the message; fix the version."
    ),
    Reason.TRIAL_FAILED: Meaning(
        "The trial itself broke, for example because the store could not be reached.",
        "Read the message; mend the surroundings, then annotate seatrial.dev/retry.",
    ),
    Reason.TRIAL_TIMEOUT: Meaning(
        "The trial did not end within spec.trial.timeout.", "See its pod; raise the time-out or its resources."
    ),
    Reason.CRASH_LOOP: Meaning("Its pods end again and again.", "kubectl logs --previous of one of them."),
    Reason.START_TIMEOUT: Meaning(
        "Its pods were not Ready within spec.rollout.startTimeout.", "kubectl describe one of them."
    ),
    Reason.ERRORS_REGRESSED: Meaning("Proven to fail more requests than the running version.", _VERDICT),
    Reason.LATENCY_REGRESSED: Meaning("Proven to be slower than the running version.", _VERDICT),
    Reason.REJECTIONS_REGRESSED: Meaning("Proven to refuse requests that the running version takes.", _VERDICT),
    Reason.DEGRADED_REGRESSED: Meaning("Proven to give more degraded answers than the running version.", _VERDICT),
    Reason.SHED_REGRESSED: Meaning("Proven to shed more requests than the running version.", _VERDICT),
    Reason.TRAFFIC_NOT_ROUTED: Meaning(
        "The share that was asked for is not what the candidate gets.",
        "See the HTTPRoute's conditions and the endpoints; with Relay, that pods reach each other on port 8080.",
    ),
    Reason.ANSWERS_SHIFTED: Meaning(
        "Its answers to the same requests differ more than analysis.disagreement.max.",
        "Look at the answers; annotate seatrial.dev/promote if the new ones are better, else seatrial.dev/abort.",
    ),
    Reason.SHADOW_FAILED: Meaning("Proven worse on copies of requests; nobody has had an answer of it.", _VERDICT),
    Reason.ERRORS_ABOVE_MAXIMUM: Meaning("Proven to fail more than spec.analysis.errors.max.", _VERDICT),
    Reason.LATENCY_ABOVE_MAXIMUM: Meaning("Proven to be slow more often than spec.analysis.latency.max.", _VERDICT),
    Reason.REGRESSED_AFTER_PROMOTION: Meaning(
        "Evidence was found during the soak; the version before was warm and took over.", _VERDICT
    ),
    Reason.ABORTED: Meaning("The abort command.", _VERDICT),
    Reason.RETRIED: Meaning("The retry command cleared the verdict; the version is tried again."),
    Reason.COMMAND_IGNORED: Meaning("A command would have changed nothing; the message says why.", _READ),
    Reason.CHILD_REFUSED: Meaning(
        "The API server refuses an object that is needed: a quota, a policy, a missing right.",
        "The message quotes it. It goes on by itself when the cause is gone.",
    ),
    Reason.NAME_TAKEN: Meaning(
        "An object of a name that is needed belongs to somebody else; it is left alone.",
        "Rename one of the two.",
    ),
    Reason.GATEWAY_API_MISSING: Meaning(
        "The provider is GatewayAPI, and the cluster has no HTTPRoutes.", "Install the Gateway API's CRDs."
    ),
    Reason.INVALID_SPEC: Meaning(
        "The spec can't be followed; the last one that could be still is.", "Read the message; it names the field."
    ),
    Reason.METRICS_AVAILABLE: Meaning("Requests can be counted."),
    Reason.TRIAL_PASSED: Meaning("The version passed its trial."),
    Reason.NOTHING_ROLLING: Meaning("There is no rollout to watch."),
    Reason.FEATURE_DRIFT: Meaning(
        "The values that come in are no longer those that the model was made for.",
        "status.drift names the columns. Find out whether the world or a pipeline changed; make a new version of newer "
        "rows, or annotate seatrial.dev/accept-drift.",
    ),
    Reason.PREDICTION_DRIFT: Meaning(
        "The answers are spread otherwise than the reference's.", "Look at the features first, then at outcomes."
    ),
    Reason.ATTRIBUTION_DRIFT: Meaning(
        "Other features than before decide the answers.", "Look at status.drift; make a new version of newer rows."
    ),
    Reason.INVALID_DATA: Meaning(
        "More values are missing, outside or unseen than the reference has.",
        "A pipeline in front of the model broke: status.drift names the columns. A new version is no cure.",
    ),
    Reason.NO_DRIFT: Meaning("Traffic looks like the reference."),
    Reason.DRIFT_SUSPECTED: Meaning("A column moves; it is not proven yet."),
    Reason.DRIFT_ACCEPTED: Meaning("The accept-drift command: this is how traffic is now."),
    Reason.NO_REFERENCE: Meaning(
        "The package has no reference rows to compare with.", "Pack the next version with `seatrial pack --data`."
    ),
    Reason.MONITORING_UNSUPPORTED: Meaning(
        "The pods of the version that serves can't give all that spec.monitoring asks for; the message says what.",
        "Take this operator's server image (annotate seatrial.dev/refresh-image, or change spec.serving.image), make "
        "the model one that can be watched so, or ask for less.",
    ),
    Reason.INPUTS_UNLIKE_TRAINING: Meaning(
        "What the candidate is asked is grossly unlike its reference rows, and stable's is not: no step ends.",
        "Compare units, the order of columns and the encoder of the new version with what clients send.",
    ),
    Reason.UNEQUAL_TRAFFIC: Meaning(
        "Candidate and stable get other requests, so their answers are not compared.",
        "See what splits the traffic: a header that goes with the kind of request does.",
    ),
    Reason.DRIFT_DETECTED: Meaning(
        "An alarm about the traffic has begun, or another kind of it.", "See the reason of the condition Drifted."
    ),
    Reason.DRIFT_CLEARED: Meaning("A whole season of traffic looks like the reference again."),
    Reason.QUALITY_DROPPED: Meaning(
        "Labels prove that the version that serves is wrong more often than it may be.",
        "status.quality has the figures. See whether the labels are right (seatrial_feedback_confusion_total) and what "
        "status.drift says; then make a new version of newer rows.",
    ),
    Reason.QUALITY_HOLDS: Meaning("By its labels the version that serves is as good as it was."),
    Reason.QUALITY_ESTIMATED_LOWER: Meaning(
        "Its confidence lets expect more wrong answers than are allowed; labels have not proven it.",
        "An estimate, never a verdict: look at status.drift, and wait for labels.",
    ),
    Reason.LABELS_MISSING: Meaning(
        "Too few labels come back for answers, so that nobody knows how good they are.",
        "The message says whether tokens are asked for, labels refused, or fewer sent than usual: look at what sends "
        "them.",
    ),
    Reason.UNKNOWN: Meaning("Another release of the operator wrote it."),
}


def meaning(reason: Reason) -> Meaning:
    """The catalogue's line; one that lacks is a failing test, and no reason to generate nothing."""
    return MEANINGS.get(reason, Meaning("The message beside it says what."))
