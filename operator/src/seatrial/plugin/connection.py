"""One HTTP call at a time to the API server of the user's kubeconfig.

`kubernetes` contributes kubeconfig, credential plugins and TLS; its model classes are not used. The verbs of this
module are all that the plugin ever does: get, list, watch, and a merge patch of a ModelDeployment's annotations.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast

import msgspec
import urllib3
import yaml
from kubernetes import client as kube
from kubernetes import config as kube_config

from seatrial import api
from seatrial.plugin import errors

Object = dict[str, Any]
Objects: TypeAlias = list[Object]  # in the class below, `list` is the method

FIELD_MANAGER = "seatrial-plugin"  # Flux takes back what managers have written whose names begin with "kubectl"
TIMEOUT = 15.0  # seconds for one answer
DEFAULT_FILE = "~/.kube/config"
_COLLECTION = f"/apis/{api.API_VERSION}/{{scope}}{api.PLURAL}"


class _Failure(msgspec.Struct):
    """The API's `Status` object, as far as it is read."""

    message: str = ""


def connect(*, kubeconfig: str | None, context: str | None, namespace: str | None) -> Connection:
    """With the named kubeconfig, else $KUBECONFIG, else ~/.kube/config; the context's namespace unless one is named.

    Raises:
        errors.NotConfigured: what is missing, and where it was looked for.
    """
    file = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT_FILE
    paths = [Path(one).expanduser() for one in file.split(os.pathsep) if one]
    if not any(path.is_file() for path in paths):
        raise errors.NotConfigured(f"there is no kubeconfig at {file}: give --kubeconfig or set KUBECONFIG")
    settings = kube.Configuration()
    settings.retries = False
    try:
        known, active = kube_config.list_kube_config_contexts(config_file=file)
        names = [one["name"] for one in known]
        if context is not None and context not in names:
            raise errors.NotConfigured(f"{file} has no context {context!r}; it has {', '.join(sorted(names))}")
        # Persisted is nothing: what a credential plugin gave is kept by that plugin.
        kube_config.load_kube_config(
            config_file=file, context=context, client_configuration=settings, persist_config=False
        )
    except (kube_config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError) as error:
        said = " ".join(str(error).split())
        raise errors.NotConfigured(f"{file} names no context that can be used: {said}") from error
    if not settings.verify_ssl:  # the user has said so in the kubeconfig
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    chosen = next((one for one in known if one["name"] == context), active)
    own = chosen["context"].get("namespace") or "default"
    return Connection(kube.ApiClient(settings), server=settings.host, namespace=namespace or own)


