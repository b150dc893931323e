"""`python -m seatrial`: the operator's command line. It reads settings and runs until it is told to stop."""

from __future__ import annotations

import socket
import sys
from datetime import timedelta

import click

from seatrial.control import operator, reconcile, settings, workers
from seatrial.drift import schedule
from seatrial.rollout import facts


def build(parts: operator.Parts) -> workers.Reconcile:
    """The real reconcile, of its parts."""
    return reconcile.Reconciler(
        cluster=parts.cluster,
        looks=parts.looks,
        reports=parts.reports,
        canaries=parts.canaries,
        events=parts.events,
        telemetry=parts.telemetry,
        operator=facts.Operator(
            serving_image=parts.settings.serving_image,
            serving_images=parts.settings.serving_images,
            pods=parts.settings.serving_defaults,
            scrape_interval=parts.settings.scrape_interval,
            hour=timedelta(seconds=parts.settings.drift_hour),
        ),
    ).reconcile


@click.command(context_settings={"show_default": True, "max_content_width": 120})
@click.option("--serving-image", envvar="SEATRIAL_SERVING_IMAGE", show_envvar=True, default="",
              help="Image that fetches, tries and serves models.")  # fmt: skip
@click.option("--serving-image-allow", envvar="SEATRIAL_SERVING_IMAGE_ALLOW", show_envvar=True, default="",
              help="Registries and repositories that spec.serving.image may name, separated by commas, besides the "
                   "repository of --serving-image.")  # fmt: skip
@click.option("--serving-defaults", envvar="SEATRIAL_SERVING_DEFAULTS", show_envvar=True, default="",
              help="Fields of spec.serving that place pods, as JSON: for new versions of objects that leave them "
                   "out.")  # fmt: skip
@click.option("--prometheus-url", envvar="SEATRIAL_PROMETHEUS_URL", show_envvar=True, default="",
              help="Prometheus for objects that name none, like http://prometheus:9090.")  # fmt: skip
@click.option("--prometheus-token-file", envvar="SEATRIAL_PROMETHEUS_TOKEN_FILE", show_envvar=True, default="",
              help="File with a bearer token for that Prometheus; read again when it changes.")  # fmt: skip
@click.option("--prometheus-username", envvar="SEATRIAL_PROMETHEUS_USERNAME", show_envvar=True, default="",
              help="User for that Prometheus, with --prometheus-password-file.")  # fmt: skip
@click.option("--prometheus-password-file", envvar="SEATRIAL_PROMETHEUS_PASSWORD_FILE", show_envvar=True, default="",
              help="File with that user's password.")  # fmt: skip
@click.option("--prometheus-ca-file", envvar="SEATRIAL_PROMETHEUS_CA_FILE", show_envvar=True, default="",
              help="PEM certificates to trust for that Prometheus, instead of the system's.")  # fmt: skip
@click.option("--prometheus-header", "prometheus_headers", envvar="SEATRIAL_PROMETHEUS_HEADERS", show_envvar=True,
              multiple=True, help="Header for that Prometheus, like X-Scope-OrgID=shop; repeatable.")  # fmt: skip
@click.option("--prometheus-insecure-skip-verify", envvar="SEATRIAL_PROMETHEUS_INSECURE_SKIP_VERIFY", show_envvar=True,
              is_flag=True, help="Trust whatever certificate that Prometheus shows.")  # fmt: skip
@click.option("--prometheus-allow", envvar="SEATRIAL_PROMETHEUS_ALLOW", show_envvar=True, multiple=True,
              help="URL prefix, or host like *.monitoring.svc, that spec.analysis.prometheus.url may name, beside "
                   "Services of the object's namespace; repeatable.")  # fmt: skip
@click.option("--prometheus-secret-name", "prometheus_secret_names", envvar="SEATRIAL_PROMETHEUS_SECRET_NAMES",
              show_envvar=True, multiple=True,
              help="Name of a Secret that spec.analysis.prometheus.secretRef may name; repeatable.")  # fmt: skip
@click.option("--scrape-interval", envvar="SEATRIAL_SCRAPE_INTERVAL", show_envvar=True, default="15s",
              help="How often that Prometheus scrapes the serving pods; a hint, the samples tell.")  # fmt: skip
@click.option("--namespaces", envvar="SEATRIAL_NAMESPACES", show_envvar=True, default="",
              help="Namespaces to serve, separated by commas; none is the whole cluster.")  # fmt: skip
@click.option("--pod-name", envvar="POD_NAME", show_envvar=True, default=socket.gethostname,
              help="This replica's name in the leader election.", show_default="host name")  # fmt: skip
@click.option("--pod-namespace", envvar="POD_NAMESPACE", show_envvar=True, default="",
              help="Namespace of the leader's lease.")  # fmt: skip
@click.option("--lease-name", envvar="SEATRIAL_LEASE_NAME", show_envvar=True, default=settings.LEASE,
              help="The leader's lease: replicas of one release share it, other releases have their own.")  # fmt: skip
@click.option("--workers", envvar="SEATRIAL_WORKERS", show_envvar=True, default=8, type=click.IntRange(2, 64),
              help="ModelDeployments looked at at the same time; some are kept for rollouts and changes.")  # fmt: skip
@click.option("--probe-port", envvar="SEATRIAL_PROBE_PORT", show_envvar=True, default=8080,
              type=click.IntRange(1, 65535), help="Port of /healthz and /readyz.")  # fmt: skip
@click.option("--metrics-port", envvar="SEATRIAL_METRICS_PORT", show_envvar=True, default=9090,
              type=click.IntRange(1, 65535), help="Port of /metrics.")  # fmt: skip
@click.option("--log-level", envvar="SEATRIAL_LOG_LEVEL", show_envvar=True, default="info",
              type=click.Choice(settings.LEVELS), help="Least severe log lines to write.")  # fmt: skip
@click.option("--drift-hour", envvar="SEATRIAL_TEST_DRIFT_HOUR_SECONDS", default=schedule.HOUR, hidden=True,
              type=click.IntRange(1, schedule.HOUR), help="For tests: an hour of drift and retraining.")  # fmt: skip
def main(**options: str | int | tuple[str, ...]) -> None:
    """Run the Seatrial operator: progressive delivery of model versions.

    The cluster is that of $KUBECONFIG if set, else of the pod's service account, else of ~/.kube/config. Ends with
    status 0 on SIGTERM; with 1 when it lost the lease or can't go on, to be started again.
    """
    try:
        chosen = settings.parse(**options)  # type: ignore[arg-type]  # click has converted each to its type
    except settings.SettingsError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(operator.start(chosen, build))


if __name__ == "__main__":
    main()
