"""kopf as the watch: every event of our kinds, handed on from a thread of its own.

Only `on.event` handlers, hence no finalizer, no annotation and no patch is ever written by kopf; an uninstalled
operator leaves objects that can be deleted. What an event means is decided elsewhere (`cluster.store`, `waking`).

kopf cancels every task of its event loop that was made after it started, and takes over signals of the main thread.
So it gets a thread and a loop of its own: one for the whole cluster, or one for each namespace that is served, so that
a namespace which refuses to be watched doesn't end the watch over the others. Kinds that others install and take away,
or don't let us list, are watched beside that, for the same reason, and as long as they are served.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

import kopf

from seatrial.cluster import access, errors, kinds, rest, trimming
from seatrial.control import waking

_LOG = logging.getLogger(__name__)

AGAIN_FIRST = 1.0
AGAIN_LONGEST = 30.0  # until a namespace that could not be watched is tried again
OFFERED = 10.0  # until it is asked again whether an optional kind is served
ALWAYS: Final = trimming.KINDS - kinds.OPTIONAL

Observe = Callable[[str, str | None, Any], None]
"""Takes a kind, the event's type (None: it was listed) and the object as sent; called in kopf's thread."""


def resource(kind: str) -> tuple[str, str, str]:
    """Group, version and plural of a kind, as kopf wants them."""
    group, _, version = kinds.KINDS[kind].api_version.rpartition("/")
    return group, version, kinds.KINDS[kind].plural


def registry(observe: Observe, watched: Iterable[str] = ALWAYS) -> kopf.OperatorRegistry:
    """kopf's handlers, explicit instead of by decorators, so that two tests don't share any."""
    handlers = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _credentials()

    def handler(kind: str) -> Callable[..., Awaitable[None]]:
        async def on_event(event: Mapping[str, Any], **_: Any) -> None:
            observe(kind, event["type"], event["object"])

        return on_event

    kopf.on.login(registry=handlers, id="login", errors=kopf.ErrorsMode.PERMANENT)(login)
    for kind in sorted(watched):
        kopf.on.event(*resource(kind), registry=handlers, id=kind.lower())(handler(kind))
    return handlers


class NoEssence(kopf.DiffBaseStorage):
    """Nothing of an object is compared by kopf. It would copy each one twice per event to find that nobody asks."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return cast(kopf.BodyEssence, {})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """There is nothing to store."""


def settings() -> kopf.OperatorSettings:
    """kopf's settings, where its defaults don't fit."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True  # a foreign KopfPeering named `default` would pause us otherwise
    chosen.posting.enabled = False  # events are ours (seatrial.cluster.events)
    chosen.scanning.disabled = True  # needs no right on CRDs and namespaces; our kinds exist before we start
    for kind in trimming.KINDS:
        if (labels := waking.labels(kind)) is not None:
            chosen.watching.label_selectors[resource(kind)] = access.selector(labels)
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 310
    chosen.watching.connect_timeout = 10
    chosen.watching.chunk_size = 100
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = (1, 1, 2, 3, 5, 8)
    chosen.networking.enforce_retry_after = True
    chosen.persistence.diffbase_storage = NoEssence()
    chosen.queueing.idle_timeout = 0.2  # a worker keeps its object's whole body; there is one for each object at first
    chosen.queueing.error_delays = (1, 2, 5, 10, 30, 60)
    chosen.process.ultimate_exiting_timeout = None  # it would kill the thread's process; our own exit is bounded
    return chosen


async def _credentials() -> kopf.ConnectionInfo:
    """The same connection as that of every other call; asked again by kopf when the API server answers 401."""
    found = await rest.configuration()
    header = found.get_api_key_with_prefix("BearerToken")
    token = str(await header if inspect.isawaitable(header) else header or "")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        insecure=not found.verify_ssl,
        username=found.username or None,
        password=found.password or None,
        scheme="Bearer" if token else None,
        token=token.rpartition(" ")[2] or None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
    )


async def served(kind: str, namespace: str | None) -> bool:
    """Whether objects of a kind can be listed now: its CRD is installed, and we may."""
    client = rest.Rest(await rest.configuration())
    try:
        await client.call("GET", kinds.KINDS[kind].path(namespace), query={"limit": "1"})
    except errors.ClusterError:
        return False
    finally:
        await client.close()
    return True


