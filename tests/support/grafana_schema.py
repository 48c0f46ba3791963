"""Holds dashboards against Grafana's published schema, as its Foundation SDK has it: names and types of fields.

The SDK reads what it knows and drops the rest in silence, and believes every type. So what was dropped is looked for,
and every value is held against the type that its field is declared with.
"""

from __future__ import annotations

import enum
import json
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # It prefers a format that Grafana 10 and 11 do not read.
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.cog.runtime import UnknownDataquery, panelcfg_config
    from grafana_foundation_sdk.models import dashboard as models

register_default_plugins()
Document = Mapping[str, Any]


def faults(document: Document) -> list[str]:
    """Return what the schema does not allow, each with its place."""
    try:
        read = models.Dashboard.from_json(dict(document))
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        return [f"it cannot be read: {error}"]
    found = [*_dropped(document, _written(read), "dashboard")]
    found += _mistyped(read, models.Dashboard, "dashboard")
    for panel in document.get("panels") or ():
        found += _in_panel(panel)
    return found


def _in_panel(panel: Document) -> Iterator[str]:
    """Look at what the SDK leaves open in a panel: its type, and what overrides set."""
    place = f"panel {panel.get('title')!r}"
    if panel["type"] == "row":
        return
    if panelcfg_config(panel["type"]) is None:
        yield f"{place}: no type of panels is called {panel['type']!r}"
        return
    for override in panel["fieldConfig"]["overrides"]:
        for entry in override["properties"]:
            yield from _setting(panel["type"], entry["id"], entry.get("value"), f"{place}, override {entry['id']}")


def _setting(panel_type: str, name: str, value: Any, place: str) -> Iterator[str]:
    """Hold one setting of an override against the field that it overrides."""
    group, _, rest = name.partition(".")
    config = panelcfg_config(panel_type)
    hook = config.field_config_from_json_hook if config and group == "custom" else models.FieldConfig.from_json
    if hook is None:
        yield f"{place}: panels of this type have no settings of their own"
        return
    document = {rest if group == "custom" else name: value}
    read = hook(document)
    yield from _dropped(document, _written(read), place)
    yield from _mistyped(read, type(read), place)


def _dropped(document: Any, kept: Any, place: str) -> Iterator[str]:
    """Yield what a document has and the SDK's own does not."""
    if isinstance(document, Mapping) and isinstance(kept, Mapping):
        for name, value in document.items():
            if name in kept:
                yield from _dropped(value, kept[name], f"{place}.{name}")
            elif value is not None:
                yield f"{place}: no field is called {name!r}"
    elif isinstance(document, list) and isinstance(kept, list) and len(document) == len(kept):
        for number, (one, other) in enumerate(zip(document, kept, strict=True)):
            yield from _dropped(one, other, f"{place}[{number}]")
    elif document != kept:
        yield f"{place}: {document!r} is read as {kept!r}"


def _mistyped(value: Any, hint: Any, place: str) -> Iterator[str]:
    """Yield the fields whose values are not of the types that they are declared with."""
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        yield from _unread(value, hint, place)
    elif isinstance(value, UnknownDataquery):
        yield f"{place}: the query names no kind of data source"
    elif not _fits(value, hint):
        yield f"{place}: {value!r} is no {hint}"
    elif isinstance(value, list):
        (of,) = typing.get_args(_choose(value, hint)) or (object,)
        for number, part in enumerate(value):
            yield from _mistyped(part, of, f"{place}[{number}]")
    elif isinstance(value, dict):
        of = (*typing.get_args(_choose(value, hint)), object, object)[1]
        for name, part in value.items():
            yield from _mistyped(part, of, f"{place}.{name}")
    elif type(value).__module__.startswith("grafana_foundation_sdk"):
        for name, declared in typing.get_type_hints(type(value)).items():
            yield from _mistyped(getattr(value, name), declared, f"{place}.{name}")


def _unread(document: Document, kind: Any, place: str) -> Iterator[str]:
    """Read a part that the SDK left as it was, and look at that."""
    read = kind.from_json(document)
    yield from _dropped(document, _written(read), place)
    yield from _mistyped(read, kind, place)


def _written(read: object) -> Any:
    return json.loads(json.dumps(read, cls=JSONEncoder))


def _choose(value: Any, hint: Any) -> Any:
    """Return the member of a union that a value is of."""
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return next((member for member in members if _fits(value, member)), object)


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is object or hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, member) for member in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is not None:
        return isinstance(value, origin)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)
