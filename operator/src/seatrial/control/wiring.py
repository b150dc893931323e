"""kopf as the watch transport: every event about a ModelDeployment or a child of one becomes a key, and nothing else.

Only `on.event` handlers, hence no finalizer, no annotation and no patch is ever written by kopf; an uninstalled
operator leaves objects that can be deleted. A handler never looks at what changed, except that an object with a
candidate is urgent. The event's content is not passed on: reconciling reads the cluster itself.

kopf cancels every task of its event loop that was made after it started, and takes over signals of the main thread.
So it gets a thread and a loop of its own, and hands keys over.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import kopf

from seatrial import api
from seatrial.cluster import rest
from seatrial.control import queue

_LOG = logging.getLogger(__name__)

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OWNER: Final = "seatrial.dev/modeldeployment"
CHILD_SELECTOR: Final = f"{MANAGED_BY}=seatrial,{OWNER}"

CHILDREN: Final[tuple[tuple[str, str, str], ...]] = (
    ("apps", "v1", "deployments"),
    ("batch", "v1", "jobs"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
    ("", "v1", "configmaps"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("policy", "v1", "poddisruptionbudgets"),
)

Enqueue = Callable[[queue.Key, bool], None]
"""Takes a key and whether it is urgent; called in kopf's thread."""


def key_of_child(metadata: Mapping[str, Any]) -> queue.Key | None:
    """The ModelDeployment that a child belongs to, by its label."""
    name = (metadata.get("labels") or {}).get(OWNER)
    return queue.Key(metadata["namespace"], name) if name else None


def registry(enqueue: Enqueue) -> kopf.OperatorRegistry:
    """kopf's handlers, explicit instead of by decorators, so that two tests don't share any."""
    handlers = kopf.OperatorRegistry()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return await _credentials()

    async def on_object(body: kopf.Body, **_: Any) -> None:
        status = body.get("status") or {}
        enqueue(queue.Key(body["metadata"]["namespace"], body["metadata"]["name"]), "candidate" in status)

    async def on_child(body: kopf.Body, **_: Any) -> None:
        key = key_of_child(body["metadata"])
        if key is not None:
            enqueue(key, False)

    kopf.on.login(registry=handlers, id="login", errors=kopf.ErrorsMode.PERMANENT)(login)
    kopf.on.event(api.GROUP, api.VERSION, api.PLURAL, registry=handlers, id="object")(on_object)
    for group, version, plural in CHILDREN:
        kopf.on.event(group, version, plural, registry=handlers, id=plural)(on_child)
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings, where its defaults don't fit."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True  # a foreign KopfPeering named `default` would pause us otherwise
    chosen.posting.enabled = False  # events are ours (seatrial.cluster.events)
    chosen.scanning.disabled = True  # needs no right on CRDs and namespaces; our kinds exist before we start
    for group, version, plural in CHILDREN:
        chosen.watching.label_selectors[group, version, plural] = CHILD_SELECTOR
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 310
    chosen.watching.connect_timeout = 10
    chosen.watching.chunk_size = 500
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = (1, 1, 2, 3, 5, 8)
    chosen.networking.enforce_retry_after = True
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


class Watch:
    """kopf running in its own thread.

    Args:
        namespaces: none is the whole cluster.
    """

    def __init__(self, enqueue: Enqueue, *, namespaces: Sequence[str]) -> None:
        self._registry = registry(enqueue)
        self._namespaces = list(namespaces)
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
