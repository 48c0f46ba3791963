"""What all models of the resource have in common."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_DURATION: Final = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?(?:([0-9]{1,6})ms)?")
_VALIDATIONS: Final = "x-kubernetes-validations"


def drop_nulls(document: Any) -> Any:
    """Take `field: null` as no field, as the API server does."""
    if isinstance(document, dict):
        return {key: value for key, value in document.items() if value is not None}
    return document


@dataclass(frozen=True)
class Rule:
    """A rule that no keyword of a schema says, said twice: to the API server in CEL, and to Python.

    `tests/integration/test_crd_corpus.py` gives both the same objects and expects the same answers.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str

    @property
    def document(self) -> dict[str, str]:
        """As it stands in the CRD."""
        return {"rule": self.cel, "message": self.message}


@dataclass(frozen=True)
class Obeys:
    """Marks a field with a rule of its own.

    For a text it stands in place of a `pattern`, which would show people nothing but the expression they missed.
    """

    rule: Rule

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        known = handler(schema)
        return known | {_VALIDATIONS: [*known.get(_VALIDATIONS, ()), self.rule.document]}

    def _check(self, value: Any) -> Any:
        if not self.rule.holds(value):
            raise ValueError(self.rule.message)
        return value


def form(pattern: str, message: str) -> Obeys:
    """Mark a text that matches an expression as a whole. It has to mean the same in Python and in RE2."""
    expression = re.compile(pattern)
    return Obeys(
        Rule(
            cel=f"self.matches(r'^({pattern})$')",
            holds=lambda text: expression.fullmatch(text) is not None,
            message=message,
        )
    )


def lasts(shortest: str, longest: str) -> Obeys:
    """Mark a span of time, as `24h`, `1h30m`, `10s` or `250ms`, that lies between two others."""

    def holds(text: str) -> bool:
        try:
            return seconds(shortest) <= seconds(text) <= seconds(longest)
        except ValueError:
            return False

    return Obeys(
        Rule(
            cel=f"self != '' && self.matches(r'^{_DURATION.pattern}$') && "
            f"duration(self) >= duration('{shortest}') && duration(self) <= duration('{longest}')",
            holds=holds,
            message=f"write hours, minutes and seconds, as 24h, 1h30m or 10s, between {shortest} and {longest}",
        )
    )


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
            json_schema[_VALIDATIONS] = [rule.document for rule in cls.rules]
        return json_schema


Model = TypeVar("Model", bound=ApiModel)
_ROUNDS: Final = 50


def read_leniently(model: type[Model], document: Mapping[str, Any]) -> tuple[Model | None, list[str]]:
    """Read what another version of the operator, or somebody else, wrote; what cannot be read is left out.

    Returns the model, or None if something essential is missing, and the paths that were left out.
    """
    document = copy.deepcopy(dict(document))
    left_out: list[str] = []
    for _ in range(_ROUNDS):
        try:
            return model.parse(document), left_out
        except ValidationError as error:
            first = error.errors()[0]
            path = list(first["loc"])
            if first["type"] == "missing":
                path.pop()
            if not path or not _leave_out(document, path):
                return None, left_out
            left_out.append(".".join(map(str, path)))
    return None, left_out


def _leave_out(document: Any, path: list[int | str]) -> bool:
    """Remove what lies at a path, or as much of the path as exists; False if there is nothing to remove."""
    *parents, last = path
    for step in parents:
        if isinstance(document, dict) and step not in document:
            return False  # A step of the model's own, as the branch of a union.
        document = document[step]
    try:
        del document[last]
    except (KeyError, IndexError, TypeError):
        return False
    return True


def seconds(duration: str) -> float:
    """Return the length of a span of time in seconds; ValueError if it is none."""
    match = _DURATION.fullmatch(duration)
    if not match or not any(match.groups()):
        raise ValueError(f"{duration!r} is no duration; write hours, minutes and seconds as 24h, 1h30m or 10s")
    hours, minutes, secs, milliseconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + secs + milliseconds / 1000
