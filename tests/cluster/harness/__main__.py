"""python -m tests.cluster.harness up|down|images|status: what `make cluster-up`, `cluster-down` and `image` call."""

from __future__ import annotations

import sys

import click
from tests.cluster import harness
from tests.cluster.harness import debian, errors, images, node


@click.group(help=__doc__)
def main() -> None: ...


@main.command()
def up() -> None:
    """Start the test cluster, or take the one that runs, and import all images."""
    cluster = harness.up(images=images.available(), say=click.echo)
    click.echo(f"\nready:\n  export KUBECONFIG={cluster.kubeconfig}")
    click.echo(f"  kubectl: {' '.join(cluster.kubectl_argv)}\n  helm:    {' '.join(cluster.helm_argv)}")
    click.echo(f"  Prometheus: {cluster.prometheus_url}")


@main.command()
def down() -> None:
    """Stop the test cluster and take every trace of it off this machine."""
    harness.down(say=click.echo)


@main.command(name="images")
def build_images() -> None:
    """Build the images whose inputs changed into OCI archives."""
    debian.ensure(say=click.echo)
    for name in images.available():
        click.echo(f"{images.lookup(name).tag}  {images.archive(name, say=click.echo)}")


@main.command()
def status() -> None:
    """Say whether the test cluster can be used, and what runs in it."""
    if why := node.unusable():
        click.echo(f"no usable test cluster: {why}")
        sys.exit(1)
    for name, state in node.programs().items():
        click.echo(f"{name:26} {'running' if state.pid else 'stopped'}, starts: {state.starts}")


if __name__ == "__main__":
    try:
        main()
    except errors.HarnessError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
