"""Puts together what one revision of a model has for labels: ids, counts, metrics, and where labels are taken."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_server.book import Book
from model_server.feedback import Scorer
from model_server.intake import Intake
from model_server.marking import Marker
from model_server.metrics import Metrics
from model_server.prediction_id import Issuer, fingerprint, pod_mark
from model_server.relay import Relay
from model_server.routing import Self
from model_server.shadows import Shadows

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from model_server.intake import Others
    from model_server.label_store import LabelStore
    from model_server.prediction_id import KeyRing
    from model_server.settings import ServeSettings


@dataclass(frozen=True, slots=True)
class Labelling:
    """The labels of one revision."""

    book: Book
    metrics: Metrics
    marker: Marker
    intake: Intake
    shadows: Shadows


@dataclass(frozen=True, slots=True)
class Revision:
    """Which revision it is, and what is told of its classes."""

    model: str
    name: str
    labels: tuple[str, ...] | None
    state_dir: Path
    """Its own."""


def open_store(settings: ServeSettings) -> LabelStore | None:
    """Make the store that all replicas ask, if there is one."""
    url = settings.label_options.store
    if url is None:
        return None
    from model_server.label_store import RedisStore

    return RedisStore(url, settings.pod_uid)


def open_labelling(
    settings: ServeSettings,
    revision: Revision,
    keys: KeyRing,
    others: Others,
    store: LabelStore | None,
    here: MutableMapping[bytes, Intake],
) -> Labelling:
    """Begin to count, or go on with what a former run of this container has counted. Raises `StartError`.

    `here` gets the intake: it has those of all revisions of this process.
    """
    options = settings.label_options
    this = Self(fingerprint(revision.model, revision.name), pod_mark(settings.pod_uid), settings.pod_ip)
    book = Book(revision.state_dir, revision=revision.name, pod_uid=settings.pod_uid, clock=time.time, options=options)
    metrics = Metrics(book, settings.pod_uid, revision.labels, options)
    issuer = Issuer(
        keys, this.fingerprint, this.pod, this.address, time.time, secrets.token_bytes, options.audit_fraction
    )
    scorer = Scorer(revision.labels, options.tolerance)
    shadows = Shadows(revision.model, this.fingerprint, keys, scorer, book, Relay(others), metrics)
    intake = Intake(this, keys, scorer, book, metrics, others, store, here, shadows.labelled)
    here[this.fingerprint] = intake
    return Labelling(book, metrics, Marker(issuer, options, named=revision.labels is not None), intake, shadows)
