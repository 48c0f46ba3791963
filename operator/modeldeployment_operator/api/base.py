"""What all models of the resource have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

DURATION_PATTERN: Final = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_DURATION: Final = re.compile(r"^(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?$")

Duration = Annotated[str, Field(pattern=DURATION_PATTERN, min_length=2, max_length=16)]
"""A span of time as `24h`, `1h30m`, `10s`."""


@dataclass(frozen=True)
class Rule:
    """A rule over several fields, said twice: to the API server in CEL, and to Python.

    `tests/contract` gives both the same objects and expects the same answers.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str


class ApiModel(BaseModel):
    """Immutable, camelCase in JSON, and strict: an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    rules: ClassVar[tuple[Rule, ...]] = ()

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
    match = _DURATION.match(duration)
    if not match or not any(match.groups()):
        raise ValueError(f"{duration!r} is no duration; write hours, minutes and seconds as 24h, 1h30m or 10s")
    hours, minutes, secs = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + secs)
