"""What the API server told last of each ModelDeployment and its children, trimmed.

Watches, lists and the answers to the operator's own writes all end here; whatever is older than what is known is
ignored, so that the order of their arrival does not matter.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any, Final

from modeldeployment_operator.api.verdict import ModelVerdictSpec
from modeldeployment_operator.core.children import Child
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, MODEL_VERDICT, Kind
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resource import Resource
from modeldeployment_operator.core.sight import Sight, see

Body = Mapping[str, Any]
_TOMBSTONES: Final = 10_000


class Cache:
    """One for the process; used from its event loop only."""

    def __init__(self) -> None:
        self._objects: dict[Key, Resource] = {}
        self._children: dict[Key, dict[tuple[Kind, str], Child]] = defaultdict(dict)
        self._verdicts: dict[str, dict[str, ModelVerdictSpec]] = defaultdict(dict)
        """By namespace and name, those that say whether a model may serve."""
        self._tombstones: OrderedDict[tuple[Kind, str], int] = OrderedDict()
        """By kind and UID the resourceVersion at which an object went: it does not come back through an answer that was
        late. It may come back later: an object that loses its label goes, to a watch, and one that gets it comes."""
        self._sizes: Counter[Kind] = Counter()

    def known(self) -> list[Key]:
        """Return all ModelDeployments that exist."""
        return list(self._objects)

    def get(self, key: Key) -> Resource | None:
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

    def verdicts(self, namespace: str) -> Mapping[str, ModelVerdictSpec]:
        """Return by name the records of a namespace that say whether a model may serve."""
        return self._verdicts.get(namespace, {})

    def put(self, kind: Kind, body: Body) -> Key | None:
        """Take note of an object; return the ModelDeployment that has something new to see."""
        return self.take(see(kind, body))

    def take(self, sight: Sight) -> Key | None:
        """Take note of an object that was trimmed before."""
        what = sight.what
        if what is None or self._tombstones.get((sight.kind, sight.uid), -1) >= sight.version:
            return None
        if isinstance(what, Resource):
            known: Child | Resource | None = self._objects.get(what.key)
        else:
            known = self.child(what.key, what.kind, what.name)
        if known is not None and known.version >= what.version:
            return None
        if isinstance(what, Resource):
            self._objects[what.key] = what
            return what.key
        self._sizes[what.kind] += known is None
        self._children[what.key][what.kind, what.name] = what
        if isinstance(what.detail, ModelVerdictSpec):
            self._verdicts[what.key.namespace][what.name] = what.detail
        is_news = not isinstance(known, Child) or replace(what, version=known.version) != known
        return what.key if is_news else None

    def remove(self, kind: Kind, body: Body) -> Key | None:
        """Forget an object that was deleted; return the ModelDeployment that has something new to see."""
        return self.drop(see(kind, body))

    def drop(self, sight: Sight) -> Key | None:
        """Forget an object that was deleted, and trimmed before."""
        self._bury(sight.kind, sight.uid, sight.version)
        if isinstance(sight.what, Resource):
            return self._remove_object(sight.what)
        return self._remove_child(sight.what) if sight.what else None

    def keep(self, kind: Kind, namespace: str | None, seen: Container[str], version: int | None = None) -> set[Key]:
        """Forget all objects of a kind but those `seen`, by UID; return the ModelDeployments with something new to see.

        What is newer than `version` is left alone.
        """
        touched = set()
        if kind is MODEL_DEPLOYMENT:
            for known in list(self._objects.values()):
                is_old = version is None or known.version <= version
                if known.uid not in seen and is_old and _in(known.key, namespace):
                    touched.add(self._remove_object(known))
        else:
            for child in [child for key in list(self._children) for child in self.children(key)]:
                gone = child.kind is kind and child.uid not in seen
                if gone and (version is None or child.version <= version) and _in(child.key, namespace):
                    touched.add(self._remove_child(child))
        return {key for key in touched if key is not None}

    def _remove_object(self, gone: Resource) -> Key | None:
        known = self._objects.get(gone.key)
        if known is None or known.uid != gone.uid:
            return None
        del self._objects[gone.key]
        return gone.key

    def _remove_child(self, child: Child) -> Key | None:
        siblings = self._children.get(child.key, {})
        known = siblings.get((child.kind, child.name))
        if known is None or known.uid != child.uid:
            return None
        del siblings[child.kind, child.name]
        self._sizes[child.kind] -= 1
        if child.kind is MODEL_VERDICT:
            self._verdicts[child.key.namespace].pop(child.name, None)
        if not siblings:
            del self._children[child.key]
        return child.key

    def _bury(self, kind: Kind, uid: str, version: int) -> None:
        self._tombstones[kind, uid] = version
        if len(self._tombstones) > _TOMBSTONES:
            self._tombstones.popitem(last=False)


def _in(key: Key, namespace: str | None) -> bool:
    return namespace is None or key.namespace == namespace
