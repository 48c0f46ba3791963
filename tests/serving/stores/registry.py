"""The CNCF's registry, as Debian has it; what is pushed to it; and the server that hands out tokens for it."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.serving.stores.processes import free_port, running
from tests.support import debian

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

USER, PASSWORD = "somebody", "secret"
_BCRYPT = "$2b$04$gOshmnBQqeezC/G4I8RLKOq5FpVXyt6QB3OX8nSeicyui4NLQk6Tq"
"""Of the password."""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar+gzip"
TITLE = "org.opencontainers.image.title"


@contextlib.contextmanager
def registry(storage: Path, work: Path, auth: dict[str, Any] | None = None) -> Iterator[str]:
    """Run a registry on a storage; gives its address."""
    work.mkdir()
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": f"127.0.0.1:{port}"},
        **({"auth": auth} if auth else {}),
    }
    (work / "config.yml").write_text(json.dumps(config))
    with running([debian.command("docker-registry"), "serve", work / "config.yml"], port, work / "log"):
        yield f"127.0.0.1:{port}"


def passwords(work: Path) -> dict[str, Any]:
    """The registry's configuration for passwords."""
    (work / "users").write_text(f"{USER}:{_BCRYPT}\n")
    return {"htpasswd": {"realm": "models", "path": str(work / "users")}}


def push(address: str, repository: str, tag: str, layers: Sequence[dict[str, Any]], config: str = EMPTY) -> str:
    """Push layers, each a descriptor with its bytes as `data`; returns the manifest's digest."""
    first = {"mediaType": config, "data": b"{}"}
    described = [_push_blob(address, repository, one) for one in (first, *layers)]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    return push_manifest(address, repository, tag, document, MANIFEST)


def push_manifest(address: str, repository: str, tag: str, document: dict[str, Any], media_type: str) -> str:
    body = json.dumps(document).encode()
    url = f"http://{address}/v2/{repository}/manifests/{tag}"
    answer = requests.put(url, data=body, headers={"Content-Type": media_type}, timeout=10)
    assert answer.status_code == 201, answer.text
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def manifest(address: str, repository: str, digest: str) -> bytes:
    """Read a manifest."""
    url = f"http://{address}/v2/{repository}/manifests/{digest}"
    return requests.get(url, headers={"Accept": MANIFEST}, timeout=10).content


def _push_blob(address: str, repository: str, layer: dict[str, Any]) -> dict[str, Any]:
    data = layer["data"]
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    begun = requests.post(f"http://{address}/v2/{repository}/blobs/uploads/", timeout=10)
    place = begun.headers["Location"]
    done = requests.put(f"{place}&digest={digest}", data=data, timeout=30)
    assert done.status_code == 201, done.text
    described = {name: value for name, value in layer.items() if name != "data"}
    return described | {"digest": digest, "size": len(data)}


class TokenServer:
    """Hands out tokens as the specification of registries has it; to who has the password, if one is asked for."""

    def __init__(self, work: Path, *, anonymous: bool) -> None:
        self.seconds = 300
        self.given = 0
        self._anonymous = anonymous
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _certificate(self._key)
        self._bundle = work / "bundle.pem"
        self._bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        token_server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                token_server.answer(self)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def auth(self) -> dict[str, Any]:
        """The registry's configuration."""
        realm = f"http://127.0.0.1:{self._server.server_port}/token"
        bundle = str(self._bundle)
        return {"token": {"realm": realm, "service": "models", "issuer": "tests", "rootcertbundle": bundle}}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if not self._anonymous and request.headers.get("Authorization") != basic:
            request.send_error(401)
            return
        self.given += 1
        query = parse_qs(urlsplit(request.path).query)
        body = json.dumps({"token": self._token(query["scope"][0], query["service"][0])}).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _token(self, scope: str, service: str) -> str:
        kind, name, actions = scope.split(":")
        chain = base64.b64encode(self._certificate.public_bytes(serialization.Encoding.DER)).decode()
        now = int(time.time())
        claims = {
            "iss": "tests",
            "sub": "",
            "aud": service,
            "jti": str(self.given),
            "exp": now + self.seconds,
            "nbf": now - 5,
            "iat": now,
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        head = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        signed = f"{_encoded(head)}.{_encoded(claims)}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _encoded(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _certificate(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - datetime.timedelta(hours=1))
    return builder.not_valid_after(now + datetime.timedelta(hours=1)).sign(key, hashes.SHA256())
