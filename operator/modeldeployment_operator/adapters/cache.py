"""What the API server told last of each ModelDeployment and its children, trimmed.

Watches, lists and the answers to the operator's own writes all end here; whatever is older than what is known is
ignored, so that the order of their arrival does not matter.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from modeldeployment_operator.api import group
from modeldeployment_operator.core.children import Child, parse_child
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, Kind
from modeldeployment_operator.core.observation import Key

Body = Mapping[str, Any]
_KEPT_METADATA: Final = ("name", "namespace", "uid", "generation", "resourceVersion", "deletionTimestamp")
_TOMBSTONES: Final = 10_000


class Cache:
    """One for the process; used from its event loop only."""

    def __init__(self) -> None:
        self._objects: dict[Key, dict[str, Any]] = {}
        self._children: dict[Key, dict[tuple[Kind, str], Child]] = defaultdict(dict)
        self._tombstones: OrderedDict[tuple[Kind, str], int] = OrderedDict()
        """By kind and UID the resourceVersion at which an object went: it does not come back through an answer that was
        late. It may come back later: an object that loses its label goes, to a watch, and one that gets it comes."""
        self._sizes: Counter[Kind] = Counter()

    def known(self) -> list[Key]:
        """Return all ModelDeployments that exist."""
        return list(self._objects)

    def get(self, key: Key) -> dict[str, Any] | None:
        """Return a ModelDeployment, or None if it is gone."""
        return self._objects.get(key)

    def size(self, kind: Kind) -> int:
        """Return how many objects of a kind are known."""
        return len(self._objects) if kind is MODEL_DEPLOYMENT else self._sizes[kind]

    def children(self, key: Key, owner: str | None = None) -> list[Child]:
        """Return the children of a ModelDeployment; with `owner`, a UID, without those of a former one of its name."""
        children = self._children.get(key, {}).values()
        return [child for child in children if owner is None or child.owner == owner]

    def child(self, key: Key, kind: Kind, name: str) -> Child | None:
        """Return one child."""
        return self._children.get(key, {}).get((kind, name))

    def put(self, kind: Kind, body: Body) -> Key | None:
        """Take note of an object; return the ModelDeployment that has something new to see."""
        metadata = body["metadata"]
        if self._tombstones.get((kind, metadata["uid"]), -1) >= int(metadata["resourceVersion"]):
            return None
        if kind is MODEL_DEPLOYMENT:
            return self._put_object(body)
        child = parse_child(kind, body)
        if child is None:
            return None
        known = self.child(child.key, kind, child.name)
        if known is not None and known.version >= child.version:
            return None
        self._sizes[kind] += known is None
        self._children[child.key][kind, child.name] = child
        return child.key

    def remove(self, kind: Kind, body: Body) -> Key | None:
        """Forget an object that was deleted; return the ModelDeployment that has something new to see."""
        metadata = body["metadata"]
        self._bury(kind, metadata["uid"], int(metadata["resourceVersion"]))
        if kind is MODEL_DEPLOYMENT:
            return self._remove_object(Key(metadata["namespace"], metadata["name"]), metadata["uid"])
        child = parse_child(kind, body)
        return self._remove_child(child) if child else None

    def replace(self, kind: Kind, namespace: str | None, bodies: Iterable[Body], version: int) -> set[Key]:
        """Take a list of all objects of a kind for the truth; return the ModelDeployments with something new to see.

        What is newer than the list, by its resourceVersion, is left alone.
        """
        seen, touched = set(), set()
        for body in bodies:
            seen.add(body["metadata"]["uid"])
            touched.add(self.put(kind, body))
        return {key for key in touched if key is not None} | self.keep(kind, namespace, seen, version)

    def keep(self, kind: Kind, namespace: str | None, seen: Container[str], version: int | None = None) -> set[Key]:
        """Forget all objects of a kind but those `seen`, by UID; return the ModelDeployments with something new to see.

        What is newer than `version` is left alone.
        """
        touched = set()
        if kind is MODEL_DEPLOYMENT:
            for key, known in list(self._objects.items()):
                metadata = known["metadata"]
                is_old = version is None or int(metadata["resourceVersion"]) <= version
                if metadata["uid"] not in seen and is_old and _in(key, namespace):
                    touched.add(self._remove_object(key, metadata["uid"]))
        else:
            for child in [child for key in list(self._children) for child in self.children(key)]:
                gone = child.kind is kind and child.uid not in seen
                if gone and (version is None or child.version <= version) and _in(child.key, namespace):
                    touched.add(self._remove_child(child))
        return {key for key in touched if key is not None}

    def _put_object(self, body: Body) -> Key | None:
        metadata = body["metadata"]
        key = Key(metadata["namespace"], metadata["name"])
        known = self._objects.get(key)
        if known is not None and int(known["metadata"]["resourceVersion"]) >= int(metadata["resourceVersion"]):
            return None
        trimmed = {field: metadata[field] for field in _KEPT_METADATA if field in metadata}
        annotations = metadata.get("annotations", {})
        if group.RETRY_ANNOTATION in annotations:
            trimmed["annotations"] = {group.RETRY_ANNOTATION: annotations[group.RETRY_ANNOTATION]}
        self._objects[key] = {"metadata": trimmed, "spec": body.get("spec", {}), "status": body.get("status", {})}
        return key

    def _remove_object(self, key: Key, uid: str) -> Key | None:
        known = self._objects.get(key)
        if known is None or known["metadata"]["uid"] != uid:
            return None
        del self._objects[key]
        return key

    def _remove_child(self, child: Child) -> Key | None:
        siblings = self._children.get(child.key, {})
        known = siblings.get((child.kind, child.name))
        if known is None or known.uid != child.uid:
            return None
        del siblings[child.kind, child.name]
        self._sizes[child.kind] -= 1
        if not siblings:
            del self._children[child.key]
        return child.key

    def _bury(self, kind: Kind, uid: str, version: int) -> None:
        self._tombstones[kind, uid] = version
        if len(self._tombstones) > _TOMBSTONES:
            self._tombstones.popitem(last=False)


def _in(key: Key, namespace: str | None) -> bool:
    return namespace is None or key.namespace == namespace
