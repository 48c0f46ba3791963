"""Who may ask: certificates and bearer tokens, read again when their files change."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, Final

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.http.limits import HttpError
from model_server.http.tls import Identity, has_changed, read_identity
from model_server.logs import event, warning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WATCH_SECONDS: Final = 10.0
"""How often the files are looked at. Kubernetes itself takes up to a minute to bring new ones."""


class Unauthorized(HttpError):  # noqa: N818  # Named after HTTP's code.
    """The client has not shown that it may ask."""

    status = 401

    def __init__(self, message: str) -> None:
        super().__init__(message, ("WWW-Authenticate", "Bearer"))


class Access:
    """What clients must show, and what this pod shows to others."""

    def __init__(self, tls_dir: Path | None = None, tokens_file: Path | None = None) -> None:
        """Read the files. Raises `StartError`."""
        self.identity: Identity | None = None if tls_dir is None else read_identity(tls_dir)
        self._tokens_file = tokens_file
        self._tokens: tuple[bytes, ...] = () if tokens_file is None else _read_tokens(tokens_file)
        self.changed: list[Callable[[], Awaitable[None]]] = []
        """Called after there is another identity."""

    def check(self, authorization: str | None) -> None:
        """Check the header Authorization of a request. Raises `Unauthorized`."""
        if not self._tokens:
            return
        scheme, _, given = (authorization or "").partition(" ")
        token = given.strip().encode("latin-1", "replace")
        # All are compared, so that the time tells nothing.
        known = [hmac.compare_digest(token, one) for one in self._tokens]
        if scheme.lower() != "bearer" or not any(known):
            raise Unauthorized("this needs a bearer token, in the header Authorization")

    @property
    def authorization(self) -> str | None:
        """What this pod sends to others: the first of the tokens."""
        return f"Bearer {self._tokens[0].decode('latin-1')}" if self._tokens else None

    async def watch(self) -> None:
        """Read the files again when they change, for ever. What cannot be used leaves all as it was."""
        told = ""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self.refresh()
                told = ""
            except (StartError, OSError) as error:
                if str(error) != told:
                    warning("the certificate or the tokens were not changed", reason=str(error))
                told = str(error)

    async def refresh(self) -> None:
        """Read what has changed. Raises `StartError` or OSError, and leaves what it concerns to the next time."""
        if self._tokens_file is not None and (tokens := _read_tokens(self._tokens_file)) != self._tokens:
            self._tokens = tokens
            event("other bearer tokens", number=len(tokens))
        if self.identity is not None and has_changed(self.identity):
            before, self.identity = self.identity, read_identity(self.identity.folder)
            try:
                for tell in self.changed:
                    await tell()
            except BaseException:
                self.identity = before
                raise
            event("another certificate", name=self.identity.name)


def _read_tokens(file: Path) -> tuple[bytes, ...]:
    """Read one token a line. Raises `StartError`: an empty file would let nobody in, or everybody."""
    try:
        tokens = tuple(filter(None, map(bytes.strip, file.read_bytes().splitlines())))
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror}): is the Secret with the tokens mounted?"
        raise StartError(StartFailure.BAD_SETTINGS, message) from error
    if not tokens:
        raise StartError(StartFailure.BAD_SETTINGS, f"{file} has no token: write one a line")
    return tokens
