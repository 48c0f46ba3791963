"""What all models of the resource have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DURATION_PATTERN: Final = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_DURATION: Final = re.compile(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, min_length=2, max_length=16)]
"""A span of time as `24h`, `1h30m`, `10s`."""


def drop_nulls(document: Any) -> Any:
    """Take `field: null` as no field, as the API server does."""
    if isinstance(document, dict):
        return {key: value for key, value in document.items() if value is not None}
    return document


@dataclass(frozen=True)
class Rule:
    """A rule over several fields, said twice: to the API server in CEL, and to Python.

    `tests/integration/test_crd_corpus.py` gives both the same objects and expects the same answers.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str


@dataclass(frozen=True)
class NoTwins:
    """Marks a list whose items differ from each other, in a field (`NoTwins("name")`) or as a whole (`NoTwins()`).

    The API server refuses twins in such a list, and lets several owners apply one item each.
    """

    key: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._refuse_twins, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        kind = {"x-kubernetes-list-type": "set" if self.key is None else "map"}
        keys = {} if self.key is None else {"x-kubernetes-list-map-keys": [self.key]}
        return handler(schema) | kind | keys

    def _refuse_twins(self, items: list[Any]) -> list[Any]:
        seen = set()
        for item in items:
            value = item if self.key is None else getattr(item, self.key)
            if value in seen:
                raise ValueError(f"{str(value)!r} stands twice in the list")
            seen.add(value)
        return items


class ApiModel(BaseModel):
    """Immutable, camelCase in JSON, and strict: an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read a part of an object as the API server would.

        `"2"` is no number, `"true"` no truth value, and a field goes by its name in JSON alone.
        Raises pydantic.ValidationError.
        """
        return cls.model_validate_json(json.dumps(document), strict=True, by_alias=True, by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, document: Any) -> Any:
        return drop_nulls(document)

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for rule in self.rules:
            if not rule.holds(self):
                raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        json_schema = handler.resolve_ref_schema(handler(schema))
        if cls.rules:
            json_schema["x-kubernetes-validations"] = [
                {"rule": rule.cel, "message": rule.message} for rule in cls.rules
            ]
        return json_schema


def seconds(duration: str) -> float:
    """Return the length of a `Duration` in seconds; ValueError if it is none."""
    match = _DURATION.fullmatch(duration)
    if not match or not any(match.groups()):
        raise ValueError(f"{duration!r} is no duration; write hours, minutes and seconds as 24h, 1h30m or 10s")
    hours, minutes, secs = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + secs)


def lasts(attribute: str, shortest: str, longest: str) -> Rule:
    """Return the rule that a `Duration` lies between two others: an endless one would overflow every clock."""
    field = to_camel(attribute)
    return Rule(
        cel=f"!has(self.{field}) || (duration(self.{field}) >= duration('{shortest}') && "
        f"duration(self.{field}) <= duration('{longest}'))",
        holds=lambda self: seconds(shortest) <= seconds(getattr(self, attribute)) <= seconds(longest),
        message=f"{field} must lie between {shortest} and {longest}",
    )
