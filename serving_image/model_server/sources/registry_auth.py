"""Credentials of OCI registries: Docker's configuration, as in a Secret of the type kubernetes.io/dockerconfigjson."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from model_server.contract import REGISTRY_AUTH_DIR
from model_server.sources.client import Access, check_status
from model_server.sources.parts import bad_uri, failed
from model_server.wording import shown_uri

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.sources.client import Client

_FILES: Final = (".dockerconfigjson", "config.json")
_DOCKER_HUB: Final = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_PARAMETER: Final = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_MAX_TOKEN_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Login:
    """User and password; or a token that takes their place."""

    user: str
    password: str
    identity_token: str = ""

    @property
    def basic(self) -> str:
        """The header's value."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def login_for(registry: str, repository: str) -> Login | None:
    """Find the login of a registry: of the longest path that is named, as the kubelet does. Raises `StartError`."""
    for folder in (os.environ.get("DOCKER_CONFIG") or REGISTRY_AUTH_DIR, REGISTRY_AUTH_DIR, Path.home() / ".docker"):
        for name in _FILES:
            path = Path(folder, name)
            try:
                document = json.loads(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                raise bad_uri(f"{path} is no Docker configuration: {type(error).__name__}") from error
            if found := _choose(document, registry, repository):
                return found
    return None


def _choose(document: Any, registry: str, repository: str) -> Login | None:
    entries = document.get("auths") if isinstance(document, dict) else None
    best: tuple[int, Login] | None = None
    for key, entry in entries.items() if isinstance(entries, dict) else ():
        host, path = _place(key)
        fits = host == registry or {host, registry} <= _DOCKER_HUB
        if fits and f"{repository}/".startswith(f"{path}/" if path else "") and isinstance(entry, dict):
            login = _login(entry)
            if login is not None and (best is None or len(path) > best[0]):
                best = len(path), login
    return best[1] if best else None


def _place(key: str) -> tuple[str, str]:
    host, _, path = key.removeprefix("https://").removeprefix("http://").strip("/").partition("/")
    return host, "" if path in {"v1", "v2"} else path


def _login(entry: Mapping[str, Any]) -> Login | None:
    user, password, token = (str(entry.get(name) or "") for name in ("username", "password", "identitytoken"))
    if not user and entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(entry["auth"])).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    return Login(user, password, token) if user or token else None


class RegistryAccess(Access):
    """Answers what a registry asks: with nothing, with a password, or with a token that it gets for it."""

    def __init__(self, client: Client, base: str, repository: str, login: Login | None) -> None:
        super().__init__()
        self._client = client
        self._base = base
        self._repository = repository
        self._login = login

    async def renew(self, challenge: str) -> bool:
        """Set the header to what the registry asks for. Raises `Interrupted`, `StartError`."""
        scheme = challenge.partition(" ")[0].lower()
        if scheme == "basic":
            if self._login is None:
                raise failed(f"{self._base} asks for a login, and there is none for it in the Docker configuration")
            self.header = self._login.basic
        elif scheme == "bearer":
            self.header = f"Bearer {await self._token(dict(_PARAMETER.findall(challenge)))}"
        else:
            raise failed(f"{self._base} asks for authorization of an unknown kind, {scheme!r}")
        return True

    async def _token(self, asked: Mapping[str, str]) -> str:
        realm = asked.get("realm", "")
        if urlsplit(realm).scheme != "https" and not self._base.startswith("http://"):
            raise failed(f"{self._base} wants the login sent to {shown_uri(realm)!r}, which is not https")
        if self._login is not None and self._login.identity_token:
            raise failed(
                f"{self._base}: the Docker configuration has an identity token, which is not supported: "
                "use a user and a password"
            )
        query = {"scope": f"repository:{self._repository}:pull"}
        if service := asked.get("service"):
            query["service"] = service
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        login = self._login.basic if self._login else None
        async with self._client.get(url, {}, login) as response:
            check_status(response, url, "Is the login in the Docker configuration right?")
            try:
                document = json.loads(await response.content.read(_MAX_TOKEN_BYTES))
                token = document.get("token") or document.get("access_token")
            except (ValueError, AttributeError):
                token = None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise failed(f"{shown_uri(realm)} gave no token")
        return token