class Watch:
    """kopf running in its own thread.

    Args:
        namespace: None is the whole cluster.
        watched: the kinds.
    """

    def __init__(self, observe: Observe, *, namespace: str | None, watched: Iterable[str] = ALWAYS) -> None:
        self._registry = registry(observe, watched)
        self._namespaces = [] if namespace is None else [namespace]
        self._caller = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        self._failure: BaseException | None = None
        self._own: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        # A daemon: a thread that doesn't end in time must not keep the process.
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def wait(self) -> None:
        """Returns after stop(), raises what ended the watch before that."""
        await self._finished.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def over(self) -> bool:
        """It has ended, by itself or by stop()."""
        return self._finished.is_set()

    async def stop(self, *, seconds: float) -> None:
        """Ends the watch, waiting for so long."""
        if self._own is not None and not self._finished.is_set():
            loop, stop = self._own
            loop.call_soon_threadsafe(stop.set)
            try:
                async with asyncio.timeout(seconds):
                    await self._finished.wait()
            except TimeoutError:
                _LOG.warning("the watch did not end in time", extra={"seconds": seconds})

    def _run(self) -> None:
        try:
            asyncio.run(self._operate())
        except BaseException as error:  # it is raised again by wait()
            self._failure = error
        # stop() waits for so long only; the caller's loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            self._caller.call_soon_threadsafe(self._finished.set)

    async def _operate(self) -> None:
        stop = asyncio.Event()
        self._own = (asyncio.get_running_loop(), stop)
        await kopf.operator(
            registry=self._registry,
            settings=settings(),
            namespaces=self._namespaces,
            clusterwide=not self._namespaces,
            standalone=True,
            stop_flag=stop,
        )
        if not stop.is_set():
            raise RuntimeError("the watch ended by itself")


class Watches:
    """The watch over everything that is served.

    Args:
        namespaces: none is the whole cluster.
    """

    def __init__(self, observe: Observe, *, namespaces: Sequence[str]) -> None:
        self._observe = observe
        self._namespaces = namespaces
        self._running: set[Watch] = set()

    async def run(self) -> None:
        """Watches until cancelled.

        Raises what ended the watch over the whole cluster. That over a namespace is tried again: the namespace may be
        gone, or the right to it, and both may come back. So is that over an optional kind.
        """
        async with asyncio.TaskGroup() as tasks:
            if not self._namespaces:
                tasks.create_task(self._watch(None), name="watch")
            for namespace in self._namespaces:
                tasks.create_task(self._keep(namespace), name=f"watch-{namespace}")
            for kind in sorted(kinds.OPTIONAL):
                for place in self._namespaces or (None,):
                    tasks.create_task(self._keep_optional(kind, place), name=f"watch-{kind}-{place}")

    async def stop(self, *, seconds: float) -> None:
        """Ends them, waiting for so long."""
        await asyncio.gather(*(one.stop(seconds=seconds) for one in self._running))

    async def _keep(self, namespace: str) -> None:
        pause = AGAIN_FIRST
        while True:
            try:
                await self._watch(namespace)
            except Exception as error:  # kopf ends in many ways, none of which concerns the other namespaces
                _LOG.warning("namespace not watched", extra={"namespace": namespace, "error": str(error)})
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_LONGEST)

    async def _keep_optional(self, kind: str, namespace: str | None) -> None:
        while True:
            try:
                if await served(kind, namespace):
                    await self._watch(namespace, {kind})
            except Exception as error:  # its CRD was taken away, or the right to it
                _LOG.info("kind not watched", extra={"of_kind": kind, "namespace": namespace, "error": str(error)})
            await asyncio.sleep(OFFERED)

    async def _watch(self, namespace: str | None, watched: Iterable[str] = ALWAYS) -> None:
        watch = Watch(self._observe, namespace=namespace, watched=watched)
        self._running.add(watch)
        watch.start()
        try:
            await watch.wait()
        finally:
            if watch.over:
                self._running.discard(watch)
