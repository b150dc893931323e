"""Put the parts together and run them: model, plan, three ports, signals.

`serve_prepared` is the pod's way (after fetch and prepare), `serve_file` the laptop's.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import orjson
import uvloop

import seatrial_server
from seatrial_server import loading
from seatrial_server.engine import admitting, batching, chain, examples, inference, validation, warmup
from seatrial_server.feedback import codes, keys
from seatrial_server.feedback.collecting import Collecting
from seatrial_server.feedback.collecting import Settings as FeedbackSettings
from seatrial_server.host import budget, config, errors, live, logs
from seatrial_server.loading import Served
from seatrial_server.model import datatypes, features, session
from seatrial_server.observe import attributing, drift, influence, telemetry
from seatrial_server.protocol import certificate, documents, openapi, revision
from seatrial_server.protocol import front as fronts
from seatrial_server.protocol.http import cors, monitoring
from seatrial_server.protocol.http.listener import Listener
from seatrial_server.relay import following
from seatrial_server.relay import relay as relays
from seatrial_server.samples import events, sampler, sending

if TYPE_CHECKING:
    from seatrial_server.observe import spans

log = logging.getLogger(__name__)


class Ports(msgspec.Struct, frozen=True):
    """Where to listen; 0 lets the kernel choose."""

    rest: int
    grpc: int
    metrics: int


def serve_prepared(
    settings: config.Config, work: Path, *, host: str | None, ports: Ports, report: Path | None = None
) -> None:
    """Serve `work/prepared`, see `loading`. `report`: where the report of its trial may be, for its card."""
    uvloop.run(_run(loading.prepared(settings, work), host=host, ports=ports, announce=False, report=report))


def serve_file(path: Path, *, name: str, host: str, ports: Ports) -> None:
    """Serve a bare model file, as it is, and say how to try it."""
    uvloop.run(_run(loading.file(path, name=name), host=host, ports=ports, announce=True))


async def _run(served: Served, *, host: str | None, ports: Ports, announce: bool, report: Path | None = None) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    described = features.by_input(served.card.features, served.model.schema)
    plan = warmup.plan(served.model, served.rows, may_batch=served.batching)
    counters = _counters(served, plan)
    guards = validation.guards(served.model.schema, described, missing=served.missing)
    attributions = _attributing(served, counters, plan, guards)
    observer = _observer(served, counters, attributions)
    engine = inference.Engine(
        served.model,
        guards,
        observer=observer,
        most_rows=plan.most_rows if plan.batched else None,
    )
    account = budget.of_process(max_body_bytes=served.settings.limits.max_body_bytes)
    batcher = batching.Batcher(engine, plan, limits=served.settings.limits, counters=counters, account=account)
    queue = chain.build(
        batcher,
        engine,
        settings=served.settings,
        card=served.card,
        served_sha256=served.served_sha256,
        counters=counters,
    )
    about = _documents(served, plan, counters)
    nullable = features.nullable(served.card.features, served.model.schema, served.missing)

    def describe() -> bytes:
        example = examples.find(served.model, guards, described)
        known = openapi.Described(model=served.model.schema, columns=described, nullable=nullable)
        return orjson.dumps(openapi.document(about.identity, known, example))

    relay = _relay(served.settings, counters, account)
    samples = sampler.Sampler(counters)
    collecting = _collecting(served)
    front = fronts.Front(
        about,
        served.model.schema,
        nullable=nullable,
        queue=queue,
        counters=counters,
        max_body_bytes=served.settings.limits.max_body_bytes,
        timeout_seconds=served.settings.limits.timeout_seconds,
        account=account,
        bundles=batcher if queue is batcher and plan.batched and not plan.in_thread else None,
        openapi=describe,
        pages=cors.Cors(served.settings.cors) if served.settings.cors else None,
        relay=relay,
        samples=samples,
        card=served.card,
        collecting=collecting,
    )
    mark = revision.line(served.settings.revision)
    metrics = Listener(
        monitoring.Monitoring(counters, observer, collecting, _card(served, report)), account=account, lines=mark
    )
    tls = certificate.Certificate(served.settings.tls) if served.settings.tls else None
    renewals = loop.create_task(tls.watch()) if tls else None
    following_settings = _live(served.settings, observer, attributions, collecting, samples)
    following_keys = _keys(served.settings, collecting)
    samples_sent = _sending(served, samples, counters)
    try:
        metrics_port = await metrics.open(host=host, port=ports.metrics)
        rest_port, grpc_port = await front.open(host=host, rest=ports.rest, grpc=ports.grpc, tls=tls)
    except OSError as error:
        raise errors.Unavailable(
            f"cannot listen: {error.strerror or error}; see --port, --grpc-port and --metrics-port"
        ) from error
    bound = Ports(rest=rest_port, grpc=grpc_port, metrics=metrics_port)
    if relay is not None and served.settings.relay is not None:
        relay.open(Path(served.settings.relay.file), rest_port=rest_port, rpc_port=grpc_port)
    # Everything made so far lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    if announce:
        _announce(served, host=host or "127.0.0.1", ports=bound)
    else:
        logs.info(log, "ready", ports=msgspec.structs.asdict(bound), **msgspec.structs.asdict(plan))
    await stopped.wait()
    logs.info(log, "draining")
    about.ready = False
    await front.drain()
    if relay is not None:
        await relay.close()
    await metrics.close()
    for task in (renewals, following_settings, following_keys, samples_sent):
        if task is not None:
            task.cancel()
    batcher.close()
    if attributions is not None:
        attributions.close()
    if counters.spans is not None:
        await asyncio.to_thread(counters.spans.close)


def _card(served: Served, report: Path | None) -> monitoring.Card:
    """The model's card, made when somebody first asks for it: what it needs is imported then."""

    @functools.cache
    def card(form: str) -> tuple[bytes, str]:
        from seatrial_server.cards import making, recorded

        known = making.of_served(served.settings.model, served.card, served.model.schema, beside=report)
        return recorded.render(known, form)

    return card


