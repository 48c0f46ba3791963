"""What the operator is told from outside: the environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

WORKERS: Final = 10
"""Reconciles at a time. They wait for the API server and for pods most of the time."""
HTTP_PORT: Final = 8080
"""Metrics and probes."""
LOOPBACK: Final = "127.0.0.1"
"""What `kubectl port-forward` reaches, and nobody else outside the pod."""


class SettingsError(Exception):
    """The environment is not as it should be."""


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


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
        prometheus_url: Prometheus that labels may be judged from, with the path of its API; none if absent.
        prometheus_token_file: holds a bearer token for it.
        prometheus_ca_file: holds the certificates by which it is trusted; those of the system if absent.
        fleet_page_port: port of the page that shows all ModelDeployments; no page if absent.
        fleet_page_host: address that it listens on. It has no login: more than the loopback is for who guards it.
        fleet_page_names: names that it may be called by, beside localhost and addresses.
        log_format: how log lines are written.

    """

    serving_image: str
    operator_namespace: str
    watch_namespaces: tuple[str, ...] = ()
    instance: str = "local"
    host: str | None = None
    port: int = HTTP_PORT
    prometheus_url: str | None = None
    prometheus_token_file: Path | None = None
    prometheus_ca_file: Path | None = None
    fleet_page_port: int | None = None
    fleet_page_host: str = LOOPBACK
    fleet_page_names: tuple[str, ...] = ()
    log_format: LogFormat = LogFormat.TEXT

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the environment; SettingsError if something is missing or wrong."""
        port, page_port = _ports(environment)
        return cls(
            serving_image=_required(environment, "SERVING_IMAGE", "the image of the model server"),
            operator_namespace=_required(environment, "OPERATOR_NAMESPACE", "the namespace of the operator"),
            watch_namespaces=_names(environment, "WATCH_NAMESPACES"),
            instance=environment.get("POD_NAME", "local"),
            host=environment.get("HTTP_HOST") or None,
            port=port,
            prometheus_url=_url(environment, "PROMETHEUS_URL"),
            prometheus_token_file=_path(environment, "PROMETHEUS_TOKEN_FILE"),
            prometheus_ca_file=_path(environment, "PROMETHEUS_CA_FILE"),
            fleet_page_port=page_port,
            fleet_page_host=environment.get("FLEET_PAGE_HOST") or LOOPBACK,
            fleet_page_names=_names(environment, "FLEET_PAGE_NAMES"),
            log_format=_log_format(environment),
        )


def _names(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in environment.get(name, "").split(",") if part.strip())


def _ports(environment: Mapping[str, str]) -> tuple[int, int | None]:
    """Return the port of metrics and probes, and that of the page if there is to be one."""
    port = _port(environment, "HTTP_PORT", f"leave it out for {HTTP_PORT}")
    page = _port(environment, "FLEET_PAGE_PORT", "leave it out to have no page")
    port = HTTP_PORT if port is None else port
    if port and port == page:
        raise SettingsError(f"HTTP_PORT and FLEET_PAGE_PORT are both {port}: give each a port of its own")
    return port, page


def _port(environment: Mapping[str, str], name: str, otherwise: str) -> int | None:
    text = environment.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise SettingsError(f"{name} is {text!r}: give a port number, or {otherwise}")
    return int(text)


def _log_format(environment: Mapping[str, str]) -> LogFormat:
    text = environment.get("LOG_FORMAT") or LogFormat.TEXT
    try:
        return LogFormat(text)
    except ValueError:
        known = " or ".join(LogFormat)
        raise SettingsError(f"LOG_FORMAT is {text!r}: give {known}, or leave it out for {LogFormat.TEXT}") from None


def _required(environment: Mapping[str, str], name: str, meaning: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set: it says {meaning}; manifests/base/deployment.yaml shows how")
    return value


def _url(environment: Mapping[str, str], name: str) -> str | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if "@" in text:
        raise SettingsError(f"{name} holds a user or a password, which would be shown: use PROMETHEUS_TOKEN_FILE")
    try:
        url = urlsplit(text)
        is_plain = not (url.query or url.fragment or " " in text) and text.isprintable()
        is_address = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_address = False
    if not (is_address and is_plain):
        raise SettingsError(f"{name} is {text!r}: write http://HOST:PORT or https://HOST/PATH, without /api/v1")
    return text.rstrip("/")


def _path(environment: Mapping[str, str], name: str) -> Path | None:
    text = environment.get(name, "").strip()
    return Path(text) if text else None
