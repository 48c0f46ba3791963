"""What a model's user wants of labels. All of it is off unless the environment says otherwise."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from model_server.contract import Env, StartFailure
from model_server.errors import StartError
from model_server.ledger import HORIZON_SECONDS
from model_server.prediction_id import MAX_SLICE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TOP: Final = 20
MAX_SLICES: Final = 20
"""Names that slices may have; there is one more, for the others."""
STORE_SCHEMES: Final = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
"""As users write them, and as the client knows them."""


class Task(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


class Counted(StrEnum):
    """Of which predictions the labels are judged."""

    ALL = "all"
    AUDITED = "audited"


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """How labels are asked for, scored and counted."""

    task: Task = Task.CLASSIFICATION
    tolerance: float = 1.0
    """By how much a value may be off and is still right."""
    top: int = 0
    """How many of the best classes are remembered; 0: only the best one."""
    maturity: float = 0.0
    """Seconds from a prediction until its label counts."""
    audit_fraction: float = 0.0
    """Share of the requests that are picked at random."""
    counted: Counted = Counted.ALL
    slice_field: str | None = None
    slices: frozenset[str] | None = None
    """Those that have a name; None: the first `MAX_SLICES` that get a label."""
    store: str | None = None
    """URL of a Redis or Valkey that all replicas ask; it may hold a password."""


def read_label_options(environment: Mapping[str, str]) -> LabelOptions:
    """Read the environment. Raises `StartError`."""
    options = LabelOptions(
        task=_task(environment.get(Env.TASK, "")),
        tolerance=_number(environment, Env.REGRESSION_TOLERANCE, 1.0, lambda value: value > 0, "number over 0"),
        top=_top(environment.get(Env.TOP_K, "")),
        maturity=_number(
            environment,
            Env.LABEL_MATURITY,
            0.0,
            lambda value: 0 <= value <= HORIZON_SECONDS / 2,
            "number of seconds up to 15 days: half of the time for which labels are taken",
        ),
        audit_fraction=_number(
            environment, Env.AUDIT_FRACTION, 0.0, lambda value: 0 <= value <= 1, "share from 0 to 1"
        ),
        counted=_counted(environment.get(Env.LABELS_COUNTED, "")),
        slice_field=environment.get(Env.SLICE_FIELD) or None,
        slices=_slices(environment.get(Env.SLICES, "")),
        store=_store(environment.get(Env.LABEL_STORE, "")),
    )
    _check_together(options, environment)
    return options


def _check_together(options: LabelOptions, environment: Mapping[str, str]) -> None:
    is_regression = options.task is Task.REGRESSION
    has_tolerance = bool(environment.get(Env.REGRESSION_TOLERANCE))
    if is_regression and not has_tolerance:
        raise _bad(f"{Env.REGRESSION_TOLERANCE} is not set: by how much may a value be off and still be right?")
    if has_tolerance and not is_regression:
        raise _bad(f"{Env.REGRESSION_TOLERANCE} is for {Env.TASK}={Task.REGRESSION}")
    for name in (Env.MODEL_LABELS, Env.TOP_K):
        if is_regression and environment.get(name):
            raise _bad(f"{name} is for classes, and {Env.TASK} is {Task.REGRESSION}")
    if options.counted is Counted.AUDITED and not options.audit_fraction:
        raise _bad(f"{Env.LABELS_COUNTED} is {Counted.AUDITED}, but {Env.AUDIT_FRACTION} says that nothing is audited")
    if options.slices is not None and options.slice_field is None:
        raise _bad(f"{Env.SLICES} are values of a field: name it in {Env.SLICE_FIELD}")
    if options.store is not None and not environment.get(Env.POD_UID):
        raise _bad(f"{Env.LABEL_STORE} needs {Env.POD_UID}: replicas that look the same would count labels twice")


def _task(text: str) -> Task:
    try:
        return Task(text or Task.CLASSIFICATION)
    except ValueError:
        raise _bad(f"{Env.TASK} is {text!r}, not one of {', '.join(Task)}") from None


def _counted(text: str) -> Counted:
    try:
        return Counted(text or Counted.ALL)
    except ValueError:
        raise _bad(f"{Env.LABELS_COUNTED} is {text!r}, not one of {', '.join(Counted)}") from None


def _top(text: str) -> int:
    top = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
    if text and not 2 <= top <= MAX_TOP:
        raise _bad(f"{Env.TOP_K} is {text!r}, no number from 2 to {MAX_TOP}")
    return top


def _number(
    environment: Mapping[str, str], name: Env, default: float, fits: Callable[[float], bool], wanted: str
) -> float:
    text = environment.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not fits(value):
        raise _bad(f"{name} is {text!r}, no {wanted}")
    return value


def _slices(text: str) -> frozenset[str] | None:
    if not text:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(map(_is_slice, names)):
        raise _bad(f"{Env.SLICES} is no JSON list of printable texts of at most {MAX_SLICE_BYTES} bytes")
    if len(names) > MAX_SLICES:
        raise _bad(f"{Env.SLICES} has {len(names)} names: at most {MAX_SLICES} are told apart")
    return frozenset(names)


def _is_slice(name: object) -> bool:
    if not isinstance(name, str) or not name.isprintable():
        return False
    return 0 < len(name.encode(errors="replace")) <= MAX_SLICE_BYTES


def _store(text: str) -> str | None:
    if not text:
        return None
    try:
        url = urlsplit(text)
        scheme, has_host = STORE_SCHEMES.get(url.scheme), bool(url.hostname) and url.port != 0
    except ValueError:
        scheme, has_host = None, False
    if scheme is None or not has_host:  # Not what it is: there may be a password in it.
        raise _bad(f"{Env.LABEL_STORE} is no URL like redis://HOST:PORT/0 (or one of {', '.join(STORE_SCHEMES)})")
    return f"{scheme}:{text.partition(':')[2]}"


def _bad(message: str) -> StartError:
    return StartError(StartFailure.BAD_SETTINGS, message)
