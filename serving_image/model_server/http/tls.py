"""TLS from a folder with `tls.crt`, `tls.key` and perhaps `ca.crt`, as a Secret of the type kubernetes.io/tls has them.

Where there is a `ca.crt`, clients must show a certificate of that authority. Pods of a model share the Secret, and know
each other by it: a pod is who shows a certificate for the same name, of the authority, or the very same certificate.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.logs import warning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CERTIFICATE_FILE: Final = "tls.crt"
KEY_FILE: Final = "tls.key"
AUTHORITY_FILE: Final = "ca.crt"
_END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this server is, and whom it trusts."""

    folder: Path
    content: tuple[bytes, bytes, bytes | None]
    """Certificates, key, authority: in PEM, as they were read. With another content it is another identity."""
    server: ssl.SSLContext
    """Of the ports."""
    client: ssl.SSLContext
    """For other pods."""
    name: str | None
    """That other pods' certificates must be for: the first one of this server's own. None: it has none."""


def read_identity(folder: Path, protocols: Sequence[str] = ("http/1.1",)) -> Identity:
    """Read the files. `protocols`: what the port speaks, for ALPN. Raises `StartError`."""
    content = _read(folder)
    try:
        server, client = _server(folder, content, protocols), _client(folder, content)
    except (OSError, ValueError) as error:  # SSLError is one of the first, UnicodeError of the second.
        raise _bad(f"{folder} holds no certificate with its key: {getattr(error, 'reason', None) or error}") from error
    return Identity(folder, content, server, client, _own_name(server, client))


def _read(folder: Path) -> tuple[bytes, bytes, bytes | None]:
    try:
        authority = folder / AUTHORITY_FILE
        return (
            (folder / CERTIFICATE_FILE).read_bytes(),
            (folder / KEY_FILE).read_bytes(),
            authority.read_bytes() if authority.exists() else None,
        )
    except OSError as error:
        raise _bad(f"{error.filename} cannot be read ({error.strerror}): is the Secret with it mounted?") from error


def has_changed(identity: Identity) -> bool:
    """Tell whether other files lie in the folder by now. Raises `StartError` if they cannot be read."""
    return _read(identity.folder) != identity.content


def _server(folder: Path, content: tuple[bytes, bytes, bytes | None], protocols: Sequence[str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / CERTIFICATE_FILE, folder / KEY_FILE)
    context.set_alpn_protocols(list(protocols))
    if content[2] is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, content)
    return context


def _client(folder: Path, content: tuple[bytes, bytes, bytes | None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # It is by `Identity.name`, where there is one: pods are called by their addresses.
    context.load_cert_chain(folder / CERTIFICATE_FILE, folder / KEY_FILE)
    _trust(context, content)
    return context


def _trust(context: ssl.SSLContext, content: tuple[bytes, bytes, bytes | None]) -> None:
    """Trust the authority, and this very certificate; not who else has issued it, which may be a public authority."""
    own, _, authority = content
    leaf = own.decode("ascii").partition(_END)[0] + _END
    context.load_verify_locations(cadata=leaf + "\n")
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if authority is not None:
        context.load_verify_locations(cadata=authority.decode("ascii"))


def _own_name(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """Connect to itself, in memory: the one way to read a certificate, and to know that other pods will take it."""
    try:
        certificate = _shown(server, client)
    except ssl.SSLError as error:
        warning(
            "pods of this model will not trust each other: the certificate is for servers and clients, and valid now",
            reason=error.reason or str(error),
        )
        return None
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    client.check_hostname = bool(names)
    return names[0].replace("*", "any", 1) if names else None


def _shown(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, tuple[tuple[str, str], ...]]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = server.wrap_bio(to_server, to_client, server_side=True)
    there = client.wrap_bio(to_client, to_server)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (there, here):
            try:
                if side not in done:
                    side.do_handshake()
                    done.add(side)
            except ssl.SSLWantReadError:
                pass
    return there.getpeercert() or {}  # type: ignore[return-value]  # The part that is read is so.


def _bad(message: str) -> StartError:
    return StartError(StartFailure.BAD_SETTINGS, message)
