"""What of an object is the operator's own, as server-side apply keeps it.

The API server notes for each field who applied it. A field that somebody else gives another value, or removes, is no
longer the operator's. So the fields that still are, with their values, are what was applied last: nothing has to be
remembered to see whether an object is as it should be, not even through a restart.
https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from modeldeployment_operator.core.names import MANAGER
from modeldeployment_operator.core.revisions import digest_of

_SELF: Final = "."
_NAMED: Final = ("apiVersion", "kind")
_NAMED_METADATA: Final = ("name", "namespace", "uid", "resourceVersion")
"""What names an object, and has no owner."""


def wished_part(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be applied, without what only names it."""
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in _NAMED_METADATA}
    body = {name: _plain(value) for name, value in manifest.items() if name not in _NAMED}
    return body | {"metadata": metadata}


def owned_part(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is the operator's own of an object; None if nothing is.

    It is what was applied, if all of that is as it was and the API server has written each value as it was given: it
    may write the same quantity in another way.
    """
    for entry in body["metadata"].get("managedFields", ()):
        if (entry.get("manager"), entry.get("operation"), entry.get("subresource", "")) == (MANAGER, "Apply", ""):
            part: dict[str, Any] = _pick(body, entry["fieldsV1"])
            return part
    return None


def wish(manifest: Mapping[str, Any]) -> str:
    """Return the hash of what is to be applied."""
    return digest_of(wished_part(manifest))


def owned(body: Mapping[str, Any]) -> str | None:
    """Return the hash of what is the operator's own of an object: that of the wish, if it is fulfilled."""
    part = owned_part(body)
    return None if part is None else digest_of(part)


def _plain(value: Any) -> Any:
    """Return JSON data as the API server writes it: 10 for 10.0."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _pick(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return what lies at the paths of a set of fields in the API server's form: `f:NAME`, `k:KEYS` or `v:VALUE`."""
    if not any(path != _SELF for path in fields):
        return value
    if isinstance(value, list):
        return list(_picked_items(value, fields))
    if not isinstance(value, Mapping):
        return None
    picked = {}
    for path, deeper in fields.items():
        name = path[2:]
        if path != _SELF and name in value:
            picked[name] = _pick(value[name], deeper)
    return picked


def _picked_items(items: list[Any], fields: Mapping[str, Any]) -> Iterator[Any]:
    """Yield those of a list that are named by their keys, or by their value, in the order of the list."""
    wanted = [(path[0], _read(path[2:]), deeper) for path, deeper in fields.items() if path != _SELF]
    for item in items:
        for sort, key, deeper in wanted:
            if sort == "v" and item == key:
                yield item
            elif sort == "k" and all(item.get(name) == part for name, part in key.items()):
                yield _pick(item, deeper)


@lru_cache(maxsize=4096)
def _read(text: str) -> Any:
    return json.loads(text)