class Connection:
    """Calls the API server as the user. `namespace` is the one that is meant where none is said."""

    def __init__(self, client: kube.ApiClient, *, server: str, namespace: str) -> None:
        self._client = client
        self._client.user_agent = FIELD_MANAGER
        self._server = server
        self.namespace = namespace

    def get(self, name: str) -> Object:
        """A ModelDeployment of the namespace; NotFound names those with a similar name."""
        try:
            return self._json("GET", f"{self._collection(self.namespace)}/{name}", what=f"get {api.PLURAL}")
        except errors.NotFound as missing:
            self._explain(name, missing)

    def list(self, *, everywhere: bool = False) -> Objects:
        """The ModelDeployments of the namespace, or of all."""
        return self.listed(everywhere=everywhere)[0]

    def listed(self, name: str | None = None, *, everywhere: bool = False) -> tuple[Objects, str]:
        """They, or the one of that name, and the version that they were read at: from there a watch misses nothing."""
        path, query = self._collection(None if everywhere else self.namespace), _only(name)
        found = self._json("GET", path, query=query, what=f"list {api.PLURAL}")
        items = [{"apiVersion": api.API_VERSION, "kind": api.KIND, **one} for one in found.get("items") or []]
        return items, found["metadata"].get("resourceVersion", "")

    def watch(
        self, name: str | None = None, *, since: str, everywhere: bool = False, seconds: float
    ) -> Iterator[Object]:
        """Each ModelDeployment as it changes after a version, deleted ones with `metadata.deletionTimestamp`; ends
        after `seconds`.
        """
        query = {**_only(name), "watch": "1", "timeoutSeconds": str(max(1, round(seconds))), "resourceVersion": since}
        path = self._collection(None if everywhere else self.namespace)
        answer = self._call("GET", path, query=query, what=f"watch {api.PLURAL}", seconds=seconds + TIMEOUT)
        try:
            for line in _lines(answer):
                event = msgspec.json.decode(line, type=dict[str, Any])
                if event["type"] == "ERROR":
                    return  # such as an expired version: who watches begins anew
                if event["type"] == "DELETED":
                    event["object"]["metadata"].setdefault("deletionTimestamp", "now")
                if event["type"] != "BOOKMARK":
                    yield event["object"]
        except (urllib3.exceptions.HTTPError, OSError, msgspec.DecodeError):
            return  # cut off: who watches begins anew, and is told then if nobody answers
        finally:
            answer.release_conn()

    def annotate(self, name: str, annotations: Mapping[str, str]) -> Object:
        """Annotations are set on a ModelDeployment: the only thing that is ever written."""
        body = {"metadata": {"annotations": dict(annotations)}}
        query = {"fieldManager": FIELD_MANAGER}
        path = f"{self._collection(self.namespace)}/{name}"
        try:
            return self._json("PATCH", path, query=query, body=body, what=f"patch {api.PLURAL}")
        except errors.NotFound as missing:
            self._explain(name, missing)

    def pods(self, selector: str, *, everywhere: bool = False) -> Objects:
        """The pods with these labels; none where the user may not list pods, for a tree without leaves is a tree."""
        scope = "" if everywhere else f"namespaces/{self.namespace}/"
        return self._optional(f"/api/v1/{scope}pods", {"labelSelector": selector}, what="list pods")

    def events(self, name: str) -> Objects:
        """What was said of a ModelDeployment, the oldest first; nothing where the user may not list events."""
        query = {"fieldSelector": f"regarding.kind={api.KIND},regarding.name={name}"}
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events"
        found = self._optional(path, query, what="list events")
        return sorted(found, key=lambda one: str(one.get("eventTime") or one.get("deprecatedLastTimestamp") or ""))

    def optional(self, group_version: str, plural: str, name: str) -> Object | None:
        """Another object of the namespace by its name; None where there is none, or the user may not read it."""
        base = f"/api/{group_version}" if "/" not in group_version else f"/apis/{group_version}"
        try:
            return self._json("GET", f"{base}/namespaces/{self.namespace}/{plural}/{name}", what=f"get {plural}")
        except (errors.NotFound, errors.NotAllowed):
            return None

    def _optional(self, path: str, query: Mapping[str, str], *, what: str) -> Objects:
        try:
            return [*(self._json("GET", path, query=query, what=what).get("items") or ())]
        except errors.NotAllowed:
            return []

    def _collection(self, namespace: str | None) -> str:
        return _COLLECTION.format(scope=f"namespaces/{namespace}/" if namespace is not None else "")

    def _explain(self, name: str, missing: errors.NotFound) -> NoReturn:
        """404 is of the object or of the kind; a list tells which, and what there is instead."""
        try:
            names = [one["metadata"]["name"] for one in self.list()]
        except errors.NotAllowed:
            raise missing from None
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there {_are(names)}"
        message = f"there is no {api.KIND} {name!r} in namespace {self.namespace!r}; {hint}"
        raise errors.NotFound(message) from missing

    def _json(
        self,
        method: str,
        path: str,
        *,
        what: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Object:
        answer = self._call(method, path, query=query, body=body, what=what, seconds=TIMEOUT)
        try:
            return cast(Object, msgspec.json.decode(answer.data, type=dict))
        except (msgspec.DecodeError, urllib3.exceptions.HTTPError) as error:
            raise errors.Unreachable(f"what answers at {self._server} is no Kubernetes API server: {error}") from error

    def _call(
        self,
        method: str,
        path: str,
        *,
        what: str,
        seconds: float,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": "application/merge-patch+json"}
        try:
            request = self._client.param_serialize(
                method=method,
                resource_path=path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=(TIMEOUT, seconds)).response
        except kube.ApiException as error:  # what the library makes of a certificate that it doesn't trust
            cause = _cause(error.__context__ or error)
            raise errors.Unreachable(f"the API server at {self._server} can't be trusted: {cause}") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise errors.Unreachable(f"no API server answers at {self._server}: {_cause(error)}") from error
        except kube_config.ConfigException as error:
            raise errors.NotAuthenticated(f"the kubeconfig's credentials can't be renewed: {error}") from error
        if 200 <= answer.status < 300:
            return cast(urllib3.BaseHTTPResponse, answer)
        everywhere = "/namespaces/" not in path
        where = "in all namespaces" if everywhere else f"in namespace {self.namespace!r}"
        raise self._failure(answer.status, bytes(answer.data), what=what, where=where)

    def _failure(self, status: int, content: bytes, *, what: str, where: str) -> errors.PluginError:
        try:
            said = msgspec.json.decode(content, type=_Failure).message
        except msgspec.DecodeError:
            said = ""
        if status == 401:
            return errors.NotAuthenticated(
                f"the API server at {self._server} doesn't accept the kubeconfig's credentials: they are wrong or have "
                "expired; log in again"
            )
        if status == 403:
            return errors.NotAllowed(f"you may not {what} {where}: {said}")
        if status == 404 and not said.endswith("not found"):  # else it is an object that isn't there
            return errors.NoResource(
                f"the API server at {self._server} has no {api.PLURAL}: Seatrial's CRD is not installed there"
            )
        if status == 404:
            return errors.NotFound(said)
        return errors.Refused(f"the API server refused to {what}: {said or f'HTTP status {status}'}")


def _are(names: list[str]) -> str:
    return f"are {', '.join(sorted(names)[:10])}" if names else "is none"


def _cause(error: BaseException) -> str:
    """The innermost reason, without the objects that libraries print around it."""
    while isinstance(reason := getattr(error, "reason", None) or error.__cause__, BaseException):
        error = reason
    text = " ".join(str(error).split())
    return text.rpartition(">: ")[2] or type(error).__name__


def _only(name: str | None) -> dict[str, str]:
    return {"fieldSelector": f"metadata.name={name}"} if name is not None else {}


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    left = b""
    for piece in answer.stream(amt=None, decode_content=True):
        *whole, left = (left + piece).split(b"\n")
        yield from (line for line in whole if line)
