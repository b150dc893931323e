"""The small world as the operator of one ModelDeployment on a real API server: it reads the spec, it writes the status.

Spec, generation, annotations and status are real, for the tools that look at them; the planner is the operator's own.
Children, pods, traffic and time are the small world's, so a rollout takes a second.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import yaml
from kubernetes import client as kube
from kubernetes import config as kube_config
from tests.unit.rollout import world as worlds

from seatrial import api
from seatrial.api import values
from seatrial.api.spec import Spec
from seatrial.control import observing

Object = dict[str, Any]
KIND = (api.GROUP, api.VERSION, api.PLURAL)


@contextlib.contextmanager
def connected(kubeconfig: Path) -> Iterator[kube.CustomObjectsApi]:
    """A client for custom resources, quicker than a kubectl for each question."""
    client = kube_config.new_client_from_config(config_file=str(kubeconfig))
    try:
        yield kube.CustomObjectsApi(client)
    finally:
        client.rest_client.pool_manager.clear()


def manifest(spec: Spec, *, namespace: str, name: str = "churn") -> str:
    """A ModelDeployment as it stands in a file."""
    wish = without_nulls(msgspec.to_builtins(spec, enc_hook=values.encode_hook))
    metadata = {"name": name, "namespace": namespace}
    return yaml.safe_dump({"apiVersion": api.API_VERSION, "kind": api.KIND, "metadata": metadata, "spec": wish})


def without_nulls(value: Any) -> Any:
    """As JSON that the API server has stored: a field that is null isn't there."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list | tuple) else value


class SmallOperator:
    """Acts when told to, on the object as it is by then."""

    def __init__(self, client: kube.CustomObjectsApi, *, namespace: str, name: str = "churn") -> None:
        self._client = client
        self._namespace, self._name = namespace, name
        self._world: worlds.World | None = None

    @property
    def world(self) -> worlds.World:
        assert self._world is not None, "nothing was looked at yet"
        return self._world

    def raw(self) -> Object:
        group, version, plural = KIND
        found: Object = self._client.get_namespaced_custom_object(group, version, self._namespace, plural, self._name)
        return found

    def exists(self) -> bool:
        try:
            self.raw()
        except kube.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def look(self) -> worlds.World:
        """One pass over the object as it is, five seconds of the world, and the status written where it changed."""
        return self.leap(lambda _: True)

    def leap(self, reached: Callable[[worlds.World], bool], *, limit: int = 200) -> worlds.World:
        """All passes until it is so at once, and the last status written: for what has a time limit of its own."""
        raw = self.raw()
        wish = msgspec.convert(raw["spec"], Spec, dec_hook=values.decode_hook)
        if self._world is None:
            self._world = worlds.World(wish)
        self._world.spec, self._world.generation = wish, raw["metadata"]["generation"]
        self._world.tokens = observing.commands_of(raw)
        for _ in range(limit):
            self._world.step()
            if reached(self._world):
                break
        else:
            raise AssertionError(self._never())
        status = json.loads(msgspec.json.encode(self._world.status))
        if status != raw.get("status"):
            self._write(status)
        return self._world

    def until(self, reached: Callable[[worlds.World], bool], *, limit: int = 200) -> worlds.World:
        """Looks until it is so; fails when it never is."""
        for _ in range(limit):
            if reached(self.look()):
                return self.world
        raise AssertionError(self._never())

    def _never(self) -> str:
        return f"never reached; {self.world.status.phase}: {self.world.condition('Ready')}"

    def _write(self, status: Object) -> None:
        """Whole: a field that is gone is gone. Somebody else may have changed the object meanwhile."""
        group, version, plural = KIND
        while True:
            body = {**self.raw(), "status": status}
            try:
                self._client.replace_namespaced_custom_object_status(
                    group, version, self._namespace, plural, self._name, body, field_manager="seatrial"
                )
            except kube.ApiException as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise
            else:
                return
