"""Pods that count labels, and reach each other without a network."""

from __future__ import annotations

import hashlib
import itertools
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from model_server import contract
from model_server.book import Book
from model_server.feedback import Label, Scorer
from model_server.intake import Intake, Others
from model_server.label_options import LabelOptions
from model_server.metrics import Metrics
from model_server.passing import Passed, Seal
from model_server.pods import Answer, Lost, PodClient, Unreachable
from model_server.prediction_id import Classes, Issuer, Key, KeyRing, Values, fingerprint, pod_mark
from model_server.protocols.feedback_rest import read_feedback, write_results
from model_server.routing import Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_server.label_store import LabelStore

KEY = Key.from_secret(b"k" * 32)
KEYS = KeyRing(KEY)
NOW = 1_790_000_000
_issued = itertools.count()


class Network(PodClient):
    """What the pods know of each other."""

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[str, Pod] = {}
        self.broken: set[IPv4Address] = set()
        self.is_nameless = False
        self.names: set[IPv4Address] = set()
        """What the DNS name of the revision stands for."""
        self.answers: dict[str, Answer] = {}
        """Of addresses where something else listens."""

    async def send(self, method: str, address: str, path: str, **request: Any) -> Answer:
        if IPv4Address(address.partition(":")[0]) in self.broken:
            raise Lost("no answer")
        if address in self.answers:
            return self.answers[address]
        pod = self.pods.get(address)
        if pod is None:
            raise Unreachable("refused")
        assert (method, path) == ("POST", "/v1/models/m/feedback")
        header, expected = request["headers"][contract.FORWARDED_HEADER], (Passed.LABELS, Passed.INHERITED)
        passed = Seal("", pod.keys).read(header, expected, request["body"])
        assert passed is not None
        labels = read_feedback(request["body"])
        code, body = write_results(labels, await pod.intake.take(labels.labels, passed))
        return Answer(code, [], body)


class Pod:
    """One pod. One that is made with the folder and the UID of another is its container, started again."""

    def __init__(
        self,
        network: Network,
        folder: Path,
        address: IPv4Address,
        revision: str = "r1",
        uid: str | None = None,
        *,
        options: LabelOptions | None = None,
        keys: KeyRing = KEYS,
        store: LabelStore | None = None,
        clock: Callable[[], float] = lambda: NOW,
        here: dict[bytes, Intake] | None = None,
    ) -> None:
        self.uid = uid or str(address)
        self.keys = keys
        options = options or LabelOptions()
        self.book = Book(
            folder / f"{self.uid}-{revision}", revision=revision, pod_uid=self.uid, clock=clock, options=options
        )
        self.metrics = Metrics(self.book, self.uid, None, options)
        self.rejected = self.metrics.rejected
        this = Self(fingerprint("m", revision), pod_mark(self.uid), address)
        self.issuer = Issuer(keys, this.fingerprint, this.pod, address, clock, _nonce, options.audit_fraction)

        async def siblings() -> set[Any]:
            if network.is_nameless:
                raise OSError("the DNS is away")
            return set(network.names)

        others = Others(network, "/v1/models/m/feedback", 8501, Seal(str(address), keys), siblings)
        scorer = Scorer(tolerance=options.tolerance)
        self.intake = Intake(this, keys, scorer, self.book, self.metrics, others, store, here)
        if here is not None:
            here[this.fingerprint] = self.intake
        network.pods[f"{address}:8501"] = self

    def predict(self, *classes: int | None) -> str:
        """An id of these predictions of one of two classes."""
        return self.issue(Classes(2, classes))

    def issue(self, predicted: Classes | Values, slices: Sequence[str] | None = None) -> str:
        token, _ = self.issuer.issue(predicted, slices)
        assert token is not None
        return token

    async def take(self, *labels: tuple[object, object], passed: Passed | None = None) -> list[str]:
        results = await self.intake.take([Label(*label) for label in labels], passed)
        return ["accepted" if result is None else result.reason.value for result in results]


def _nonce(size: int) -> bytes:
    """Bytes as random as any, and the same in each run of a test."""
    return hashlib.blake2b(next(_issued).to_bytes(8), digest_size=size).digest()
