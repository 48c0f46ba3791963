"""Parts of the spec that are Kubernetes' own, as far as they are looked into."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Final

from model_server.contract import Env
from pydantic import BeforeValidator, Field

from modeldeployment_operator.api.base import ApiModel, Rule, drop_nulls

OPAQUE: Final = "x-kubernetes-preserve-unknown-fields"

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

LabelMap = Annotated[dict[str, str], Field(max_length=32), BeforeValidator(drop_nulls)]
Quantity = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=QUANTITY_PATTERN, max_length=32)],
    Field(json_schema_extra={"x-kubernetes-int-or-string": True}),
]
"""An amount as Kubernetes writes it: 2, "500m", "1.5", 4Gi."""
Quantities = Annotated[dict[str, Quantity], Field(max_length=16), BeforeValidator(drop_nulls)]
Opaque = Annotated[dict[str, Any], Field(json_schema_extra={OPAQUE: True})]
"""An object of Kubernetes' own that is passed on as it is and checked when the pods are made."""


_PREFIX: Final = "MODEL_"
_OTHERS: Final = sorted(name.value for name in Env if not name.startswith(_PREFIX))
"""All names of the server's settings begin with the prefix, but for these."""


class EnvVar(ApiModel):
    """An environment variable of a container."""

    name: str = Field(min_length=1, max_length=256, description="Name of the variable.")
    value: str | None = Field(None, max_length=4096, description="Its value.")
    value_from: Opaque | None = Field(None, description="Where its value comes from, as in a pod's env.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda self: self.value is None or self.value_from is None,
            message="give value or valueFrom, not both",
        ),
    )


def operators_own(but: Collection[str]) -> Rule:
    """Return the rule that a variable is none that the operator sets; users may set some whose names begin alike."""
    free = sorted(but)
    return Rule(
        cel=f"self.name in {free} || !(self.name.startsWith('{_PREFIX}') || self.name in {_OTHERS})",
        holds=lambda self: self.name in free or not (self.name.startswith(_PREFIX) or self.name in _OTHERS),
        message=f"the operator sets {', '.join(_OTHERS)} and all that begin with {_PREFIX}, but for {', '.join(free)}",
    )


class LocalObjectReference(ApiModel):
    """Names an object in the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the object.")


class SecretKey(ApiModel):
    """A value in a Secret of the same namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")
    key: str = Field(min_length=1, max_length=253, description="Key in it.")


class ResourceRequirements(ApiModel):
    """Compute resources of a container."""

    requests: Quantities | None = Field(None, description="What is reserved for it in each pod.")
    limits: Quantities | None = Field(
        None, description="What it may use at most. The number of threads of the server follows its CPU limit."
    )

    def names(self, resource: str) -> bool:
        """Return whether pods have a request of this resource; that of one that is limited is its limit."""
        return resource in (self.requests or {}) or resource in (self.limits or {})
