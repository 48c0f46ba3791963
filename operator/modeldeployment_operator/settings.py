"""What the operator is told from outside: the environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WORKERS: Final = 10
"""Reconciles at a time. They wait for the API server and for pods most of the time."""
HTTP_PORT: Final = 8080
"""Metrics and probes."""


class SettingsError(Exception):
    """The environment is not as it should be."""


@dataclass(frozen=True)
class Settings:
    """All settings.

    Attributes:
        serving_image: image of the model server for ModelDeployments that name none.
        operator_namespace: where the operator runs and keeps its key.
        watch_namespaces: the only namespaces that are watched; all if empty.
        instance: what tells this process from others, in Events.
        host: address to listen on; None for all, of IPv4 and of IPv6.
        port: port of metrics and probes.

    """

    serving_image: str
    operator_namespace: str
    watch_namespaces: tuple[str, ...] = ()
    instance: str = "local"
    host: str | None = None
    port: int = HTTP_PORT

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment; SettingsError if something is missing or wrong."""
        port = environment.get("HTTP_PORT", str(HTTP_PORT))
        if not port.isdecimal() or not 0 <= int(port) <= 65535:
            raise SettingsError(f"HTTP_PORT is {port!r}: give a port number, or leave it out for {HTTP_PORT}")
        namespaces = (name.strip() for name in environment.get("WATCH_NAMESPACES", "").split(","))
        return cls(
            serving_image=_required(environment, "SERVING_IMAGE", "the image of the model server"),
            operator_namespace=_required(environment, "OPERATOR_NAMESPACE", "the namespace of the operator"),
            watch_namespaces=tuple(name for name in namespaces if name),
            instance=environment.get("POD_NAME", "local"),
            host=environment.get("HTTP_HOST") or None,
            port=int(port),
        )


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set: it says {meaning}; manifests/base/deployment.yaml shows how")
    return value
