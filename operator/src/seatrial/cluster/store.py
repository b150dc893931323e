"""What is watched, in memory: written by the watch's thread and by our own writes, read by every pass.

An entry is the trimmed object as compressed JSON: a fraction of the memory that dicts take, immutable, and equal
exactly when nothing that is read has changed. Of two accounts of one object the one with the higher resourceVersion
counts, whoever brings it first; so a pass never sees less than what was written before it. (resourceVersions of one
kind can be compared as numbers; Kubernetes promises it since 1.35 and has done it always.)

A deletion leaves the uid behind for a while: events that were under way must not bring the object back.
"""

from __future__ import annotations

import collections
import threading
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from seatrial import api
from seatrial.cluster import access, kinds, trimming

GONE_REMEMBERED = 4096

Name = tuple[str, str]  # namespace, name
Groups = dict[tuple[str, ...], set[str]]


class Entry(msgspec.Struct, frozen=True):
    """One object. `content` lacks apiVersion, kind and resourceVersion; pod templates in it repeat themselves.
    `template`: the CronJob that it names, if it is a ModelDeployment that does.
    """

    uid: str
    version: int
    owner: str
    content: bytes
    template: str = ""


class Change(msgspec.Struct, frozen=True):
    """Something that is read has changed; None where there was or is nothing."""

    kind: str
    namespace: str
    name: str
    owner: str
    before: access.Object | None
    after: access.Object | None


class Store:
    """Objects by kind, and by kind and owner.

    Args:
        owner_of: the name of the ModelDeployment that an object belongs to, by its labels; "" when to none: it is not
            kept then.
    """

    def __init__(self, owner_of: Callable[[str, access.Object], str]) -> None:
        self._owner_of = owner_of
        self._lock = threading.Lock()
        self._entries: dict[str, dict[Name, Entry]] = {kind: {} for kind in trimming.KINDS}
        self._children: Groups = {}  # names, by kind, namespace and owner
        self._naming: Groups = {}  # ModelDeployments, by namespace and the CronJob that they name
        self._gone: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._complete: set[str | None] = set()

    # what a pass reads

    def complete(self, namespace: str) -> bool:
        """Whether everything in a namespace is here."""
        return None in self._complete or namespace in self._complete

    def get(self, kind: str, namespace: str, name: str) -> access.Object | None:
        entry = self._entries[kind].get((namespace, name))
        return None if entry is None else _object(kind, entry)

    def children(self, kind: str, namespace: str, owner: str) -> access.Objects:
        with self._lock:
            names = sorted(self._children.get((kind, namespace, owner), ()))
            entries = [self._entries[kind][namespace, name] for name in names]
        return [_object(kind, entry) for entry in entries]

    def naming(self, namespace: str, template: str) -> list[str]:
        """The ModelDeployments that name a CronJob."""
        with self._lock:
            return sorted(self._naming.get((namespace, template), ()))

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())

    # what brings it up to date

    def put(self, kind: str, raw: access.Object) -> Change | None:
        """An object as somebody saw it; a Change when that is news."""
        meta = raw["metadata"]
        name, owner = (meta["namespace"], meta["name"]), self._owner_of(kind, raw)
        entry = Entry(meta["uid"], _version(raw), owner, _packed(trimming.trim(kind, raw)), _template(kind, raw))
        with self._lock:
            old = self._entries[kind].get(name)
            if old is not None and old.version >= entry.version:
                return None
            if entry.uid in self._gone and "deletionTimestamp" not in meta:
                return None
            if not owner:
                return self._drop(kind, name)
            self._set(kind, name, entry)
        if old is not None and (old.uid, old.owner, old.content) == (entry.uid, owner, entry.content):
            return None
        return _change(kind, name, old, entry)

    def drop(self, kind: str, raw: access.Object) -> Change | None:
        """The object is gone, or has lost the labels that it was watched for."""
        meta = raw["metadata"]
        return self.forget(kind, meta["namespace"], meta["name"], uid=meta["uid"], version=_version(raw))

    def forget(self, kind: str, namespace: str, name: str, *, uid: str, version: int | None = None) -> Change | None:
        """This very object is gone. `version`: as of when; None when we deleted it ourselves."""
        with self._lock:
            old = self._entries[kind].get((namespace, name))
            newer = old is not None and version is not None and old.version > version
            if old is None or old.uid != uid or newer:
                if version is None:
                    self._bury(uid)
                return None
            self._bury(uid)
            return self._drop(kind, (namespace, name))

    def versions(self, kind: str, namespace: str | None) -> dict[Name, tuple[str, int]]:
        """(uid, version) of everything here of a kind, in one namespace or in all."""
        with self._lock:
            found = self._entries[kind].items()
            return {name: (one.uid, one.version) for name, one in found if namespace in (None, name[0])}

    def sweep(self, kind: str, before: dict[Name, tuple[str, int]], listed: Iterable[Name]) -> list[Change]:
        """Takes away what was here before a full list began, is as it was, and isn't on the list."""
        missing = before.keys() - set(listed)
        changes = [
            self.forget(kind, *name, uid=before[name][0], version=before[name][1]) for name in missing
        ]  # fmt: skip
        return [one for one in changes if one is not None]

    def completed(self, namespace: str | None) -> None:
        """Everything has been read once; None is the whole cluster."""
        self._complete.add(namespace)

    def lost(self, namespace: str | None) -> None:
        """What is here may be old: passes read the API server again."""
        self._complete.discard(namespace)

    def _set(self, kind: str, name: Name, entry: Entry) -> None:
        old = self._entries[kind].get(name)
        if old is not None:
            self._unlink(kind, name, old)
        self._entries[kind][name] = entry
        self._children.setdefault((kind, name[0], entry.owner), set()).add(name[1])
        if entry.template:
            self._naming.setdefault((name[0], entry.template), set()).add(name[1])

    def _drop(self, kind: str, name: Name) -> Change | None:
        old = self._entries[kind].pop(name, None)
        if old is None:
            return None
        self._unlink(kind, name, old)
        return _change(kind, name, old, None)

    def _unlink(self, kind: str, name: Name, old: Entry) -> None:
        _discard(self._children, (kind, name[0], old.owner), name[1])
        if old.template:
            _discard(self._naming, (name[0], old.template), name[1])

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > GONE_REMEMBERED:
            self._gone.popitem(last=False)


def _discard(groups: Groups, group: tuple[str, ...], name: str) -> None:
    groups[group].discard(name)
    if not groups[group]:
        del groups[group]


def _template(kind: str, raw: access.Object) -> str:
    """Nothing of an object whose spec can't be read: looks say so, and the watch goes on."""
    wish = (raw.get("spec") or {}).get("retraining") if kind == api.KIND else None
    return str(wish.get("cronJob", "")) if isinstance(wish, dict) else ""


def _packed(trimmed: access.Object) -> bytes:
    return zlib.compress(msgspec.json.encode(trimmed), 1)


def _version(raw: access.Object) -> int:
    return int(raw["metadata"]["resourceVersion"])


def _object(kind: str, entry: Entry) -> access.Object:
    made: dict[str, Any] = msgspec.json.decode(zlib.decompress(entry.content))
    made["apiVersion"], made["kind"] = kinds.KINDS[kind].api_version, kind
    made["metadata"]["resourceVersion"] = str(entry.version)
    return made


def _change(kind: str, name: Name, old: Entry | None, new: Entry | None) -> Change:
    owner = new.owner if new is not None else old.owner if old is not None else ""
    before, after = (None if one is None else _object(kind, one) for one in (old, new))
    return Change(kind, *name, owner, before, after)
