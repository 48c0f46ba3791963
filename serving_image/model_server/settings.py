"""What a container is told: its environment, read once, and its command line, which only tests use."""

from __future__ import annotations

import argparse
import json
import math
import re
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_server import contract, traces
from model_server.contract import Env, ModelFormat, StartFailure
from model_server.dataplane.batch_settings import BatchSettings, read_batch_settings
from model_server.errors import StartError
from model_server.http.limits import IN_FLIGHT_BYTES
from model_server.keys import read_keys
from model_server.label_options import LabelOptions, read_label_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.prediction_id import Address, KeyRing

SEVERAL: Final = "several"
"""What a server with a models file calls itself, if it is told nothing else."""
DEFAULT_DRAIN_SECONDS: Final = 5.0
DEFAULT_BODY_BYTES: Final = 16 * 2**20
"""Reading one keeps all else from being answered for half a second or so."""
MAX_MODEL_BYTES: Final = 32 * 2**30
FETCH_SECONDS: Final = 3600
CACHE_BYTES: Final = 20 * 2**30
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Place:
    """Ports and folders. All but tests use the defaults, which are the contract's."""

    host: str = ""
    """Empty: every address, of IPv4 and IPv6."""
    grpc_port: int = contract.GRPC_PORT
    http_port: int = contract.HTTP_PORT
    admin_port: int = contract.ADMIN_PORT
    model_dir: Path = Path(contract.MODEL_DIR)
    keys_dir: Path = Path(contract.KEYS_DIR)
    state_dir: Path = Path(contract.STATE_DIR)
    source_dir: Path = Path(contract.PVC_DIR)
    termination_log: Path = Path(contract.TERMINATION_LOG)


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Of the init container."""

    uri: str
    digest: str | None
    """`sha256:…`; None: nothing is verified."""
    format: ModelFormat | None
    extra_ops: frozenset[str]
    max_model_bytes: int
    seconds: float
    cache_dir: Path | None
    cache_max_bytes: int
    place: Place


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Of the serving container."""

    model: str
    revision: str
    version: str
    """The number that clients of TensorFlow Serving see: the last part of the URI if that is one, else 1."""
    format: ModelFormat | None
    labels: tuple[str, ...] | None
    extra_ops: frozenset[str]
    pod_name: str
    pod_uid: str
    pod_ip: Address | None
    peers_host: str | None
    drain_seconds: float
    max_body_bytes: int
    models_file: Path | None
    """With it, `model` and `revision` stand for the server, and there are no `labels` and no `format`."""
    tls_dir: Path | None
    tokens_file: Path | None
    feedback_port: int | None
    """None: labels come to the HTTP port."""
    frontend_processes: int
    """Processes that speak the protocols beside this one."""
    batching: BatchSettings
    label_options: LabelOptions
    traces: bool
    """Whether requests are traced. The SDK that does so reads the rest of its settings itself."""
    place: Place


@dataclass(frozen=True, slots=True)
class Secrets:
    """What lies in the folder of keys."""

    feedback_keys: KeyRing
    admin_token: bytes


def read_place(arguments: Sequence[str]) -> Place:
    """Read the command line; ends the process if it is wrong."""
    parser = argparse.ArgumentParser(description="All options are for tests: in a pod the defaults are the contract.")
    for field in fields(Place):
        default = getattr(Place(), field.name)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default)
    return Place(**vars(parser.parse_args(arguments)))


def fetch_settings(environment: Mapping[str, str], place: Place) -> FetchSettings:
    """Read the environment of the init container. Raises `StartError`."""
    digest = environment.get(Env.MODEL_DIGEST) or None
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise _bad(f"{Env.MODEL_DIGEST} is {digest!r}: a digest is sha256: and 64 hexadecimal digits in lower case")
    cache_dir = environment.get(Env.CACHE_DIR)
    return FetchSettings(
        uri=_required(environment, Env.MODEL_URI),
        digest=digest,
        format=_format(environment),
        extra_ops=_extra_ops(environment),
        max_model_bytes=_count(environment, Env.MAX_MODEL_BYTES, MAX_MODEL_BYTES),
        seconds=_count(environment, Env.FETCH_SECONDS, FETCH_SECONDS),
        cache_dir=Path(cache_dir) if cache_dir else None,
        cache_max_bytes=_count(environment, Env.CACHE_MAX_BYTES, CACHE_BYTES),
        place=place,
    )


