"""Names of children, labels and annotations."""

from __future__ import annotations

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "seatrial"
DEPLOYMENT = "seatrial.dev/modeldeployment"
REVISION = "seatrial.dev/revision"
COMPONENT = "app.kubernetes.io/component"
SERVER = "server"
TRIAL = "trial"
COMMAND_PREFIX = "seatrial.dev/"
RELAY = "seatrial.dev/relay"  # annotation of a server's pod: what it passes on to whom
ATTEMPT = "seatrial.dev/attempt"  # annotation of a trial Job: which try of its revision it was made for

FOR_MODELS = "seatrial.dev/for-models"  # label by which Secrets, claims and templates say that models may use them

TRAINING = "seatrial.dev/training"  # label of a training Job and its pods: the number of its run
BASE = "seatrial.dev/base"  # annotations of a training Job: digest of the spec.model that it was made for,
TRIGGER = "seatrial.dev/trigger"  # what started its run,
CONTAINER = "seatrial.dev/container"  # and which of its containers gives the result
TRAINER = "training"  # the component, as a label

REST_PORT = 8080
GRPC_PORT = 8081
METRICS_PORT = 8082


def command(field: str) -> str:
    """The annotation of a command, from the name of its field in `status.commands`."""
    return COMMAND_PREFIX + field.replace("_", "-")


def of_whole(name: str) -> set[str]:
    """What belongs to no single revision."""
    return {name, stable_service(name), candidate_service(name), of_monitoring(name)}


def stable_service(name: str) -> str:
    """For a gateway: leads to whoever has all the requests that the candidate hasn't."""
    return f"{name}-stable"


def candidate_service(name: str) -> str:
    return f"{name}-candidate"


def of_revision(name: str, revision: str) -> str:
    """ControllerRevision, ConfigMap and Deployment of one revision."""
    return f"{name}-{revision}"


def of_trial(name: str, revision: str) -> str:
    return f"{name}-{revision}-trial"


def of_run(name: str, number: int) -> str:
    """The training Job of a run."""
    return f"{name}-train-{number}"


def of_evidence(name: str, revision: str) -> str:
    return f"{name}-{revision}-evidence"


def of_monitoring(name: str) -> str:
    """The ConfigMap with the live settings of all pods."""
    return f"{name}-monitoring"


def of_keys(name: str) -> str:
    """The Secret with the key that tokens of answers are signed with."""
    return f"{name}-keys"


def of_drift(name: str, revision: str) -> str:
    """The ConfigMap with what is remembered of a revision's traffic."""
    return f"{name}-{revision}-drift"


def of_quality(name: str, revision: str) -> str:
    """The ConfigMap with what is remembered of a revision's labels."""
    return f"{name}-{revision}-quality"


def selector(name: str, revision: str) -> dict[str, str]:
    """Labels that select the serving pods of one revision."""
    return {DEPLOYMENT: name, REVISION: revision, COMPONENT: SERVER}


def labels(name: str, revision: str | None = None) -> dict[str, str]:
    """Labels that every child carries."""
    common = {MANAGED_BY: MANAGER, DEPLOYMENT: name}
    return {**common, REVISION: revision} if revision else common