def _sending(served: Served, samples: sampler.Sampler, counters: telemetry.Telemetry) -> asyncio.Task[None] | None:
    """What empties the sampler, where live settings may switch it on."""
    if served.settings.monitoring is None:
        return None

    def encoder() -> events.Encoder:
        return events.Encoder(served.settings, served.model.schema, served.card.features, served.profile)

    return asyncio.get_running_loop().create_task(sending.Sender(samples, encoder, counters).run())


def _live(
    settings: config.Config,
    observer: drift.Drift | None,
    attributions: attributing.Attributing | None,
    collecting: Collecting,
    samples: sampler.Sampler,
) -> asyncio.Task[None] | None:
    """What follows the settings that change while this process runs."""
    if settings.monitoring is None:
        return None
    changing = live.Live()
    changing.on("samples", sampler.Settings, samples.follow)
    changing.on("feedback", FeedbackSettings, collecting.follow)
    if observer is not None:
        changing.on("drift", drift.Settings, observer.follow)
    changing.on("attributions", attributing.Settings, functools.partial(_follow, attributions))
    return asyncio.get_running_loop().create_task(changing.watch(Path(settings.monitoring.file)))


def _follow(attributions: attributing.Attributing | None, settings: attributing.Settings) -> None:
    """What is asked for, or the log's word that it can't be had."""
    if attributions is not None:
        attributions.follow(settings)
    elif settings.rows_per_second:
        log.warning("no attributions: they need reference rows of a table with two to 512 columns")


def _keys(settings: config.Config, collecting: Collecting) -> asyncio.Task[None] | None:
    """What follows the keys that tokens are signed with."""
    if settings.feedback is None:
        return None
    return asyncio.get_running_loop().create_task(keys.Keys(Path(settings.feedback.keys), collecting.use).watch())


def _relay(settings: config.Config, counters: telemetry.Telemetry, account: budget.Budget) -> relays.Relay | None:
    """What passes requests on to another revision, where there may be one."""
    if settings.relay is None:
        return None
    own = following.Own(deployment=f"{settings.namespace}/{settings.deployment}", revision=settings.revision)
    return relays.Relay(own, counters.relayed, limits=settings.limits, account=account)


def _collecting(served: Served) -> Collecting:
    """What gives tokens, and counts what comes back for them."""
    settings = served.settings
    return Collecting(
        codes.Coder(served.card, served.model.schema),
        deployment=f"{settings.namespace}/{settings.deployment}",
        revision=settings.revision,
        nonce=int.from_bytes(os.urandom(4)),
    )


