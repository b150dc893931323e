"""The command line `seatrial-server`: one image, four steps, and the card of what they found.

    fetch    artifact -> work/package          init container
    prepare  work/package -> work/prepared     init container
    serve    work/prepared, or a model file    the pod's main container, or a laptop
    trial    (fetch +) prepare + tests         the Job; its last lines are the report
    card     what fetch and trial left         Markdown or CycloneDX, on a laptop

Exit code 0: done (for `trial`: a verdict exists, also a refusal). 1: failed, with the cause in the termination message.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
import orjson

from seatrial_server.host import config, errors, logs

_MAX_MESSAGE = 2000  # Kubernetes keeps 4096 bytes of a termination message
_CONFIG = click.option("--config", "config_path", type=click.Path(path_type=Path), required=True, help="config.json")
_WORK = click.option("--work", type=click.Path(path_type=Path), required=True, help="the only folder that is written")


@click.group()
def main() -> None:
    """Serve one ONNX model by the Open Inference Protocol; fetch, prepare and try it before."""


@main.command()
@_CONFIG
@_WORK
@click.option("--for-trial", is_flag=True, help="leave a refusal to `trial --fetched`, which reports it")
@click.option("--way", default=0, help="with --for-trial: which of the tests' datasets; 0 goes with the model")
def fetch(config_path: Path, work: Path, *, for_trial: bool, way: int) -> None:
    """Download and verify the artifact."""
    from seatrial_server.artifact import stages  # keeps each step's imports to what it needs
    from seatrial_server.trial import fetching

    logs.configure()
    try:
        settings = config.load(config_path)
        if for_trial:
            fetching.fetch_all(settings, work, way=way)
        else:
            stages.fetch_package(settings, work)
    except (errors.ServerError, OSError) as error:
        _fail(error)


@main.command()
@_CONFIG
@_WORK
def prepare(config_path: Path, work: Path) -> None:
    """Verify and quantize the fetched model."""
    from seatrial_server.prepare import prepare as preparing

    logs.configure()
    try:
        prepared = preparing.run(config.load(config_path), work)
        if prepared.quantization.outcome == "Rejected":
            raise errors.Rejected("QuantizationRejected", f"quantization was refused: {prepared.quantization.reason}")
    except (errors.ServerError, OSError) as error:
        _fail(error)


@main.command()
@_CONFIG
@_WORK
@click.option("--fetched", is_flag=True, help="`fetch --for-trial` has filled the work folder")
def trial(config_path: Path, work: Path, *, fetched: bool) -> None:
    """Fetch, prepare and test; report in the last lines."""
    from seatrial_server.trial import report
    from seatrial_server.trial import run as running

    logs.configure(stream=sys.stdout)
    try:
        lines = report.encode(running.run(config.load(config_path), work, fetched=fetched))
    except (errors.ServerError, OSError) as error:
        _fail(error)
    sys.stdout.flush()
    sys.stdout.buffer.write(lines + b"\n")
    sys.stdout.buffer.flush()
    _termination_message({"sha256": report.digest(lines)})


@main.command()
@_CONFIG
@_WORK
@click.option("--report", type=click.Path(path_type=Path, exists=True), help="what `trial` printed")
@click.option("--form", type=click.Choice(["markdown", "cyclonedx"]), default="markdown", show_default=True)
def card(config_path: Path, work: Path, report: Path | None, form: str) -> None:
    """Print the card of the fetched model."""
    from seatrial_server.cards import making, recorded

    logs.configure()
    told = report.read_text(errors="replace") if report is not None else ""
    try:
        document, _ = recorded.render(making.of_folder(config.load(config_path), work, told=told), form)
    except (errors.ServerError, OSError) as error:
        _fail(error)
    sys.stdout.buffer.write(document + b"\n")


@main.command()
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="config.json, in a pod")
@click.option("--work", type=click.Path(path_type=Path), help="the folder that fetch and prepare filled")
@click.option("--host", default=None, help="address to listen on  [default: all in a pod, 127.0.0.1 for a model file]")
@click.option("--port", default=8080, show_default=True, help="V2 REST")
@click.option("--grpc-port", default=8081, show_default=True, help="V2 gRPC")
@click.option("--metrics-port", default=8082, show_default=True, help="/metrics and /healthz")
@click.option("--name", default=None, help="V2 model name of a model file  [default: the file's name]")
def serve(
    model: Path | None,
    config_path: Path | None,
    work: Path | None,
    host: str | None,
    port: int,
    grpc_port: int,
    metrics_port: int,
    name: str | None,
) -> None:
    """Answer requests: `serve MODEL.onnx` on a laptop, `serve --config ... --work ...` in a pod."""
    from seatrial_server import service

    if (model is None) == (config_path is None or work is None):
        raise click.UsageError("give either a model file, or both --config and --work")
    ports = service.Ports(rest=port, grpc=grpc_port, metrics=metrics_port)
    try:
        if model is not None:
            service.serve_file(model, name=name or model.stem, host=host or "127.0.0.1", ports=ports)
        elif config_path is not None and work is not None:
            logs.configure()
            report = config_path.with_name("report.json")
            service.serve_prepared(config.load(config_path), work, host=host, ports=ports, report=report)
    except (errors.ServerError, OSError) as error:
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    """`retryable`: the surroundings failed, and the same version may do better later or elsewhere."""
    text = str(error).encode(errors="replace")[:_MAX_MESSAGE].decode(errors="ignore")
    click.echo(f"seatrial-server: {text}", err=True)
    retryable = error.retryable if isinstance(error, errors.Unavailable) else isinstance(error, OSError)
    _termination_message({"error": text, "retryable": retryable})
    sys.exit(1)


def _termination_message(content: dict[str, str | bool]) -> None:
    path = os.environ.get("SEATRIAL_TERMINATION_LOG", "/dev/termination-log")
    try:
        Path(path).write_bytes(orjson.dumps(content))
    except OSError as error:  # outside of Kubernetes there is none
        click.echo(f"seatrial-server: no termination message written: {error.strerror}", err=True)


if __name__ == "__main__":
    main()