def serve_settings(environment: Mapping[str, str], place: Place) -> ServeSettings:
    """Read the environment of the serving container. Raises `StartError`."""
    several = environment.get(Env.MODELS_FILE, "")
    for name in (Env.MODEL_LABELS, Env.MODEL_FORMAT):
        if several and environment.get(name):
            raise _bad(f"{name} is of one model: it goes not with {Env.MODELS_FILE}, which names several")
    return ServeSettings(
        model=_required(environment, Env.MODEL_NAME, SEVERAL if several else ""),
        revision=_required(environment, Env.REVISION, SEVERAL if several else ""),
        version=_version(environment.get(Env.MODEL_URI, "")),
        format=_format(environment),
        labels=_labels(environment.get(Env.MODEL_LABELS, "")),
        extra_ops=_extra_ops(environment),
        pod_name=environment.get(Env.POD_NAME, ""),
        pod_uid=environment.get(Env.POD_UID, ""),
        pod_ip=_address(environment.get(Env.POD_IP, "")),
        peers_host=environment.get(Env.PEERS_HOST) or None,
        drain_seconds=_seconds(environment.get(Env.DRAIN_SECONDS, "")),
        max_body_bytes=_body_bytes(environment.get(Env.MAX_BODY_BYTES, "")),
        tls_dir=_path(environment.get(Env.TLS_DIR, "")),
        tokens_file=_path(environment.get(Env.TOKENS_FILE, "")),
        feedback_port=_port(environment, place),
        models_file=Path(several) if several else None,
        frontend_processes=_frontend_processes(environment.get(Env.FRONTEND_PROCESSES, ""), several=bool(several)),
        batching=read_batch_settings(environment.get(Env.BATCHING, "")),
        label_options=read_label_options(environment),
        traces=traces.wanted(environment),
        place=place,
    )


def read_secrets(folder: Path) -> Secrets:
    """Read the keys that the operator has put into a Secret. Raises `StartError`."""
    token = folder / contract.ADMIN_TOKEN_FILE
    feedback_keys = read_keys(folder)
    try:
        admin_token = token.read_bytes().strip()
    except OSError as error:
        raise _bad(
            f"{error.filename} cannot be read ({error.strerror}): is the Secret with the keys mounted?"
        ) from error
    if not admin_token:
        raise _bad(f"{token} is empty")
    return Secrets(feedback_keys, admin_token)


def _required(environment: Mapping[str, str], name: Env, default: str = "") -> str:
    value = environment.get(name) or default
    if not value:
        raise _bad(f"{name} is not set")
    return value


def _format(environment: Mapping[str, str]) -> ModelFormat | None:
    text = environment.get(Env.MODEL_FORMAT)
    try:
        return ModelFormat(text) if text else None
    except ValueError:
        raise _bad(f"{Env.MODEL_FORMAT} is {text!r}, not one of {', '.join(ModelFormat)}") from None


def _version(uri: str) -> str:
    last = uri.rstrip("/").rpartition("/")[2]
    return last if re.fullmatch(r"[1-9][0-9]{0,17}", last, re.ASCII) else "1"


def _labels(text: str) -> tuple[str, ...] | None:
    if not text:
        return None
    try:
        labels = json.loads(text)
    except ValueError:
        labels = None
    if not isinstance(labels, list) or not labels or not all(isinstance(label, str) and label for label in labels):
        raise _bad(f"{Env.MODEL_LABELS} is no JSON list of names")
    if any("\ud800" <= character <= "\udfff" for label in labels for character in label):
        raise _bad(f"{Env.MODEL_LABELS} holds half of a surrogate pair, which cannot be written")
    if len(set(labels)) < len(labels):
        raise _bad(f"{Env.MODEL_LABELS} names a class twice")
    return tuple(labels)


def _address(text: str) -> Address | None:
    try:
        return ip_address(text) if text else None
    except ValueError:
        raise _bad(f"{Env.POD_IP} is {text!r}, no IP address") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text) if text else DEFAULT_DRAIN_SECONDS
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise _bad(f"{Env.DRAIN_SECONDS} is {text!r}, no number of seconds")
    return seconds


def _count(environment: Mapping[str, str], name: Env, default: int) -> int:
    text = environment.get(name, "")
    if text and not re.fullmatch(r"[1-9][0-9]{0,17}", text, re.ASCII):
        raise _bad(f"{name} is {text!r}, no whole number above 0")
    return int(text) if text else default


def _extra_ops(environment: Mapping[str, str]) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, environment.get(Env.EXTRA_OPS, "").split(","))))


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _port(environment: Mapping[str, str], place: Place) -> int | None:
    text = environment.get(Env.FEEDBACK_PORT, "")
    if not text:
        return None
    port = int(text) if re.fullmatch(r"[1-9][0-9]{0,4}", text, re.ASCII) else 0
    if not 0 < port < 2**16 or port in {place.http_port, place.admin_port, place.grpc_port}:
        raise _bad(f"{Env.FEEDBACK_PORT} is {text!r}, no port that is free")
    return port


def _frontend_processes(text: str, *, several: bool) -> int:
    if not re.fullmatch(r"[0-9]{0,2}", text, re.ASCII):
        raise _bad(f"{Env.FRONTEND_PROCESSES} is {text!r}, no number of processes from 0 to 99")
    number = int(text or 0)
    if several and number:
        raise _bad(f"{Env.FRONTEND_PROCESSES} goes not with {Env.MODELS_FILE}: one process serves several models")
    return number


def _body_bytes(text: str) -> int:
    size = int(text) if re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) else 0 if text else DEFAULT_BODY_BYTES
    if not 0 < size <= IN_FLIGHT_BYTES:
        raise _bad(f"{Env.MAX_BODY_BYTES} is {text!r}, no number of bytes from 1 to {IN_FLIGHT_BYTES}")
    return size


def _bad(message: str) -> StartError:
    return StartError(StartFailure.BAD_SETTINGS, message)