def _attributing(
    served: Served, counters: telemetry.Telemetry, plan: batching.Plan, guards: Sequence[validation.Guard | None]
) -> attributing.Attributing | None:
    """What finds influential features, where the package has rows that say what is typical."""
    model, typical = served.model, served.profile.typical
    if not typical:
        return None
    batch = plan.most_rows if served.batching else 1
    return attributing.Attributing(
        influence.Influence(model, served.card, typical, batch=batch),
        repair=admitting.repair(guards, whole=model.schema.axis.kind == "none"),
        model_seconds=lambda: counters.model_durations.total,
        row_seconds=plan.row_seconds,
        threads=model.threads,
        executor=attributing.thread(),
    )


def _observer(
    served: Served, counters: telemetry.Telemetry, attributions: attributing.Attributing | None
) -> drift.Drift | None:
    """Counters of drift, when the package has rows to drift away from."""
    if not served.profile.features:
        return None
    model = served.model.schema
    return drift.Drift(
        served.profile,
        inputs=datatypes.dtypes(model.inputs),
        outputs=datatypes.dtypes(model.outputs),
        labels=msgspec.structs.asdict(counters.labels),
        attributing=attributions,
    )


def _documents(served: Served, plan: batching.Plan, counters: telemetry.Telemetry) -> documents.Documents:
    reference = served.settings.model
    identity = documents.Identity(
        server_version=seatrial_server.VERSION,
        model=reference.name,
        version=reference.version,
        max_batch_size=plan.most_rows if plan.batched else 0,
        pinning=served.settings.version_pinning,
        revision=served.settings.revision,
    )
    labels = {served.card.outputs.probabilities: served.card.labels} if served.card.labels else {}
    return documents.Documents(identity, served.model.schema, counters, labels=labels)


def _counters(served: Served, plan: batching.Plan) -> telemetry.Telemetry:
    settings = served.settings
    counters = telemetry.Telemetry(
        labels=telemetry.Labels(
            deployment=settings.deployment, deployment_namespace=settings.namespace, revision=settings.revision
        ),
        model=telemetry.ModelInfo(
            model=settings.model.name,
            version=settings.model.version,
            precision=served.precision,
            sha256=settings.model.sha256,
            onnxruntime=session.VERSION,
        ),
        latency_threshold=settings.latency_threshold_seconds,
    )
    counters.spans = _spans(settings)
    counters.plan = {
        "threads": str(served.model.threads),
        "batching": "rows" if plan.batched else "off",
        "execution": "thread" if plan.in_thread else "inline",
    }
    return counters


def _spans(settings: config.Config) -> spans.Spans | None:
    wanted = config.tracing(settings.tracing, os.environ)
    if wanted is None:
        return None
    from seatrial_server.observe import spans  # a library and a thread that most servers do without

    told = {
        "service.name": settings.deployment or settings.model.name,
        "service.namespace": settings.namespace,
        "service.version": settings.model.version,
        "seatrial.model": settings.model.name,
        "seatrial.revision": settings.revision,
    }
    return spans.Spans(wanted, attributes={name: value for name, value in told.items() if value})


def _announce(served: Served, *, host: str, ports: Ports) -> None:
    model, name = served.model, served.settings.model.name
    for title, specs in (("inputs", model.schema.inputs), ("outputs", model.schema.outputs)):
        click.echo(f"{title}:")
        for spec in specs:
            click.echo(f"  {spec.name}  {spec.datatype}  {list(spec.shape)}")
    for left_out in model.left_out:
        click.echo(f"  ({left_out} is no tensor and is left out; export with zipmap=False to serve it)")
    url = f"http://{host}:{ports.rest}/v2/models/{name}"
    click.echo(f"model:    {url}\ninfer:    {url}/infer\ngrpc:     {host}:{ports.grpc}")
    click.echo(f"metrics:  http://{host}:{ports.metrics}/metrics\ntry it:")
    inputs = [
        {"name": tensor, "shape": array.shape, "datatype": spec.datatype, "data": array.reshape(-1).tolist()}
        for spec, (tensor, array) in zip(model.schema.inputs, model.schema.example(1).items(), strict=True)
    ]
    click.echo(f"  curl -s {url}/infer -d '{orjson.dumps({'inputs': inputs}).decode()}'")
