"""How requests come to the model from a Gateway (Kubernetes' Gateway API)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel, NoTwins, form

_NAME = r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
ObjectName = Annotated[str, Field(min_length=1, max_length=253), form(_NAME, "give the name of an object: my-gateway")]
Namespace = Annotated[
    str, Field(min_length=1, max_length=63), form(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", "give the name of a namespace")
]
Hostname = Annotated[
    str,
    Field(min_length=1, max_length=253),
    form(
        r"(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?",
        "give a host name in small letters, as news.example.org or *.example.org",
    ),
]


class ParentReference(ApiModel):
    """Names a Gateway, or one of its listeners."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: Namespace | None = Field(
        None, description="Its namespace, whose listeners must allow routes from here; this one if absent."
    )
    section_name: ObjectName | None = Field(None, description="Name of one of its listeners; all if absent.")
    port: int | None = Field(None, ge=1, le=65535, description="Port of one of its listeners; all if absent.")


class Route(ApiModel):
    """An HTTPRoute from one or more Gateways to the model."""

    parent_refs: Annotated[list[ParentReference], Field(min_length=1, max_length=16)] = Field(
        description="Gateways that requests come from."
    )
    hostnames: Annotated[list[Hostname], Field(min_length=1, max_length=16), NoTwins()] | None = Field(
        None,
        description="Names of hosts that are the model's alone. With them every path is its, and gRPC comes as well. "
        "Without them models can share a host, and each has its own paths: /v1/models/NAME and /v2/models/NAME.",
    )
